//! circuit: a service's requests under way, where their number is limited. Who finds no room waits, in order of arrival over
//! all workers: a request that ends hands its place on, so that nobody who comes later can take it.
//!
//! In: requests that begin to wait, and that end. Out: places. Before: route. After: balance.

use super::Worker;
use super::service::WorkerService;
use crate::mailbox::Message;
use crate::shared::ServiceCounts;
use crate::slab::Id;
use std::sync::Arc;
use tulle_decide::circuit::Held;

impl Worker {
    /// One more request to the service, if there may be one. Tunnels and copies do not count.
    pub(super) fn admit_request(&mut self, exchange: Id, service: &WorkerService) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        let uncounted = x.detached || x.is_tunnel() || x.is_connection();
        if service.circuit.requests.is_none() || x.admitted.is_some() || uncounted {
            return true;
        }
        x.admitted = service.counts.circuit.request(&service.circuit);
        x.admitted.is_some()
    }

    /// It waits for a place from now on.
    pub(super) fn take_ticket(&mut self, exchange: Id, service: &WorkerService) {
        let worker = self.setup.index;
        if let Some(x) = self.exchanges.get_mut(exchange).filter(|x| !x.ticket) {
            x.ticket = true;
            service.counts.tickets().push_back(worker);
        }
    }

    /// It waits no more. Whoever was called for a place does not count as waiting from then on.
    pub(super) fn leave_queue(&mut self, exchange: Id) {
        let worker = self.setup.index;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.waits_until.take().is_none() {
            return;
        }
        let (ticket, counted) = (std::mem::take(&mut x.ticket), std::mem::take(&mut x.queued));
        let Some(service) = x.service.as_ref().filter(|_| counted) else { return };
        if ticket {
            let mut tickets = service.counts.tickets();
            let Some(own) = tickets.iter().rposition(|of| *of == worker) else { return };
            tickets.remove(own);
        }
        service.counts.waiting.0.leave();
    }

    /// A request has ended: its place goes to who has waited longest, with whichever worker.
    pub(super) fn hand_on(&mut self, counts: &Arc<ServiceCounts>, held: Held) {
        if counts.waiting.0.now() == 0 {
            // Who begins to wait in this moment looks again after a while.
            return counts.circuit.requests().leave(held);
        }
        let mut held = held;
        loop {
            let next = counts.tickets().pop_front();
            let Some(worker) = next else { return counts.circuit.requests().leave(held) };
            counts.waiting.0.leave();
            if worker != self.setup.index
                && let Some(mailbox) = self.setup.mailboxes.get(worker)
            {
                return mailbox.send(Message::Place { counts: Arc::clone(counts), held });
            }
            match self.seat(counts, held) {
                None => return,
                Some(back) => held = back,
            }
        }
    }

    /// Another worker hands a place over.
    pub(super) fn handed_over(&mut self, counts: &Arc<ServiceCounts>, held: Held) {
        if let Some(held) = self.seat(counts, held) {
            self.hand_on(counts, held);
        }
    }

    /// Gives a place to who waits longest for one here; back, if nobody does.
    fn seat(&mut self, counts: &Arc<ServiceCounts>, held: Held) -> Option<Held> {
        let waits = |id: &&Id| {
            let x = self.exchanges.get(**id).filter(|x| x.ticket && x.waits_until.is_some());
            x.and_then(|x| x.service.as_ref()).is_some_and(|service| Arc::ptr_eq(&service.counts, counts))
        };
        let Some(first) = self.waiting.iter().find(waits).copied() else { return Some(held) };
        let x = self.exchanges.get_mut(first)?;
        (x.ticket, x.queued, x.admitted) = (false, false, Some(held));
        self.room = true;
        None
    }
}
