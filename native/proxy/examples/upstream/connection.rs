//! One client's connection. In: readiness; out: answers, and how many. Reads all there is, answers all of it, writes
//! once.

use super::call::{Call, Kind, MESSAGE};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use tulle_decide::h2::{Config, Connection, Event, Lines, Millis, Phase, Role, StreamId};
use tulle_decide::hpack::{Indexing, Line};

/// What a body consists of.
const FILLING: &[u8; 16_384] = &[b'x'; 16_384];
/// The fields that `/echo` gives back, in this order.
const ECHOED: [&[u8]; 4] =
    [b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"x-forwarded-client-cert"];

/// What a turn came to.
pub(crate) struct Served {
    /// Requests and messages answered.
    pub(crate) answered: u64,
    /// The connection stays.
    pub(crate) open: bool,
}

/// What is looked at of a request.
#[derive(Default)]
struct Asked {
    path: Vec<u8>,
    echoed: [Vec<u8>; 4],
}

impl Lines for Asked {
    fn begin(&mut self) {
        self.path.clear();
        self.echoed.iter_mut().for_each(Vec::clear);
    }

    fn line(&mut self, line: Line<'_>) {
        let field = if line.name == b":path" {
            &mut self.path
        } else {
            let fields = ECHOED.iter().zip(&mut self.echoed);
            match fields.into_iter().find(|(name, _)| line.name == **name) {
                Some((_, field)) => field,
                None => return,
            }
        };
        field.clear();
        field.extend_from_slice(line.value);
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    conn: Connection,
    /// The beginning of a frame whose end has not arrived.
    kept: Vec<u8>,
    scratch: Vec<u8>,
    asked: Asked,
    answered: u64,
}

impl Client {
    /// A connection that was just accepted; `number` seeds its tables.
    pub(crate) fn boxed(stream: TcpStream, number: u64) -> Box<Self> {
        let config = Config {
            role: Role::Server,
            stream_window: 1 << 20,
            connection_window: 1 << 30,
            max_streams: 1000,
            header_bytes: 60 * 1024,
            connect_protocol: false,
            seed: number,
        };
        let conn = Connection::new(&config);
        let asked = Asked::default();
        Box::new(Self { stream, conn, kept: Vec::new(), scratch: Vec::new(), asked, answered: 0 })
    }

    /// Reads until there is nothing more, answers, and writes.
    pub(crate) fn turn(&mut self, buffer: &mut [u8], now: Millis) -> Served {
        self.answered = 0;
        let open = self.take_all(buffer, now) & self.flush();
        Served { answered: self.answered, open }
    }

    /// Whether more may come.
    fn take_all(&mut self, buffer: &mut [u8], now: Millis) -> bool {
        loop {
            let before = self.kept.len();
            let Some((front, free)) = buffer.split_at_mut_checked(before) else { return false };
            front.copy_from_slice(&self.kept);
            let room = free.len();
            let read = match self.stream.read(free) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            };
            if !self.take(buffer.get(..before + read).unwrap_or_default(), now) {
                return false;
            }
            // A short read means that the socket is empty: epoll tells of more.
            if read < room {
                return true;
            }
        }
    }

    /// Answers what is complete and keeps the rest; false when the client breaks the protocol.
    fn take(&mut self, mut input: &[u8], now: Millis) -> bool {
        loop {
            let Ok(taken) = self.conn.receive(input, now, &mut self.scratch, &mut self.asked) else {
                return false;
            };
            if let Some(event) = taken.event {
                self.act(input, event);
            }
            input = input.get(taken.consumed..).unwrap_or_default();
            if taken.event.is_none() {
                self.kept.clear();
                self.kept.extend_from_slice(input);
                return true;
            }
        }
    }

    fn act(&mut self, input: &[u8], event: Event) {
        match event {
            Event::Headers { stream, end, phase: Phase::First } => self.begin(stream, end),
            Event::Headers { stream, end, phase: Phase::Later } => self.body(stream, &[], end),
            Event::Data { stream, from, len, end } => {
                self.conn.forwarded(stream, u32::try_from(len).unwrap_or(0));
                self.body(stream, input.get(from..from + len).unwrap_or_default(), end);
            }
            Event::Reset { stream, .. } | Event::Refused { stream } => self.conn.finish(stream),
            Event::Writable { stream: Some(stream) } => self.push(stream),
            Event::Writable { stream: None } | Event::SettingsChanged => self.push_all(),
            Event::GoingAway { .. } => {}
        }
    }

