//! Who waits for room at a service, in order of arrival over all workers.
//!
//! In: requests that begin and cease to wait. Out: whose turn it is when something was freed. Touched only where somebody
//! waits. Before: `worker/slots`, which makes requests wait. After: a worker's mailbox.

use crate::clock::Nanos;
use crate::mailbox::Mailbox;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much longer than those of a worker someone waits with another one, in nanoseconds, until a connection that is freed is
/// closed for them: connections are opened anew no more often than that, and nobody waits for ever.
const LONGER: u64 = 50_000_000;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// One of the service's requests.
    Request,
    /// Room at an endpoint of the service or of this subset, or a connection there, among the places of this number: who came
    /// before a change of them may have to wait where others have room.
    Place(u32, Option<u32>),
}

/// Where someone stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) waits_for: For,
    /// Whose is lower comes first. When they came, in nanoseconds of the process's clock, or one more than the last one's.
    pub(crate) number: u64,
}

/// All queues of a service.
#[derive(Debug, Default)]
pub(crate) struct Line(Mutex<Queues>);

#[derive(Debug, Default)]
struct Queues {
    last: u64,
    /// One for whatever is waited for.
    list: Vec<(For, VecDeque<Ticket>)>,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    /// Of the worker.
    mailbox: Arc<Mailbox>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the last place.
    pub(crate) fn join(&self, waits_for: For, now: Nanos, mailbox: &Arc<Mailbox>) -> Stand {
        let mut queues = self.lock();
        queues.last = now.0.max(queues.last + 1);
        let (number, ticket) = (queues.last, Ticket { number: queues.last, mailbox: Arc::clone(mailbox) });
        match queues.list.iter_mut().find(|(of, _)| *of == waits_for) {
            Some((_, queue)) => queue.push_back(ticket),
            None => queues.list.push((waits_for, VecDeque::from([ticket]))),
        }
        Stand { waits_for, number }
    }

    /// Gives a place up. False: it had been called, and so taken out.
    pub(crate) fn leave(&self, stand: Stand) -> bool {
        let mut queues = self.lock();
        let Some((_, queue)) = queues.list.iter_mut().find(|(of, _)| *of == stand.waits_for) else {
            return false;
        };
        let at = queue.binary_search_by_key(&stand.number, |ticket| ticket.number);
        let left = at.is_ok_and(|at| queue.remove(at).is_some());
        // Queues of configurations that are no more come to no end otherwise.
        if queue.is_empty() && stand.waits_for != For::Request {
            queues.list.retain(|(of, _)| *of != stand.waits_for);
        }
        left
    }

    /// Who comes first, and with which worker.
    pub(crate) fn first(&self, waits_for: For) -> Option<(u64, Arc<Mailbox>)> {
        let queues = self.lock();
        let (_, queue) = queues.list.iter().find(|(of, _)| *of == waits_for)?;
        queue.front().map(|ticket| (ticket.number, Arc::clone(&ticket.mailbox)))
    }

    /// The same, and takes them out.
    pub(crate) fn take_first(&self, waits_for: For) -> Option<(u64, Arc<Mailbox>)> {
        let mut queues = self.lock();
        let (_, queue) = queues.list.iter_mut().find(|(of, _)| *of == waits_for)?;
        queue.pop_front().map(|ticket| (ticket.number, ticket.mailbox))
    }

    /// Whether someone `counts`, by what they wait for and with which worker, who comes first for a place and came much earlier
    /// than this number, or time, says.
    pub(crate) fn is_overdue(&self, number: u64, mut counts: impl FnMut(For, &Arc<Mailbox>) -> bool) -> bool {
        let queues = self.lock();
        queues.list.iter().any(|(of, queue)| {
            let early = |first: &&Ticket| first.number.saturating_add(LONGER) < number;
            let first = queue.front().filter(early).filter(|_| matches!(of, For::Place(..)));
            first.is_some_and(|first| counts(*of, &first.mailbox))
        })
    }

    /// The first of each queue for places.
    pub(crate) fn each_first_for_a_place(&self, mut tell: impl FnMut(For, &Arc<Mailbox>)) {
        for (waits_for, queue) in &self.lock().list {
            if let (For::Place(..), Some(first)) = (waits_for, queue.front()) {
                tell(*waits_for, &first.mailbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_come_is_the_first_over_all_workers() {
        let (one, two) = (Arc::new(Mailbox::new().unwrap()), Arc::new(Mailbox::new().unwrap()));
        let (line, here) = (Line::default(), For::Place(1, None));
        let stands: Vec<_> = [&one, &two, &one, &two].map(|of| line.join(here, Nanos(7), of)).into();
        let other = line.join(For::Place(1, Some(3)), Nanos(5_000), &two);
        assert_eq!(stands.iter().map(|stand| stand.number).collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert_eq!(other.number, 5_000);
        let overdue = |number| line.is_overdue(number, |of, _| of == here);
        assert_eq!((overdue(7 + LONGER), overdue(8 + LONGER)), (false, true));
        assert!(
            !line.is_overdue(u64::MAX, |of, with| of == here && Arc::ptr_eq(with, &two)),
            "not the first"
        );
        assert!(line.is_overdue(u64::MAX, |of, with| of != here && Arc::ptr_eq(with, &two)));
        let first = |of| line.first(of).map(|(number, mailbox)| (number, Arc::ptr_eq(&mailbox, &one)));
        assert_eq!(first(here), Some((stands[0].number, true)));
        assert!(line.leave(stands[2]), "from the middle");
        assert!(line.leave(stands[0]));
        assert!(!line.leave(stands[0]), "only once");
        assert_eq!(first(here), Some((stands[1].number, false)));
        assert_eq!(first(For::Request), None);
        let mut told = Vec::new();
        line.each_first_for_a_place(|of, mailbox| told.push((of, Arc::ptr_eq(mailbox, &two))));
        assert_eq!(told, [(here, true), (For::Place(1, Some(3)), true)], "one of each subset");
        assert_eq!(line.take_first(here).map(|(number, _)| number), Some(stands[1].number));
        assert!(!line.leave(stands[1]), "it was called");
        assert!(line.leave(stands[3]) && line.leave(other));
        assert_eq!(line.take_first(here).map(|(number, _)| number), None);
    }
}
