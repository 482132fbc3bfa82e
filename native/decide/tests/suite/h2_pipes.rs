//! A client against a server over pipes that cut anywhere: nothing is lost, windows and limits hold, everything ends.

use crate::h2_fixture::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tulle_decide::h2::{Config, Connection, ErrorCode, Event, Phase, Role};
use tulle_decide::hpack::Indexing;

#[derive(Debug, Clone, Copy)]
struct Exchange {
    request: usize,
    response: usize,
    trailers: (bool, bool),
    interim: u8,
    /// The server answers without waiting for the request's end.
    early: bool,
    /// A name in the table, or one of many.
    names: u8,
    cut: Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Never,
    ByClient(usize),
    ByServer(usize),
}

/// One stream as one side sees it.
#[derive(Debug)]
struct Live {
    exchange: usize,
    head_sent: bool,
    sent: usize,
    end_sent: bool,
    head_received: bool,
    received: usize,
    end_received: bool,
    /// Received and not passed on yet.
    held: usize,
}

impl Live {
    fn new(exchange: usize) -> Self {
        Self {
            exchange,
            head_sent: false,
            sent: 0,
            end_sent: false,
            head_received: false,
            received: 0,
            end_received: false,
            held: 0,
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).unwrap();
        high % bound.max(1)
    }
}

fn body_byte(exchange: usize, at: usize) -> u8 {
    u8::try_from((at.wrapping_mul(31) ^ (at >> 8) ^ (exchange * 7)) & 0xFF).unwrap()
}

struct Side {
    role: Role,
    caller: Caller,
    live: BTreeMap<u32, Live>,
    /// Of each exchange: it was completed, from this side's view.
    completed: Vec<bool>,
    limit: usize,
}

struct World {
    exchanges: Vec<Exchange>,
    client: Side,
    server: Side,
    begun: usize,
    random: Random,
}

impl Side {
    fn new(config: &Config, exchanges: usize) -> Self {
        Self {
            role: config.role,
            caller: Caller::new(config),
            live: BTreeMap::new(),
            completed: vec![false; exchanges],
            limit: config.max_streams as usize,
        }
    }

    fn is_server(&self) -> bool {
        self.role == Role::Server
    }

    /// How long a body this side receives.
    fn receives(&self, exchange: &Exchange) -> usize {
        if self.is_server() { exchange.request } else { exchange.response }
    }

    fn take(&mut self, bytes: &[u8], exchanges: &[Exchange]) {
        self.caller.push(bytes);
        while let Some(got) = self.caller.next() {
            self.look(got, exchanges);
        }
        assert!(self.caller.conn.streams() <= self.limit);
    }

    fn look(&mut self, got: Got, exchanges: &[Exchange]) {
        match got {
            Got::Headers { stream, end, phase, lines } => {
                self.look_at_lines(stream, end, phase, &lines, exchanges);
            }
            Got::Data { stream, bytes, end } => {
                let Some(live) = self.live.get_mut(&stream) else {
                    panic!("a body for a stream that is finished")
                };
                assert!(live.head_received && !live.end_received);
                for (n, &byte) in bytes.iter().enumerate() {
                    assert_eq!(byte, body_byte(live.exchange, live.received + n));
                }
                live.received += bytes.len();
                live.held += bytes.len();
                live.end_received = end;
                self.settle(stream, exchanges);
            }
            Got::Other(Event::Reset { stream, code, by_peer }) => {
                assert!(by_peer, "nobody breaks rules: {code:?}");
                self.caller.conn.finish(stream);
                if let Some(live) = self.live.remove(&stream.value()) {
                    if code == ErrorCode::NoError {
                        let expected = self.receives(&exchanges[live.exchange]);
                        assert!(live.end_received && live.received == expected);
                        self.completed[live.exchange] = true;
                    } else {
                        assert_eq!(code, ErrorCode::Cancel);
                        assert_ne!(exchanges[live.exchange].cut, Cut::Never);
                    }
                }
            }
            Got::Other(Event::Writable { .. } | Event::SettingsChanged) => {}
            other => panic!("{other:?}"),
        }
    }

    fn look_at_lines(
        &mut self,
        stream: u32,
        end: bool,
        phase: Phase,
        lines: &[(Vec<u8>, Vec<u8>)],
        exchanges: &[Exchange],
    ) {
        let number = std::str::from_utf8(&lines.last().unwrap().1).unwrap().parse::<usize>().unwrap();
        if lines[0].1 == b"103" {
            assert!(phase == Phase::First && !end);
            return self.caller.conn.interim(id(stream));
        }
        if self.is_server() && phase == Phase::First {
            assert!(self.live.insert(stream, Live::new(number)).is_none());
        }
        let live = self.live.get_mut(&stream).unwrap();
        assert_eq!(live.exchange, number);
        assert_eq!(live.head_received, phase == Phase::Later);
        assert!(!live.end_received);
        live.head_received = true;
        live.end_received = end;
        if phase == Phase::Later {
            assert!(end && lines[0].0 == b"trailer");
        } else {
            assert_eq!(lines.len(), if self.role == Role::Client { 2 } else { 3 });
        }
        self.settle(stream, exchanges);
    }

