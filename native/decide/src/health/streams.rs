//! A question in HTTP/2, of HTTP or of gRPC. In: the probe, received bytes. Out: frames, the verdict.

use super::dialogue::{HEAD, Peer, So, USER_AGENT};
use super::message::{MESSAGE_BYTES, serving_status, write_request_message};
use super::{Verdict, Why};
use crate::grpc;
use crate::h2::{Config, Connection, ErrorCode, Event, Millis, Phase, Role, StreamId};
use crate::hpack::Indexing;
use crate::http::{Block, Method, response_of, trailers_of};
use tulle_snapshot::wire::HealthProbe;

/// In front of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The status that says all is well.
const SERVING: u64 = 1;
const BAD: Option<Verdict> = Some(Verdict::Unwell(Why::BadAnswer));
const STATUS: Option<Verdict> = Some(Verdict::Unwell(Why::Status));

/// A connection with one stream.
#[derive(Debug)]
pub(super) struct Streams {
    h2: Connection,
    /// The beginning of a frame whose end has not arrived.
    kept: Vec<u8>,
    block: Block,
    text: Vec<u8>,
    asked: Asked,
    /// A head of success came.
    good: bool,
}

#[derive(Debug)]
enum Asked {
    Http,
    /// With what came of the answer's message.
    Grpc(Vec<u8>),
}

impl Streams {
    pub(super) fn new(probe: &HealthProbe, peer: &Peer<'_>, seed: u64) -> Self {
        let mut h2 = Connection::new(&Config {
            role: Role::Client,
            stream_window: 65_535,
            connection_window: 65_535,
            max_streams: 1,
            header_bytes: HEAD.bytes,
            connect_protocol: false,
            seed,
        });
        let stream = h2.open(1);
        let asked = match (probe, stream) {
            (HealthProbe::Grpc { service }, Some(stream)) => {
                ask_grpc(&mut h2, stream, service, peer);
                Asked::Grpc(Vec::new())
            }
            (HealthProbe::Http { path, host }, Some(stream)) => {
                let host = host.as_deref().unwrap_or(peer.authority);
                h2.headers(stream, true, |block| {
                    let lines = [
                        (":method", "GET"),
                        (":scheme", scheme(peer)),
                        (":authority", host),
                        (":path", path),
                        ("user-agent", USER_AGENT),
                        ("accept", "*/*"),
                    ];
                    for (name, value) in lines {
                        block.line(name.as_bytes(), value.as_bytes(), Indexing::Without);
                    }
                });
                Asked::Http
            }
            _ => Asked::Http,
        };
        let mut block = Block::new();
        block.clear(HEAD);
        Self { h2, kept: Vec::new(), block, text: Vec::new(), asked, good: false }
    }

    pub(super) fn output(&self) -> &[u8] {
        self.h2.output()
    }

    pub(super) fn sent(&mut self, len: usize) {
        self.h2.sent(len);
    }

    pub(super) fn so(&self) -> So {
        // Without its trailers an answer of gRPC says nothing.
        if self.good && matches!(self.asked, Asked::Http) { So::Good } else { So::Open }
    }

    pub(super) fn close(&mut self) {
        let open: Vec<StreamId> = self.h2.each_stream().map(|(stream, _)| stream).collect();
        for stream in open {
            self.h2.finish(stream);
        }
        self.h2.close(ErrorCode::NoError);
    }

    pub(super) fn receive(&mut self, bytes: &[u8], now: Millis) -> Option<Verdict> {
        let mut input = std::mem::take(&mut self.kept);
        input.extend_from_slice(bytes);
        let mut used = 0;
        let verdict = loop {
            let rest = input.get(used..).unwrap_or_default();
            let Ok(received) = self.h2.receive(rest, now, &mut self.text, &mut self.block) else { break BAD };
            used += received.consumed;
            let Some(event) = received.event else { break None };
            let verdict = self.event(event, rest);
            if verdict.is_some() {
                break verdict;
            }
        };
        input.drain(..used.min(input.len()));
        self.kept = input;
        verdict
    }

