//! The generic cell rate algorithm: virtual scheduling, ATM Forum, Traffic Management Specification 4.0, section 4.4.2
//! (ITU-T I.371, annex A). A bucket is one number: the theoretical arrival time (TAT), at or before which it is at rest.

use super::Verdict;
use crate::chance::below;

const SECOND: u64 = 1_000_000_000;
/// How far the clocks of workers may be apart.
const SKEW: u64 = SECOND;

/// A rate and a burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gcra {
    rate: u64,
    burst: u32,
    /// Whole nanoseconds between two requests, rounded down.
    interval: u64,
    /// What was rounded off: so many `rate`-ths of a nanosecond.
    short: u64,
    /// 2^64 by `rate`, rounded up: to multiply by instead of dividing. Unused where `short` is 0.
    inverse: u64,
    /// How far ahead of now a TAT may be.
    tolerance: u64,
}

/// A decision, and the TAT to keep if it is to stand: mostly the one there was, if it is to refuse.
pub(super) struct Step {
    pub(super) verdict: Verdict,
    pub(super) tat: u64,
}

impl Gcra {
    /// A rate of 1 to 1,000,000 per second, and a burst of 1 at least; others count as the nearest.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let rate = u64::from(rate.clamp(1, 1_000_000));
        let burst = burst.clamp(1, 1_000_000);
        let short = SECOND % rate;
        // Where steps are rounded, a burst of them may be a nanosecond longer than it would be.
        let tolerance = (u64::from(burst) * SECOND).div_ceil(rate) + u64::from(short != 0);
        let inverse = (u64::MAX / rate).saturating_add(1);
        Self { rate, burst, interval: SECOND / rate, short, inverse, tolerance }
    }

    /// One more request at `now`, for a bucket at `tat`.
    pub(super) fn step(&self, tat: u64, now: u64) -> Step {
        let furthest = now.saturating_add(self.tolerance);
        // After a change of limits, a bucket may be further ahead than it can get under the new ones.
        let beyond = tat > furthest.saturating_add(SKEW);
        let tat = if beyond { furthest } else { tat.max(now) };
        let next = tat.saturating_add(self.gap_after(tat));
        let ahead = next - now;
        if ahead > self.tolerance {
            let retry_after_ns = ahead - self.tolerance;
            let verdict = Verdict::Refuse { limit: self.burst, reset_ns: tat - now, retry_after_ns };
            return Step { verdict, tat };
        }
        // The product is that of burst and second at most.
        let left = (self.tolerance - ahead) * self.rate / SECOND;
        let remaining = u32::try_from(left).unwrap_or(u32::MAX).min(self.burst - 1);
        let verdict = Verdict::Pass { limit: self.burst, remaining, reset_ns: ahead };
        Step { verdict, tat: next }
    }

    /// From one TAT to the next, in whole nanoseconds that never drift: the gap between the two multiples of the exact
    /// interval around it, each rounded up. As a second holds a whole number of intervals, the multiples are those
    /// within its second.
    fn gap_after(&self, tat: u64) -> u64 {
        if self.short == 0 {
            return self.interval;
        }
        // The nth multiple is n whole intervals and n times what was rounded off. That is below 2^40 and the rate below
        // 2^20, so the quotient is exact.
        let rest = |n: u64| below(self.inverse, n * self.short + self.rate - 1);
        let n = tat % SECOND * self.rate / SECOND;
        self.interval + rest(n + 1) - rest(n)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gcra, SECOND};

    #[test]
    fn gaps_are_those_between_exact_multiples_rounded_up() {
        for rate in [3, 6, 7, 11, 4096, 65_537, 300_007, 524_288, 700_000, 999_983, 999_999] {
            let gcra = Gcra::new(rate, 1);
            let rate = u64::from(rate);
            let multiple = |n: u64| (n * SECOND).div_ceil(rate);
            for n in (0..rate).step_by(1 + usize::try_from(rate / 5000).unwrap()).chain([rate - 1]) {
                let expected = multiple(n + 1) - multiple(n);
                assert_eq!(gcra.gap_after(77 * SECOND + multiple(n)), expected, "{n} at {rate}");
            }
        }
    }

    #[test]
    fn a_busy_bucket_keeps_its_rate_for_ever() {
        for rate in [1, 3, 7, 10, 1000, 1001, 300_007, 700_000, 999_983, 999_999, 1_000_000] {
            for begin in [0, 1, 999, 123_456_789, 987_654_321_123_456] {
                let gcra = Gcra::new(rate, 1);
                let mut tat = begin;
                let count = u64::from(rate.clamp(1000, 10_000));
                for _ in 0..count {
                    tat += gcra.gap_after(tat);
                }
                let exact = count * SECOND / u64::from(rate);
                assert!((tat - begin).abs_diff(exact) <= 2, "{rate} from {begin}: {}", tat - begin);
            }
        }
    }
}
