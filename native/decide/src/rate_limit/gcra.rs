//! The generic cell rate algorithm: virtual scheduling, ATM Forum, Traffic Management Specification 4.0, section 4.4.2
//! (ITU-T I.371, annex A). A bucket is one number: the theoretical arrival time (TAT), at or before which it is at rest.

use super::Verdict;

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
    /// Whether `interval` is exact.
    whole: bool,
    /// How far ahead of now a TAT may be.
    tolerance: u64,
}

/// A decision, and the TAT to keep if it is to stand; none: the TAT stays as it is.
pub(super) struct Step {
    pub(super) verdict: Verdict,
    pub(super) tat: Option<u64>,
}

impl Gcra {
    /// A rate of 1 to 1,000,000 per second, and a burst of 1 at least; others count as the nearest.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let rate = u64::from(rate.clamp(1, 1_000_000));
        let burst = burst.clamp(1, 1_000_000);
        let whole = SECOND.is_multiple_of(rate);
        // Where steps are rounded, a burst of them may be a nanosecond longer than it would be.
        let tolerance = (u64::from(burst) * SECOND).div_ceil(rate) + u64::from(!whole);
        Self { rate, burst, interval: SECOND / rate, whole, tolerance }
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
            return Step { verdict, tat: beyond.then_some(tat) };
        }
        // The product is that of burst and second at most.
        let left = (self.tolerance - ahead) * self.rate / SECOND;
        let remaining = u32::try_from(left).unwrap_or(u32::MAX).min(self.burst - 1);
        let verdict = Verdict::Pass { limit: self.burst, remaining, reset_ns: ahead };
        Step { verdict, tat: Some(next) }
    }

    /// From one TAT to the next, in whole nanoseconds that never drift: the gap between the two multiples of the exact
    /// interval around it, each rounded up. As a second holds a whole number of intervals, the multiples are those
    /// within its second.
    fn gap_after(&self, tat: u64) -> u64 {
        if self.whole {
            return self.interval;
        }
        let within = tat % SECOND;
        let multiple = |n: u64| (n * SECOND).div_ceil(self.rate);
        let n = within * self.rate / SECOND;
        multiple(n + 1) - multiple(n)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gcra, SECOND};

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
