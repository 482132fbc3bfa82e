//! circuit: what requests wait for at a service, in order of arrival over all workers: one of its requests, where their number
//! is limited, or room at its endpoints. Nothing is tried before something was freed, but for a look now and then, should
//! word of it be lost.
//!
//! In: requests that begin to wait; requests, attempts and connections that end. Out: attempts. Before: route. After: balance.
//!
//! A request that ends hands its place on, so that nobody who comes later can take it. Who frees an endpoint calls the first in
//! line; who is called and has room calls the next one, until one has none. Who waits from now on is told of
//! all that is freed from now on, and looks once more first: see [`tulle_decide::circuit::Gauge`].

mod lines;

pub(super) use lines::Lines;

use super::Worker;
use super::conn::Role;
use super::exchange::Exchange;
use super::mux::tagged;
use super::service::WorkerService;
use crate::line::{For, Stand};
use crate::mailbox::Message;
use crate::shared::ServiceCounts;
use crate::slab::Id;
use lines::Turn;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulle_decide::circuit::Held;
use tulle_snapshot::wire::CircuitLimits;

/// What has been under way for longer than this may take any time, however long requests may wait.
const YOUNG: Duration = Duration::from_secs(10);

/// How much there may be of a service at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) circuit: CircuitLimits,
    pub(super) connections: u32,
}

impl WorkerService {
    /// Other bounds hold from now on, for whatever configuration.
    pub(super) fn renew(&self, bounds: Bounds) -> Rc<Cell<Bounds>> {
        self.bounds.set(bounds);
        Rc::clone(&self.bounds)
    }

    /// Whether a connection is what may be waited for.
    pub(super) fn is_short_of_connections(&self) -> bool {
        self.limits().endpoint_connections.is_some() || self.has_all_connections()
    }

    /// Whether someone waits for a connection.
    pub(super) fn is_waited_for(&self) -> bool {
        self.is_short_of_connections() && self.counts.line.is_overdue(u64::MAX, |_, _| true)
    }

    /// Whether there are as many connections as may be.
    pub(super) fn has_all_connections(&self) -> bool {
        self.counts.connections.now() >= self.most_connections()
    }

    /// Whether a connection that is closed, to the endpoint of this pool, is room for those that wait for this.
    pub(super) fn is_room_for(&self, pool: Id, waits_for: For) -> bool {
        let For::Place(places, subset) = waits_for else { return false };
        let any = self.has_all_connections() || subset.is_none() || places != self.places.number;
        any || self.pools(subset).any(|of| of == pool)
    }

    /// For how long requests may be kept off a connection so that it becomes idle, and still be served in time if it does not.
    fn patience(&self) -> Duration {
        let queue = Duration::from_millis(self.pool.queue_timeout_ms.into());
        queue.saturating_sub(lines::LOOKS).min(YOUNG)
    }

    /// What may be under way at present.
    pub(super) fn limits(&self) -> CircuitLimits {
        self.bounds.get().circuit
    }

    /// How many connections there may be at present.
    pub(super) fn most_connections(&self) -> u32 {
        self.bounds.get().connections
    }
}