    /// Is done with a stream that has ended both ways, or that the server has answered early.
    fn settle(&mut self, stream: u32, exchanges: &[Exchange]) {
        let Some(live) = self.live.get(&stream) else { return };
        let exchange = &exchanges[live.exchange];
        if live.end_received {
            assert_eq!(live.received, self.receives(exchange), "the whole body");
        }
        let early = self.is_server() && exchange.early;
        if live.end_sent && (live.end_received || early) {
            self.completed[live.exchange] = true;
            self.caller.conn.finish(id(stream));
            self.live.remove(&stream);
        }
    }

    /// Sends a bit on one stream; true when something was sent.
    fn pump(&mut self, stream: u32, exchanges: &[Exchange], random: &mut Random) -> bool {
        let server = self.is_server();
        let Some(live) = self.live.get_mut(&stream) else { return false };
        let (exchange, number) = (exchanges[live.exchange], live.exchange.to_string());
        let conn = &mut self.caller.conn;
        let cut = match exchange.cut {
            Cut::ByClient(at) if !server => live.sent >= at,
            Cut::ByServer(at) if server => live.sent >= at && live.head_sent,
            _ => false,
        };
        if cut {
            conn.reset(id(stream), ErrorCode::Cancel);
            conn.finish(id(stream));
            self.live.remove(&stream);
            return true;
        }
        if live.end_sent || (server && !exchange.early && !live.end_received) {
            return false;
        }
        let (total, trailers) = if server {
            (exchange.response, exchange.trailers.1)
        } else {
            (exchange.request, exchange.trailers.0)
        };
        if !live.head_sent {
            live.head_sent = true;
            live.end_sent = total == 0 && !trailers;
            send_head(conn, stream, server, live.end_sent, &exchange, &number);
        } else if live.sent < total {
            let size = (1 + random.below(40_000)).min(total - live.sent);
            let bytes: Vec<u8> =
                (live.sent..live.sent + size).map(|at| body_byte(live.exchange, at)).collect();
            let room = conn.room(id(stream));
            let end = live.sent + size == total && !trailers;
            let taken = conn.data(id(stream), &bytes, end);
            assert_eq!(taken, room.min(size));
            live.sent += taken;
            live.end_sent = end && taken == size;
            if taken == 0 {
                return false;
            }
        } else {
            live.end_sent = true;
            assert!(conn.headers(id(stream), true, |lines| {
                lines.line(b"trailer", number.as_bytes(), Indexing::Never);
            }));
        }
        self.settle(stream, exchanges);
        true
    }

    fn forward(&mut self, stream: u32, random: &mut Random) -> bool {
        let Some(live) = self.live.get_mut(&stream).filter(|live| live.held > 0) else { return false };
        let size = 1 + random.below(live.held);
        live.held -= size;
        self.caller.conn.forwarded(id(stream), u32::try_from(size).unwrap());
        true
    }

    fn any_stream(&self, random: &mut Random) -> u32 {
        let nth = random.below(self.live.len());
        self.live.keys().nth(nth).copied().unwrap_or(0)
    }
}

fn send_head(conn: &mut Connection, stream: u32, server: bool, end: bool, exchange: &Exchange, number: &str) {
    let value = number.as_bytes();
    if !server {
        let name = format!("name-{}", exchange.names);
        return assert!(conn.headers(id(stream), end, |lines| {
            lines.line(b":method", b"POST", Indexing::Incremental);
            lines.line(name.as_bytes(), &[b'v'; 300][..usize::from(exchange.names)], Indexing::Incremental);
            lines.line(b"exchange", value, Indexing::Without);
        }));
    }
    for _ in 0..exchange.interim {
        assert!(conn.headers(id(stream), false, |lines| {
            lines.status(103);
            lines.line(b"exchange", value, Indexing::Without);
        }));
    }
    assert!(conn.headers(id(stream), end, |lines| {
        lines.status(200);
        lines.line(b"exchange", value, Indexing::Incremental);
    }));
}

fn carry(from: &mut Side, to: &mut Side, exchanges: &[Exchange], random: &mut Random) -> bool {
    let out = from.caller.conn.output();
    assert!(out.len() <= 256 * 1024 + 64 * 1024, "{}", out.len());
    if out.is_empty() {
        return false;
    }
    let size = match random.below(4) {
        0 => 1 + random.below(12),
        1 => 1 + random.below(1000),
        _ => 1 + random.below(100_000),
    };
    let bytes = out[..size.min(out.len())].to_vec();
    from.caller.conn.sent(bytes.len());
    to.take(&bytes, exchanges);
    true
}

