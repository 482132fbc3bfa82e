//! Deadlines: a heap with one live entry per owner, re-armed lazily, so that moving a deadline later costs nothing.

use crate::clock::Nanos;
use crate::slab::Id;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The deadline of one owner, kept beside it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline {
    due: Option<Nanos>,
    armed: Option<Nanos>,
}

impl Deadline {
    /// Whether there is none, or only one after `due`.
    pub(crate) fn is_after(&self, due: Nanos) -> bool {
        self.due.is_none_or(|own| due < own)
    }

    /// How many milliseconds ago it was set, if it was set for so many later.
    pub(crate) fn age(&self, after_ms: u32, now: Nanos) -> Option<u64> {
        let set = self.due?.0.checked_sub(u64::from(after_ms) * 1_000_000)?;
        Some(now.0.saturating_sub(set) / 1_000_000)
    }

    /// Takes it away; a heap entry that is left behind fires into nothing.
    pub(crate) fn clear(&mut self) {
        self.due = None;
    }
}

/// All deadlines of a worker.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Nanos, Id)>>,
}

impl Timers {
    /// Sets when `id` is due. No heap work unless that is earlier than what is armed.
    #[inline]
    pub(crate) fn set(&mut self, id: Id, deadline: &mut Deadline, due: Nanos) {
        deadline.due = Some(due);
        if deadline.armed.is_none_or(|armed| due < armed) {
            deadline.armed = Some(due);
            self.heap.push(Reverse((due, id)));
        }
    }

    /// When the next entry fires.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the next entry that fired by `now`.
    pub(crate) fn pop(&mut self, now: Nanos) -> Option<(Nanos, Id)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether an entry that fired means that its owner is due; re-arms it where its deadline moved on.
    pub(crate) fn is_due(&mut self, (fired, id): (Nanos, Id), deadline: &mut Deadline, now: Nanos) -> bool {
        if deadline.armed != Some(fired) {
            return false; // an earlier entry took its place
        }
        deadline.armed = None;
        match deadline.due {
            Some(due) if due <= now => true,
            Some(due) => {
                self.set(id, deadline, due);
                false
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moved_on_fires_once_at_its_new_time() {
        let id = Id::from_token(7);
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        timers.set(id, &mut deadline, Nanos(10));
        timers.set(id, &mut deadline, Nanos(30)); // later: no new entry
        timers.set(id, &mut deadline, Nanos(20));
        let mut fired = Vec::new();
        for now in 0..50 {
            while let Some(entry) = timers.pop(Nanos(now)) {
                if timers.is_due(entry, &mut deadline, Nanos(now)) {
                    fired.push(now);
                    deadline.clear();
                }
            }
        }
        assert_eq!(fired, [20]);
    }

    #[test]
    fn an_earlier_deadline_replaces_the_armed_one() {
        let id = Id::from_token(7);
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        timers.set(id, &mut deadline, Nanos(30));
        timers.set(id, &mut deadline, Nanos(5));
        let first = timers.pop(Nanos(5)).unwrap();
        assert!(timers.is_due(first, &mut deadline, Nanos(5)));
        let stale = timers.pop(Nanos(30)).unwrap();
        assert!(!timers.is_due(stale, &mut deadline, Nanos(30)));
    }
}
