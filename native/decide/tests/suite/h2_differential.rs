//! Against another implementation of RFC 9113: our server with its client, our client with its server.

use crate::h2_fixture::*;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tulle_decide::h2::{Config, Connection, ErrorCode, Event, Phase};
use tulle_decide::hpack::Indexing;

const SMALL: Config = Config { stream_window: 10_000, connection_window: 65_535, ..SERVER };
const LARGE: Config = Config { stream_window: 1 << 20, connection_window: 1 << 22, ..SERVER };

/// Runs futures on one thread, with a limit of time.
fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limit = std::time::Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, future).await.unwrap() });
}

fn body(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(((at * 7) ^ (at >> 9) ^ number) & 0xFF).unwrap()).collect()
}

/// Moves bytes between a connection of ours and its peer; `act` handles each event, and is asked (`None`) after
/// each turn. Ends when `act` says so, after flushing, or when the peer has closed.
async fn drive(
    caller: &mut Caller,
    io: DuplexStream,
    mut act: impl FnMut(&mut Connection, Option<Got>) -> bool,
) {
    let (mut reader, mut writer) = tokio::io::split(io);
    let mut buf = vec![0; 50_000];
    loop {
        let go_on = act(&mut caller.conn, None);
        let out = caller.conn.output()[..caller.conn.output().len().min(20_000)].to_vec();
        if !go_on && out.is_empty() {
            break;
        }
        tokio::select! {
            read = reader.read(&mut buf) => {
                let len = read.unwrap_or(0);
                if len == 0 {
                    break;
                }
                caller.push(&buf[..len]);
                while let Some(got) = caller.next() {
                    assert!(!matches!(got, Got::Broken(_)), "{got:?}");
                    act(&mut caller.conn, Some(got));
                }
            }
            written = writer.write(&out), if !out.is_empty() => {
                let Ok(len) = written else { break };
                caller.conn.sent(len);
            }
        }
    }
    let _ = writer.shutdown().await;
}

/// A stream of our server, which sends back what it gets.
#[derive(Default)]
struct Echo {
    queue: Vec<u8>,
    ended: bool,
    trailers: Option<Vec<u8>>,
}

#[derive(Default)]
struct EchoServer {
    streams: BTreeMap<u32, Echo>,
    served: usize,
    resets: usize,
}

impl EchoServer {
    fn act(&mut self, conn: &mut Connection, got: Option<Got>) {
        match got {
            None => self.pump(conn),
            Some(Got::Headers { stream, end, phase: Phase::First, lines }) => {
                let mode = lines.iter().find(|line| line.0 == b"mode").map_or(&b""[..], |line| &line.1);
                self.served += 1;
                if mode == b"reset" {
                    conn.reset(id(stream), ErrorCode::EnhanceYourCalm);
                    return conn.finish(id(stream));
                }
                conn.headers(id(stream), false, |block| block.status(103));
                let sent = conn.headers(id(stream), end, |block| {
                    block.status(200);
                    for (name, value) in lines.iter().filter(|(name, _)| name[0] != b':') {
                        block.line(name, value, Indexing::Incremental);
                    }
                });
                assert!(sent);
                if end || mode == b"early" {
                    if !end {
                        assert_eq!(conn.data(id(stream), b"early", true), 5);
                    }
                    return conn.finish(id(stream));
                }
                self.streams.insert(stream, Echo::default());
            }
            Some(Got::Headers { stream, lines, .. }) => {
                let echo = self.streams.get_mut(&stream).unwrap();
                (echo.ended, echo.trailers) = (true, Some(lines[0].1.clone()));
            }
            Some(Got::Data { stream, bytes, end }) => {
                if let Some(echo) = self.streams.get_mut(&stream) {
                    echo.queue.extend(bytes);
                    assert!(echo.queue.len() <= 1 << 20, "the window bounds what waits");
                    echo.ended = end;
                }
            }
            Some(Got::Other(Event::Reset { stream, by_peer, .. })) => {
                assert!(by_peer);
                self.resets += 1;
                self.streams.remove(&stream.value());
                conn.finish(stream);
            }
            Some(_) => {}
        }
    }

    fn pump(&mut self, conn: &mut Connection) {
        self.streams.retain(|&stream, echo| {
            let last = echo.ended && echo.trailers.is_none();
            let taken = conn.data(id(stream), &echo.queue, last);
            conn.forwarded(id(stream), u32::try_from(taken).unwrap());
            echo.queue.drain(..taken);
            let done = echo.ended && echo.queue.is_empty();
            if done {
                if let Some(trailer) = &echo.trailers {
                    assert!(conn.headers(id(stream), true, |block| block.line(
                        b"trailer",
                        trailer,
                        Indexing::Never
                    )));
                }
                conn.finish(id(stream));
            }
            !done
        });
    }
}

