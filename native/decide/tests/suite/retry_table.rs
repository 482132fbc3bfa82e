//! Each rule of retries, as a table.

use tulle_decide::retry::{
    Advice, Backoff, Exposure, Failure, Next, Replay, Resent, RetryFacts, RetryPolicy, Reused, Why,
    is_idempotent, may_resend, next,
};
use tulle_snapshot::wire::{Retry, RetryBudget, RetryOn};

const MS: u64 = 1_000_000;
const BOTH: &[RetryOn] = &[RetryOn::ConnectFailure, RetryOn::Reset];

fn wire(attempts: u32, on: &[RetryOn]) -> Retry {
    Retry {
        attempts,
        on: on.to_vec(),
        statuses: Vec::new(),
        backoff_base_ms: 25,
        backoff_max_ms: 250,
        budget: RetryBudget { percent: 20, min_per_second: 10 },
        non_idempotent: false,
        hedge: None,
    }
}

fn policy(attempts: u32, on: &[RetryOn]) -> RetryPolicy {
    RetryPolicy::new(&wire(attempts, on))
}

fn reset(method: &[u8]) -> RetryFacts<'_> {
    RetryFacts {
        attempts_made: 1,
        failure: Failure::Reset,
        exposure: Exposure::Something,
        method,
        idempotency_key: false,
        replay: Replay::Complete,
        advice: Advice::None,
        left_ns: None,
    }
}

fn decide(policy: &RetryPolicy, facts: &RetryFacts<'_>) -> Next {
    next(policy, facts, 0, || Ok(()))
}

const NOW: Next = Next::Retry { wait_ns: 0 };

#[test]
fn attempts_count_retries_after_the_first_try() {
    for (attempts, made, expected) in
        [(0, 1, false), (1, 1, true), (1, 2, false), (3, 3, true), (3, 4, false), (10, u32::MAX, false)]
    {
        let facts = RetryFacts { attempts_made: made, ..reset(b"GET") };
        let expected = if expected { NOW } else { Next::GiveUp(Why::AttemptsUsed) };
        assert_eq!(decide(&policy(attempts, BOTH), &facts), expected, "{attempts} {made}");
    }
}

type Named = fn(Failure) -> bool;

/// For each condition exactly what it covers, among everything that can happen.
#[test]
fn only_what_the_rule_names_is_retried() {
    let statuses = (0..=1000).map(Failure::Status);
    let grpc = (0..=u8::MAX).map(Failure::Grpc);
    let all: Vec<Failure> = [Failure::Connect, Failure::Reset, Failure::PerTryTimeout]
        .into_iter()
        .chain(statuses)
        .chain(grpc)
        .collect();
    let cases: [(&[RetryOn], &[u16], Named); 14] = [
        (&[], &[], |_| false),
        (&[RetryOn::ConnectFailure], &[], |f| f == Failure::Connect),
        (&[RetryOn::Reset], &[], |f| f == Failure::Reset),
        (&[RetryOn::PerTryTimeout], &[], |f| f == Failure::PerTryTimeout),
        (&[RetryOn::GatewayError], &[], |f| matches!(f, Failure::Status(502..=504))),
        (&[RetryOn::ServerError], &[], |f| matches!(f, Failure::Status(500..=599))),
        (&[RetryOn::GrpcCancelled], &[], |f| f == Failure::Grpc(1)),
        (&[RetryOn::GrpcDeadlineExceeded], &[], |f| f == Failure::Grpc(4)),
        (&[RetryOn::GrpcResourceExhausted], &[], |f| f == Failure::Grpc(8)),
        (&[RetryOn::GrpcInternal], &[], |f| f == Failure::Grpc(13)),
        (&[RetryOn::GrpcUnavailable], &[], |f| f == Failure::Grpc(14)),
        (&[], &[400, 429, 463, 464, 599], |f| matches!(f, Failure::Status(400 | 429 | 463 | 464 | 599))),
        (&[], &[0, 399, 600, 65_535], |_| false),
        (&[RetryOn::Reset, RetryOn::GatewayError, RetryOn::GrpcInternal], &[429], |f| {
            matches!(f, Failure::Reset | Failure::Status(429 | 502..=504) | Failure::Grpc(13))
        }),
    ];
    for (on, statuses, named) in cases {
        let policy = RetryPolicy::new(&Retry { statuses: statuses.to_vec(), ..wire(1, on) });
        for failure in &all {
            assert_eq!(policy.covers(*failure), named(*failure), "{on:?} {statuses:?} {failure:?}");
            let expected = if named(*failure) { NOW } else { Next::GiveUp(Why::NotCovered) };
            let facts = RetryFacts { failure: *failure, ..reset(b"GET") };
            assert_eq!(decide(&policy, &facts), expected, "{on:?} {statuses:?} {failure:?}");
        }
    }
}

