//! Until when a request may take, and how that is said to the next hop.
//!
//! In: the rule's limits, what the caller allows (`x-tulle-deadline`, `grpc-timeout`), and the time. Out: what is left
//! for an attempt. Before: route. After: upstream, which sends what is left on. A duration and no time of day travels,
//! so that clocks need not agree.

/// Names the header; its value is the milliseconds that are left, one to ten digits.
pub const HEADER: &str = "x-tulle-deadline";

const DIGITS: usize = 10;
const LARGEST_MS: u64 = 9_999_999_999;
const MS: u64 = 1_000_000;

/// The value of [`HEADER`], in nanoseconds. None for anything but one to ten digits, which is as if it were not there.
#[must_use]
pub fn parse(value: &[u8]) -> Option<u64> {
    let valid = (1..=DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    valid.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')) * MS)
}

/// The value of [`HEADER`] for so many nanoseconds or a little less, never more.
#[must_use]
pub fn millis(left_ns: u64) -> u64 {
    (left_ns / MS).min(LARGEST_MS)
}

/// When a request must have its answer: the earliest of the limits that were set; none at first. Times are monotonic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deadline {
    at_ns: Option<u64>,
}

impl Deadline {
    /// With one more limit: so many nanoseconds since some time; none: no limit. What a caller allows counts from the
    /// request's head, the rule's request timeout from its last byte. A limit never moves a deadline back, so a caller
    /// can only ask for less than the rule allows.
    #[must_use]
    pub fn within(self, since_ns: u64, limit_ns: Option<u64>) -> Self {
        let new = limit_ns.map(|limit| since_ns.saturating_add(limit));
        Self { at_ns: [self.at_ns, new].into_iter().flatten().min() }
    }

    /// Nanoseconds until it, 0 when it is past; none: there is no limit.
    #[must_use]
    pub fn left_ns(self, now_ns: u64) -> Option<u64> {
        self.at_ns.map(|at| at.saturating_sub(now_ns))
    }

    /// How many nanoseconds an attempt that starts now may take, with the limit of one attempt: what the next hop is told.
    /// None: any time.
    #[must_use]
    pub fn attempt(self, now_ns: u64, per_try_ns: Option<u64>) -> Option<u64> {
        self.left_ns(now_ns).into_iter().chain(per_try_ns).min()
    }
}
