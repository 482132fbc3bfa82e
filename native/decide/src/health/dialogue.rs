//! One question on one open connection, without I/O. In: received bytes. Out: bytes to send, then the verdict.
//!
//! An answer counts when all of it is there, its body included, of which nothing is kept: a server that stalls behind its
//! status line is not well. A body that is longer than is worth waiting for is judged by its head.

use super::streams::Streams;
use super::text::Text;
use super::{Question, Verdict, Way, Why};
use crate::h2::Millis;
use crate::http::HeadLimits;
use std::time::Duration;

/// Bytes of an answer, head and body and framing, that are read at most.
pub const ANSWER_BYTES: usize = 48 * 1024;
/// Bounds of an answer's head.
pub(super) const HEAD: HeadLimits = HeadLimits { bytes: 32 * 1024, fields: 256 };
/// Who asks.
pub(super) const USER_AGENT: &str = "tulle-health";

/// Whom a question is put to.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Its own Host, as of [`super::authority`].
    pub authority: &'a str,
    /// There is TLS.
    pub secure: bool,
    /// It has so long to answer.
    pub timeout: Duration,
}

/// A question that was put and is not answered yet.
#[derive(Debug)]
pub struct Dialogue {
    kind: Kind,
    received: usize,
}

#[derive(Debug)]
enum Kind {
    Text(Text),
    Streams(Box<Streams>),
}

/// What is known when no more can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum So {
    /// There is no head yet, or one that says little without what follows.
    Open,
    /// The head was good.
    Good,
}

impl Dialogue {
    /// Puts the question; none where a connection is all that is asked for. `seed` is random, unknown to the peer.
    #[must_use]
    pub fn new(question: &Question, peer: &Peer<'_>, seed: u64) -> Option<Self> {
        let kind = match question.way() {
            Way::Connection => return None,
            Way::Text => Kind::Text(Text::new(&question.probe, peer)),
            Way::Streams => Kind::Streams(Box::new(Streams::new(&question.probe, peer, seed))),
        };
        Some(Self { kind, received: 0 })
    }

    /// Bytes that are to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        match &self.kind {
            Kind::Text(text) => text.output(),
            Kind::Streams(streams) => streams.output(),
        }
    }

    /// The first `len` bytes of [`output`](Self::output) were sent.
    pub fn sent(&mut self, len: usize) {
        match &mut self.kind {
            Kind::Text(text) => text.sent(len),
            Kind::Streams(streams) => streams.sent(len),
        }
    }

    /// Takes what came, however it is cut. None: there is more to come.
    pub fn receive(&mut self, bytes: &mut [u8], now: Millis) -> Option<Verdict> {
        self.received = self.received.saturating_add(bytes.len());
        let (verdict, so) = match &mut self.kind {
            Kind::Text(text) => (text.receive(bytes), text.so()),
            Kind::Streams(streams) => (streams.receive(bytes, now), streams.so()),
        };
        verdict.or_else(|| {
            let enough = self.received > ANSWER_BYTES;
            enough.then_some(match so {
                So::Good => Verdict::Well,
                So::Open => Verdict::Unwell(Why::BadAnswer),
            })
        })
    }

    /// The peer will send no more.
    #[must_use]
    pub fn ended(&self) -> Verdict {
        match &self.kind {
            Kind::Text(text) => text.ended(),
            Kind::Streams(_) => Verdict::Unwell(Why::Reset),
        }
    }

    /// Says goodbye, where the protocol has a word for it; [`output`](Self::output) then has it.
    pub fn close(&mut self) {
        match &mut self.kind {
            Kind::Text(_) => {}
            Kind::Streams(streams) => streams.close(),
        }
    }
}
