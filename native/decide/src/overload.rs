//! What is turned away when there is too much to do.
//!
//! In: how many requests are under way, how much there may be, how full memory and queues are, and the request's
//! priority. Out: whether it is let in. Before: route. After: balance, or an answer of 503 with `Retry-After`.
//!
//! [`Gate`] is shared by all workers of a process; each fills a [`Batch`] of its own per service and hands it over every
//! 100 ms. Whoever finds it time folds the sum into [`Adaptive`], and writes its limit to the gate.

mod adaptive;
mod batch;

pub use adaptive::Adaptive;
pub use batch::{Batch, Outcome};

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tulle_snapshot::wire::Priority;

/// How full something bounded is: memory, or a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Below three quarters.
    #[default]
    None,
    /// From three quarters on.
    Tight,
    /// From 95 % on.
    Full,
}

impl Pressure {
    /// The pressure where `used` of `bound` is used. A bound of 0 is full.
    #[must_use]
    pub fn of(used: u64, bound: u64) -> Self {
        let (used, bound) = (u128::from(used), u128::from(bound));
        if used * 100 >= bound * 95 {
            Self::Full
        } else if used * 4 >= bound * 3 {
            Self::Tight
        } else {
            Self::None
        }
    }
}

/// Whether a request is let in while `in_flight` are under way and `limit` may be: the greatest pressure counts.
///
/// | of the limit | none | tight | full |
/// |---|---|---|---|
/// | low | 75 % | none | none |
/// | normal | 90 % | 50 % | none |
/// | high | all | all | 50 % |
///
/// Shares are rounded up: a limit of 1 is 1 for all that get a share. Without a limit, pass `u32::MAX`. Probes and
/// admin are not asked about.
#[must_use]
pub fn admits(priority: Priority, pressure: Pressure, in_flight: u32, limit: u32) -> bool {
    is_below(percent(priority, pressure), in_flight, limit)
}

fn percent(priority: Priority, pressure: Pressure) -> u32 {
    match (priority, pressure) {
        (Priority::Low, Pressure::Tight | Pressure::Full) | (Priority::Normal, Pressure::Full) => 0,
        (Priority::Low, Pressure::None) => 75,
        (Priority::Normal, Pressure::None) => 90,
        (Priority::Normal, Pressure::Tight) | (Priority::High, Pressure::Full) => 50,
        (Priority::High, _) => 100,
    }
}

fn is_below(percent: u32, in_flight: u32, limit: u32) -> bool {
    u64::from(in_flight) < (u64::from(limit) * u64::from(percent)).div_ceil(100)
}

/// What is left of a class's share, in percent of it, where a class above it was turned away.
const YIELDS: u32 = 80;
/// How many percent of the limit it gets back, where none was.
const RETURNS: u32 = 2;

/// The requests under way to one service in this process, and how many there may be.
#[derive(Debug)]
pub struct Gate {
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// What low and normal requests may use, in percent of the limit: as in [`admits`], or less while those above them are
    /// turned away.
    shares: [AtomicU32; 2],
    /// Which classes were turned away since [`Gate::rebalance`]: written once, so that a flood of refusals only reads.
    refused: [AtomicBool; 3],
}

impl Gate {
    /// With nothing under way.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        let shares = [Priority::Low, Priority::Normal].map(|class| percent(class, Pressure::None).into());
        Self { limit: limit.into(), in_flight: 0.into(), shares, refused: Default::default() }
    }

    /// Lets a request in, if [`admits`] says so, and no class above it needs the room. It counts until [`Gate::leave`].
    #[must_use]
    pub fn enter(&self, priority: Priority, pressure: Pressure) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let share = self.shares.get(priority as usize).map_or(100, |share| share.load(Ordering::Relaxed));
        let percent = percent(priority, pressure).min(share);
        let count = |in_flight| is_below(percent, in_flight, limit).then_some(in_flight + 1);
        let entered = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok();
        if !entered
            && let Some(refused) = self.refused.get(priority as usize)
            && !refused.load(Ordering::Relaxed)
        {
            refused.store(true, Ordering::Relaxed);
        }
        entered
    }

    /// Divides the limit anew between the classes, by who was turned away since the last call: fixed shares would let a
    /// flood of normal requests have nine tenths while high ones are turned away. To be called every 100 ms, or with how
    /// many `periods` of 100 ms have passed, of which the first is the one that was seen. A class that is left nothing ends
    /// no request that could be the occasion: being turned away is one, too.
    pub fn rebalance(&self, periods: u32) {
        // Nobody is below the low ones.
        let [_, normal, high] = self.refused.each_ref().map(|refused| refused.swap(false, Ordering::Relaxed));
        let above = [normal || high, high];
        let classes = [Priority::Low, Priority::Normal];
        for ((share, class), yields) in self.shares.iter().zip(classes).zip(above) {
            let now = share.load(Ordering::Relaxed);
            let first = if yields { now * YIELDS / 100 } else { now + RETURNS };
            let next = first.saturating_add(RETURNS.saturating_mul(periods.saturating_sub(1)));
            share.store(next.min(percent(class, Pressure::None)), Ordering::Relaxed);
        }
    }

    /// A request that was let in has ended. How many were under way with it is given, for [`Batch::finished`].
    pub fn leave(&self) -> u32 {
        self.in_flight.fetch_sub(1, Ordering::Relaxed)
    }

    /// How many there may be from now on; those under way stay.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many there may be.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// How many there are.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}