    fn event(&mut self, event: Event, input: &[u8]) -> Option<Verdict> {
        match event {
            Event::Headers { stream, end, phase: Phase::First } => self.head(stream, end),
            Event::Headers { phase: Phase::Later, .. } => self.trailers(),
            Event::Data { from, len, end, .. } => {
                self.data(input.get(from..from + len).unwrap_or_default(), end)
            }
            Event::Reset { by_peer: false, .. } => BAD,
            Event::Reset { .. } | Event::Refused { .. } => Some(Verdict::Unwell(Why::Reset)),
            Event::Writable { .. } | Event::GoingAway { .. } | Event::SettingsChanged => None,
        }
    }

    fn head(&mut self, stream: StreamId, end: bool) -> Option<Verdict> {
        let Ok(parsed) = response_of(&self.block, Method::Get, end) else { return BAD };
        if parsed.is_interim() {
            self.h2.interim(stream);
            return None;
        }
        let is_grpc = matches!(self.asked, Asked::Grpc(_));
        if !(200..300).contains(&parsed.status) || (is_grpc && parsed.status != 200) {
            return STATUS;
        }
        self.good = true;
        if !is_grpc {
            return end.then_some(Verdict::Well);
        }
        let (head, fields) = (self.block.head(), self.block.fields());
        let named = fields.values(head, b"content-type").next();
        if !named.is_some_and(grpc::is_grpc) {
            return BAD;
        }
        if !end {
            return None;
        }
        // Trailers only: an answer without a message, which is a failure whatever it says.
        match fields.values(head, b"grpc-status").next().map(grpc::status) {
            Some(0) | None => BAD,
            Some(_) => STATUS,
        }
    }

    fn data(&mut self, bytes: &[u8], end: bool) -> Option<Verdict> {
        match &mut self.asked {
            Asked::Http => end.then_some(Verdict::Well),
            // The status comes in trailers.
            Asked::Grpc(_) if end => BAD,
            Asked::Grpc(message) => {
                message.extend_from_slice(bytes);
                if message.len() > PREFIX + MESSAGE_BYTES { BAD } else { None }
            }
        }
    }

    fn trailers(&mut self) -> Option<Verdict> {
        let Asked::Grpc(message) = &self.asked else { return Some(Verdict::Well) };
        self.text.clear();
        if trailers_of(&self.block, &mut self.text).is_err() {
            return BAD;
        }
        match grpc::status_in(&self.text) {
            None => BAD,
            Some(0) => Some(judge(message)),
            Some(_) => STATUS,
        }
    }
}

/// The one message of an answer: not compressed, since we never said that it may be.
fn judge(message: &[u8]) -> Verdict {
    let bad = Verdict::Unwell(Why::BadAnswer);
    let Some(([0, a, b, c, d], message)) = message.split_first_chunk::<PREFIX>() else { return bad };
    if usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok() != Some(message.len()) {
        return bad;
    }
    match serving_status(message) {
        None => bad,
        Some(SERVING) => Verdict::Well,
        Some(_) => Verdict::Unwell(Why::NotServing),
    }
}

fn scheme(peer: &Peer<'_>) -> &'static str {
    if peer.secure { "https" } else { "http" }
}

fn ask_grpc(h2: &mut Connection, stream: StreamId, service: &str, peer: &Peer<'_>) {
    let mut timeout = Vec::new();
    grpc::write_timeout(peer.timeout, &mut timeout);
    h2.headers(stream, false, |block| {
        let lines: [(&str, &[u8]); 8] = [
            (":method", b"POST"),
            (":scheme", scheme(peer).as_bytes()),
            (":authority", peer.authority.as_bytes()),
            (":path", b"/grpc.health.v1.Health/Check"),
            ("te", b"trailers"),
            ("content-type", b"application/grpc"),
            ("grpc-timeout", &timeout),
            ("user-agent", USER_AGENT.as_bytes()),
        ];
        for (name, value) in lines {
            block.line(name.as_bytes(), value, Indexing::Without);
        }
    });
    let mut message = vec![0; PREFIX];
    write_request_message(&mut message, service);
    let length = u32::try_from(message.len() - PREFIX).unwrap_or_default();
    if let Some(place) = message.get_mut(1..PREFIX) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    h2.data(stream, &message, true);
}
