//! Active health checks: when an endpoint is asked, what it is asked, what its answer says, and when answers change
//! whether it is used.
//!
//! In: settings, times (monotonic nanoseconds), random numbers, received bytes. Out: due times, bytes to send, verdicts,
//! changes. The proxy's health thread does the I/O; balance gets what changed.

mod dialogue;
mod message;
mod question;
mod schedule;
mod streams;
mod text;

pub use dialogue::{ANSWER_BYTES, Dialogue, Peer};
pub use message::{MESSAGE_BYTES, serving_status, write_request_message};
pub use question::{Question, Way, authority};
pub use schedule::Schedule;

use tulle_snapshot::wire::HealthCheck;

/// Nanoseconds per millisecond.
const MS: u64 = 1_000_000;
/// However long the interval, an endpoint that is new is asked within this: until then nobody knows of it.
const SOON: u64 = 10_000 * MS;
/// Percent of an interval by which it is shortened or lengthened.
const JITTER: u64 = 15;

/// What one check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It answered as it should, in time.
    Well,
    /// It did not.
    Unwell(Why),
}

/// Why an endpoint is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nobody listens there.
    Refused,
    /// There is no way to it.
    Unreachable,
    /// The answer was not complete in time.
    Timeout,
    /// The handshake failed: the wrong name, an unknown issuer, our certificate refused, no HTTP/2.
    Tls,
    /// The connection, or the request's stream, ended before the answer did.
    Reset,
    /// What came is no answer.
    BadAnswer,
    /// An answer with another status than success.
    Status,
    /// gRPC: it says itself that it does not serve.
    NotServing,
}

impl Why {
    /// One fixed word for logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::BadAnswer => "bad_answer",
            Self::Status => "status",
            Self::NotServing => "not_serving",
        }
    }
}

/// Whether a service has had requests of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// It has.
    Busy,
    /// It has not: its endpoints are asked less often.
    Idle,
}

/// How often an endpoint is asked, and how many answers in a row it takes to believe them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    interval: u64,
    idle_interval: u64,
    unhealthy_after: u32,
    healthy_after: u32,
}

impl Pace {
    /// From a check's settings.
    #[must_use]
    pub fn new(check: &HealthCheck) -> Self {
        Self {
            interval: u64::from(check.interval_ms) * MS,
            idle_interval: u64::from(check.idle_interval_ms) * MS,
            unhealthy_after: check.unhealthy_after,
            healthy_after: check.healthy_after,
        }
    }

    /// When an endpoint is asked that is new, or whose service has traffic again: spread evenly over one interval, of
    /// which 10 s count at most. `random` is uniform over all of `u64`.
    ///
    /// That interval has its jitter, too: with the same end for all, the first checks of some and the second ones of others
    /// would meet before it, half as many again, and be missing behind it.
    #[must_use]
    pub fn soon(&self, now: u64, random: u64) -> u64 {
        now.saturating_add(share(jittered(self.interval.min(SOON), random), random << 32))
    }

    /// When an endpoint is asked again whose last check began at `began`: an interval later, give or take 15 %. Never
    /// before `now`, which is when that check ended: one that took longer than the interval is followed at once.
    #[must_use]
    pub fn next(&self, began: u64, now: u64, traffic: Traffic, random: u64) -> u64 {
        let interval = match traffic {
            Traffic::Busy => self.interval,
            Traffic::Idle => self.idle_interval,
        };
        began.saturating_add(jittered(interval, random)).max(now)
    }

    /// Whether it matters if there is traffic.
    #[must_use]
    pub fn slows_down(&self) -> bool {
        self.idle_interval > self.interval
    }
}

/// An interval, give or take 15 %.
fn jittered(interval: u64, random: u64) -> u64 {
    let jitter = interval / 100 * JITTER;
    interval - jitter + share(2 * jitter, random)
}

/// A part of `range` as large as `random` is in all of `u64`.
fn share(range: u64, random: u64) -> u64 {
    u64::try_from((u128::from(range) * u128::from(random)) >> 64).unwrap_or(range)
}

/// Whether an endpoint is used. It is, until checks have said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    healthy: bool,
    /// Answers in a row that say otherwise.
    against: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self { healthy: true, against: 0 }
    }
}

impl Standing {
    /// Whether it is used.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Takes what a check found. True: the endpoint is used from now on, or is no more.
    pub fn checked(&mut self, pace: &Pace, verdict: Verdict) -> bool {
        if self.healthy == (verdict == Verdict::Well) {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let needed = if self.healthy { pace.unhealthy_after } else { pace.healthy_after };
        if self.against < needed {
            return false;
        }
        *self = Self { healthy: !self.healthy, against: 0 };
        true
    }
}
