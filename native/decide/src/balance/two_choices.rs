//! The better of two (Mitzenmacher, "The power of two choices in randomized load balancing", 2001).
//!
//! The first is drawn by weight and keeps the request unless the other is better: so weights hold exactly where load
//! says nothing, and both are compared even where there are only two.

use super::dice::Dice;
use super::view::{Pool, Slot};
use super::{Ask, Balancer, Loads, View};

/// Where weights differ, only such a difference of cost counts: what chance makes of latencies is less, and would wear
/// the shares away. So would the gaps between the requests of an endpoint of little weight: the other one is compared as
/// it is with the request, the first as it is without.
const CLEARLY: f32 = 2.0;

/// How many more are drawn while the best so far is an outlier: of ten endpoints of which four are ill, two choices send
/// a request in eight to one of the ill; with these, one in six hundred.
const MORE_DRAWS: u32 = 4;

/// Of two chosen by chance, the one with fewer requests under way for its weight.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastRequest;

/// Of two chosen by chance, the one whose latency and requests under way cost less; of more, while that is an outlier.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwma;

impl Balancer for LeastRequest {
    fn pick(&mut self, view: &View, loads: &Loads, ask: &Ask<'_>) -> Option<u32> {
        let mut dice = Dice::new(ask.random);
        let pool = view.pool(loads, ask, &mut dice);
        let position = view.fresh(pool, ask, &mut dice, None)?;
        let first = view.slot(position)?;
        let other = other(view, pool, ask, &mut dice, position);
        // The other is not busier with the request than the first is without it.
        let is_better = |other: &&Slot| {
            let (here, there) = (loads.in_flight(first.endpoint), loads.in_flight(other.endpoint));
            (u64::from(there) + 1) * u64::from(first.weight) <= u64::from(here) * u64::from(other.weight)
        };
        Some(other.filter(is_better).unwrap_or(first).endpoint)
    }
}

impl Balancer for PeakEwma {
    fn pick(&mut self, view: &View, loads: &Loads, ask: &Ask<'_>) -> Option<u32> {
        let mut dice = Dice::new(ask.random);
        let pool = view.pool(loads, ask, &mut dice);
        // Both are drawn before either is looked at: with thousands of endpoints, each look waits for memory.
        let first = view.fresh(pool, ask, &mut dice, None)?;
        let second = view.fresh(pool, ask, &mut dice, Some(first));
        let best = Candidate::new(view, loads, first, ask.now)?.or_better(second, view, loads, (pool, ask));
        if loads.is_outlying(best.latency) {
            return Some(look_further(best, view, loads, (pool, ask), &mut dice).slot.endpoint);
        }
        Some(best.slot.endpoint)
    }
}

/// More draws, while the best so far is an outlier.
#[cold]
fn look_further<'a>(
    mut best: Candidate<'a>,
    view: &'a View,
    loads: &Loads,
    (pool, ask): (Pool, &Ask<'_>),
    dice: &mut Dice,
) -> Candidate<'a> {
    for _ in 0..MORE_DRAWS {
        let next = view.fresh(pool, ask, dice, Some(best.position));
        best = best.or_better(next, view, loads, (pool, ask));
        if !loads.is_outlying(best.latency) {
            break;
        }
    }
    best
}

/// One that may get the request, and what it would cost there.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    position: usize,
    slot: &'a Slot,
    /// The latency to expect, in nanoseconds.
    latency: f32,
    in_flight: u32,
}

impl<'a> Candidate<'a> {
    fn new(view: &'a View, loads: &Loads, position: usize, now: u64) -> Option<Self> {
        let slot = view.slot(position)?;
        let (latency, in_flight) = loads.expected(slot.endpoint, now);
        Some(Self { position, slot, latency, in_flight })
    }

    /// This one, or another that is better.
    fn or_better(
        self,
        other: Option<usize>,
        view: &'a View,
        loads: &Loads,
        (pool, ask): (Pool, &Ask<'_>),
    ) -> Self {
        let other = other.and_then(|position| Self::new(view, loads, position, ask.now));
        other.filter(|other| other.is_better(&self, view.is_even(pool))).unwrap_or(self)
    }

    fn is_better(&self, than: &Self, is_even: bool) -> bool {
        let mean = self.slot.weight.midpoint(than.slot.weight).max(1);
        if is_even {
            self.cost(0, mean) < than.cost(0, mean)
        } else {
            self.cost(1, mean) * CLEARLY < than.cost(0, mean)
        }
    }

    /// The latency to expect, times the requests that share the endpoint, one of them this; those under way, and
    /// `more`, count less at an endpoint of more weight.
    #[expect(clippy::cast_precision_loss, reason = "a cost")]
    fn cost(&self, more: u32, mean_weight: u32) -> f32 {
        let room = self.slot.weight as f32 / mean_weight as f32;
        self.latency * (1.0 + self.in_flight.saturating_add(more) as f32 / room)
    }
}

/// Another one that was not tried.
fn other<'a>(view: &'a View, pool: Pool, ask: &Ask<'_>, dice: &mut Dice, first: usize) -> Option<&'a Slot> {
    view.slot(view.fresh(pool, ask, dice, Some(first))?)
}
