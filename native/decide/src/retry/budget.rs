//! How many retries a rule may make, over the whole process.
//!
//! In: each first attempt, and each wish to retry, with the time. Out: yes or no. A share of the requests over a
//! sliding window, and not a bucket of tokens per request: what it says ("20 % of the last ten seconds") is what an
//! operator sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use tulle_snapshot::wire::RetryBudget;

/// Buckets of a second each.
const WINDOW_S: u32 = 10;
const SECOND: u64 = 1_000_000_000;

/// The retry budget of a rule, shared by all workers: of the requests of the last ten seconds so many percent, and so
/// many per second besides.
///
/// Each worker counts in a cell of its own, with plain loads and stores; nothing that another one writes is touched
/// until a retry is wanted. What that costs in exactness:
/// - The window is the second under way and the nine before it: 9 to 10 seconds.
/// - A retry is written down before the cells are added up, and taken back if it does not fit. So workers that ask at
///   the same time can never exceed the budget; each of them may be refused although there was room for some of them,
///   fewer than there are workers.
/// - First attempts that other workers are counting at this moment may be missed, until the processor has made their
///   stores visible; and clocks that workers read once per turn may lag by that turn.
#[derive(Debug)]
pub struct Budget {
    percent: u64,
    floor: u64,
    cells: Box<[Cell]>,
}

/// What one worker counted; no other one writes to it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell {
    requests: [Bucket; WINDOW_S as usize],
    retries: [Bucket; WINDOW_S as usize],
}

/// The second in the upper half, a count in the lower, so that both change at once.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

/// What the window holds, for metrics and explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetUse {
    /// First attempts.
    pub requests: u64,
    /// Retries.
    pub retries: u64,
    /// Retries that there may be.
    pub allowed: u64,
}

impl Budget {
    /// For so many workers, numbered from 0.
    #[must_use]
    pub fn new(wire: RetryBudget, workers: usize) -> Self {
        Self {
            percent: u64::from(wire.percent),
            floor: u64::from(wire.min_per_second) * u64::from(WINDOW_S),
            cells: (0..workers).map(|_| Cell::default()).collect(),
        }
    }

    /// A worker's own handle; each worker takes one. None, if there is no worker of this number.
    #[must_use]
    pub fn handle(self: &Arc<Self>, worker: usize) -> Option<WorkerBudget> {
        (worker < self.cells.len()).then(|| WorkerBudget { shared: Arc::clone(self), worker })
    }

    /// What the window holds at this time.
    #[must_use]
    pub fn now(&self, now_ns: u64) -> BudgetUse {
        let second = second(now_ns);
        let sum = |buckets: fn(&Cell) -> &[Bucket; WINDOW_S as usize]| {
            self.cells.iter().flat_map(buckets).map(|bucket| bucket.within(second)).sum::<u64>()
        };
        let (requests, retries) = (sum(|cell| &cell.requests), sum(|cell| &cell.retries));
        BudgetUse { requests, retries, allowed: requests * self.percent / 100 + self.floor }
    }
}

/// A worker's handle on the budget of a rule.
#[derive(Debug)]
pub struct WorkerBudget {
    shared: Arc<Budget>,
    worker: usize,
}

impl WorkerBudget {
    /// A first attempt is made. `now_ns` never goes back.
    pub fn request(&mut self, now_ns: u64) {
        if let Some(cell) = self.shared.cells.get(self.worker) {
            add(&cell.requests, second(now_ns), 1);
        }
    }

    /// Takes a retry from the budget, if there is one left. `now_ns` never goes back.
    #[must_use]
    pub fn charge(&mut self, now_ns: u64) -> bool {
        let Some(cell) = self.shared.cells.get(self.worker) else { return false };
        add(&cell.retries, second(now_ns), 1);
        // Of two workers here, the one whose fence is later sees what the other has written.
        fence(Ordering::SeqCst);
        let window = self.shared.now(now_ns);
        let fits = window.retries <= window.allowed;
        if !fits {
            add(&cell.retries, second(now_ns), -1);
        }
        fits
    }

    /// The budget itself.
    #[must_use]
    pub fn shared(&self) -> &Arc<Budget> {
        &self.shared
    }
}

/// Adds to the bucket of a second. Only the worker that owns the buckets does, so that no read-modify-write is needed.
fn add(buckets: &[Bucket; WINDOW_S as usize], second: u32, by: i32) {
    if let Some(bucket) = buckets.get((second % WINDOW_S) as usize) {
        let (stamp, count) = bucket.load();
        let count = if stamp == second { count } else { 0 };
        let word = u64::from(second) << 32 | u64::from(count.saturating_add_signed(by));
        bucket.0.store(word, Ordering::Relaxed);
    }
}

impl Bucket {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    fn load(&self) -> (u32, u32) {
        let word = self.0.load(Ordering::Relaxed);
        ((word >> 32) as u32, word as u32)
    }

    /// The count, if its second is within the window that ends with `second`, or after it: a clock may lag.
    fn within(&self, second: u32) -> u64 {
        let (stamp, count) = self.load();
        if stamp.saturating_add(WINDOW_S) > second { u64::from(count) } else { 0 }
    }
}

/// Seconds, from 1, so that an empty bucket is never a current one.
fn second(now_ns: u64) -> u32 {
    u32::try_from(now_ns / SECOND + u64::from(WINDOW_S)).unwrap_or(u32::MAX)
}
