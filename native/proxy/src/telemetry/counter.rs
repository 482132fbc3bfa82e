//! Counters with one writer: the worker that owns them. Anyone may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. Only one thread may call [`Counter::add`]: it loads and stores, without a locked
/// instruction, so a second writer would lose counts.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; wraps at 2^64.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The value as of some moment before now.
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
