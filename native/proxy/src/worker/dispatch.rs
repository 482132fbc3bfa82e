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
        if x.call_ends.is_some_and(|ends| ends <= clock::now()) {
            // Nobody waits for what the endpoint would do.
            x.record.flags.insert(Flags::TIMEOUT);
            return self.answer(exchange, Reason::DeadlineExceeded);
        }
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
        if !self.admit_request(exchange, &service) || self.others_come_first(exchange, &service) {
            return self.wait_for_room(exchange, &service);
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
        let Some(held) = self.admit_connection(exchange, &service, facts) else {
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
                x.cookie_due = service.cookie_due(subset, x.named, place, &x.tried);
            }
            return Place::At(place);
        }
        let found = self.place_with_room(exchange, service);
        if let (Place::At(place), Some(x)) = (&found, self.exchanges.get_mut(exchange)) {
            x.cookie_due = service.cookie_due(subset, x.named, *place, &x.tried);
        }
        found
    }

    /// A place that balancing picks, or, where that finds none for who has waited, any with room.
    fn place_with_room(&mut self, exchange: Id, service: &WorkerService) -> Place {
        let now = self.now;
        let Some(x) = self.exchanges.get(exchange) else { return Place::None };
        let (subset, key, named, waits, tried) =
            (x.subset, x.key, x.named, x.waits_until.is_some(), x.tried.len());
        let mut found = Place::None;
        // Those that are full are passed over like those that were tried.
        for _ in 0..FULL_PLACES {
            let random = self.random.next();
            let Some(x) = self.exchanges.get(exchange) else { break };
            let wanted = Wanted { subset, random, key, now, tried: &x.tried, named };
            let Some(place) = service.pick(&wanted) else { break };
            let full_before = x.tried.get(tried..).unwrap_or_default().contains(&place);
            if full_before {
                break;
            }
            if self.takes_place(exchange, service, place) {
                found = Place::At(place);
                break;
            }
            if let Some(x) = self.exchanges.get_mut(exchange) {
                x.tried.push(place);
            }
            found = Place::Full;
        }
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.tried.truncate(tried);
        }
        if !waits || !matches!(found, Place::Full) {
            return found;
        }
        let random = self.random.next();
        let any = service.search(subset, random, |place| {
            let tried = self.exchanges.get(exchange).is_some_and(|x| x.tried.contains(&place));
            !tried && self.takes_place(exchange, service, place)
        });
        let any = any
            .or_else(|| service.search(subset, random, |place| self.takes_place(exchange, service, place)));
        any.map_or(Place::Full, Place::At)
    }

    /// Whether a place has room for the request, which is then counted there, and a connection for it.
    fn takes_place(&mut self, exchange: Id, service: &WorkerService, place: u32) -> bool {
        let (Some(facts), Some(pool)) = (service.place(place), service.pool_of(place)) else { return false };
        let most = service.limits().endpoint_connections;
        let full = most.is_some_and(|most| facts.standing.circuit.connections().now() >= most)
            || service.has_all_connections() && self.idle_of(service, None).is_none()
            || service.is_short_of_connections() && self.is_behind_others(exchange, service);
        if full && !self.has_connection(pool, exchange) {
            return false;
        }
        self.exchanges.get_mut(exchange).is_some_and(|x| service.has_room(place, x))
    }

    /// One more connection to the place, if there may be one, or if an idle one can make room for it, and nobody comes first.
    pub(super) fn admit_connection(
        &mut self,
        exchange: Id,
        service: &WorkerService,
        place: &Facts,
    ) -> Option<Held> {
        if self.is_behind_others(exchange, service) {
            return None;
        }
        let (limits, circuit) = (service.limits(), &place.standing.circuit);
        if limits.endpoint_connections.is_some_and(|most| circuit.connections().now() >= most) {
            return None;
        }
        let admit = || service.counts.connections.admit(service.most_connections());
        let admitted = admit() || self.make_room(&service.name, None) && admit();
        if !admitted {
            return None;
        }
        let held = circuit.connection(&limits);
        if held.is_none() {
            // Another worker was faster; who looked meanwhile found one too few.
            service.counts.connections.leave();
            self.freed(&service.counts);
        }
        held
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
        self.attempt_taken_back(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let waiting = &service.counts.waiting.0;
        if x.waits_until.is_none() {
            if !waiting.admit(service.pool.pending) {
                return self.answer(exchange, Reason::PendingFull);
            }
            x.waits_until = Some(self.now.after_ms(service.pool.queue_timeout_ms));
            x.queued = true;
            self.arm(exchange);
        } else if !x.queued {
            // It was called, and finds another limit in its way.
            waiting.join();
            x.queued = true;
        }
        let asks = self.stand_in_line(exchange, &service);
        if asks && service.is_short_of_connections() {
            let subset = self.exchanges.get(exchange).and_then(|x| x.subset);
            let any = service.has_all_connections();
            self.ask_for_room(&service, subset.filter(|_| !any));
        }
    }

    /// Connections count for the whole process, and idle ones lie with each worker: the next one that has one closes it.
    fn ask_for_room(&self, service: &WorkerService, subset: Option<u32>) {
        let others = self.setup.mailboxes.len().saturating_sub(1);
        self.ask_next(&service.name, subset, others);
    }

    /// Asks the next worker, and through it as many in all as there are `left`.
    fn ask_next(&self, service: &Arc<str>, subset: Option<u32>, left: usize) {
        let Some(left) = left.checked_sub(1) else { return };
        let mailboxes = &self.setup.mailboxes;
        let next = (self.setup.index + 1) % mailboxes.len().max(1);
        if let Some(mailbox) = mailboxes.get(next) {
            mailbox.send(Message::MakeRoom { service: Arc::clone(service), subset, left });
        }
    }

    /// Another worker's request waits for a connection: closes an idle one, or asks on.
    pub(super) fn asked_for_room(&mut self, service: &Arc<str>, subset: Option<u32>, left: usize) {
        let config = Rc::clone(&self.config);
        let known = super::service::named(&config.services, service);
        // Meanwhile something else may have ended.
        let still = known.is_none_or(|known| known.is_waited_for());
        if still && !self.make_room(service, subset) {
            self.ask_next(service, subset, left);
        }
    }

    /// Closes one idle connection to a service or subset, if there is one.
    pub(super) fn make_room(&mut self, service: &str, subset: Option<u32>) -> bool {
        let config = Rc::clone(&self.config);
        let service = config.services.iter().find(|own| &*own.name == service);
        let Some(id) = service.and_then(|service| self.idle_of(service, subset)) else { return false };
        self.close_upstream(id);
        true
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
