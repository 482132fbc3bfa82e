//! Waiting awake: a thread that sleeps is woken some 50 µs late on a virtual machine, which is more than a short request
//! takes.
//!
//! With a few connections at most, the worker looks some more times before it sleeps, as long as that keeps paying off;
//! each look that came to nothing makes the next one rarer. With more of them there is usually something to do, and
//! looking would only cost.

use crate::clock::Nanos;

/// How long one wait is spent awake at most.
const SPIN: u64 = 60_000;
/// Connections, of clients and to upstreams, up to which it is tried: two conversations.
const FEW: usize = 4;
/// What a look that paid off is worth, and the most that can be saved up.
const GAIN: i32 = 2;
const MOST: i32 = 16;
/// What a look that came to nothing costs.
const LOSS: i32 = 3;
/// After so many waits without one, a look is tried again.
const REST: u32 = 64;

/// Whether looking pays off.
#[derive(Debug, Default)]
pub(super) struct Spin {
    credit: i32,
    rested: u32,
}

impl Spin {
    /// Whether the coming wait begins awake; `connections`: those of both sides.
    pub(super) fn is_worth_it(&mut self, connections: usize) -> bool {
        if connections == 0 || connections > FEW {
            return false;
        }
        self.rested = self.rested.saturating_add(1);
        let tries = self.credit > 0 || self.rested >= REST;
        if tries {
            self.rested = 0;
        }
        tries
    }

    /// Takes note of what a look came to.
    pub(super) fn note(&mut self, paid_off: bool) {
        let change = if paid_off { GAIN } else { -LOSS };
        self.credit = (self.credit + change).clamp(0, MOST);
    }
}

/// Whether a look that began then is over.
pub(super) fn is_over(began: Nanos, now: Nanos) -> bool {
    now.0.saturating_sub(began.0) >= SPIN
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the waits begin awake.
    fn awake(spin: &mut Spin, waits: u32, pays_off: bool) -> u32 {
        let mut awake = 0;
        for _ in 0..waits {
            if spin.is_worth_it(2) {
                awake += 1;
                spin.note(pays_off);
            }
        }
        awake
    }

    #[test]
    fn what_pays_off_is_done_and_what_does_not_is_left() {
        let mut spin = Spin::default();
        assert!(awake(&mut spin, 64 * 100, false) <= 100, "an idle proxy sleeps");
        assert!(awake(&mut spin, 1_000, true) >= 900, "a conversation is followed");
        assert!(awake(&mut spin, 1_000, false) <= 6 + 1_000 / REST, "and left when it ends");
        assert!((0..200).all(|_| !spin.is_worth_it(0) && !spin.is_worth_it(5)), "nobody or many: not at all");
    }
}
