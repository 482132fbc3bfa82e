//! Whether a failed attempt may be followed by another, and after which wait.
//!
//! In: the rule's retry policy and what is known of the attempt. Out: a wait, or the reason why there is no other
//! attempt. Before: upstream, where an attempt failed. After: balance, which picks another endpoint. Answers that the
//! proxy makes itself never come here.

mod advice;
mod backoff;
mod budget;
mod facts;
mod hedge;
mod policy;

pub use advice::{Advice, pushback, retry_after};
pub use backoff::Backoff;
pub(crate) use backoff::up_to;
pub use budget::{Budget, BudgetUse, WorkerBudget};
pub use facts::{Exposure, Failure, Replay, Resent, RetryFacts, Reused, is_idempotent};
pub use hedge::Hedger;
pub use policy::RetryPolicy;

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt.
    Retry {
        /// Not before so many nanoseconds have gone by.
        wait_ns: u64,
    },
    /// None: what there is goes to the client.
    GiveUp(Why),
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The rule does not name this failure.
    NotCovered,
    /// All attempts that the rule allows were made.
    AttemptsUsed,
    /// The endpoint says that the call shall not be made again.
    ToldNotTo,
    /// The request's body is gone in part: it outgrew the replay buffer.
    ReplayLost,
    /// The endpoint may have acted on the request, and acting twice may do harm.
    UnsafeToRepeat,
    /// The wait would outlast the request's time.
    NoTimeLeft,
    /// As many retries to the service are under way as its circuit allows.
    RetriesLimit,
    /// The rule's retry budget is spent.
    BudgetSpent,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::NotCovered,
        Self::AttemptsUsed,
        Self::ToldNotTo,
        Self::ReplayLost,
        Self::UnsafeToRepeat,
        Self::NoTimeLeft,
        Self::RetriesLimit,
        Self::BudgetSpent,
    ];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotCovered => "not_covered",
            Self::AttemptsUsed => "attempts_used",
            Self::ToldNotTo => "told_not_to",
            Self::ReplayLost => "replay_lost",
            Self::UnsafeToRepeat => "unsafe_to_repeat",
            Self::NoTimeLeft => "no_time_left",
            Self::RetriesLimit => "retries_limit",
            Self::BudgetSpent => "budget_spent",
        }
    }
}

/// What follows a failed attempt. `random` is uniform over all of `u64`; `charge` is asked last, once, and only if
/// everything else is in favour: it takes the retry from the circuit ([`Why::RetriesLimit`]) and the budget
/// ([`Why::BudgetSpent`]), or says which of them refuses.
#[must_use]
pub fn next(
    policy: &RetryPolicy,
    facts: &RetryFacts<'_>,
    random: u64,
    charge: impl FnOnce() -> Result<(), Why>,
) -> Next {
    match wait_of(policy, facts, random).and_then(|wait_ns| charge().map(|()| wait_ns)) {
        Ok(wait_ns) => Next::Retry { wait_ns },
        Err(why) => Next::GiveUp(why),
    }
}

fn wait_of(policy: &RetryPolicy, facts: &RetryFacts<'_>, random: u64) -> Result<u64, Why> {
    if !policy.covers(facts.failure) {
        return Err(Why::NotCovered);
    }
    if facts.attempts_made > policy.attempts() {
        return Err(Why::AttemptsUsed);
    }
    let asked_ns = match facts.advice {
        Advice::Never => return Err(Why::ToldNotTo),
        Advice::After(wait_ns) => wait_ns,
        Advice::None => 0,
    };
    if facts.replay == Replay::Lost {
        return Err(Why::ReplayLost);
    }
    if !(facts.is_harmless() || asked_for_by_name(facts.failure) || policy.non_idempotent()) {
        return Err(Why::UnsafeToRepeat);
    }
    // On top of what the endpoint asks for, not instead: callers that were all told the same do not return at once.
    let wait_ns = asked_ns.saturating_add(policy.backoff().wait_ns(facts.attempts_made, random));
    if facts.left_ns.is_some_and(|left| wait_ns >= left) {
        return Err(Why::NoTimeLeft);
    }
    Ok(wait_ns)
}

/// Every gRPC call is a POST, which says nothing of what it does. A rule that names a gRPC status has gRPC calls in
/// mind, and the status came without a message: the call is repeated, as with gRPC's own retry policies.
fn asked_for_by_name(failure: Failure) -> bool {
    matches!(failure, Failure::Grpc(_))
}

/// Whether a request that met a closing keep-alive connection may be sent once more, on a fresh one, whatever the rule
/// says: `reused` is whether the connection had carried a request before, and `already` whether this was done before.
#[must_use]
pub fn may_resend(reused: Reused, already: Resent, facts: &RetryFacts<'_>) -> bool {
    reused == Reused::Yes
        && already == Resent::No
        && facts.failure == Failure::Reset
        && facts.replay == Replay::Complete
        && facts.is_harmless()
}
