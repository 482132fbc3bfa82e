//! The client's side of HTTP/2: each stream is an exchange, as each request of HTTP/1 is.
//!
//! In: events of a client's connection. Out: a checked head for `request`, body bytes for the upstream.

use super::Worker;
use super::conn::Phase;
use super::exchange::Exchange;
use super::mux::{Mux, tag, tagged};
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use tulle_decide::h2::{ErrorCode, Event, Phase as Lists, Role as Side, StreamId};
use tulle_decide::http::{Block, Reject, list_grpc_status, request_of, trailers_of};

/// How long a reset stream still counts against its connection's limit, where the upstream was told to stop: it may take
/// as long to notice.
const GHOST_MS: u32 = 100;
/// How long the answer to a whole request may take that nobody waits for any more. Most answers take less, and the
/// upstream's connection is good for the next request then.
const GHOST_ANSWER_MS: u32 = 1_000;

impl Worker {
    /// From now on the connection speaks HTTP/2.
    pub(super) fn begin_mux(&mut self, id: Id) {
        let seed = self.random.next();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(client) = conn.client() else { return };
        client.phase = Phase::Mux;
        let listener = &client.listener;
        let limits = (listener.head, listener.limits.streams);
        let (idle_ms, upgrade) = (listener.limits.idle_timeout_ms, listener.upgrade);
        conn.mux = Some(Mux::new(Side::Server, limits, (upgrade, seed)));
        self.set_deadline(id, self.now.after_ms(idle_ms));
        self.mark_dirty(id);
        if self.draining {
            self.drain_mux(id);
        }
    }

    pub(super) fn client_event(&mut self, id: Id, event: Event, input: &mut [u8], block: &mut Block) {
        match event {
            Event::Headers { stream, end, phase: Lists::First } => self.begin_stream(id, stream, end, block),
            Event::Headers { stream, phase: Lists::Later, .. } => self.request_trailers(id, stream, block),
            Event::Data { stream, from, len, end } => {
                let data = input.get_mut(from..from + len).unwrap_or_default();
                self.request_data(id, stream, data, end);
            }
            Event::Reset { stream, .. } | Event::Refused { stream } => self.stream_reset(id, stream),
            Event::Writable { stream: Some(stream) } => {
                if let Some(exchange) = self.exchange_of(id, stream) {
                    self.answer_may_go_on(exchange);
                }
            }
            Event::Writable { stream: None } | Event::SettingsChanged => self.all_writable(id),
            Event::GoingAway { .. } => {}
        }
    }

    /// A request.
    fn begin_stream(&mut self, id: Id, stream: StreamId, end: bool, block: &mut Block) {
        let Some(exchange) = self.open_exchange(id, Some(stream)) else { return self.abandon(id) };
        match request_of(block, end) {
            Ok(request) => {
                let head = block.head();
                let begun = self.decide(exchange, (head, &request, block.fields()));
                self.go_on(exchange, begun, Ok(()));
            }
            // What can be answered is; the rest is malformed (RFC 9113 section 8.1.1).
            Err(reject) if matches!(reject.status, 417 | 431 | 501) => self.reject(exchange, reject),
            Err(reject) => self.malformed(exchange, reject),
        }
    }

