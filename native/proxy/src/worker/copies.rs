//! mirror: a request once more, to a service whose answer nobody reads. Before: route, which says that there is to be a copy,
//! and dispatch, once all of the request is there. After: upstream, as for any other.
//!
//! A copy never holds its original up: it waits for no connection and no answer, and is left out beyond a bound.

use super::Worker;
use super::body::{Body, Step};
use super::exchange::{Copied, Exchange};
use crate::clock::Nanos;
use crate::slab::Id;
use crate::telemetry::{Reason, ServiceEvent};
use std::rc::Rc;
use tulle_decide::http::{Framing, RequestHead, RequestParts, list_request, write_request};
use tulle_decide::mirror::COPIES_PER_WORKER;

/// A copy that takes longer is given up.
const COPY_MS: u32 = 5_000;

/// The copies under way, each with when it is given up.
#[derive(Debug, Default)]
pub(super) struct Copies {
    list: Vec<(Nanos, Id)>,
    /// No copy is due before.
    next: Option<Nanos>,
}

impl Copies {
    pub(super) fn due(&self) -> Option<Nanos> {
        self.next
    }

    fn has_room(&self) -> bool {
        self.list.len() < COPIES_PER_WORKER as usize
    }

    fn add(&mut self, due: Nanos, copy: Id) {
        self.list.push((due, copy));
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    pub(super) fn remove(&mut self, copy: Id) {
        self.list.retain(|(_, id)| *id != copy);
        if self.list.is_empty() {
            self.next = None;
        }
    }

    fn late(&mut self, now: Nanos) -> Vec<Id> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let late = self.list.iter().filter(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
        self.next = self.list.iter().map(|(due, _)| *due).filter(|due| *due > now).min();
        late
    }
}

impl Copied {
    /// Writes the head. A copy's body follows at once, so that nothing is expected before it (RFC 9110 section 10.1.1).
    pub(super) fn write_head(&mut self, parts: &RequestParts<'_>) {
        let request = RequestHead { expect_continue: false, ..*parts.request };
        let parts = RequestParts { request: &request, ..*parts };
        if self.service.http2 {
            let scheme: &[u8] = if self.service.tls.is_some() { b"https" } else { b"http" };
            list_request(&mut self.head, &parts, scheme);
        } else {
            write_request(&mut self.head, &parts);
        }
    }
}

impl Worker {
    /// All of the request is there: sends the copy that its rule asks for, if it can be sent again at all.
    pub(super) fn send_copy(&mut self, exchange: Id) {
        let Some(x) = self
            .exchanges
            .get_mut(exchange)
            .filter(|x| x.copy.is_some() && x.request.is_done() && x.aborts.is_none())
        else {
            return;
        };
        let Some(copy) = x.copy.take() else { return };
        let counters = Rc::clone(&copy.service);
        let Some(made) = self.copies.has_room().then(|| self.copy_of(exchange, *copy)).flatten() else {
            return counters.counters.happened(ServiceEvent::CopyDropped);
        };
        counters.counters.happened(ServiceEvent::CopySent);
        let id = self.new_exchange(made);
        self.copies.add(self.now.after_ms(COPY_MS), id);
        self.attempt(id, false);
    }

    /// The body is there as it went on, in chunks or not. The copy has it, and its trailers, as it would have gone on there.
    fn copy_of(&mut self, exchange: Id, copy: Copied) -> Option<Exchange> {
        let x = self.exchanges.get(exchange).filter(|x| x.replayable)?;
        let body = x.replay.get(x.replay_head..)?;
        let to_streams = copy.service.http2;
        let from_streams = x.service.as_ref().is_some_and(|service| service.http2);
        let mut made = Exchange::detached(x, self.now);
        made.request = Body::whole(x.request.trailers(), &mut self.io.pool);
        made.replay = self.io.pool.take();
        made.replay.extend_from_slice(&copy.head);
        made.replay_head = made.replay.len();
        if x.request.lacks_length() && from_streams && !to_streams {
            let mut prefix = [0; 18];
            for part in made.request.frame(Step { done: true, ..Step::default() }, body, &mut prefix) {
                made.replay.extend_from_slice(part);
            }
        } else {
            made.replay.extend_from_slice(body);
        }
        if x.request.lacks_length() && !from_streams && to_streams {
            let own = made.replay.get_mut(made.replay_head..)?;
            let content = Body::of_request(Framing::Chunked).step(own, true).ok()?;
            let from = made.replay_head + content.from;
            made.replay.truncate(from + content.data);
            made.replay.drain(made.replay_head..from);
        }
        made.service = Some(copy.service);
        made.subset = copy.subset;
        Some(made)
    }

    pub(super) fn end_late_copies(&mut self) {
        for copy in self.copies.late(self.now) {
            self.end_exchange(copy, Reason::RequestTimeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id::from_token(number)
    }

    #[test]
    fn copies_are_given_up_when_they_are_due_and_each_once() {
        let mut copies = Copies::default();
        copies.add(Nanos(20), id(2));
        copies.add(Nanos(10), id(1));
        copies.add(Nanos(30), id(3));
        assert_eq!(copies.due(), Some(Nanos(10)));
        assert_eq!(copies.late(Nanos(9)), []);
        let late = copies.late(Nanos(20));
        assert_eq!(late, [id(2), id(1)]);
        for copy in late {
            copies.remove(copy);
        }
        assert_eq!(copies.due(), Some(Nanos(30)));
        assert_eq!(copies.late(Nanos(20)), []);
        copies.remove(id(3));
        assert_eq!((copies.due(), copies.late(Nanos(100))), (None, vec![]));
    }

    #[test]
    fn there_is_room_again_when_one_has_ended() {
        let mut copies = Copies::default();
        for number in 0..u64::from(COPIES_PER_WORKER) {
            assert!(copies.has_room());
            copies.add(Nanos(number), id(number));
        }
        assert!(!copies.has_room());
        copies.remove(id(u64::from(COPIES_PER_WORKER)));
        assert!(!copies.has_room(), "who was no copy");
        copies.remove(id(7));
        assert!(copies.has_room());
    }
}