    /// A request begins.
    fn begin(&mut self, stream: StreamId, end: bool) {
        let (kind, bytes) = match self.asked.path.as_slice() {
            b"/bench.Echo/Unary" => (Kind::Unary, 0),
            b"/bench.Echo/Both" => (Kind::Both, 0),
            b"/echo" => (Kind::Echo, 0),
            b"/small" => (Kind::Body, 128),
            b"/16k" => (Kind::Body, 16_384),
            _ => (Kind::Body, 1024),
        };
        let call = Call::new(kind, end, bytes);
        self.conn.set_tag(stream, call.tag());
        match kind {
            Kind::Both => {
                self.head(stream, b"application/grpc");
                self.push(stream);
            }
            Kind::Unary | Kind::Body | Kind::Echo if end => self.answer(stream),
            Kind::Unary | Kind::Body | Kind::Echo => {}
        }
    }

    /// A part of a request's body.
    fn body(&mut self, stream: StreamId, bytes: &[u8], end: bool) {
        let Some(tag) = self.conn.tag(stream) else { return };
        let mut call = Call::of(tag);
        call.ended = end;
        if call.kind == Kind::Both {
            self.answered += call.messages(bytes);
        }
        self.conn.set_tag(stream, call.tag());
        match call.kind {
            Kind::Both => self.push(stream),
            Kind::Unary | Kind::Body | Kind::Echo if end => self.answer(stream),
            Kind::Unary | Kind::Body | Kind::Echo => {}
        }
    }

    /// A request that has one answer is complete.
    fn answer(&mut self, stream: StreamId) {
        let Some(mut call) = self.conn.tag(stream).map(Call::of) else { return };
        self.answered += 1;
        match call.kind {
            Kind::Echo => {
                let text = [self.asked.echoed.join(&b'\n'), b"\n".to_vec()].concat();
                self.head(stream, b"text/plain");
                // A few hundred bytes, which the first window of any client holds.
                self.conn.data(stream, &text, true);
                self.conn.finish(stream);
            }
            Kind::Body => {
                self.head(stream, b"text/plain");
                self.push(stream);
            }
            Kind::Unary | Kind::Both => {
                call.owe();
                self.conn.set_tag(stream, call.tag());
                self.head(stream, b"application/grpc");
                self.push(stream);
            }
        }
    }

    fn head(&mut self, stream: StreamId, kind: &[u8]) {
        self.conn.headers(stream, false, |lines| {
            lines.status(200);
            lines.line(b"content-type", kind, Indexing::Incremental);
        });
    }

    /// Sends what is owed as far as there is room, and ends the answer when it is complete.
    fn push(&mut self, stream: StreamId) {
        let Some(mut call) = self.conn.tag(stream).map(Call::of) else { return };
        let plain = matches!(call.kind, Kind::Body | Kind::Echo);
        let pattern: &[u8] = if plain { FILLING } else { MESSAGE };
        while call.owed > 0 {
            let piece = call.next_piece(pattern);
            let last = plain && piece.len() == call.owed as usize;
            let taken = self.conn.data(stream, piece, last);
            call.owed -= u32::try_from(taken).unwrap_or(0);
            if taken < piece.len() {
                break;
            }
        }
        self.conn.set_tag(stream, call.tag());
        if call.owed > 0 || !call.ended {
            return;
        }
        if !plain {
            self.conn.headers(stream, true, |lines| {
                lines.line(b"grpc-status", b"0", Indexing::Incremental);
            });
        }
        self.conn.finish(stream);
    }

    /// The same for every stream that has been answered but not to its end.
    fn push_all(&mut self) {
        let waiting: Vec<StreamId> = self
            .conn
            .each_stream()
            .filter(|(_, tag)| Call::of(*tag).owed > 0)
            .map(|(stream, _)| stream)
            .collect();
        for stream in waiting {
            self.push(stream);
        }
    }

    /// One write; what the socket does not take waits for epoll. False when the connection is broken.
    fn flush(&mut self) -> bool {
        while !self.conn.output().is_empty() {
            match self.stream.write(self.conn.output()) {
                Ok(0) => return false,
                Ok(len) => {
                    if self.conn.sent(len) {
                        self.push_all();
                    }
                }
                Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        }
        true
    }
}
