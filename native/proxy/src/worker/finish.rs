//! The end of an exchange and of a connection: records are closed, connections kept or let go.

use super::Worker;
use super::conn::{Phase, Role, State};
use super::exchange::Exchange;
use crate::clock;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::rc::Rc;

/// Exchanges kept for reuse, so that a request in steady state allocates none.
const SPARE: usize = 1024;

impl Worker {
    /// The answer was handed over whole.
    pub(super) fn finish(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        let (client, keep) = (x.client, x.keep_alive && x.request.is_done());
        let idle_ms = x.listener.limits.idle_timeout_ms;
        let stream = x.client_stream;
        self.drop_upstream(exchange);
        self.close_record(exchange);
        if let Some(stream) = stream {
            return self.stream_over(client, stream);
        }
        let Some(conn) = self.conns.get_mut(client) else { return };
        let more = conn.link.may_read();
        let ended = conn.link.at_end();
        let Some(state) = conn.client() else { return };
        state.phase = Phase::Idle;
        if !keep || ended {
            return self.begin_lingering(client);
        }
        let idle_ms = if self.draining { idle_ms.min(super::apply::LAST_CHANCE_MS) } else { idle_ms };
        self.set_deadline(client, self.now.after_ms(idle_ms));
        if more {
            self.queue(client);
        }
    }

    /// No complete answer will come: the record says why. The client's connection is the caller's to end.
    pub(super) fn end_exchange(&mut self, exchange: Id, reason: Reason) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.reason = reason;
        if reason == Reason::ClientClosed {
            x.record.flags.insert(Flags::CLIENT_ABORT);
            if !x.head_sent && !x.is_connection() {
                x.record.status = reason.status();
            }
        }
        let (client, stream) = (x.client, x.client_stream);
        self.drop_upstream(exchange);
        self.close_record(exchange);
        match stream {
            Some(stream) => self.stream_over(client, stream),
            None => self.set_phase(client, Phase::Idle),
        }
    }

    /// Lets the record be read by metrics and log, and the exchange be used again.
    pub(super) fn close_record(&mut self, exchange: Id) {
        self.give_up_waiting(exchange);
        self.attempt_over(exchange);
        let Some(mut x) = self.exchanges.remove(exchange) else { return };
        if let Some(service) = &x.service {
            if std::mem::take(&mut x.gated) {
                self.let_out(service, x.load.take());
            }
            let circuit = &service.counts.circuit;
            if let Some(held) = x.admitted.take() {
                self.hand_on(&service.counts, held);
            }
            if let Some(held) = x.retrying.take() {
                circuit.retries().leave(held);
            }
        }
        let (twin, first, place) = (x.twin.take(), x.twin_of.take(), x.place);
        if x.detached {
            self.copies.remove(exchange);
        } else {
            x.record.at.done = clock::now().0;
            x.record.body_in = x.request.bytes + x.tunnel.from_client;
            x.record.body_out = x.response.bytes + x.tunnel.from_upstream;
            self.setup.metrics.observe(&x.record);
            self.setup.log.push(&x.record);
        }
        self.io.pool.give(std::mem::take(&mut x.replay));
        x.request.release(&mut self.io.pool);
        x.response.release(&mut self.io.pool);
        x.inbox.bytes.clear(&mut self.io.pool);
        x.outbox.bytes.clear(&mut self.io.pool);
        x.tried.clear();
        if self.spare.len() < SPARE {
            self.spare.push(x);
        }
        if let Some(twin) = twin {
            self.end_exchange(twin, Reason::ClientClosed);
        }
        if let Some(first) = first {
            self.twin_ended(first, exchange, place);
        }
    }

    /// A place for a new exchange, used before if possible.
    pub(super) fn new_exchange(&mut self, opened: Exchange) -> Id {
        let exchange = match self.spare.pop() {
            Some(mut spare) => {
                let mut tried = std::mem::take(&mut spare.tried);
                tried.extend_from_slice(&opened.tried);
                *spare = opened;
                spare.tried = tried;
                spare
            }
            None => Box::new(opened),
        };
        self.exchanges.insert(exchange)
    }

    /// The answer is complete: the upstream connection goes back, if it is clean.
    pub(super) fn let_go_of_upstream(&mut self, exchange: Id, clean: bool) {
        self.attempt_over(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(upstream) = x.upstream.take() else { return };
        if let Some(stream) = x.upstream_stream.take() {
            return self.upstream_stream_over(upstream, stream);
        }
        let keep = clean
            && x.upstream_keep_alive
            && x.request.is_done()
            && !x.request_broken
            && !x.response.is_until_close();
        self.release_upstream(upstream, keep);
    }

    /// Closes the upstream connection of an exchange that needs it no more, or cancels its stream.
    pub(super) fn drop_upstream(&mut self, exchange: Id) {
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.held_head = None;
        }
        self.attempt_over(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(upstream) = x.upstream.take() else { return };
        if let Some(stream) = x.upstream_stream.take() {
            return self.upstream_stream_over(upstream, stream);
        }
        match self.mux(upstream) {
            Some(mux) => mux.waiting.retain(|waits| *waits != exchange),
            None => self.close_upstream(upstream),
        }
    }

    /// Closes a client's connection in good order.
    pub(super) fn close(&mut self, id: Id) {
        if let Some(conn) = self.conns.get_mut(id) {
            let _gone_already = conn.link.part(&mut self.io);
        }
        self.remove_client(id);
    }

    /// Ends a connection that broke, on either side, and what ran on it.
    pub(super) fn abandon(&mut self, id: Id) {
        match self.conns.get(id).map(|conn| &conn.role) {
            Some(Role::Client(client)) => {
                match client.phase {
                    Phase::Busy(exchange) => self.end_exchange(exchange, Reason::ClientClosed),
                    Phase::Mux => self.end_client_streams(id),
                    Phase::Entry | Phase::Handshake | Phase::Idle | Phase::Head | Phase::Lingering => {}
                }
                self.remove_client(id);
            }
            Some(Role::Upstream(upstream)) => match upstream.state {
                State::Connecting(exchange) | State::Busy(exchange) => {
                    self.attempt_failed(exchange, Reason::UpstreamReset);
                }
                State::Idle => self.close_upstream(id),
                State::Opening => self.mux_failed(id, Reason::ConnectFailure),
                State::Mux => self.mux_failed(id, Reason::UpstreamReset),
            },
            None => {}
        }
    }

    fn remove_client(&mut self, id: Id) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        conn.link.release(&mut self.io);
        if let Role::Client(client) = &conn.role {
            let listener = Rc::clone(&client.listener);
            listener.counters.connection_closed();
            listener.count.leave();
            if self.setup.counts {
                self.setup.shared.clients.leave();
            }
        }
    }
}