#[test]
fn the_rule_as_a_whole_says_what_it_looks_at() {
    assert!(policy(1, &[RetryOn::GrpcInternal]).looks_at_grpc());
    assert!(!policy(0, &[RetryOn::GrpcInternal]).looks_at_grpc());
    assert!(!policy(1, &[RetryOn::ServerError]).looks_at_grpc());
}

#[test]
fn what_may_have_been_seen_is_retried_only_if_idempotent() {
    let every = [BOTH, &[RetryOn::ServerError, RetryOn::PerTryTimeout, RetryOn::GrpcUnavailable]].concat();
    let unsafe_ = Next::GiveUp(Why::UnsafeToRepeat);
    let lost = Next::GiveUp(Why::ReplayLost);
    let (get, post) = (reset(b"GET"), reset(b"POST"));
    let with = |failure, exposure| RetryFacts { failure, exposure, ..post };
    let cases = [
        (get, NOW),
        (post, unsafe_),
        (with(Failure::Connect, Exposure::Something), NOW),
        (with(Failure::Reset, Exposure::Nothing), NOW),
        (with(Failure::PerTryTimeout, Exposure::Nothing), NOW),
        (with(Failure::PerTryTimeout, Exposure::Something), unsafe_),
        (with(Failure::Status(503), Exposure::Something), unsafe_),
        // An answer was made of something.
        (with(Failure::Status(503), Exposure::Nothing), unsafe_),
        // Asked for by name.
        (with(Failure::Grpc(14), Exposure::Something), NOW),
        (RetryFacts { failure: Failure::Status(503), ..get }, NOW),
        (RetryFacts { failure: Failure::PerTryTimeout, ..get }, NOW),
        (RetryFacts { idempotency_key: true, ..post }, NOW),
        (RetryFacts { idempotency_key: true, ..with(Failure::Status(500), Exposure::Something) }, NOW),
        (RetryFacts { replay: Replay::Lost, ..get }, lost),
        (RetryFacts { replay: Replay::Lost, idempotency_key: true, ..post }, lost),
        (RetryFacts { replay: Replay::Lost, ..with(Failure::Reset, Exposure::Nothing) }, lost),
        (RetryFacts { replay: Replay::Lost, ..with(Failure::Grpc(14), Exposure::Something) }, lost),
    ];
    let strict = policy(1, &every);
    let lenient = RetryPolicy::new(&Retry { non_idempotent: true, ..wire(1, &every) });
    for (facts, expected) in cases {
        assert_eq!(decide(&strict, &facts), expected, "{facts:?}");
        let expected = if expected == unsafe_ { NOW } else { expected };
        assert_eq!(decide(&lenient, &facts), expected, "any method: {facts:?}");
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
        (Reused::Yes, Resent::No, RetryFacts { failure: Failure::Status(503), ..reset(b"GET") }, false),
        (Reused::Yes, Resent::No, RetryFacts { replay: Replay::Lost, ..reset(b"GET") }, false),
    ];
    for (reused, already, facts, expected) in cases {
        assert_eq!(may_resend(reused, already, &facts), expected, "{reused:?} {already:?} {facts:?}");
    }
}