impl Worker {
    /// One more request to the service, if there may be one. Tunnels and copies do not count.
    pub(super) fn admit_request(&mut self, exchange: Id, service: &WorkerService) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        if service.limits().requests.is_none() || x.admitted.is_some() || x.is_uncounted() {
            return true;
        }
        x.admitted = service.counts.circuit.request(&service.limits());
        x.admitted.is_some()
    }

    /// Whether others came first that wait for room at the same endpoints.
    pub(super) fn others_come_first(&self, exchange: Id, service: &WorkerService) -> bool {
        if service.counts.waiting.0.now() == 0 {
            return false;
        }
        let Some(x) = self.exchanges.get(exchange) else { return false };
        let place = For::Place(service.places.number, x.subset);
        let stands = x.stand.is_some_and(|stand| stand.waits_for == place);
        !stands && !x.is_uncounted() && service.counts.line.first(place).is_some()
    }

    /// Whether it waits and others come first: what is left to it are connections of this worker's.
    pub(super) fn is_behind_others(&self, exchange: Id, service: &WorkerService) -> bool {
        let stand = self.exchanges.get(exchange).and_then(|x| x.stand);
        let first = |stand: Stand| service.counts.line.first(stand.waits_for).map(|(number, _)| number);
        stand.is_some_and(|stand| first(stand) != Some(stand.number))
    }

    /// It waits from now on, behind all others; or it goes on waiting where it stands. True: for a place, so that what lies idle
    /// with other workers may do for it, and nobody before it asks for that.
    pub(super) fn stand_in_line(&mut self, exchange: Id, service: &WorkerService) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        let for_request = service.limits().requests.is_some() && x.admitted.is_none() && !x.is_uncounted();
        let waits_for = if for_request { For::Request } else { For::Place(service.places.number, x.subset) };
        if let Some(stand) = x.stand.filter(|stand| stand.waits_for == waits_for) {
            let first = service.counts.line.first(waits_for);
            return !for_request && first.is_some_and(|(number, _)| number == stand.number);
        }
        let counts = &service.counts;
        if let Some(before) = x.stand.take() {
            // A place that they are handed in this moment finds them gone.
            counts.change_queue(before);
            self.lines.leave(counts, before);
        }
        let stand = counts.line.join(waits_for, self.now, &self.setup.mailbox);
        x.stand = Some(stand);
        self.lines.join(counts, stand, exchange);
        // Who was the first one to wait was not told of what was freed in this moment. Who comes later may yet use what the first
        // one cannot: a connection of this worker's.
        if counts.line.first(waits_for).is_some_and(|(number, _)| number == stand.number) {
            self.lines.freed(counts, waits_for);
        } else if service.is_short_of_connections() {
            self.lines.freed_here(Some(counts));
        }
        !for_request
    }

    /// It waits no more. Whoever was called for a place does not count as waiting from then on.
    pub(super) fn leave_queue(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.waits_until.take().is_none() {
            return;
        }
        let (stand, counted) = (x.stand.take(), std::mem::take(&mut x.queued));
        let Some(counts) = x.service.as_ref().map(|service| &service.counts) else { return };
        if let Some(stand) = stand {
            self.lines.leave(counts, stand);
        }
        counts.go(stand, counted);
    }

    /// The same, without having got what it waited for: what it could not use may do for the next one.
    pub(super) fn give_up_waiting(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange).filter(|x| x.waits_until.is_some()) else { return };
        let (counts, stand) = (x.service.as_ref().map(|service| Arc::clone(&service.counts)), x.stand);
        let first = |counts: &Arc<ServiceCounts>, stand: Stand| {
            counts.line.first(stand.waits_for).is_some_and(|(number, _)| number == stand.number)
        };
        let left = counts.zip(stand).filter(|(counts, stand)| first(counts, *stand));
        self.leave_queue(exchange);
        if let Some((counts, stand)) = left {
            self.call(&counts, stand.waits_for);
        }
    }

    /// A request has ended: its place goes to who has waited longest, with whichever worker.
    pub(super) fn hand_on(&mut self, counts: &Arc<ServiceCounts>, mut held: Held) {
        while counts.waiting.0.now() > 0 {
            let Some((number, mailbox)) = counts.call_first(For::Request) else { break };
            if !Arc::ptr_eq(&mailbox, &self.setup.mailbox) {
                return mailbox.send(Message::Place { counts: Arc::clone(counts), number, held });
            }
            match self.seat(counts, number, held) {
                None => return,
                Some(back) => held = back,
            }
        }
        counts.circuit.requests().leave(held);
        if counts.waiting.0.now() > 0 {
            self.call(counts, For::Request);
        }
    }

    /// Another worker hands a place over.
    pub(super) fn handed_over(&mut self, counts: &Arc<ServiceCounts>, number: u64, held: Held) {
        if let Some(held) = self.seat(counts, number, held) {
            self.hand_on(counts, held);
        }
    }

    /// Gives a place to who was called for it; back, if they have left.
    fn seat(&mut self, counts: &Arc<ServiceCounts>, number: u64, held: Held) -> Option<Held> {
        let stand = Stand { waits_for: For::Request, number };
        let Some(id) = self.lines.leave(counts, stand) else { return Some(held) };
        let Some(x) = self.exchanges.get_mut(id).filter(|x| x.stand == Some(stand)) else {
            return Some(held);
        };
        (x.stand, x.queued, x.admitted) = (None, false, Some(held));
        self.lines.called.push_back(id);
        self.lines.due = true;
        None
    }

    /// Something was freed at the service's endpoints: who comes first may try.
    pub(super) fn freed(&mut self, counts: &Arc<ServiceCounts>) {
        if counts.waiting.0.now() == 0 {
            return;
        }
        let (lines, own) = (&mut self.lines, &self.setup.mailbox);
        counts.line.each_first_for_a_place(|waits_for, mailbox| {
            if Arc::ptr_eq(mailbox, own) {
                lines.freed(counts, waits_for);
            } else {
                mailbox.send(Message::Room { counts: Arc::clone(counts), waits_for });
            }
        });
    }

    /// Another worker says that something was freed.
    pub(super) fn room_made(&mut self, counts: &Arc<ServiceCounts>, waits_for: For) {
        if !self.lines.freed(counts, waits_for) {
            self.call(counts, waits_for);
        }
    }

    /// Has whoever comes first try.
    fn call(&mut self, counts: &Arc<ServiceCounts>, waits_for: For) {
        let Some((_, mailbox)) = counts.line.first(waits_for) else { return };
        if Arc::ptr_eq(&mailbox, &self.setup.mailbox) {
            self.lines.freed(counts, waits_for);
        } else {
            mailbox.send(Message::Room { counts: Arc::clone(counts), waits_for });
        }
    }

    /// Whether someone waits that should try, or ejections have ended at a service where someone waits: no request may come that
    /// would see it.
    fn is_to_serve_waiting(&mut self) -> bool {
        let now = self.now;
        if self.lines.wakes_at().is_some_and(|due| due <= now) {
            self.lines.wake(now);
            let config = Rc::clone(&self.config);
            for service in &config.services {
                self.look_after(service);
                // What runs on a connection may have become too old for others to wait for it.
                if service.counts.waiting.0.now() > 0 && service.is_short_of_connections() {
                    self.lines.freed_here(Some(&service.counts));
                }
            }
            self.lines.forget_ejections(now);
        }
        std::mem::take(&mut self.lines.due)
    }

    /// A connection serves one stream less: whether it is to end, because others wait for one.
    pub(super) fn wants_connection(&mut self, id: Id, idle: bool) -> bool {
        let Some(Role::Upstream(upstream)) = self.conns.get(id).map(|conn| &conn.role) else { return false };
        let service = Rc::clone(&upstream.service);
        let wanted = self.lines.connection_freed(&service, upstream.pool, &self.exchanges);
        if wanted && !idle {
            self.lines.freed_here(Some(&service.counts));
        }
        wanted && idle
    }

    /// Whether a connection takes no stream of this request for now: with another worker, someone has waited much longer, and
    /// new streams would keep it from ever being idle. Not once something runs on it that may take any time.
    pub(super) fn is_kept_off(&self, exchange: Id, id: Id) -> bool {
        let Some(Role::Upstream(upstream)) = self.conns.get(id).map(|conn| &conn.role) else { return false };
        let (service, own) = (&upstream.service, &self.setup.mailbox);
        if service.counts.waiting.0.now() == 0 || !service.is_short_of_connections() {
            return false;
        }
        let stand = self.exchanges.get(exchange).and_then(|x| x.stand);
        let came = stand.map_or(self.now.0, |stand| stand.number);
        let elsewhere = |of, with: &Arc<_>| !Arc::ptr_eq(with, own) && service.is_room_for(upstream.pool, of);
        service.counts.line.is_overdue(came, elsewhere) && self.ends_soon(id, service.patience())
    }

    /// Whether all that runs on a connection may be expected to end before it has taken this long.
    fn ends_soon(&self, id: Id, within: Duration) -> bool {
        let Some(mux) = self.conns.get(id).and_then(|conn| conn.mux.as_ref()) else { return false };
        let soon = |tag| {
            let x = tagged(tag).and_then(|exchange| self.exchanges.get(exchange));
            x.is_none_or(|x| !x.is_tunnel() && x.attempt_began.after(within) > self.now)
        };
        mux.h2.each_stream().all(|(_, tag)| soon(tag))
    }

    /// Lets those that wait try, in order, as far as something was freed.
    pub(super) fn serve_waiting(&mut self) {
        if !self.is_to_serve_waiting() {
            return;
        }
        for _ in 0..self.lines.called.len() {
            let Some(exchange) = self.lines.called.pop_front() else { break };
            if self.exchanges.get(exchange).is_some_and(|x| x.waits_until.is_some()) {
                self.attempt(exchange, false);
            }
        }
        let mut index = 0;
        while index < self.lines.list.len() {
            self.serve_line(index);
            index += 1;
        }
        self.lines.list.retain(|line| !line.list.is_empty());
    }

    fn serve_line(&mut self, index: usize) {
        // Each of them once, and then what is left over is for another worker's.
        for _ in 0..=self.lines.list.get(index).map_or(0, |line| line.list.len()) {
            let Some(line) = self.lines.list.get_mut(index) else { return };
            let (exchange, stand, is_first) = match line.turn(&self.exchanges) {
                Turn::Try(exchange, stand, is_first) => (exchange, stand, is_first),
                Turn::Elsewhere => {
                    let (counts, waits_for) = (Arc::clone(&line.counts), line.waits_for);
                    return self.call(&counts, waits_for);
                }
                Turn::Over => return,
            };
            self.attempt(exchange, false);
            let still_waits = self.exchanges.get(exchange).is_some_and(|x| x.stand == Some(stand));
            if let Some(line) = self.lines.list.get_mut(index) {
                line.tried(is_first, still_waits);
            }
        }
        self.lines.due = true;
    }
}

impl Exchange {
    /// Nothing of it counts among the service's requests.
    fn is_uncounted(&self) -> bool {
        self.detached || self.is_tunnel() || self.is_connection()
    }
}