fn get(number: usize, mode: &str) -> http::Request<()> {
    http::Request::post(format!("http://localhost/{number}"))
        .header("mode", mode)
        .header("number", number.to_string())
        .body(())
        .unwrap()
}

async fn send_bytes(stream: &mut h2::SendStream<Bytes>, mut bytes: Bytes, end: bool) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.send_data(piece, end && bytes.is_empty()).unwrap();
    }
}

async fn send(stream: &mut h2::SendStream<Bytes>, bytes: Bytes, trailers: bool, number: usize) {
    send_bytes(stream, bytes, !trailers).await;
    if trailers {
        let mut map = http::HeaderMap::new();
        map.insert("trailer", number.to_string().parse().unwrap());
        stream.send_trailers(map).unwrap();
    }
}

async fn receive(body: &mut h2::RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend(&piece[..]);
    }
    all
}

async fn echoed(mut client: h2::client::SendRequest<Bytes>, number: usize, size: usize, trailers: bool) {
    client = client.ready().await.unwrap();
    let empty = size == 0 && !trailers;
    let (response, mut stream) = client.send_request(get(number, "echo"), empty).unwrap();
    let bytes = body(number, size);
    let sent = Bytes::from(bytes.clone());
    let sending = tokio::task::spawn_local(async move {
        if !empty {
            send(&mut stream, sent, trailers, number).await;
        }
    });
    let response = response.await.unwrap();
    assert_eq!(response.headers()["number"].to_str().unwrap(), number.to_string());
    let mut back = response.into_body();
    assert_eq!(receive(&mut back).await, bytes);
    let trailer = back.trailers().await.unwrap();
    assert_eq!(trailer.is_some(), trailers);
    if let Some(map) = trailer {
        assert_eq!(map["trailer"].to_str().unwrap(), number.to_string());
    }
    sending.await.unwrap();
}

