//! What is counted of an endpoint: errors in a row, and successes and failures of late.

use super::Tally;
use std::sync::atomic::{AtomicU32, Ordering};

/// The window is forgotten in tenths.
const BUCKETS: usize = 10;

/// Successes and failures over a window: ten buckets, the newest of which is still being filled. So it reaches back
/// between nine and ten tenths of its length. 112 bytes; whoever folds the counts of the workers owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    bucket_ns: u64,
    /// The number, since time 0, of the newest bucket.
    newest: u64,
    buckets: [(u32, u32); BUCKETS],
    sum: Tally,
}

impl Window {
    /// Of this length, which is at least ten nanoseconds.
    #[must_use]
    pub fn new(length_ns: u64) -> Self {
        let bucket_ns = (length_ns / BUCKETS as u64).max(1);
        Self { bucket_ns, newest: 0, buckets: [(0, 0); BUCKETS], sum: Tally::default() }
    }

    /// So many more successes and failures.
    pub fn add(&mut self, successes: u32, failures: u32, now_ns: u64) {
        self.advance(now_ns);
        let at = self.newest;
        let Some(bucket) = self.bucket(at) else { return };
        let before = *bucket;
        *bucket = (before.0.saturating_add(successes), before.1.saturating_add(failures));
        let after = *bucket;
        self.sum.successes += u64::from(after.0 - before.0);
        self.sum.failures += u64::from(after.1 - before.1);
    }

    /// What it holds.
    #[must_use]
    pub fn tally(&mut self, now_ns: u64) -> Tally {
        self.advance(now_ns);
        self.sum
    }

    /// Forgets everything: an endpoint that was readmitted is not judged by what it did before.
    pub fn clear(&mut self) {
        self.buckets = [(0, 0); BUCKETS];
        self.sum = Tally::default();
    }

    /// Forgets what the window has left behind.
    fn advance(&mut self, now_ns: u64) {
        let newest = now_ns / self.bucket_ns;
        for gone in 1..=newest.saturating_sub(self.newest).min(BUCKETS as u64) {
            let at = self.newest + gone;
            let (successes, failures) = self.bucket(at).map(std::mem::take).unwrap_or_default();
            self.sum.successes -= u64::from(successes);
            self.sum.failures -= u64::from(failures);
        }
        self.newest = self.newest.max(newest);
    }

    fn bucket(&mut self, number: u64) -> Option<&mut (u32, u32)> {
        self.buckets.get_mut(usize::try_from(number % BUCKETS as u64).ok()?)
    }
}

/// Errors in a row of one endpoint, over all workers. A success writes only if there was an error before it, so that an
/// endpoint that does well has a line that all workers may read and none writes.
#[derive(Debug, Default)]
pub struct Streak(AtomicU32);

impl Streak {
    /// One more error; how many there are in a row with it.
    pub fn error(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// A success ends the row.
    pub fn success(&self) {
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    /// How many there are in a row.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
