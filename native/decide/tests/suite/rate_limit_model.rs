//! The rate limiter against the plain algorithm in exact fractions.

use proptest::prelude::*;
use tulle_decide::rate_limit::{Limiter, LocalLimiter, Verdict};
use tulle_snapshot::wire::RateLimit;

const SECOND: i128 = 1_000_000_000;

/// Virtual scheduling, in units of one `rate`-th of a nanosecond: nothing is rounded.
struct Model {
    rate: i128,
    burst: i128,
    tat: i128,
}

impl Model {
    /// By how much the request is early (above 0) or late, had it come at `now` nanoseconds.
    fn early(&self, now: u64) -> i128 {
        let now = i128::from(now) * self.rate;
        self.tat.max(now) + SECOND - now - self.burst * SECOND
    }

    fn charge(&mut self, now: u64) {
        self.tat = self.tat.max(i128::from(now) * self.rate) + SECOND;
    }
}

/// Pauses of all orders, from none to days.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => Just(0_u64),
        3 => 0_u64..2_000,
        3 => 0_u64..2_000_000,
        2 => 0_u64..2_000_000_000,
        1 => 0_u64..200_000_000_000_000,
    ]
}

fn rate() -> impl Strategy<Value = u32> {
    prop_oneof![1_u32..100, 1_u32..=1_000_000, Just(1), Just(999_999), Just(1_000_000)]
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_plain_algorithm(
        rate in rate(),
        burst in prop_oneof![1_u32..20, 1_u32..=1_000_000],
        begin in 0_u64..1 << 50,
        keyed in any::<bool>(),
        pauses in prop::collection::vec(pause(), 1..200),
    ) {
        let limiter = LocalLimiter::new(&RateLimit { requests_per_second: rate, burst, key: None, keys: 8 });
        let mut model = Model { rate: i128::from(rate), burst: i128::from(burst), tat: 0 };
        // Rates that divide a second are exact; for others, each TAT may be rounded by a nanosecond or two.
        let whole = 1_000_000_000 % rate == 0;
        let slack = if whole { 0 } else { 4 * i128::from(rate) };
        let mut now = begin;
        for pause in pauses {
            now += pause;
            let early = model.early(now);
            match limiter.decide(keyed.then_some(9), now) {
                Verdict::Pass { limit, remaining, reset_ns } => {
                    prop_assert!(early <= slack, "passed {early} early");
                    model.charge(now);
                    let ahead = model.tat - i128::from(now) * model.rate;
                    let left = (model.burst * SECOND - ahead).max(0);
                    prop_assert_eq!(limit, burst);
                    prop_assert!((i128::from(remaining) - left / SECOND).abs() <= i128::from(!whole));
                    prop_assert!((i128::from(reset_ns) * model.rate - ahead).abs() <= slack);
                }
                Verdict::Refuse { retry_after_ns, .. } => {
                    prop_assert!(early > -slack, "refused {} late", -early);
                    let rounded = i128::from(retry_after_ns) * model.rate - early;
                    prop_assert!(rounded.abs() <= slack, "{rounded}");
                }
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_told_passes(
        rate in rate(),
        burst in 1_u32..50,
        begin in 0_u64..1 << 50,
    ) {
        let limiter = LocalLimiter::new(&RateLimit { requests_per_second: rate, burst, key: None, keys: 8 });
        for _ in 0..burst {
            let passed = matches!(limiter.decide(None, begin), Verdict::Pass { .. });
            prop_assert!(passed);
        }
        let Verdict::Refuse { retry_after_ns, .. } = limiter.decide(None, begin) else {
            return Err(TestCaseError::fail("one more than the burst passed"));
        };
        let early = matches!(limiter.decide(None, begin + retry_after_ns - 1), Verdict::Refuse { .. });
        let due = matches!(limiter.decide(None, begin + retry_after_ns), Verdict::Pass { .. });
        prop_assert!(early && due);
    }
}