async fn special(mut client: h2::client::SendRequest<Bytes>, number: usize) {
    client = client.ready().await.unwrap();
    match number % 3 {
        0 => {
            let (response, _) = client.send_request(get(number, "reset"), true).unwrap();
            assert_eq!(response.await.unwrap_err().reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
        }
        1 => {
            let (response, mut stream) = client.send_request(get(number, "early"), false).unwrap();
            let mut back = response.await.unwrap().into_body();
            assert_eq!(receive(&mut back).await, b"early");
            let told = poll_fn(|cx| stream.poll_reset(cx)).await;
            assert_eq!(told.unwrap(), h2::Reason::NO_ERROR);
        }
        _ => {
            let (response, mut stream) = client.send_request(get(number, "echo"), false).unwrap();
            stream.send_data(Bytes::from_static(b"some"), false).unwrap();
            response.await.unwrap();
            stream.send_reset(h2::Reason::CANCEL);
        }
    }
}

fn our_server(config: Config, client: h2::client::Builder) {
    run(async move {
        let (near, far) = duplex(30_000);
        let local = tokio::task::LocalSet::new();
        let server = local.spawn_local(async move {
            let (mut caller, mut echo) = (Caller::new(&config), EchoServer::default());
            drive(&mut caller, near, |conn, got| {
                echo.act(conn, got);
                true
            })
            .await;
            (echo.served, echo.resets, caller.conn.streams())
        });
        local
            .run_until(async move {
                let (client, connection) = client.handshake::<_, Bytes>(far).await.unwrap();
                let connection = tokio::task::spawn_local(connection);
                let mut tasks = Vec::new();
                for number in 0..300 {
                    let size = [0, 1, 5_000, 20_000, 100_000][number % 5] * (1 + number % 3);
                    tasks.push(tokio::task::spawn_local(echoed(
                        client.clone(),
                        number,
                        size,
                        number % 2 == 0,
                    )));
                    if number % 10 == 0 {
                        tasks.push(tokio::task::spawn_local(special(client.clone(), number / 10)));
                    }
                }
                tasks.push(tokio::task::spawn_local(echoed(client.clone(), 1000, 5_000_000, true)));
                for task in tasks {
                    task.await.unwrap();
                }
                drop(client);
                connection.await.unwrap().unwrap();
                let (requests, resets, left) = server.await.unwrap();
                assert_eq!((requests, left), (331, 0));
                assert_eq!(resets, 10, "one of three");
            })
            .await;
    });
}

#[test]
fn our_server_with_its_client() {
    for config in [SMALL, SERVER, LARGE, Config { max_streams: 3, ..SERVER }] {
        our_server(config, h2::client::Builder::new());
    }
}

#[test]
fn our_server_with_its_client_of_unusual_settings() {
    let mut client = h2::client::Builder::new();
    client.initial_window_size(1000).initial_connection_window_size(1 << 24).header_table_size(0);
    our_server(SERVER, client.clone());
    client.initial_window_size(1 << 24).max_frame_size(1 << 20).header_table_size(100);
    our_server(LARGE, client);
}

#[test]
fn our_server_drains_its_client() {
    run(async {
        let (near, far) = duplex(30_000);
        let local = tokio::task::LocalSet::new();
        let server = local.spawn_local(async move {
            let (mut caller, mut echo) = (Caller::new(&SERVER), EchoServer::default());
            drive(&mut caller, near, |conn, got| {
                echo.act(conn, got);
                if echo.served == 20 {
                    conn.drain();
                }
                !conn.is_drained()
            })
            .await;
            assert!(caller.conn.is_drained());
            echo.served
        });
        local
            .run_until(async move {
                let (client, connection) = h2::client::handshake(far).await.unwrap();
                let connection = tokio::task::spawn_local(connection);
                let tasks: Vec<_> = (0..20)
                    .map(|number| {
                        tokio::task::spawn_local(echoed(client.clone(), number, 200_000, number % 2 == 1))
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                connection.await.unwrap().unwrap();
                assert!(client.ready().await.is_err(), "no more requests");
                assert_eq!(server.await.unwrap(), 20);
            })
            .await;
    });
}

/// The other implementation's server: sends back what it gets.
async fn echo_of_theirs(
    mut respond: h2::server::SendResponse<Bytes>,
    request: http::Request<h2::RecvStream>,
) {
    let number: usize = request.headers()["number"].to_str().unwrap().parse().unwrap();
    if request.headers()["mode"] == "reset" {
        return respond.send_reset(h2::Reason::INADEQUATE_SECURITY);
    }
    let mut coming = request.into_body();
    let head = http::Response::builder().header("number", number).body(()).unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    while let Some(piece) = coming.data().await {
        let Ok(piece) = piece else { return };
        coming.flow_control().release_capacity(piece.len()).unwrap();
        send_bytes(&mut stream, piece, false).await;
    }
    let Ok(trailers) = coming.trailers().await else { return };
    match trailers {
        Some(map) => stream.send_trailers(map).unwrap(),
        None => stream.send_data(Bytes::new(), true).unwrap(),
    }
}

async fn their_server(io: DuplexStream, builder: h2::server::Builder, stop_after: usize) -> usize {
    let mut connection = builder.handshake::<_, Bytes>(io).await.unwrap();
    let mut served = 0;
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(echo_of_theirs(respond, request));
        served += 1;
        if served == stop_after {
            connection.graceful_shutdown();
        }
    }
    served
}

/// One exchange of our client's.
#[derive(Debug)]
struct Call {
    number: usize,
    /// What is sent, and comes back.
    body: Vec<u8>,
    sent: usize,
    back: usize,
    end_sent: bool,
    answered: bool,
}

#[derive(Default)]
struct Calls {
    ready: bool,
    waiting: Vec<usize>,
    live: BTreeMap<u32, Call>,
    done: usize,
    reset: usize,
    cancelled: usize,
    refused: usize,
}

impl Calls {
    fn act(&mut self, conn: &mut Connection, got: Option<Got>) {
        match got {
            None => {
                self.open(conn);
                self.pump(conn);
            }
            Some(Got::Headers { stream, end, phase, lines }) => {
                let call = self.live.get_mut(&stream).unwrap();
                let number = call.number.to_string();
                assert!(lines.iter().any(|line| line.1 == number.as_bytes()), "{lines:?}");
                assert_eq!(call.answered, phase == Phase::Later);
                call.answered = true;
                self.end(conn, stream, end);
            }
            Some(Got::Data { stream, bytes, end }) => {
                let call = self.live.get_mut(&stream).unwrap();
                assert_eq!(&call.body[call.back..call.back + bytes.len()], bytes);
                call.back += bytes.len();
                conn.forwarded(id(stream), u32::try_from(bytes.len()).unwrap());
                self.end(conn, stream, end);
            }
            Some(Got::Other(Event::Reset { stream, code, by_peer })) => {
                assert!(by_peer && code == ErrorCode::InadequateSecurity, "{code:?}");
                self.reset += 1;
                self.live.remove(&stream.value()).unwrap();
                conn.finish(stream);
            }
            Some(Got::Other(Event::Refused { stream })) => {
                self.refused += 1;
                self.live.remove(&stream.value()).unwrap();
                conn.finish(stream);
            }
            // Opening more before the limit is known would only have them refused.
            Some(Got::Other(Event::SettingsChanged)) => self.ready = true,
            Some(_) => {}
        }
    }

    fn end(&mut self, conn: &mut Connection, stream: u32, end: bool) {
        if end {
            let call = self.live.remove(&stream).unwrap();
            assert!(
                call.end_sent && call.back == call.body.len(),
                "{}: {} {} {}",
                call.number,
                call.end_sent,
                call.back,
                call.sent
            );
            self.done += 1;
            conn.finish(id(stream));
        }
    }

    fn open(&mut self, conn: &mut Connection) {
        while let Some(&number) = self.waiting.last().filter(|_| self.ready) {
            let Some(stream) = conn.open(0) else { break };
            self.waiting.pop();
            let mode: &[u8] = if number % 20 == 7 { b"reset" } else { b"echo" };
            let text = number.to_string();
            assert!(conn.headers(stream, false, |block| {
                for (name, value) in [
                    (&b":method"[..], &b"POST"[..]),
                    (b":scheme", b"http"),
                    (b":authority", b"localhost"),
                    (b":path", format!("/{number}").as_bytes()),
                    (b"mode", mode),
                    (b"number", text.as_bytes()),
                ] {
                    block.line(name, value, Indexing::Incremental);
                }
            }));
            let size = [0, 1, 5_000, 20_000, 100_000][number % 5] * (1 + number % 3);
            let call =
                Call { number, body: body(number, size), sent: 0, back: 0, end_sent: false, answered: false };
            self.live.insert(stream.value(), call);
        }
    }

    fn pump(&mut self, conn: &mut Connection) {
        let mut cancelled = None;
        for (&stream, call) in self.live.iter_mut().filter(|(_, call)| !call.end_sent) {
            if call.number % 20 == 13 && call.sent > 0 {
                cancelled = Some(stream);
                continue;
            }
            let trailers = call.number % 2 == 0;
            let rest = &call.body[call.sent..];
            let size = rest.len();
            let taken = conn.data(id(stream), rest, !trailers);
            call.sent += taken;
            call.end_sent = taken == size;
            if call.end_sent && trailers {
                let text = call.number.to_string();
                let write = |block: &mut tulle_decide::h2::BlockWriter<'_>| {
                    block.line(b"trailer", text.as_bytes(), Indexing::Without);
                };
                assert!(conn.headers(id(stream), true, write));
            }
        }
        if let Some(stream) = cancelled {
            self.cancelled += 1;
            self.live.remove(&stream);
            conn.finish(id(stream));
        }
    }
}

fn our_client(
    config: Config,
    builder: h2::server::Builder,
    calls: usize,
    stop_after: usize,
) -> (Calls, usize) {
    let (mut calls, mut served) = (Calls { waiting: (0..calls).collect(), ..Calls::default() }, usize::MAX);
    run(async {
        let (near, far) = duplex(30_000);
        let local = tokio::task::LocalSet::new();
        let theirs = local.spawn_local(their_server(far, builder, stop_after));
        local
            .run_until(async {
                let mut caller = Caller::new(&config);
                drive(&mut caller, near, |conn, got| {
                    calls.act(conn, got);
                    !(calls.live.is_empty() && (calls.waiting.is_empty() || conn.is_draining()))
                })
                .await;
                assert_eq!(caller.conn.streams(), 0, "{:?}", calls.live);
                served = theirs.await.unwrap();
            })
            .await;
    });
    (calls, served)
}

#[test]
fn our_client_with_its_server() {
    let role = |config: Config| Config { role: CLIENT.role, ..config };
    let mut unusual = h2::server::Builder::new();
    unusual
        .initial_window_size(3000)
        .max_concurrent_streams(7)
        .header_table_size(200)
        .max_frame_size(1 << 20);
    let mut large = h2::server::Builder::new();
    large.initial_window_size(1 << 22).initial_connection_window_size(1 << 24).max_concurrent_streams(1000);
    for (config, server) in [
        (CLIENT, h2::server::Builder::new()),
        (role(SMALL), unusual.clone()),
        (role(LARGE), large),
        (Config { max_streams: 2, ..CLIENT }, unusual),
    ] {
        let (calls, served) = our_client(config, server, 400, usize::MAX);
        assert_eq!(served, 400);
        assert_eq!((calls.reset, calls.refused), (20, 0));
        assert_eq!(calls.done + calls.cancelled, 380);
        assert!(calls.cancelled > 0, "{}", calls.cancelled);
    }
}

#[test]
fn our_client_is_drained_by_its_server() {
    let (calls, served) = our_client(CLIENT, h2::server::Builder::new(), 400, 50);
    assert!(served >= 50);
    assert_eq!(calls.done + calls.reset + calls.cancelled + calls.refused + calls.waiting.len(), 400);
    assert!(calls.done >= 40 && !calls.waiting.is_empty(), "{} done", calls.done);
}
