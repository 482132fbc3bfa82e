//! Frames as they arrive, for a server or for a client that has streams open: no panic, every bound holds, and
//! events are the same however bytes are cut. In: one byte for role and form, one for the cut, then raw bytes, or
//! recipes of frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::h2::{Config, Connection, ErrorCode, Event, Lines, Millis, Phase, Role, StreamId};
use tulle_decide::hpack::{Indexing, Line};

const CONFIG: Config = Config {
    role: Role::Server,
    stream_window: 5000,
    connection_window: 100_000,
    max_streams: 5,
    header_bytes: 20_000,
    connect_protocol: true,
    seed: 1,
};
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// How many lines, and a sum over their bytes.
#[derive(Default, Clone, Copy, PartialEq, Debug)]
struct Sum(usize, usize);

impl Lines for Sum {
    fn begin(&mut self) {
        *self = Self::default();
    }
    fn line(&mut self, line: Line<'_>) {
        self.0 += 1;
        self.1 += line.name.iter().chain(line.value).map(|&byte| usize::from(byte)).sum::<usize>();
    }
}

/// One event, without the bounds of pieces.
#[derive(PartialEq, Debug)]
enum Seen {
    Headers(StreamId, bool, Phase, Sum),
    Data(StreamId, Vec<u8>, bool),
    Other(Event),
    Broken(ErrorCode, &'static str),
}

/// Frames from recipes: kind, flags, stream, length, payload.
fn frames(mut recipe: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, flags, stream, len, rest @ ..] = recipe {
        let (payload, behind) = rest.split_at(usize::from(len % 64).min(rest.len()));
        // Some are large.
        let times = if len & 0xC0 == 0xC0 { 200 } else { 1 };
        let size = u32::try_from(payload.len() * times).unwrap_or(0).to_be_bytes();
        out.extend([size[1], size[2], size[3], kind % 12, *flags, 0, 0, 0, stream % 24]);
        out.extend(payload.repeat(times));
        recipe = behind;
    }
    out
}

struct Caller {
    conn: Connection,
    seen: Vec<Seen>,
    lines: Sum,
    scratch: Vec<u8>,
    forwards: bool,
}

impl Caller {
    fn new(role: Role, forwards: bool) -> Self {
        let mut conn = Connection::new(&Config { role, ..CONFIG });
        if role == Role::Client {
            for n in 0..4 {
                let Some(stream) = conn.open(n) else { continue };
                conn.headers(stream, n % 2 == 0, |lines| {
                    lines.line(b":method", b"GET", Indexing::Incremental)
                });
            }
        }
        Self { conn, seen: Vec::new(), lines: Sum::default(), scratch: Vec::new(), forwards }
    }

    fn feed(&mut self, left: &mut Vec<u8>) {
        let mut at = 0;
        loop {
            let rest = &left[at..];
            match self.conn.receive(rest, Millis(0), &mut self.scratch, &mut self.lines) {
                Ok(taken) => {
                    at += taken.consumed;
                    let Some(event) = taken.event else { break };
                    let bytes = match event {
                        Event::Data { from, len, .. } => rest[from..from + len].to_vec(),
                        _ => Vec::new(),
                    };
                    self.look(event, bytes);
                }
                Err(broken) => {
                    at = left.len();
                    assert!(self.conn.is_over());
                    self.seen.push(Seen::Broken(broken.code, broken.reason));
                }
            }
            self.check();
        }
        left.drain(..at);
        assert!(left.len() < 16_384 + 9);
        assert!(!self.conn.is_over() || left.is_empty());
    }

    fn check(&self) {
        assert!(self.conn.streams() <= 5);
        // DATA up to 256 KiB, a thousand answers, and a few heads and resets.
        assert!(self.conn.output().len() < (256 + 64) * 1024 + self.seen.len() * 64);
        for (stream, _) in self.conn.each_stream() {
            assert!(self.conn.room(stream) <= 256 * 1024);
        }
    }

    /// Acts by the stream's number: some are answered at once, some reset, some kept.
    fn look(&mut self, event: Event, bytes: Vec<u8>) {
        let conn = &mut self.conn;
        match event {
            Event::Headers { stream, end, phase } => {
                self.seen.push(Seen::Headers(stream, end, phase, self.lines));
                match stream.value() % 7 {
                    1 => conn.reset(stream, ErrorCode::ProtocolError),
                    2 => conn.finish(stream),
                    3 => conn.interim(stream),
                    4 => conn.reset(stream, ErrorCode::InternalError),
                    _ => {
                        conn.headers(stream, false, |lines| lines.status(200));
                        conn.data(stream, &[7; 3000], stream.value() % 2 == 1);
                    }
                }
            }
            Event::Data { stream, end, len, .. } => {
                let size = u32::try_from(len).unwrap_or(0);
                match self.seen.last_mut() {
                    Some(Seen::Data(of, all, last)) if *of == stream && !*last => {
                        all.extend(bytes);
                        *last = end;
                    }
                    _ => self.seen.push(Seen::Data(stream, bytes, end)),
                }
                if self.forwards {
                    conn.forwarded(stream, size);
                }
                if end {
                    conn.finish(stream);
                }
            }
            Event::Writable { stream: Some(stream) } => {
                self.seen.push(Seen::Other(event));
                assert!(conn.tag(stream).is_some());
                conn.data(stream, &[8; 100_000], false);
            }
            Event::Reset { stream, .. } | Event::Refused { stream } => {
                self.seen.push(Seen::Other(event));
                assert_eq!((conn.room(stream), conn.data(stream, b"x", true)), (0, 0));
                if stream.value() % 4 != 0 {
                    conn.finish(stream);
                    assert_eq!(conn.tag(stream), None);
                }
            }
            other => self.seen.push(Seen::Other(other)),
        }
    }
}

fn run(role: Role, input: &[u8], cut: usize, form: u8) -> Vec<Seen> {
    let mut caller = Caller::new(role, form & 32 != 0);
    let mut left = Vec::new();
    for (n, piece) in input.chunks(cut).enumerate() {
        if form & 16 != 0 && n == 0 {
            caller.conn.drain();
        }
        left.extend(piece);
        caller.feed(&mut left);
    }
    caller.seen
}

fuzz_target!(|data: &[u8]| {
    let &[form, cut, ref rest @ ..] = data else { return };
    let role = if form & 1 == 0 { Role::Server } else { Role::Client };
    let mut input = Vec::new();
    if role == Role::Server && form & 2 == 0 {
        input.extend(PREFACE);
    }
    if form & 4 == 0 {
        input.extend(SETTINGS);
    }
    if form & 8 == 0 {
        input.extend(frames(rest))
    } else {
        input.extend(rest)
    }
    let whole = run(role, &input, input.len().max(1), form);
    let pieces = run(role, &input, usize::from(cut) + 1, form);
    // Passing on in pieces may tell of windows earlier, which then allow another amount.
    if form & 32 == 0 {
        assert_eq!(whole, pieces);
    }
});
