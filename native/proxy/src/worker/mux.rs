//! A connection that speaks HTTP/2, of either side: bytes in become events, what events lead to is written once a turn.
//!
//! In: readiness of the connection. Out: events for `streams` (a client's) or `multiplexed` (an upstream's).

use super::conn::{Conn, Phase, Role};
use super::exchange::Exchange;
use super::{TURNS, Worker};
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::rc::Rc;
use tulle_decide::h2::{Broken, Config, Connection, ErrorCode, Millis, Role as Side, StreamId};
use tulle_decide::http::{HeadLimits, list_trailers, listed};

/// DESIGN: what a peer may send ahead per stream, and on all of them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams at a time on one connection to an upstream.
pub(super) const STREAMS: u32 = 100;

/// HTTP/2 on one connection.
#[derive(Debug)]
pub(crate) struct Mux {
    pub(super) h2: Connection,
    /// It stands in the worker's list of connections with something to write.
    dirty: bool,
    /// The peer has said what it takes.
    pub(super) settled: bool,
    /// Exchanges that wait until an upstream's connection is open, or until it has said whether it takes tunnels.
    pub(super) waiting: Vec<Id>,
}

impl Mux {
    pub(super) fn new(
        role: Side,
        (limits, streams): (HeadLimits, u32),
        (upgrades, seed): (bool, u64),
    ) -> Box<Self> {
        let config = Config {
            role,
            stream_window: STREAM_WINDOW,
            connection_window: CONNECTION_WINDOW,
            max_streams: streams,
            header_bytes: limits.bytes,
            connect_protocol: upgrades,
            seed,
        };
        Box::new(Self { h2: Connection::new(&config), dirty: false, settled: false, waiting: Vec::new() })
    }

    /// Sends a head, given as lists of lines.
    pub(super) fn send_head(&mut self, stream: StreamId, lists: [&[u8]; 2], end: bool) {
        self.h2.headers(stream, end, |block| {
            for line in lists.into_iter().flat_map(listed) {
                block.line(line.name, line.value, line.indexing);
            }
        });
    }

    /// Sends bytes of a body, for all of which there is room; and its end, with the trailers if there are any.
    pub(super) fn send_body(
        &mut self,
        stream: StreamId,
        data: &[u8],
        end: bool,
        trailers: &[u8],
        text: &mut Vec<u8>,
    ) {
        let plain_end = end && trailers.is_empty();
        if !data.is_empty() || plain_end {
            self.h2.data(stream, data, plain_end);
        }
        if end && !trailers.is_empty() {
            text.clear();
            list_trailers(text, trailers);
            self.send_head(stream, [text, b""], true);
        }
    }
}

/// A stream's tag names its exchange; 0 names none.
pub(super) fn tag(exchange: Id) -> u64 {
    exchange.token() + 1
}

pub(super) fn tagged(tag: u64) -> Option<Id> {
    tag.checked_sub(1).map(Id::from_token)
}

impl Conn {
    /// Whether it is an upstream's connection that takes one more stream.
    pub(super) fn streams(&self) -> usize {
        self.mux.as_ref().map_or(0, |mux| mux.h2.streams() + mux.waiting.len())
    }
}

impl Worker {
    pub(super) fn mux(&mut self, id: Id) -> Option<&mut Mux> {
        self.conns.get_mut(id)?.mux.as_deref_mut()
    }

    /// The exchange of a stream.
    pub(super) fn exchange_of(&mut self, id: Id, stream: StreamId) -> Option<Id> {
        let tag = self.mux(id)?.h2.tag(stream)?;
        tagged(tag).filter(|exchange| self.exchanges.get(*exchange).is_some())
    }

    /// The exchanges of all streams.
    pub(super) fn exchanges_of(&mut self, id: Id) -> Vec<Id> {
        let Some(mux) = self.mux(id) else { return Vec::new() };
        mux.h2.each_stream().filter_map(|(_, tag)| tagged(tag)).collect()
    }

    /// Reads what is there, and acts on it. True: look again at once.
    pub(super) fn drive_mux(&mut self, id: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if !conn.link.may_read() {
            if conn.link.at_end() || conn.link.is_broken() {
                self.abandon(id);
            }
            return false;
        }
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let again = if filled.is_ok() {
            self.received(id, &mut buffer)
        } else {
            self.abandon(id);
            false
        };
        self.scratch.read = buffer;
        again
    }

    fn received(&mut self, id: Id, buffer: &mut [u8]) -> bool {
        let used = self.frames(id, buffer);
        let rest = buffer.get(used..).unwrap_or_default();
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let over = conn.mux.as_ref().is_none_or(|mux| mux.h2.is_over());
        if !over {
            conn.link.keep(rest, &mut self.io);
        }
        self.mark_dirty(id);
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if conn.link.at_end() || (conn.link.is_hung_up() && !conn.link.has_more()) {
            self.abandon(id);
            return false;
        }
        !over && conn.link.has_more()
    }

