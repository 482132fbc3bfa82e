//! What both protocols have in common, by side: how much a side takes now, and who is told when it takes more.
//!
//! In: an exchange. Out: room in bytes, wake-ups, bytes sent. Everything above this asks here and does not know which
//! protocol is spoken.

use super::Worker;
use super::body::Step;
use super::conn::State;
use crate::clock::Nanos;
use crate::slab::Id;

impl Worker {
    /// How many bytes of an answer's body the client takes now.
    pub(super) fn client_room(&mut self, exchange: Id) -> usize {
        let Some(x) = self.exchanges.get(exchange) else { return 0 };
        if x.ghost {
            return usize::MAX;
        }
        let Some(conn) = self.conns.get(x.client) else { return 0 };
        let room = match (x.client_stream, &conn.mux) {
            (Some(stream), Some(mux)) => mux.h2.room(stream),
            _ if conn.link.is_blocked() => 0,
            _ => usize::MAX,
        };
        if x.pace.is_some() && room > 0 { self.paced(exchange).min(room) } else { room }
    }

    /// How many bytes a fault lets go on now. If none: it is looked at again when some may.
    fn paced(&mut self, exchange: Id) -> usize {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return 0 };
        let Some(pace) = x.pace.as_mut() else { return usize::MAX };
        let allowance = pace.allowance(now.0);
        if allowance == 0 && x.paced_until.is_none() {
            x.paced_until = Some(Nanos(pace.next()));
            self.arm(exchange);
        }
        allowance
    }

    /// How many bytes of a request's body the upstream takes now.
    pub(super) fn upstream_room(&self, exchange: Id) -> usize {
        let Some(x) = self.exchanges.get(exchange) else { return 0 };
        let Some(conn) = x.upstream.and_then(|id| self.conns.get(id)) else { return 0 };
        match (x.upstream_stream, &conn.mux) {
            _ if x.request_broken || x.unsent > 0 || x.waits_for_tunnel() => 0,
            (Some(stream), Some(mux)) => mux.h2.room(stream),
            _ if !matches!(conn.state(), Some(State::Busy(_))) || conn.link.is_blocked() => 0,
            _ => usize::MAX,
        }
    }

    /// Whether the upstream can be told that a request has ended: that needs no room.
    pub(super) fn upstream_is_open(&self, exchange: Id) -> bool {
        let Some(x) = self.exchanges.get(exchange) else { return false };
        let may_end = x.upstream_stream.is_some() && x.unsent == 0 && !x.waits_for_tunnel();
        may_end || self.upstream_room(exchange) > 0
    }

    /// The upstream takes more: has whatever the client sent looked at.
    pub(super) fn request_wanted(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange).filter(|x| !x.request.is_done()) else { return };
        if x.is_stream() {
            self.pump_inbox(exchange);
        } else {
            let client = x.client;
            self.queue(client);
        }
    }

    /// The client takes more: has whatever the upstream sent looked at.
    pub(super) fn answer_may_go_on(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        if !x.outbox.bytes.is_empty() || x.outbox.ended {
            return self.pump_outbox(exchange);
        }
        if x.upstream_stream.is_none()
            && let Some(upstream) = x.upstream
        {
            self.queue(upstream);
        }
    }

    /// Sends the client what waits for it.
    pub(super) fn pump_outbox(&mut self, exchange: Id) {
        let room = self.client_room(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let held = x.outbox.bytes.len();
        let count = room.min(held);
        let end = x.outbox.ended && count == held;
        if count == 0 && !end {
            return;
        }
        let mut bytes = self.io.pool.take();
        x.outbox.bytes.drain_into(&mut bytes, &mut self.io.pool);
        let (now, later) = bytes.split_at_mut(count);
        self.body_bytes(exchange, &[], now, end);
        self.keep_for_client(exchange, later);
        self.io.pool.give(bytes);
    }

    /// Keeps what the client does not take yet. It says itself when it takes more; where a fault is in the way, we look again.
    pub(super) fn keep_for_client(&mut self, exchange: Id, later: &[u8]) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.outbox.bytes.push(later, &mut self.io.pool);
        if x.pace.is_some() && !later.is_empty() {
            self.paced(exchange);
        }
    }

    /// Sends a head, if there is one, and what one step gave of the body. False: the client is gone.
    pub(super) fn send_answer(&mut self, exchange: Id, head: &[u8], step: Step, buffer: &[u8]) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        if x.ghost {
            return true;
        }
        let Some(conn) = self.conns.get_mut(x.client) else { return false };
        let content = step.content(buffer);
        if let Some(pace) = &mut x.pace {
            pace.spend(content.len());
        }
        if let (Some(stream), Some(mux)) = (x.client_stream, conn.mux.as_mut()) {
            let trailers = if step.done { x.response.trailers() } else { b"" };
            let head_ends = step.done && content.is_empty() && trailers.is_empty();
            if !head.is_empty() {
                mux.send_head(stream, [head, b""], head_ends);
            }
            if head.is_empty() || !head_ends {
                mux.send_body(stream, content, step.done, trailers, &mut self.scratch.text);
            }
            let client = x.client;
            self.mark_dirty(client);
            return true;
        }
        let mut prefix = [0u8; 18];
        let [first, second, third, fourth, fifth] = x.response.frame(step, content, &mut prefix);
        let sent = match (head.is_empty(), second.is_empty()) {
            (true, true) if first.is_empty() => Ok(()),
            (true, true) => conn.link.send(&[first], &mut self.io),
            (false, true) if first.is_empty() => conn.link.send(&[head], &mut self.io),
            (false, true) => conn.link.send(&[head, first], &mut self.io),
            _ => conn.link.send(&[head, first, second, third, fourth, fifth], &mut self.io),
        };
        sent.is_ok()
    }

    /// So many bytes of an answer that came by HTTP/2 have gone on: the upstream may send as many again.
    pub(super) fn credit_upstream(&mut self, exchange: Id, bytes: usize) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        if let (Some(id), Some(stream)) = (x.upstream, x.upstream_stream)
            && bytes > 0
            && let Some(mux) = self.mux(id)
        {
            mux.h2.forwarded(stream, u32::try_from(bytes).unwrap_or(u32::MAX));
            self.mark_dirty(id);
        }
    }

    /// So many bytes of a request that came by HTTP/2 have gone on: the client may send as many again.
    pub(super) fn credit_client(&mut self, exchange: Id, bytes: usize) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        if let Some(stream) = x.client_stream
            && bytes > 0
        {
            let client = x.client;
            if let Some(mux) = self.mux(client) {
                mux.h2.forwarded(stream, u32::try_from(bytes).unwrap_or(u32::MAX));
                self.mark_dirty(client);
            }
        }
    }

    /// Has a connection looked at no later than `due`.
    pub(super) fn bring_forward(&mut self, id: Id, due: Nanos) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.deadline.is_after(due)
        {
            self.timers.set(id, &mut conn.deadline, due);
        }
    }
}
