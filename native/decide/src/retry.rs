//! Whether a failed attempt may be followed by another.
//!
//! In: the rule's retry policy and what is known of the attempt. Out: yes or no. Before: upstream, where an attempt
//! failed. After: balance, which picks another endpoint. Answers that the proxy makes itself never come here.

use tulle_snapshot::wire::{Retry, RetryOn};

/// How an attempt ended without the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or no handshake: nothing was sent.
    Connect,
    /// Closed or reset before a response head.
    Reset,
}

/// A rule's retry policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts after the first.
    attempts: u32,
    on_connect: bool,
    on_reset: bool,
}

impl RetryPolicy {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: &Retry) -> Self {
        Self {
            attempts: wire.attempts,
            on_connect: wire.on.contains(&RetryOn::ConnectFailure),
            on_reset: wire.on.contains(&RetryOn::Reset),
        }
    }

    /// Attempts after the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    fn covers(self, failure: Failure) -> bool {
        match failure {
            Failure::Connect => self.on_connect,
            Failure::Reset => self.on_reset,
        }
    }
}

/// How much of a request the upstream may have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Not one byte was written.
    Nothing,
    /// Some bytes were written.
    Something,
}

/// Whether what was read of the request's body is still there to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// All of it, or nothing was read yet.
    Complete,
    /// It outgrew the replay buffer.
    Lost,
}

/// What a decision about a retry needs to know.
#[derive(Debug, Clone, Copy)]
pub struct RetryFacts<'a> {
    /// Attempts made so far, the failed one included.
    pub attempts_made: u32,
    /// How the last one ended.
    pub failure: Failure,
    /// How much it showed.
    pub exposure: Exposure,
    /// The request's method, as sent.
    pub method: &'a [u8],
    /// Whether the request has an `idempotency-key` header.
    pub idempotency_key: bool,
    /// Whether the request can be sent again.
    pub replay: Replay,
}

impl RetryFacts<'_> {
    /// Whether sending the request again can do no harm: the upstream has seen nothing of it, or it says itself that
    /// doing it twice is doing it once.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let unseen = self.failure == Failure::Connect || self.exposure == Exposure::Nothing;
        self.replay == Replay::Complete && (unseen || self.idempotency_key || is_idempotent(self.method))
    }
}

/// Whether the rule's policy permits one more attempt, and it is safe.
#[must_use]
pub fn may_retry(policy: &RetryPolicy, facts: &RetryFacts<'_>) -> bool {
    facts.attempts_made <= policy.attempts && policy.covers(facts.failure) && facts.is_safe()
}

/// Whether a request that met a closing keep-alive connection may be sent once more, on a fresh one, whatever the rule
/// says: `reused` is whether the connection had carried a request before, and `already` whether this was done before.
#[must_use]
pub fn may_resend(reused: Reused, already: Resent, facts: &RetryFacts<'_>) -> bool {
    reused == Reused::Yes && already == Resent::No && facts.failure == Failure::Reset && facts.is_safe()
}

/// Whether a connection had carried a request before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reused {
    /// It came from the pool.
    Yes,
    /// It was fresh.
    No,
}

/// Whether a request was already sent once more because of a closing keep-alive connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// The idempotent methods of RFC 9110 section 9.2.2.
#[must_use]
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

#[cfg(test)]
mod tests {
    use super::{
        Exposure, Failure, Replay, Resent, RetryFacts, RetryPolicy, Reused, is_idempotent, may_resend,
        may_retry,
    };
    use tulle_snapshot::wire::{Retry, RetryBudget, RetryOn};

    fn policy(attempts: u32, on: &[RetryOn]) -> RetryPolicy {
        RetryPolicy::new(&Retry {
            attempts,
            on: on.to_vec(),
            statuses: Vec::new(),
            backoff_base_ms: 25,
            backoff_max_ms: 250,
            budget: RetryBudget { percent: 20, min_per_second: 10 },
            non_idempotent: false,
            hedge: None,
        })
    }

    fn reset(method: &[u8]) -> RetryFacts<'_> {
        RetryFacts {
            attempts_made: 1,
            failure: Failure::Reset,
            exposure: Exposure::Something,
            method,
            idempotency_key: false,
            replay: Replay::Complete,
        }
    }

    const BOTH: &[RetryOn] = &[RetryOn::ConnectFailure, RetryOn::Reset];

    #[test]
    fn attempts_count_retries_after_the_first_try() {
        for (attempts, made, expected) in
            [(0, 1, false), (1, 1, true), (1, 2, false), (3, 3, true), (3, 4, false), (10, u32::MAX, false)]
        {
            let facts = RetryFacts { attempts_made: made, ..reset(b"GET") };
            assert_eq!(may_retry(&policy(attempts, BOTH), &facts), expected, "{attempts} {made}");
        }
    }

    #[test]
    fn only_what_on_names_is_retried() {
        let connect = RetryFacts { failure: Failure::Connect, exposure: Exposure::Nothing, ..reset(b"GET") };
        let cases: &[(&[RetryOn], bool, bool)] = &[
            (&[], false, false),
            (&[RetryOn::ConnectFailure], true, false),
            (&[RetryOn::Reset], false, true),
            (BOTH, true, true),
        ];
        for (on, connects, resets) in cases {
            assert_eq!(may_retry(&policy(1, on), &connect), *connects, "{on:?}");
            assert_eq!(may_retry(&policy(1, on), &reset(b"GET")), *resets, "{on:?}");
        }
    }

    #[test]
    fn what_may_have_been_seen_is_retried_only_if_idempotent() {
        let post = reset(b"POST");
        let cases = [
            (reset(b"GET"), true),
            (post, false),
            (RetryFacts { exposure: Exposure::Nothing, ..post }, true),
            (RetryFacts { idempotency_key: true, ..post }, true),
            (RetryFacts { failure: Failure::Connect, ..post }, true),
            (RetryFacts { replay: Replay::Lost, ..reset(b"GET") }, false),
            (RetryFacts { replay: Replay::Lost, idempotency_key: true, ..post }, false),
            (RetryFacts { replay: Replay::Lost, exposure: Exposure::Nothing, ..post }, false),
        ];
        for (facts, expected) in cases {
            assert_eq!(may_retry(&policy(1, BOTH), &facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn idempotent_methods() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert!(is_idempotent(method.as_bytes()), "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "get", "LOCK", "", "GETX"] {
            assert!(!is_idempotent(method.as_bytes()), "{method}");
        }
    }

    #[test]
    fn a_closing_keep_alive_connection_is_met_once() {
        let post = reset(b"POST");
        let cases = [
            (Reused::Yes, Resent::No, reset(b"GET"), true),
            (Reused::Yes, Resent::Yes, reset(b"GET"), false),
            (Reused::No, Resent::No, reset(b"GET"), false),
            (Reused::Yes, Resent::No, post, false),
            (Reused::Yes, Resent::No, RetryFacts { exposure: Exposure::Nothing, ..post }, true),
            (Reused::Yes, Resent::No, RetryFacts { failure: Failure::Connect, ..post }, false),
            (Reused::Yes, Resent::No, RetryFacts { replay: Replay::Lost, ..reset(b"GET") }, false),
        ];
        for (reused, already, facts, expected) in cases {
            assert_eq!(may_resend(reused, already, &facts), expected, "{reused:?} {already:?} {facts:?}");
        }
    }
}
