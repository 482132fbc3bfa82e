//! balance → upstream: picks an endpoint, finds a connection, sends; and decides what follows a failed attempt.

use super::Worker;
use super::config::WorkerService;
use super::conn::{Role, State};
use crate::clock;
use crate::mailbox::Message;
use crate::slab::Id;
use crate::telemetry::{Flags, NONE_32, Reason};
use std::rc::Rc;
use std::sync::Arc;
use tulle_decide::http::Fields;
use tulle_decide::retry::{
    Advice, Exposure, Failure, Next, Replay, Resent, RetryFacts, Reused, may_resend, next,
};

/// How much of a request is kept for another attempt.
const REPLAY_BYTES: usize = 64 * 1024;

impl Worker {
    /// Starts an attempt: an endpoint, a connection, and what is there of the request.
    pub(super) fn attempt(&mut self, exchange: Id, fresh: bool) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(service) = x.service.clone() else { return };
        let Some(place) = service.pick(x.subset, &x.tried, self.random.next()) else {
            return self.answer(exchange, Reason::NoEndpoint);
        };
        x.attempt_began = self.now;
        x.place = place;
        x.sent = false;
        let (Some(facts), Some(pool)) = (service.place(place), service.pool_of(place)) else {
            return self.answer(exchange, Reason::NoEndpoint);
        };
        x.attempts += 1;
        x.record.endpoint = facts.endpoint;
        if service.http2 {
            return self.attempt_stream(exchange, &service, facts, pool);
        }
        if !fresh && let Some(id) = self.take_idle(pool) {
            service.counters.pool_hit();
            return self.attached(exchange, id, true);
        }
        service.counters.pool_miss();
        if !self.admit_connection(&service) {
            return self.wait_for_room(exchange, &service);
        }
        match self.connect(State::Connecting(exchange), &service, facts, pool) {
            Ok(id) => {
                self.stop_waiting(exchange);
                if let Some(x) = self.exchanges.get_mut(exchange) {
                    x.upstream = Some(id);
                    x.reused = false;
                }
            }
            Err(reason) => {
                service.counts.connections.leave();
                self.attempt_failed(exchange, reason);
            }
        }
    }

    /// One more connection to the service, if there may be one, or if an idle one can make room for it.
    pub(super) fn admit_connection(&mut self, service: &WorkerService) -> bool {
        let admitted = || service.counts.connections.admit(service.pool.connections);
        admitted() || self.make_room(&service.name) && admitted()
    }

    /// There is a connection: sends what is there of the request.
    pub(super) fn attached(&mut self, exchange: Id, id: Id, reused: bool) {
        self.stop_waiting(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let (Role::Upstream(upstream), Some(service)) = (&mut conn.role, &x.service) {
            upstream.state = State::Busy(exchange);
            if !Rc::ptr_eq(&upstream.service, service) {
                upstream.service = Rc::clone(service);
            }
        }
        x.upstream = Some(id);
        x.window = (self.now, x.request.bytes);
        x.reused = reused;
        x.sent = true;
        x.scanned = 0;
        let stamp = clock::now().0;
        x.record.at.connected = stamp;
        x.record.at.sent = stamp;
        if reused {
            x.record.flags.insert(Flags::POOLED);
        }
        if x.is_connection() {
            return self.dialled(exchange);
        }
        if x.connect && x.is_stream() {
            self.agree_to_stream(exchange, (b"", &Fields::new()), &mut []);
            return self.rearm(exchange);
        }
        if x.connect {
            return self.open_connect_tunnel(exchange);
        }
        if conn.link.send(&[&x.replay], &mut self.io).is_err() {
            return self.attempt_failed(exchange, Reason::UpstreamReset);
        }
        self.request_wanted(exchange);
        self.rearm(exchange);
    }

    /// As many connections to the service as may be: waits for one, within bounds.
    pub(super) fn wait_for_room(&mut self, exchange: Id, service: &Rc<WorkerService>) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.attempts = x.attempts.saturating_sub(1);
        if x.waits_until.is_none() {
            if !service.counts.waiting.0.admit(service.pool.pending) {
                return self.answer(exchange, Reason::PendingFull);
            }
            x.waits_until = Some(self.now.after_ms(service.pool.queue_timeout_ms));
            self.arm(exchange);
            self.ask_for_room(service);
        }
        self.waiting.push_back(exchange);
    }

    /// Connections count for the whole process, and idle ones lie with each worker: the others close theirs.
    fn ask_for_room(&self, service: &WorkerService) {
        let own = &self.setup.mailbox;
        for mailbox in self.setup.mailboxes.iter().filter(|mailbox| !Arc::ptr_eq(mailbox, own)) {
            mailbox.send(Message::MakeRoom { service: Arc::clone(&service.name) });
        }
    }

    /// Closes one idle connection to a service, if there is one.
    pub(super) fn make_room(&mut self, service: &str) -> bool {
        let config = Rc::clone(&self.config);
        let service = config.services.iter().find(|own| &*own.name == service);
        let Some(id) = service.and_then(|service| self.idle_of(service)) else { return false };
        self.close_upstream(id);
        true
    }

    /// It waits no more, whatever came of it.
    pub(super) fn stop_waiting(&mut self, exchange: Id) {
        if let Some(x) = self.exchanges.get_mut(exchange)
            && x.waits_until.take().is_some()
            && let Some(service) = &x.service
        {
            service.counts.waiting.0.leave();
        }
    }

    /// Lets those that wait try again, in order; those still without room wait on.
    pub(super) fn serve_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(exchange) = self.waiting.pop_front() else { return };
            let Some(x) = self.exchanges.get(exchange).filter(|x| x.waits_until.is_some()) else { continue };
            let service = x.service.as_ref();
            let full = service.is_some_and(|s| {
                s.counts.connections.now() >= s.pool.connections
                    && self.idle_of(s).is_none()
                    && !self.takes_streams(s)
            });
            if full {
                self.waiting.push_back(exchange);
            } else {
                self.attempt(exchange, false);
            }
        }
    }

    /// Sends body bytes on, and keeps them for another attempt while they fit.
    pub(super) fn forward_request_bytes(&mut self, exchange: Id, step: super::body::Step, data: &[u8]) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let mut prefix = [0u8; 18];
        let parts = x.request.frame(step, data, &mut prefix);
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total == 0 && !step.done {
            return;
        }
        if x.replayable && x.replay.len() + total <= REPLAY_BYTES {
            for part in parts {
                x.replay.extend_from_slice(part);
            }
        } else if x.replayable {
            x.replayable = false;
            self.io.pool.give(std::mem::take(&mut x.replay));
        }
        let Some(id) = x.upstream else { return };
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let (Some(stream), Some(mux)) = (x.upstream_stream, conn.mux.as_mut()) {
            let trailers = if step.done { x.request.trailers() } else { b"" };
            mux.send_body(stream, data, step.done, trailers, &mut self.scratch.text);
            return self.mark_dirty(id);
        }
        let sent = if total > 0 { conn.link.send(&parts, &mut self.io) } else { Ok(()) };
        // What ends is one direction of a tunnel, not a message that says itself where it ends.
        let sent =
            if step.done && x.tunnel.streamed { sent.and(conn.link.finish(&mut self.io)) } else { sent };
        if sent.is_err() {
            self.request_broken(exchange);
        }
    }

    /// The upstream takes no more of the request; it may have answered already, so that is read first.
    pub(super) fn request_broken(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.request_broken = true;
        if let Some(upstream) = x.upstream {
            if let Some(conn) = self.conns.get_mut(upstream) {
                conn.link.assume_readable();
            }
            self.queue(upstream);
        }
    }

    /// An attempt came to nothing: another one, or an answer of our own, or a cut one.
    pub(super) fn attempt_failed(&mut self, exchange: Id, reason: Reason) {
        self.count_failure(exchange, reason);
        self.drop_upstream(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.ghost {
            return self.end_exchange(exchange, Reason::ClientClosed);
        }
        if x.head_sent {
            return self.truncate(exchange, reason);
        }
        match self.another_try(exchange, reason) {
            Some(fresh) => self.attempt(exchange, fresh),
            None => self.answer(exchange, reason),
        }
    }

    /// Whether there is another attempt, and whether it needs a fresh connection.
    fn another_try(&mut self, exchange: Id, reason: Reason) -> Option<bool> {
        let x = self.exchanges.get_mut(exchange)?;
        let failure = match reason {
            Reason::ConnectFailure | Reason::ConnectTimeout | Reason::UpstreamTls => Failure::Connect,
            Reason::UpstreamReset => Failure::Reset,
            _ => return None,
        };
        if x.is_connection() {
            return x.dials_again(failure);
        }
        let facts = RetryFacts {
            attempts_made: x.attempts,
            failure,
            exposure: if x.sent { Exposure::Something } else { Exposure::Nothing },
            method: x.record.method.as_bytes(),
            idempotency_key: x.idempotency_key,
            replay: if x.replayable { Replay::Complete } else { Replay::Lost },
            advice: Advice::None,
            left_ns: None,
        };
        let policy = x.config.rule(x.rule?)?.retry;
        let reused = if x.reused { Reused::Yes } else { Reused::No };
        let resent = if x.resent { Resent::Yes } else { Resent::No };
        if may_resend(reused, resent, &facts) {
            // The pooled connection died of old age; the endpoint is as good as before, and this does not count.
            x.resent = true;
            x.attempts -= 1;
        } else if let Next::Retry { .. } = next(&policy, &facts, 0, || Ok(())) {
            x.tried.push(x.place);
            x.record.flags.insert(Flags::RETRIED);
        } else {
            return None;
        }
        Some(reused == Reused::Yes)
    }

    fn count_failure(&mut self, exchange: Id, reason: Reason) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let took = now.0.saturating_sub(x.attempt_began.0);
        let endpoint = x.record.endpoint;
        if endpoint != NONE_32 {
            x.record.attempts.push(endpoint, reason, took);
        }
        if let Some(service) = &x.service
            && matches!(reason, Reason::ConnectFailure | Reason::ConnectTimeout | Reason::UpstreamTls)
        {
            service.counters.connection_failed();
        }
    }

    /// The head is out, the body will not be whole: the client must see that.
    fn truncate(&mut self, exchange: Id, reason: Reason) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.flags.insert(Flags::TRUNCATED);
        x.record.flags.insert(Flags::UPSTREAM_ABORT);
        let client = x.client;
        let only_close_ends_it = x.ends_by_close;
        if let Some(stream) = x.client_stream {
            self.cut_stream(exchange, (client, stream), reason);
            return self.end_exchange(exchange, reason);
        }
        self.end_exchange(exchange, reason);
        if let Some(conn) = self.conns.get_mut(client)
            && only_close_ends_it
        {
            conn.link.socket().reset_on_close();
        }
        self.abandon(client);
    }
}
