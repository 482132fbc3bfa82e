//! Which endpoints are left out for a while, because of what came of requests to them.
//!
//! In: errors in a row, shares of successes, the outcome of probe requests, and the time. Out: changes of an endpoint's
//! state. Before: upstream, where attempts end. After: balance, which leaves out who is ejected. Nothing but a probe
//! request brings an endpoint back: a health check that succeeds says that a process runs, not that it does its work.

mod accrual;
mod window;

pub use accrual::{Accrual, Cause, Change, PROBE_LOST_NS, State};
pub use window::{Streak, Window};

use crate::retry::Failure;
use tulle_snapshot::wire::OutlierDetection;

const MS: u64 = 1_000_000;
const PERCENT: u64 = 100;

/// When the endpoints of a service are ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierPolicy {
    errors: u32,
    rate: Option<Rate>,
    base_ns: u64,
    max_ns: u64,
    max_ejected_percent: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    percent: u32,
    window_ns: u64,
    min_requests: u32,
}

impl OutlierPolicy {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: &OutlierDetection) -> Self {
        let ns = |ms: u32| u64::from(ms) * MS;
        Self {
            errors: wire.consecutive_errors,
            rate: wire.success_rate.map(|rate| Rate {
                percent: rate.percent,
                window_ns: ns(rate.window_ms),
                min_requests: rate.min_requests,
            }),
            base_ns: ns(wire.base_ejection_ms),
            max_ns: ns(wire.max_ejection_ms),
            max_ejected_percent: wire.max_ejected_percent,
        }
    }

    /// The window for the share of successes; none: nobody asks for it.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.rate.map(|rate| Window::new(rate.window_ns))
    }

    /// Whether so many errors in a row are too many.
    #[must_use]
    pub fn is_streak(&self, errors: u32) -> bool {
        self.errors > 0 && errors >= self.errors
    }

    /// Whether a share of successes is too low, and of enough requests to say so.
    #[must_use]
    pub fn is_low(&self, tally: Tally) -> bool {
        let low = |rate: &Rate| {
            let all = tally.successes.saturating_add(tally.failures);
            let enough = all >= u64::from(rate.min_requests);
            enough && tally.successes.saturating_mul(PERCENT) < all.saturating_mul(u64::from(rate.percent))
        };
        self.rate.as_ref().is_some_and(low)
    }

    /// Whether ejected endpoints are used again (the panic threshold): more of the service is ejected than it allows,
    /// or nobody else is left. Endpoints that fail health checks stay out all the same.
    #[must_use]
    pub fn panics(&self, standing: Standing) -> bool {
        let Standing { total, ejected, unhealthy } = standing;
        let share = u64::from(ejected) * PERCENT > u64::from(total) * u64::from(self.max_ejected_percent);
        ejected > 0 && (share || ejected.saturating_add(unhealthy) >= total)
    }
}

/// How the endpoints of a service stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// All of them.
    pub total: u32,
    /// Those that are ejected or wait for their probe request, but pass their health checks.
    pub ejected: u32,
    /// Those that fail their health checks, ejected or not.
    pub unhealthy: u32,
}

impl Standing {
    /// Counts endpoints by `(weight, healthy, ejected)`: those with a share, as nobody else takes what an ejected one
    /// got; all, where none has one.
    #[must_use]
    pub fn count(endpoints: impl Iterator<Item = (u32, bool, bool)> + Clone) -> Self {
        let any = endpoints.clone().any(|(weight, ..)| weight > 0);
        let mut standing = Self::default();
        for (_, healthy, ejected) in endpoints.filter(|(weight, ..)| *weight > 0 || !any) {
            standing.total += 1;
            standing.unhealthy += u32::from(!healthy);
            standing.ejected += u32::from(healthy && ejected);
        }
        standing
    }
}

/// What came of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not errors of the endpoint.
    pub successes: u64,
    /// Errors of the endpoint, as [`is_error`] says.
    pub failures: u64,
}

/// How an attempt ended, as far as the endpoint is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was no answer that says what became of it: no connection, a reset before or amid the answer, or a limit of
    /// time that was over first (the attempt's or the request's).
    Failed(Failure),
    /// A response head with this status, to a request that is no gRPC call.
    Http(u16),
    /// The status of a gRPC call, wherever it stood.
    Grpc(u8),
    /// The proxy answered itself (a fault, a limit, a denial, shed load), or the client went away.
    Ours,
}

/// Whether it is an error of the endpoint: no connection, a reset, a timeout, a 5xx; of gRPC `UNKNOWN`,
/// `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`. Other statuses say something of the request. None:
/// it says nothing either way.
#[must_use]
pub fn is_error(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Ours => None,
        Outcome::Failed(Failure::Connect | Failure::Reset | Failure::PerTryTimeout) => Some(true),
        Outcome::Http(status) | Outcome::Failed(Failure::Status(status)) => {
            Some((500..=599).contains(&status))
        }
        Outcome::Grpc(status) | Outcome::Failed(Failure::Grpc(status)) => {
            Some(matches!(status, 2 | 4 | 13 | 14 | 15))
        }
    }
}