    /// Takes whole frames, and parts of bodies, off the front. How many bytes.
    fn frames(&mut self, id: Id, buffer: &mut [u8]) -> usize {
        let mut block = std::mem::take(&mut self.block);
        let now = Millis(self.now.0 / 1_000_000);
        let mut used = 0;
        if let Some(conn) = self.conns.get_mut(id)
            && let Some(mux) = conn.mux.as_mut()
        {
            let limits = match &conn.role {
                Role::Client(client) => client.listener.head,
                Role::Upstream(_) => super::request::UPSTREAM_HEAD,
            };
            block.clear(limits);
            let spare = mux.h2.lend(self.io.pool.take());
            self.io.pool.give(spare);
        }
        while let Some(conn) = self.conns.get_mut(id)
            && let Some(mux) = conn.mux.as_mut()
        {
            let upstream = matches!(conn.role, Role::Upstream(_));
            let rest = buffer.get_mut(used..).unwrap_or_default();
            let received = match mux.h2.receive(rest, now, &mut self.scratch.text, &mut block) {
                Ok(received) => received,
                Err(broken) => {
                    // GOAWAY is in the output, which is flushed; then the connection ends.
                    self.mux_broken(id, broken);
                    break;
                }
            };
            used += received.consumed;
            match received.event {
                Some(event) if upstream => self.upstream_event(id, event, rest, &mut block),
                Some(event) => self.client_event(id, event, rest, &mut block),
                None if received.consumed == 0 => break,
                None => {}
            }
        }
        self.block = block;
        used
    }

    /// A client's connection broke the rules: a record of its own says which.
    fn mux_broken(&mut self, id: Id, broken: Broken) {
        let reason = match broken.code {
            ErrorCode::EnhanceYourCalm => Reason::Http2Flood,
            _ => Reason::Http2Error,
        };
        self.record_broken(id, reason, broken.reason);
    }

    /// A client's connection ends for what it did, whatever its requests were.
    pub(super) fn record_broken(&mut self, id: Id, reason: Reason, detail: &'static str) {
        let (config, now) = (Rc::clone(&self.config), self.now);
        let Some(Role::Client(client)) = self.conns.get(id).map(|conn| &conn.role) else { return };
        let mut ended = Exchange::new(config, id, client, now, now);
        ended.record.flags.insert(Flags::H2);
        ended.record.reason = reason;
        ended.record.detail = detail;
        let exchange = self.new_exchange(ended);
        self.close_record(exchange);
    }

    /// There is, or may be, something to write: at the end of the turn.
    pub(super) fn mark_dirty(&mut self, id: Id) {
        if let Some(mux) = self.conns.get_mut(id).and_then(|conn| conn.mux.as_mut())
            && !mux.dirty
        {
            mux.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Writes what the turn led to, one write per connection.
    pub(super) fn flush_muxes(&mut self) {
        for _ in 0..TURNS {
            if self.dirty.is_empty() {
                return;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            for id in dirty.drain(..) {
                self.flush_mux(id);
            }
            if self.dirty.is_empty() {
                self.dirty = dirty;
            }
        }
    }

    fn flush_mux(&mut self, id: Id) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(mux) = conn.mux.as_mut() else { return };
        mux.dirty = false;
        let output = mux.h2.output();
        if !output.is_empty() && !conn.link.is_blocked() {
            let len = output.len();
            if conn.link.send(&[output], &mut self.io).is_err() {
                return self.abandon(id);
            }
            let opened = mux.h2.sent(len);
            if let Some(spare) = mux.h2.reclaim() {
                self.io.pool.give(spare);
            }
            if opened {
                self.all_writable(id);
            }
        }
        self.end_mux_if_done(id);
    }

    /// Ends a connection that has served its last stream, or that broke the protocol.
    fn end_mux_if_done(&mut self, id: Id) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(mux) = conn.mux.as_ref() else { return };
        if !mux.h2.is_drained() && !mux.h2.is_over() {
            return;
        }
        if !mux.h2.output().is_empty() {
            return; // what is written last waits for the peer; an idle peer's deadline ends it
        }
        match &conn.role {
            Role::Client(client) if client.phase == Phase::Mux => {
                self.end_client_streams(id);
                self.begin_lingering(id);
            }
            Role::Client(_) => {}
            Role::Upstream(_) => self.abandon(id),
        }
    }

    /// Whatever waits for room on the connection is looked at.
    pub(super) fn all_writable(&mut self, id: Id) {
        let upstream = self.conns.get(id).is_some_and(|conn| matches!(conn.role, Role::Upstream(_)));
        for exchange in self.exchanges_of(id) {
            if upstream {
                self.request_may_go_on(exchange);
            } else {
                self.answer_may_go_on(exchange);
            }
        }
    }

    /// Has the peer open no more streams, and ends the connection behind the last one.
    pub(super) fn drain_mux(&mut self, id: Id) {
        if let Some(mux) = self.mux(id) {
            mux.h2.drain();
            self.mark_dirty(id);
        }
    }

    /// Ends a connection that nothing runs on.
    pub(super) fn close_mux(&mut self, id: Id, code: ErrorCode) {
        if let Some(mux) = self.mux(id) {
            mux.h2.close(code);
            self.mark_dirty(id);
        }
    }
}
