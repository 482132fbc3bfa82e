//! How the endpoints of a service stand: what health checks say, what ejection decided, how much is under way to each.
//!
//! In: verdicts of the health thread, outcomes that workers saw. Out: flags that workers read, and a number that moves
//! when any of them changes, so that a worker looks at them once per change and not per request. Kept by service and
//! address over configuration changes.

use crate::clock::Nanos;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tulle_decide::circuit::EndpointCircuit;
use tulle_decide::outlier::{Accrual, Streak, Window};

/// How one address of a service stands. Written rarely: reading it costs workers no more than reading their own memory.
#[derive(Debug)]
pub(crate) struct Standing {
    unhealthy: AtomicBool,
    why: Mutex<&'static str>,
    ejection: AtomicU8,
    /// Errors since the last success, over all workers.
    pub(crate) streak: Streak,
    /// When it came, or came back, in nanoseconds of the process's clock; 0: it was there from the beginning.
    since: AtomicU64,
    /// What is open and under way to it, where there is a limit on that.
    pub(crate) circuit: EndpointCircuit,
    judge: Mutex<Judge>,
}

/// What decides about ejection.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) accrual: Accrual,
    /// Where shares of successes are judged.
    pub(crate) window: Option<Window>,
}

/// Whether outlier detection leaves an endpoint out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ejection {
    /// It takes its share.
    In = 0,
    /// It is left out.
    Out = 1,
    /// Its time is over, and one request is to tell how it does.
    ProbeDue = 2,
}

impl Standing {
    /// One that is there from the beginning (`came`: 0), or that takes its full share only after a while, because it came
    /// just now.
    pub(crate) fn new(came: Nanos) -> Self {
        Self {
            unhealthy: false.into(),
            why: Mutex::new(""),
            ejection: 0.into(),
            streak: Streak::default(),
            since: came.0.into(),
            circuit: EndpointCircuit::default(),
            judge: Mutex::new(Judge { accrual: Accrual::new(came.0), window: None }),
        }
    }

    pub(crate) fn came(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// It is back, and begins slowly.
    pub(crate) fn comes_back(&self, now: Nanos) {
        self.since.store(now.0, Ordering::Relaxed);
    }

    pub(crate) fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    /// Takes note of what health checks found.
    pub(crate) fn set_health(&self, healthy: bool, why: &'static str) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
        self.unhealthy.store(!healthy, Ordering::Relaxed);
    }

    /// What the last health check that failed found; empty: nothing.
    pub(crate) fn why(&self) -> &'static str {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ejection(&self) -> Ejection {
        match self.ejection.load(Ordering::Relaxed) {
            0 => Ejection::In,
            1 => Ejection::Out,
            _ => Ejection::ProbeDue,
        }
    }

    pub(crate) fn set_ejection(&self, ejection: Ejection) {
        self.ejection.store(ejection as u8, Ordering::Relaxed);
    }

    /// What decides about ejection. Locked when an endpoint fails, and ten times a second where shares are judged.
    pub(crate) fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the endpoints of a service have in common.
#[derive(Debug)]
pub(crate) struct Roster {
    /// Moves whenever any of them changes.
    epoch: AtomicU64,
    /// When the next of them is due, in nanoseconds of the process's clock.
    next: AtomicU64,
    panics: AtomicBool,
    /// Since when some endpoint waits for a request that tells how it does, in nanoseconds of the process's clock; 0: none.
    wants_probe: AtomicU64,
    /// When a worker last said that there is traffic, in nanoseconds of the process's clock.
    traffic: AtomicU64,
    /// Held while the endpoints are counted.
    counting: Mutex<()>,
}

impl Default for Roster {
    fn default() -> Self {
        Self {
            epoch: 0.into(),
            next: u64::MAX.into(),
            panics: false.into(),
            wants_probe: 0.into(),
            traffic: 0.into(),
            counting: Mutex::new(()),
        }
    }
}

impl Roster {
    /// Which state of affairs it is. Read before the endpoints: what changes meanwhile is seen next time.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Some endpoint stands otherwise now.
    pub(crate) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Has someone look at the endpoints no later than `due`.
    pub(crate) fn wake_at(&self, due: u64) {
        self.next.fetch_min(due, Ordering::Relaxed);
    }

    /// When the next of them is due, in nanoseconds of the process's clock; `u64::MAX`: none is.
    pub(crate) fn next_due(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// True for one caller, once an endpoint is due.
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        let due = self.next.load(Ordering::Relaxed);
        due <= now.0
            && self.next.compare_exchange(due, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether ejected endpoints are used all the same.
    pub(crate) fn panics(&self) -> bool {
        self.panics.load(Ordering::Relaxed)
    }

    /// Sets it; true: that is news.
    pub(crate) fn set_panics(&self, panics: bool) -> bool {
        self.panics.swap(panics, Ordering::Relaxed) != panics
    }

    /// Since when some endpoint waits for a request that tells how it does; none: no one does.
    pub(crate) fn wants_probe(&self) -> Option<Nanos> {
        Some(self.wants_probe.load(Ordering::Relaxed)).filter(|since| *since > 0).map(Nanos)
    }

    pub(crate) fn set_wants_probe(&self, wants: bool, now: Nanos) {
        if wants {
            let _since_earlier =
                self.wants_probe.compare_exchange(0, now.0.max(1), Ordering::Relaxed, Ordering::Relaxed);
        } else {
            self.wants_probe.store(0, Ordering::Relaxed);
        }
    }

    /// To be held while the endpoints are counted: what one worker counted before another one's change is not written
    /// after it.
    pub(crate) fn counting(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There was traffic just now.
    pub(crate) fn note_traffic(&self, now: Nanos) {
        self.traffic.store(now.0, Ordering::Relaxed);
    }

    /// When there was traffic last.
    pub(crate) fn last_traffic(&self) -> Nanos {
        Nanos(self.traffic.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_looked_at_by_one() {
        let roster = Roster::default();
        assert!(!roster.is_due(Nanos(u64::MAX - 1)), "nothing is due");
        roster.wake_at(20);
        roster.wake_at(10);
        roster.wake_at(30);
        assert!(!roster.is_due(Nanos(9)));
        let lookers = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| roster.is_due(Nanos(10)))).collect();
            all.into_iter().map(|looker| looker.join().unwrap()).filter(|due| *due).count()
        });
        assert_eq!(lookers, 1);
        assert!(!roster.is_due(Nanos(100)), "who looked says when the next is due");
    }

    #[test]
    fn a_probe_is_wanted_since_it_was_first_wanted() {
        let roster = Roster::default();
        assert_eq!(roster.wants_probe(), None);
        roster.set_wants_probe(true, Nanos(5));
        roster.set_wants_probe(true, Nanos(9));
        assert_eq!(roster.wants_probe(), Some(Nanos(5)));
        roster.set_wants_probe(false, Nanos(10));
        assert_eq!(roster.wants_probe(), None);
        roster.set_wants_probe(true, Nanos(0));
        assert!(roster.wants_probe().is_some(), "time 0 is no exception");
    }
}
