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

/// Of two chosen by chance, the one with fewer requests under way for its weight.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastRequest;

/// Of two chosen by chance, the one whose latency and requests under way cost less.
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
        let position = view.fresh(pool, ask, &mut dice, None)?;
        let first = view.slot(position)?;
        let other = other(view, pool, ask, &mut dice, position);
        let is_even = view.is_even(pool);
        let is_better = |other: &&Slot| {
            let mean = first.weight.midpoint(other.weight).max(1);
            let here = cost(loads, first, 0, mean, ask.now);
            if is_even {
                cost(loads, other, 0, mean, ask.now) < here
            } else {
                cost(loads, other, 1, mean, ask.now) * CLEARLY < here
            }
        };
        Some(other.filter(is_better).unwrap_or(first).endpoint)
    }
}

/// Another one that was not tried.
fn other<'a>(view: &'a View, pool: Pool, ask: &Ask<'_>, dice: &mut Dice, first: usize) -> Option<&'a Slot> {
    view.slot(view.fresh(pool, ask, dice, Some(first))?)
}

/// The latency to expect, times the requests that share the endpoint, one of them this; those under way, and `more`,
/// count less at an endpoint of more weight.
#[expect(clippy::cast_precision_loss, reason = "a cost")]
fn cost(loads: &Loads, slot: &Slot, more: u32, mean_weight: u32, now: u64) -> f32 {
    let room = slot.weight as f32 / mean_weight as f32;
    let others = loads.in_flight(slot.endpoint).saturating_add(more) as f32;
    loads.latency(slot.endpoint, now) * (1.0 + others / room)
}
