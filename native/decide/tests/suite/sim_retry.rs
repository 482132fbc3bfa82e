//! Retry storms: many callers of a service that fails, over minutes, with fixed seeds.
#![expect(clippy::cast_precision_loss, reason = "counts of a simulation are small")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use tulle_decide::retry::{
    Advice, Budget, Exposure, Failure, Next, Replay, RetryFacts, RetryPolicy, Why, WorkerBudget, next,
};
use tulle_snapshot::wire::{Retry, RetryBudget, RetryOn};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// The splitmix64 generator (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Uniform over 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        self.next() as f64 / u64::MAX as f64
    }
}

/// Callers in a loop: a request, its retries, a pause.
struct Storm {
    callers: usize,
    workers: usize,
    attempts: u32,
    budget: RetryBudget,
    seconds: u64,
    /// The share of attempts that fail, at a time.
    fails: fn(u64) -> f64,
}

#[derive(Default, Debug)]
struct Outcome {
    requests: u64,
    retries: u64,
    failed: u64,
    /// Attempts in each second.
    arrivals: Vec<u64>,
    spent: u64,
}

impl Outcome {
    fn amplification(&self) -> f64 {
        (self.requests + self.retries) as f64 / self.requests as f64
    }
}

struct Run {
    policy: RetryPolicy,
    workers: Vec<WorkerBudget>,
    random: Random,
    outcome: Outcome,
    /// When, which caller, and how many attempts it has made of its request.
    events: BinaryHeap<Reverse<(u64, usize, u32)>>,
}

fn run(storm: &Storm, seed: u64) -> Outcome {
    let policy = RetryPolicy::new(&Retry {
        attempts: storm.attempts,
        on: vec![RetryOn::GatewayError],
        statuses: Vec::new(),
        backoff_base_ms: 25,
        backoff_max_ms: 250,
        budget: storm.budget,
        non_idempotent: false,
        hedge: None,
    });
    let budget = Arc::new(Budget::new(storm.budget, storm.workers));
    let mut random = Random(seed);
    let events = (0..storm.callers).map(|caller| Reverse((random.next() % SECOND, caller, 0))).collect();
    let workers = (0..storm.workers).map(|i| budget.handle(i).unwrap()).collect();
    let mut run = Run { policy, workers, random, outcome: Outcome::default(), events };
    while let Some(Reverse((now, caller, made))) = run.events.pop() {
        if now < storm.seconds * SECOND {
            run.attempt(storm, now, caller, made);
        }
    }
    run.outcome
}

impl Run {
    fn attempt(&mut self, storm: &Storm, now: u64, caller: usize, made: u32) {
        let worker = &mut self.workers[caller % storm.workers];
        if made == 0 {
            worker.request(now);
            self.outcome.requests += 1;
        } else {
            self.outcome.retries += 1;
        }
        let second = (now / SECOND) as usize;
        self.outcome.arrivals.resize(self.outcome.arrivals.len().max(second + 1), 0);
        self.outcome.arrivals[second] += 1;
        let pause = now + SECOND + self.random.next() % SECOND;
        if self.random.share() >= (storm.fails)(now) {
            return self.events.push(Reverse((pause, caller, 0)));
        }
        let facts = RetryFacts {
            attempts_made: made + 1,
            failure: Failure::Status(503),
            exposure: Exposure::Something,
            method: b"GET",
            idempotency_key: false,
            replay: Replay::Complete,
            advice: Advice::None,
            left_ns: None,
        };
        let charge = || if worker.charge(now) { Ok(()) } else { Err(Why::BudgetSpent) };
        match next(&self.policy, &facts, self.random.next(), charge) {
            Next::Retry { wait_ns } => self.events.push(Reverse((now + wait_ns, caller, made + 1))),
            Next::GiveUp(why) => {
                self.outcome.failed += 1;
                self.outcome.spent += u64::from(why == Why::BudgetSpent);
                self.events.push(Reverse((pause, caller, 0)));
            }
        }
    }
}

const DEFAULT: RetryBudget = RetryBudget { percent: 20, min_per_second: 10 };

/// A thousand callers, everything fails, three retries each are configured: without a budget four times the load.
#[test]
fn a_storm_stays_within_its_budget() {
    for (seed, workers) in [(1, 1), (2, 4)] {
        let storm =
            Storm { callers: 1000, workers, attempts: 3, budget: DEFAULT, seconds: 60, fails: |_| 1.0 };
        let outcome = run(&storm, seed);
        let allowed = outcome.requests / 5 + 10 * storm.seconds;
        // At the ends of the time the window reaches over them.
        assert!(outcome.retries <= allowed + 10 * 10, "{outcome:?}");
        assert!(outcome.retries >= allowed * 8 / 10, "the budget is there to be used: {outcome:?}");
        assert!(outcome.spent > outcome.requests / 2);
        let unbounded =
            run(&Storm { budget: RetryBudget { percent: 100, min_per_second: 1000 }, ..storm }, seed);
        assert!(unbounded.amplification() > 1.9, "{unbounded:?}");
    }
}

/// Without the floor it is the share alone.
#[test]
fn amplification_is_at_most_the_share() {
    let budget = RetryBudget { percent: 20, min_per_second: 0 };
    let storm = Storm { callers: 1000, workers: 4, attempts: 10, budget, seconds: 60, fails: |_| 1.0 };
    let outcome = run(&storm, 3);
    assert!(outcome.amplification() <= 1.2, "{outcome:?}");
    assert!(outcome.amplification() >= 1.15, "{outcome:?}");
}

/// A few failures are all mended: the budget is no limit where there is no storm.
#[test]
fn a_little_failing_is_hidden_from_callers() {
    let storm =
        Storm { callers: 1000, workers: 4, attempts: 2, budget: DEFAULT, seconds: 60, fails: |_| 0.05 };
    let outcome = run(&storm, 4);
    assert_eq!(outcome.spent, 0, "{outcome:?}");
    // Three failures in a row: 1 in 8,000.
    assert!(outcome.failed < outcome.requests / 2000, "{outcome:?}");
}

/// After an outage there is no wave: the load of the seconds after it is that of the seconds before.
#[test]
fn an_outage_leaves_no_wave_behind() {
    let fails = |now| if (20 * SECOND..40 * SECOND).contains(&now) { 1.0 } else { 0.0 };
    let storm = Storm { callers: 1000, workers: 4, attempts: 3, budget: DEFAULT, seconds: 60, fails };
    let outcome = run(&storm, 5);
    let mean =
        |from: usize, to: usize| outcome.arrivals[from..to].iter().sum::<u64>() as f64 / (to - from) as f64;
    let before = mean(5, 20);
    assert!(mean(20, 40) <= before * 1.2 + 10.0 + 10.0, "{outcome:?}");
    for second in 42..59 {
        let load = outcome.arrivals[second] as f64;
        assert!((load - before).abs() < before * 0.15, "{second}: {load}, {before} before");
    }
}
