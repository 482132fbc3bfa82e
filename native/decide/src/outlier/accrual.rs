//! One endpoint's way out and back: in, ejected, probing. In: what happened and when; out: what changed.

use super::{OutlierPolicy, Tally};

/// An ejection lasts a tenth longer or shorter, so that endpoints that fell together do not return together.
const JITTER: u64 = 10;
/// Good behaviour shorter than this forgives nothing.
const LEAST_FORGIVENESS_NS: u64 = 10_000_000_000;
/// A probe request without an outcome after so many nanoseconds is taken for lost.
pub const PROBE_LOST_NS: u64 = 60_000_000_000;

/// Why an endpoint was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// So many errors in a row.
    Errors(u32),
    /// Too low a share of successes.
    SuccessRate(Tally),
}

impl Cause {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Errors(_) => "consecutive_errors",
            Self::SuccessRate(_) => "success_rate",
        }
    }
}

/// Something an operator may want to know, and balancing has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It gets no requests.
    Ejected {
        /// Until this time.
        until_ns: u64,
        /// For this.
        why: Cause,
        /// The how-manieth ejection that is not forgiven.
        times: u32,
    },
    /// The time is over: it gets one request.
    ProbeDue,
    /// That went well: it gets its share.
    Readmitted,
    /// That did not: it gets no requests.
    EjectedAgain {
        /// Until this time.
        until_ns: u64,
        /// The how-manieth ejection that is not forgiven.
        times: u32,
    },
}

/// Where an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It gets its share.
    In,
    /// It gets nothing.
    Ejected {
        /// Until this time.
        until_ns: u64,
    },
    /// It gets one request, and nothing else until its outcome is known.
    Probing {
        /// Since when that is under way; none: it is still to be sent.
        since_ns: Option<u64>,
    },
}

/// The state of one endpoint, for the whole process.
///
/// Each ejection that follows another lasts twice as long. One is forgiven for every so many nanoseconds of service as
/// the last one was meant to last, but at least ten seconds: who was out for 32 s and does well for 32 s is next out
/// for as long as this time, not twice that; after another 16 s half of it, and so on. The count ends where the longest
/// ejection is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accrual {
    state: State,
    times: u32,
    /// Since when it has been in without an ejection that counts.
    good_since_ns: u64,
}

impl Accrual {
    /// An endpoint nothing is known of.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self { state: State::In, times: 0, good_since_ns: now_ns }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it is left out by balancing, unless the service panics.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.state != State::In
    }

    /// So many requests in a row have failed. Says nothing of an endpoint that is out: that is used only where there is
    /// no other. `random` is uniform over all of `u64`.
    #[must_use]
    pub fn errors_in_a_row(
        &mut self,
        errors: u32,
        policy: &OutlierPolicy,
        now_ns: u64,
        random: u64,
    ) -> Option<Change> {
        let too_many = self.state == State::In && policy.is_streak(errors);
        too_many.then(|| self.eject(Cause::Errors(errors), policy, now_ns, random))
    }

    /// What the window holds.
    #[must_use]
    pub fn window(
        &mut self,
        tally: Tally,
        policy: &OutlierPolicy,
        now_ns: u64,
        random: u64,
    ) -> Option<Change> {
        let too_low = self.state == State::In && policy.is_low(tally);
        too_low.then(|| self.eject(Cause::SuccessRate(tally), policy, now_ns, random))
    }

    /// Time goes by.
    #[must_use]
    pub fn tick(&mut self, now_ns: u64) -> Option<Change> {
        match self.state {
            State::Ejected { until_ns } if now_ns >= until_ns => {
                self.state = State::Probing { since_ns: None };
                Some(Change::ProbeDue)
            }
            State::Probing { since_ns: Some(since_ns) } if now_ns >= since_ns + PROBE_LOST_NS => {
                self.state = State::Probing { since_ns: None };
                Some(Change::ProbeDue)
            }
            _ => None,
        }
    }

    /// Takes the one request that may be sent; whoever does says what came of it, with [`Self::probe`] or
    /// [`Self::probe_abandoned`]. What says neither for a minute is taken for lost, and there is another one.
    #[must_use]
    pub fn take_probe(&mut self, now_ns: u64) -> bool {
        let due = self.state == State::Probing { since_ns: None };
        if due {
            self.state = State::Probing { since_ns: Some(now_ns) };
        }
        due
    }

    /// Nothing came of it that says anything of the endpoint (the client went away): another one may be sent.
    pub fn probe_abandoned(&mut self) {
        if let State::Probing { since_ns } = &mut self.state {
            *since_ns = None;
        }
    }

    /// What came of it. Nothing, if none is under way.
    #[must_use]
    pub fn probe(
        &mut self,
        success: bool,
        policy: &OutlierPolicy,
        now_ns: u64,
        random: u64,
    ) -> Option<Change> {
        let State::Probing { since_ns: Some(_) } = self.state else { return None };
        if success {
            self.state = State::In;
            self.good_since_ns = now_ns;
            return Some(Change::Readmitted);
        }
        let until_ns = self.leave(self.times, policy, now_ns, random);
        Some(Change::EjectedAgain { until_ns, times: self.times })
    }

    /// Ejections that are not forgiven.
    #[must_use]
    pub fn times(&self, policy: &OutlierPolicy, now_ns: u64) -> u32 {
        if self.state != State::In {
            return self.times;
        }
        let mut good = now_ns.saturating_sub(self.good_since_ns);
        let mut times = self.times;
        while times > 0 {
            let price = policy.ejection_ns(times).max(LEAST_FORGIVENESS_NS);
            if good < price {
                break;
            }
            good -= price;
            times -= 1;
        }
        times
    }

    fn eject(&mut self, why: Cause, policy: &OutlierPolicy, now_ns: u64, random: u64) -> Change {
        let until_ns = self.leave(self.times(policy, now_ns), policy, now_ns, random);
        Change::Ejected { until_ns, why, times: self.times }
    }

    /// Ejects after so many ejections before. There are no more than it takes to the longest one, or the time to
    /// forgive them would grow with that of an outage.
    fn leave(&mut self, before: u32, policy: &OutlierPolicy, now_ns: u64, random: u64) -> u64 {
        let longest = before > 0 && policy.ejection_ns(before) >= policy.max_ns;
        self.times = if longest { before } else { before + 1 };
        let until_ns = now_ns.saturating_add(policy.jittered_ns(self.times, random));
        self.state = State::Ejected { until_ns };
        until_ns
    }
}

impl OutlierPolicy {
    /// How long so-manieth ejection is meant to last: base * 2^(times - 1), at most the longest.
    #[must_use]
    pub fn ejection_ns(&self, times: u32) -> u64 {
        let factor = 1_u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX);
        self.base_ns.saturating_mul(factor).min(self.max_ns)
    }

    /// The same, give or take a tenth, and never longer than the longest.
    fn jittered_ns(&self, times: u32, random: u64) -> u64 {
        let meant = self.ejection_ns(times);
        let shortest = meant - meant / JITTER;
        let longest = (meant + meant / JITTER).min(self.max_ns);
        shortest + crate::retry::up_to(longest - shortest, random)
    }
}
