//! balance → upstream: picks an endpoint, finds a connection, sends; and decides what follows a failed attempt.

use super::Worker;
use super::config::WorkerService;
use super::conn::{Role, State};
use super::service::Wanted;
use crate::clock;
use crate::mailbox::Message;
use crate::running::Place as Facts;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::rc::Rc;
use std::sync::Arc;
use tulle_decide::circuit::Held;
use tulle_decide::http::Fields;

/// How many places that are full are passed over, before a request waits.
const FULL_PLACES: usize = 8;

/// Where an attempt goes.
enum Place {
    At(u32),
    /// Nowhere yet: all have as much as they may.
    Full,
    /// Nowhere: nobody may be picked.
    None,
}

/// How much of a request is kept for another attempt.
const REPLAY_BYTES: usize = 64 * 1024;

impl Worker {
    /// Starts an attempt: an endpoint, a connection, and what is there of the request.
    pub(super) fn attempt(&mut self, exchange: Id, fresh: bool) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(service) = x.service.clone() else { return };
        x.attempts += 1;
        // Not once more for one that has waited, or whose pooled connection had died.
        if x.attempts == 1 && x.waits_until.is_none() && !x.resent {
            let counts = x.counts.clone();
            if let Err(reason) = self.let_in(exchange, &service) {
                return self.answer(exchange, reason);
            }
            if let Some(counts) = counts {
                counts.count_request(self.now);
            }
        }
        if !self.admit_request(exchange, &service) {
            self.wait_for_room(exchange, &service);
            if self.exchanges.get(exchange).is_some_and(|x| x.waits_until.is_some()) {
                self.take_ticket(exchange, &service);
            }
            return;
        }
        let place = match self.place_for(exchange, &service) {
            Place::At(place) => place,
            Place::Full => return self.wait_for_room(exchange, &service),
            Place::None => return self.answer(exchange, Reason::NoEndpoint),
        };
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.attempt_began = self.now;
        x.place = place;
        (x.sent, x.request_broken) = (false, false);
        let (Some(facts), Some(pool)) = (service.place(place), service.pool_of(place)) else {
            return self.answer(exchange, Reason::NoEndpoint);
        };
        x.record.endpoint = facts.endpoint;
        self.attempt_begins(exchange);
        self.plan_hedge(exchange);
        if service.http2 {
            return self.attempt_stream(exchange, &service, facts, pool);
        }
        if !fresh && let Some(id) = self.take_idle(pool) {
            service.counters.pool_hit();
            return self.attached(exchange, id, true);
        }
        service.counters.pool_miss();
        let Some(held) = self.admit_connection(&service, facts) else {
            return self.wait_for_room(exchange, &service);
        };
        match self.connect(State::Connecting(exchange), &service, facts, (pool, held)) {
            Ok(id) => {
                self.leave_queue(exchange);
                if let Some(x) = self.exchanges.get_mut(exchange) {
                    x.upstream = Some(id);
                    x.reused = false;
                }
                self.arm_attempt(exchange);
            }
            Err(reason) => self.attempt_failed(exchange, reason),
        }
    }

    /// A place for an attempt: one that waits for a probe, or one that balancing picks and that may have one more.
    fn place_for(&mut self, exchange: Id, service: &Rc<WorkerService>) -> Place {
        let Some(x) = self.exchanges.get(exchange) else { return Place::None };
        let subset = x.subset;
        if let Some(place) = self.take_probe(exchange, service) {
            if let Some(x) = self.exchanges.get_mut(exchange) {
                x.probes = true;
                x.cookie_due = service.affinity.is_some() && x.named != Some(place);
            }
            return Place::At(place);
        }
        let (now, random) = (self.now, &mut self.random);
        let Some(x) = self.exchanges.get_mut(exchange) else { return Place::None };
        let tried = x.tried.len();
        let mut found = Place::None;
        // Those that are full are passed over like those that were tried.
        for _ in 0..FULL_PLACES {
            let wanted =
                Wanted { subset, random: random.next(), key: x.key, now, tried: &x.tried, named: x.named };
            let Some(picked) = service.pick(&wanted) else { break };
            let full_before = x.tried.get(tried..).unwrap_or_default().contains(&picked.endpoint);
            if full_before {
                break;
            }
            if service.has_room(picked.endpoint, x) {
                x.cookie_due = picked.cookie_due;
                found = Place::At(picked.endpoint);
                break;
            }
            x.tried.push(picked.endpoint);
            found = Place::Full;
        }
        x.tried.truncate(tried);
        found
    }

    /// One more connection to the place, if there may be one, or if an idle one can make room for it.
    pub(super) fn admit_connection(&mut self, service: &WorkerService, place: &Facts) -> Option<Held> {
        let circuit = &place.standing.circuit;
        let held = circuit.connection(&service.circuit)?;
        let admitted = || service.counts.connections.admit(service.pool.connections);
        if admitted() || self.make_room(&service.name) && admitted() {
            return Some(held);
        }
        circuit.connections().leave(held);
        None
    }

    /// There is a connection: sends what is there of the request.
    pub(super) fn attached(&mut self, exchange: Id, id: Id, reused: bool) {
        self.leave_queue(exchange);
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
        if x.is_connection() || x.connect {
            // More than that there is a connection is never known of it.
            self.note_answer(exchange, (false, false), None);
        }
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(conn) = self.conns.get_mut(id) else { return };
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
        let (head, body) = x.for_this_hop(self.now, &mut self.scratch.head);
        if conn.link.send(&[head, body], &mut self.io).is_err() {
            return self.attempt_failed(exchange, Reason::UpstreamReset);
        }
        self.request_wanted(exchange);
        self.rearm(exchange);
    }

    /// As many connections to the service as may be: waits for one, within bounds.
    pub(super) fn wait_for_room(&mut self, exchange: Id, service: &Rc<WorkerService>) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.detached {
            return self.end_exchange(exchange, Reason::PendingFull);
        }
        x.attempts = x.attempts.saturating_sub(1);
        let service = Rc::clone(service);
        self.attempt_over(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.waits_until.is_none() {
            if !service.counts.waiting.0.admit(service.pool.pending) {
                return self.answer(exchange, Reason::PendingFull);
            }
            x.waits_until = Some(self.now.after_ms(service.pool.queue_timeout_ms));
            x.queued = true;
            self.arm(exchange);
            if service.counts.connections.now() >= service.pool.connections {
                self.ask_for_room(&service);
            }
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

    /// Lets those that wait try again, in order, where something has ended since; those still without room wait on.
    pub(super) fn serve_waiting(&mut self) {
        if self.waiting.is_empty() || !(self.room || self.look_for_room <= self.now) {
            return;
        }
        self.room = false;
        self.look_for_room = self.now.after_ms(super::ROOM_MS);
        for _ in 0..self.waiting.len() {
            let Some(exchange) = self.waiting.pop_front() else { return };
            let Some(x) = self.exchanges.get(exchange).filter(|x| x.waits_until.is_some()) else { continue };
            let counted = x.admitted.is_some();
            if x.service.as_ref().is_some_and(|service| self.is_full(service, counted)) {
                self.waiting.push_back(exchange);
            } else {
                self.attempt(exchange, false);
            }
        }
    }

    /// Whether a request to the service has to wait, as far as can be told without picking a place.
    fn is_full(&self, service: &WorkerService, counted: bool) -> bool {
        let requests = service.circuit.requests.filter(|_| !counted);
        if requests.is_some_and(|most| service.counts.circuit.requests().now() >= most) {
            return true;
        }
        service.counts.connections.now() >= service.pool.connections
            && self.idle_of(service).is_none()
            && !self.takes_streams(service)
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
        if step.done && x.copy.is_some() {
            self.send_copy(exchange);
        }
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(id) = x.upstream else { return };
        let parts = x.request.frame(step, data, &mut prefix);
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
}
