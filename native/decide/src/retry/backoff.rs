//! How long a retry waits: in, how many attempts were made, and chance; out, nanoseconds.

const MS: u64 = 1_000_000;

/// Exponential backoff with full jitter: a wait is uniform between nothing and a bound that doubles. Full, because
/// equal waits bring callers that failed together back together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    base_ns: u64,
    max_ns: u64,
}

impl Backoff {
    /// The longest wait before the first retry, and the longest of all.
    #[must_use]
    pub fn from_ms(base: u32, max: u32) -> Self {
        Self { base_ns: u64::from(base) * MS, max_ns: u64::from(max) * MS }
    }

    /// The longest wait after so many attempts: base * 2^(attempts - 1), at most the maximum.
    #[must_use]
    pub fn bound_ns(&self, attempts_made: u32) -> u64 {
        let factor = 1_u64.checked_shl(attempts_made.saturating_sub(1)).unwrap_or(u64::MAX);
        self.base_ns.saturating_mul(factor).min(self.max_ns)
    }

    /// The wait after so many attempts. `random` is uniform over all of `u64`.
    #[must_use]
    pub fn wait_ns(&self, attempts_made: u32, random: u64) -> u64 {
        up_to(self.bound_ns(attempts_made), random)
    }
}

/// Uniform from 0 to `bound`, both included. `random` is uniform over all of `u64`.
pub(crate) fn up_to(bound: u64, random: u64) -> u64 {
    let scaled = (u128::from(random) * (u128::from(bound) + 1)) >> 64;
    u64::try_from(scaled).unwrap_or(bound)
}