#[test]
fn waits_double_up_to_the_longest() {
    let backoff = Backoff::from_ms(25, 250);
    for (made, bound) in [(0, 25), (1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (64, 250), (u32::MAX, 250)]
    {
        assert_eq!(backoff.bound_ns(made), bound * MS, "{made}");
        assert_eq!(backoff.wait_ns(made, 0), 0);
        assert_eq!(backoff.wait_ns(made, u64::MAX), bound * MS);
        assert_eq!(backoff.wait_ns(made, u64::MAX / 2), bound * MS / 2);
    }
    assert_eq!(Backoff::from_ms(0, 250).bound_ns(9), 0);
    let hour = Backoff::from_ms(3_600_000, 3_600_000);
    assert_eq!(hour.wait_ns(u32::MAX, u64::MAX), 3_600_000 * MS);
}

#[test]
fn an_endpoint_says_how_long_to_wait_and_the_jitter_comes_on_top() {
    let policy = policy(3, &[RetryOn::ServerError]);
    let facts = RetryFacts { failure: Failure::Status(503), ..reset(b"GET") };
    let cases = [
        (Advice::None, 0, NOW),
        (Advice::None, u64::MAX, Next::Retry { wait_ns: 25 * MS }),
        (Advice::After(7 * MS), 0, Next::Retry { wait_ns: 7 * MS }),
        (Advice::After(7 * MS), u64::MAX, Next::Retry { wait_ns: 32 * MS }),
        (Advice::After(u64::MAX), u64::MAX, Next::Retry { wait_ns: u64::MAX }),
        (Advice::Never, 0, Next::GiveUp(Why::ToldNotTo)),
    ];
    for (advice, random, expected) in cases {
        assert_eq!(next(&policy, &RetryFacts { advice, ..facts }, random, || Ok(())), expected, "{advice:?}");
    }
}

#[test]
fn a_wait_that_does_not_fit_the_time_left_is_none() {
    let policy = policy(3, &[RetryOn::Reset]);
    let cases = [
        (Advice::None, 0, 0, None),
        (Advice::None, 0, 1, Some(0)),
        (Advice::None, u64::MAX, 25 * MS, None),
        (Advice::None, u64::MAX, 25 * MS + 1, Some(25 * MS)),
        (Advice::After(1000 * MS), 0, 1000 * MS, None),
        (Advice::After(1000 * MS), 0, 1001 * MS, Some(1000 * MS)),
        (Advice::After(u64::MAX), u64::MAX, u64::MAX, None),
    ];
    for (advice, random, left, wait) in cases {
        let facts = RetryFacts { advice, left_ns: Some(left), ..reset(b"GET") };
        let expected = wait.map_or(Next::GiveUp(Why::NoTimeLeft), |wait_ns| Next::Retry { wait_ns });
        assert_eq!(next(&policy, &facts, random, || Ok(())), expected, "{advice:?} {left}");
    }
}

/// Nothing is taken from a budget for a retry that is not made.
#[test]
fn the_budget_is_asked_last_and_its_answer_counts() {
    let policy = policy(1, BOTH);
    for why in [Why::RetriesLimit, Why::BudgetSpent] {
        assert_eq!(next(&policy, &reset(b"GET"), 0, || Err(why)), Next::GiveUp(why));
    }
    let refused = [
        RetryFacts { failure: Failure::Status(503), ..reset(b"GET") },
        RetryFacts { attempts_made: 2, ..reset(b"GET") },
        RetryFacts { advice: Advice::Never, ..reset(b"GET") },
        RetryFacts { replay: Replay::Lost, ..reset(b"GET") },
        reset(b"POST"),
        RetryFacts { left_ns: Some(0), ..reset(b"GET") },
    ];
    for (facts, why) in refused.iter().zip(Why::ALL) {
        let decision = next(&policy, facts, 0, || panic!("charged for {why:?}"));
        assert_eq!(decision, Next::GiveUp(why), "in the order in which they are looked at");
    }
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let codes: Vec<&str> = Why::ALL.iter().map(|why| why.code()).collect();
    let expected = [
        "not_covered",
        "attempts_used",
        "told_not_to",
        "replay_lost",
        "unsafe_to_repeat",
        "no_time_left",
        "retries_limit",
        "budget_spent",
    ];
    assert_eq!(codes, expected);
}