    /// What is no request is not answered as one.
    pub(super) fn malformed(&mut self, exchange: Id, reject: Reject) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.detail = reject.reason;
        let (client, stream) = (x.client, x.client_stream);
        if let (Some(stream), Some(mux)) = (stream, self.mux(client)) {
            mux.h2.reset(stream, ErrorCode::ProtocolError);
        }
        self.mark_dirty(client);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if !x.sent {
            return self.end_exchange(exchange, Reason::BadRequest);
        }
        // As after a reset of the client's own: the upstream may take as long to notice.
        x.record.reason = Reason::BadRequest;
        x.ghost = true;
        let due = self.now.after_ms(GHOST_MS);
        x.due = Some(due);
        self.drop_upstream(exchange);
        self.bring_forward(client, due);
    }

    fn request_trailers(&mut self, id: Id, stream: StreamId, block: &Block) {
        let Some(exchange) = self.exchange_of(id, stream) else { return };
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(trailers) = x.request.trailers_mut(&mut self.io.pool) else { return };
        if let Err(reject) = trailers_of(block, trailers) {
            return self.malformed(exchange, reject);
        }
        self.request_data(id, stream, &mut [], true);
    }

    /// A part of a body, or its end: goes on as far as the upstream takes it; the rest waits, no more than a window of it.
    fn request_data(&mut self, id: Id, stream: StreamId, data: &mut [u8], end: bool) {
        let Some(exchange) = self.exchange_of(id, stream) else {
            // Nobody is there to take it, so that nobody gives it credit either.
            return;
        };
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.ghost {
            return;
        }
        if x.request.is_done() && !data.is_empty() {
            return self.malformed(exchange, tulle_decide::http::reason::LENGTH_AGAINST_BODY);
        }
        if !x.inbox.bytes.is_empty() {
            x.inbox.bytes.push(data, &mut self.io.pool);
            x.inbox.ended |= end;
            return self.request_may_go_on(exchange);
        }
        let room = self.upstream_room(exchange).min(data.len());
        let may_end = self.upstream_is_open(exchange);
        let Some((now, later)) = data.split_at_mut_checked(room) else { return };
        let whole = later.is_empty();
        if (!now.is_empty() || (end && whole && may_end))
            && self.request_bytes(exchange, now, end && whole && may_end).is_none()
        {
            return;
        }
        let Some(x) = self.exchanges.get_mut(exchange).filter(|x| !x.request.is_done()) else { return };
        x.inbox.bytes.push(later, &mut self.io.pool);
        x.inbox.ended |= end;
    }

    /// The upstream may take more of what an HTTP/2 client has sent.
    pub(super) fn pump_inbox(&mut self, exchange: Id) {
        let room = self.upstream_room(exchange);
        let may_end = self.upstream_is_open(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let held = x.inbox.bytes.len();
        let count = room.min(held);
        let end = x.inbox.ended && count == held && may_end;
        if x.request.is_done() || x.request_broken || (count == 0 && !end) {
            return;
        }
        let mut bytes = self.io.pool.take();
        x.inbox.bytes.drain_into(&mut bytes, &mut self.io.pool);
        let (now, later) = bytes.split_at_mut(count);
        if self.request_bytes(exchange, now, end).is_some()
            && let Some(x) = self.exchanges.get_mut(exchange)
        {
            x.inbox.bytes.push(later, &mut self.io.pool);
        }
        self.io.pool.give(bytes);
    }

    /// The client wants no answer any more. What it has begun counts until it has ended: a client that resets its streams
    /// as fast as it opens them gets no more work done than its limit of streams.
    fn stream_reset(&mut self, id: Id, stream: StreamId) {
        let Some(exchange) = self.exchange_of(id, stream) else {
            return self.stream_over(id, stream);
        };
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.ghost = true;
        x.record.flags.insert(Flags::CLIENT_ABORT);
        x.record.reason = Reason::ClientClosed;
        x.outbox.bytes.clear(&mut self.io.pool);
        x.inbox.bytes.clear(&mut self.io.pool);
        if !x.sent || x.upstream.is_none() && !self.has_twin(exchange) {
            return self.end_exchange(exchange, Reason::ClientClosed);
        }
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let drains = x.request.is_done() && !x.head_sent && !x.tunnel.open;
        x.due = Some(now.after_ms(if drains { GHOST_ANSWER_MS } else { GHOST_MS }));
        if !drains {
            self.drop_upstream(exchange);
        }
        if let Some(due) = self.exchanges.get(exchange).and_then(|x| x.due) {
            self.bring_forward(id, due);
        }
    }

    /// An answer breaks off: gRPC is told why in trailers, others by a reset.
    pub(super) fn cut_stream(&mut self, exchange: Id, (client, stream): (Id, StreamId), reason: Reason) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(mux) = self.conns.get_mut(client).and_then(|conn| conn.mux.as_mut()) else { return };
        if x.grpc {
            x.record.grpc_status = reason.facts().grpc;
            let text = &mut self.scratch.text;
            text.clear();
            list_grpc_status(text, x.record.grpc_status, reason.code());
            mux.send_head(stream, [text, b""], true);
        } else {
            mux.h2.reset(stream, ErrorCode::InternalError);
        }
        self.mark_dirty(client);
    }

    /// An exchange that ran on a stream has ended: the stream no longer counts.
    pub(super) fn stream_over(&mut self, id: Id, stream: StreamId) {
        let idle = self.mux(id).is_some_and(|mux| {
            mux.h2.finish(stream);
            mux.h2.streams() == 0
        });
        self.mark_dirty(id);
        if idle && let Some(client) = self.conns.get_mut(id).and_then(|conn| conn.client()) {
            let idle_ms = client.listener.limits.idle_timeout_ms;
            let idle_ms = if self.draining { idle_ms.min(super::apply::LAST_CHANCE_MS) } else { idle_ms };
            self.set_deadline(id, self.now.after_ms(idle_ms));
        }
    }

    /// The client's connection is over: so is all that runs on it.
    pub(super) fn end_client_streams(&mut self, id: Id) {
        for exchange in self.exchanges_of(id) {
            if self.exchanges.get(exchange).is_some_and(|x| x.client == id) {
                self.end_exchange(exchange, Reason::ClientClosed);
            }
        }
    }

    /// Something is due on a client's connection: a stream, or the connection itself when it has none.
    pub(super) fn mux_due(&mut self, id: Id) {
        let now = self.now;
        let Some(mux) = self.mux(id) else { return };
        if mux.h2.streams() == 0 {
            let over = mux.h2.is_draining() || mux.h2.is_over();
            self.close_mux(id, ErrorCode::NoError);
            if over {
                // It had its time to take what was written last.
                self.close(id);
            }
            return;
        }
        let all: Vec<Id> = mux.h2.each_stream().filter_map(|(_, tag)| tagged(tag)).collect();
        for exchange in &all {
            let Some(x) = self.exchanges.get_mut(*exchange) else { continue };
            if x.due.is_some_and(|due| due <= now) {
                x.due = None;
                if x.ghost {
                    let reason = x.record.reason;
                    self.end_exchange(*exchange, reason);
                } else {
                    self.exchange_due(*exchange);
                }
            }
        }
        let next = all.iter().filter_map(|exchange| self.exchanges.get(*exchange)?.due).min();
        if let Some(due) = next {
            self.bring_forward(id, due);
        }
    }

    /// Ties an exchange to its stream.
    pub(super) fn bind_stream(&mut self, id: Id, stream: StreamId, exchange: Id) {
        if let Some(mux) = self.mux(id) {
            mux.h2.set_tag(stream, tag(exchange));
        }
    }
}

impl Exchange {
    /// Nothing of the other protocol may be sent until the upstream has agreed to it.
    pub(super) fn waits_for_tunnel(&self) -> bool {
        self.is_stream() && self.is_tunnel() && !self.head_sent
    }

    /// It asks for a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        self.upgrade || self.connect
    }

    /// It came by HTTP/2.
    pub(super) fn is_stream(&self) -> bool {
        self.client_stream.is_some()
    }
}
