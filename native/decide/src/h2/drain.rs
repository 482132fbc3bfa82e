//! The end of a connection (RFC 9113 section 6.8). In: the caller's wish to end, or GOAWAY from the peer; out:
//! GOAWAY, in two steps for a server, so that no stream already under way is lost.

use super::frame::{self, Kind};
use super::{Broken, Connection, ErrorCode, LARGEST_WINDOW, Role, Stage};

/// The payload of the PING that tells when the first GOAWAY has arrived.
pub(super) const MARK: [u8; 8] = *b"draining";

/// How far the end has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Drain {
    pub(super) ours: Ours,
    /// The last stream that the peer did or may do something about, once it sent GOAWAY.
    pub(super) peer_last: Option<u32>,
    /// From which slot on streams must still be told that they are refused.
    pub(super) refuse_from: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ours {
    #[default]
    No,
    /// We asked the peer to stop (server), or stopped (client).
    Asked,
    /// Streams above this number are not served.
    Last(u32),
}

impl Connection {
    /// Begins an orderly end. A server sends GOAWAY with the highest number and a PING; streams that the peer opens
    /// before it answers that are still served, and at the answer a second GOAWAY tells the last of them. A client
    /// opens no more streams. The caller limits how long it waits, then calls [`close`](Self::close).
    pub fn drain(&mut self) {
        if self.drain.ours != Ours::No || self.stage == Stage::Over {
            return;
        }
        self.drain.ours = Ours::Asked;
        if self.config.role == Role::Server {
            self.push_goaway(LARGEST_WINDOW, ErrorCode::NoError, &[]);
            frame::push(self.output.bytes_mut(), Kind::Ping, 0, 0, &MARK);
        }
    }

    /// Ends the connection: GOAWAY with the last stream that was begun. Nothing that arrives afterwards is looked
    /// at; the caller flushes the output and closes.
    pub fn close(&mut self, code: ErrorCode) {
        if self.stage != Stage::Over {
            self.push_goaway(self.last_stream(), code, &[]);
            self.stage = Stage::Over;
        }
    }

    /// Whether an end was asked for, by [`drain`](Self::drain) or by the peer's GOAWAY.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.ours != Ours::No || self.drain.peer_last.is_some()
    }

    /// Whether no stream is left and none can come: the caller may close once the output is written.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let no_more = match self.config.role {
            Role::Server => matches!(self.drain.ours, Ours::Last(_)),
            Role::Client => self.is_draining(),
        };
        (no_more || self.stage == Stage::Over) && self.streams.len() == 0
    }

    /// Whether the connection broke or was [closed](Self::close).
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The peer has answered the PING behind the first GOAWAY.
    pub(super) fn drain_answered(&mut self) {
        if self.drain.ours == Ours::Asked && self.config.role == Role::Server {
            let last = self.last_stream();
            self.drain.ours = Ours::Last(last);
            self.push_goaway(last, ErrorCode::NoError, &[]);
        }
    }

    /// Tells the peer what it did wrong; the connection is over.
    pub(super) fn break_off(&mut self, broken: Broken) -> Broken {
        if self.stage != Stage::Over {
            self.push_goaway(self.last_stream(), broken.code, broken.reason.as_bytes());
            self.stage = Stage::Over;
        }
        self.body = None;
        self.partial = None;
        broken
    }

    /// The last stream of the peer's that we did or may do something about.
    fn last_stream(&self) -> u32 {
        match (self.config.role, self.drain.ours) {
            (Role::Client, _) => 0,
            (Role::Server, Ours::Last(last)) => last,
            (Role::Server, _) => self.edge,
        }
    }

    fn push_goaway(&mut self, last: u32, code: ErrorCode, debug: &[u8]) {
        let out = self.output.bytes_mut();
        out.extend_from_slice(&frame::head(8 + debug.len(), Kind::GoAway, 0, 0));
        out.extend_from_slice(&last.to_be_bytes());
        out.extend_from_slice(&code.code().to_be_bytes());
        out.extend_from_slice(debug);
    }
}