impl World {
    fn step(&mut self, choice: usize) -> bool {
        let Self { exchanges, client, server, begun, random } = self;
        match choice {
            0 => carry(client, server, exchanges, random),
            1 => carry(server, client, exchanges, random),
            2 if *begun < exchanges.len() => {
                let tag = u64::try_from(*begun).unwrap();
                let Some(stream) = client.caller.conn.open(tag) else { return false };
                assert_eq!(client.caller.conn.tag(stream), Some(tag));
                client.live.insert(stream.value(), Live::new(*begun));
                *begun += 1;
                // Numbers are used in order, so the head follows at once.
                let Cut::ByClient(0) = exchanges[*begun - 1].cut else {
                    return client.pump(stream.value(), exchanges, random);
                };
                true
            }
            3 => client.pump(client.any_stream(random), exchanges, random),
            4 => server.pump(server.any_stream(random), exchanges, random),
            5 => client.forward(client.any_stream(random), random),
            6 => server.forward(server.any_stream(random), random),
            _ => false,
        }
    }

    fn is_done(&self) -> bool {
        self.begun == self.exchanges.len() && self.client.live.is_empty() && self.server.live.is_empty()
    }

    fn run(&mut self) {
        let mut idle = 0;
        while !self.is_done() {
            let choice = self.random.below(7);
            idle = if self.step(choice) { 0 } else { idle + 1 };
            assert!(
                idle < 20_000,
                "stuck: {:?} {:?} of {:?}",
                self.client.live,
                self.server.live,
                self.exchanges
            );
        }
        while carry(&mut self.client, &mut self.server, &self.exchanges, &mut self.random)
            || carry(&mut self.server, &mut self.client, &self.exchanges, &mut self.random)
        {}
        for (number, exchange) in self.exchanges.iter().enumerate() {
            if exchange.cut == Cut::Never {
                assert!(self.client.completed[number] && self.server.completed[number], "{number}");
            }
        }
        assert_eq!((self.client.caller.conn.streams(), self.server.caller.conn.streams()), (0, 0));
        assert!(self.client.caller.left.is_empty() && self.server.caller.left.is_empty());
    }

    fn drain(&mut self) {
        self.server.caller.conn.drain();
        for _ in 0..3 {
            for got in self.client.caller.feed(&self.server.caller.flush()) {
                assert_eq!(got, Got::Other(Event::GoingAway { code: ErrorCode::NoError }));
            }
            assert_eq!(self.server.caller.feed(&self.client.caller.flush()), []);
        }
        assert!(self.server.caller.conn.is_drained() && self.client.caller.conn.is_drained());
    }
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let size = prop_oneof![Just(0), 1..200_usize, 1..200_000_usize];
    let cut = prop_oneof![
        8 => Just(Cut::Never),
        1 => (0..100_000_usize).prop_map(Cut::ByClient),
        1 => (0..100_000_usize).prop_map(Cut::ByServer),
    ];
    (size.clone(), size, any::<(bool, bool)>(), 0..3_u8, any::<bool>(), any::<u8>(), cut).prop_map(
        |(request, response, trailers, interim, early, names, cut)| Exchange {
            request,
            response,
            trailers,
            interim,
            early,
            names,
            cut,
        },
    )
}

fn windows() -> impl Strategy<Value = (u32, u32)> {
    (prop_oneof![1..100_u32, 100..70_000_u32, 70_000..1_000_000_u32], 65_535..2_000_000_u32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_sent_arrives(
        exchanges in prop::collection::vec(exchange(), 1..40),
        ours in windows(),
        theirs in windows(),
        streams in (1..50_u32, 1..50_u32),
        seed in any::<u64>(),
    ) {
        // Tiny windows and large bodies take long.
        let scale = |window: u32| if window < 100 { 50 } else { 1 };
        let exchanges: Vec<Exchange> = exchanges
            .into_iter()
            .map(|e| Exchange {
                request: e.request / scale(theirs.0),
                response: e.response / scale(ours.0),
                ..e
            })
            .collect();
        let client =
            Config { stream_window: ours.0, connection_window: ours.1, max_streams: streams.0, seed, ..CLIENT };
        let server = Config {
            stream_window: theirs.0,
            connection_window: theirs.1,
            max_streams: streams.1,
            seed: !seed,
            ..SERVER
        };
        let mut world = World {
            client: Side::new(&client, exchanges.len()),
            server: Side::new(&server, exchanges.len()),
            exchanges,
            begun: 0,
            random: Random(seed),
        };
        // The server's settings first: a client may open more before it knows the limit, and be refused.
        let hello = world.server.caller.flush();
        world.client.take(&hello, &world.exchanges);
        world.run();
        world.drain();
    }
}
