//! What is due when. In: ids and times. Out: the ids that are due, earliest first.

use std::collections::BTreeSet;

/// Times of day for ids. An id stands in it once; whoever put it in remembers when for, to take it out.
///
/// A tree and not a heap: what is taken out leaves nothing behind, however often it is moved.
#[derive(Debug, Clone, Default)]
pub struct Schedule<T> {
    entries: BTreeSet<(u64, T)>,
}

impl<T: Copy + Ord> Schedule<T> {
    /// Nothing is due.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeSet::new() }
    }

    /// Has `id` be due at this time.
    pub fn put(&mut self, due: u64, id: T) {
        self.entries.insert((due, id));
    }

    /// Takes out what was put in for this time.
    pub fn remove(&mut self, due: u64, id: T) {
        self.entries.remove(&(due, id));
    }

    /// When the next one is due.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.entries.first().map(|(due, _)| *due)
    }

    /// Takes out the earliest that is due by `now`.
    pub fn take(&mut self, now: u64) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.entries.pop_first().map(|(_, id)| id)
    }
}
