//! What holds of every decision about a retry.

use proptest::prelude::*;
use std::cell::Cell;
use tulle_decide::retry::{
    Advice, Budget, Exposure, Failure, Next, Replay, RetryFacts, RetryPolicy, Why, is_idempotent, next,
};
use tulle_snapshot::wire::{Retry, RetryBudget, RetryOn};

fn conditions() -> impl Strategy<Value = Vec<RetryOn>> {
    let all = [
        RetryOn::ConnectFailure,
        RetryOn::Reset,
        RetryOn::GatewayError,
        RetryOn::ServerError,
        RetryOn::PerTryTimeout,
        RetryOn::GrpcCancelled,
        RetryOn::GrpcDeadlineExceeded,
        RetryOn::GrpcResourceExhausted,
        RetryOn::GrpcInternal,
        RetryOn::GrpcUnavailable,
    ];
    proptest::sample::subsequence(all.to_vec(), 0..=all.len())
}

fn wire() -> impl Strategy<Value = Retry> {
    let statuses = proptest::collection::vec(400_u16..600, 0..4);
    (conditions(), statuses, 0_u32..4, 0_u32..100, 0_u32..1000, any::<bool>()).prop_map(
        |(on, statuses, attempts, base, more, non_idempotent)| Retry {
            attempts,
            on,
            statuses,
            backoff_base_ms: base,
            backoff_max_ms: base + more,
            budget: RetryBudget { percent: 20, min_per_second: 10 },
            non_idempotent,
            hedge: None,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Connect),
        Just(Failure::Reset),
        Just(Failure::PerTryTimeout),
        (400_u16..600).prop_map(Failure::Status),
        (0_u8..17).prop_map(Failure::Grpc),
    ]
}

fn facts() -> impl Strategy<Value = RetryFacts<'static>> {
    let advice =
        prop_oneof![Just(Advice::None), Just(Advice::Never), (0_u64..2_000_000_000).prop_map(Advice::After)];
    let method = proptest::sample::select(vec![&b"GET"[..], b"POST", b"PUT", b"PATCH"]);
    let left = proptest::option::of(0_u64..2_000_000_000);
    (failure(), 1_u32..5, any::<[bool; 3]>(), method, advice, left).prop_map(
        |(failure, attempts_made, [sent, key, lost], method, advice, left_ns)| RetryFacts {
            attempts_made,
            failure,
            exposure: if sent { Exposure::Something } else { Exposure::Nothing },
            method,
            idempotency_key: key,
            replay: if lost { Replay::Lost } else { Replay::Complete },
            advice,
            left_ns,
        },
    )
}

proptest! {
    #[test]
    fn a_retry_keeps_every_rule(wire in wire(), facts in facts(), random: u64, room: bool) {
        let policy = RetryPolicy::new(&wire);
        let asked = Cell::new(0);
        let decision = next(&policy, &facts, random, || {
            asked.set(asked.get() + 1);
            if room { Ok(()) } else { Err(Why::BudgetSpent) }
        });
        match decision {
            Next::Retry { wait_ns } => {
                prop_assert!(room && asked.get() == 1);
                prop_assert!(facts.attempts_made <= wire.attempts);
                prop_assert!(facts.replay == Replay::Complete && facts.advice != Advice::Never);
                prop_assert!(facts.left_ns.is_none_or(|left| wait_ns < left));
                let asked_ns = if let Advice::After(ns) = facts.advice { ns } else { 0 };
                let longest = u64::from(wire.backoff_max_ms) * 1_000_000;
                prop_assert!((asked_ns..=asked_ns + longest).contains(&wait_ns));
                prop_assert!(policy.covers(facts.failure));
                let unseen = facts.failure == Failure::Connect
                    || facts.exposure == Exposure::Nothing
                        && matches!(facts.failure, Failure::Reset | Failure::PerTryTimeout);
                let harmless = unseen || facts.idempotency_key || is_idempotent(facts.method);
                prop_assert!(harmless || wire.non_idempotent || matches!(facts.failure, Failure::Grpc(_)));
            }
            Next::GiveUp(Why::BudgetSpent) => prop_assert!(!room && asked.get() == 1),
            Next::GiveUp(_) => prop_assert_eq!(asked.get(), 0),
        }
    }

    /// Whatever was counted when: the window is that of a list of everything.
    #[test]
    fn a_budget_counts_as_a_list_does(
        steps in proptest::collection::vec((0_u64..4_000, any::<bool>(), 0_usize..3), 1..200),
        percent in 0_u32..=100,
        floor in 0_u32..3,
    ) {
        let budget = std::sync::Arc::new(Budget::new(RetryBudget { percent, min_per_second: floor }, 3));
        let mut workers: Vec<_> = (0..3).map(|i| budget.handle(i).unwrap()).collect();
        let (mut requests, mut retries) = (Vec::new(), Vec::new());
        let mut ms = 0;
        for (pause, retry, worker) in steps {
            ms += pause;
            let recent = |list: &Vec<u64>| list.iter().filter(|at| *at / 1000 + 10 > ms / 1000).count() as u64;
            let allowed = recent(&requests) * u64::from(percent) / 100 + u64::from(floor) * 10;
            if retry {
                let expected = recent(&retries) < allowed;
                prop_assert_eq!(workers[worker].charge(ms * 1_000_000), expected);
                if expected {
                    retries.push(ms);
                }
            } else {
                workers[worker].request(ms * 1_000_000);
                requests.push(ms);
            }
        }
    }
}
