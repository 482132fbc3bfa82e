//! Hedging against a slow tail: what it costs and what it gains, with fixed seeds.

use crate::sim_retry::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tulle_decide::retry::Hedger;
use tulle_snapshot::wire::Hedge;

const MS: u64 = 1_000_000;

/// How the endpoints answer: a latency, by chance and time.
type Endpoint = fn(&mut Random, u64) -> u64;

struct Outcome {
    latencies: Vec<u64>,
    hedges: usize,
}

impl Outcome {
    fn p99(&mut self) -> u64 {
        self.latencies.sort_unstable();
        self.latencies[self.latencies.len() * 99 / 100]
    }

    fn extra(&self) -> f64 {
        f64::from(u32::try_from(self.hedges).unwrap())
            / f64::from(u32::try_from(self.latencies.len()).unwrap())
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A first attempt is due.
    Begin,
    /// The first attempt has taken as long as the delay: when it began, and what it takes in all.
    Slow(u64, u64),
    /// There is an answer, after so long.
    Answer(u64),
}

/// Requests at a rate of a thousand per second; each event happens in its order, so that nothing is known too early.
fn run(requests: usize, hedging: bool, endpoint: Endpoint, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let mut hedger = Hedger::new(Hedge { percentile: 95, max_percent: 5 }, 0);
    let mut outcome = Outcome { latencies: Vec::with_capacity(requests), hedges: 0 };
    let mut events = BinaryHeap::from([Reverse((0, Event::Begin))]);
    let mut sent = 0;
    while let Some(Reverse((now, event))) = events.pop() {
        match event {
            Event::Begin => {
                sent += 1;
                if sent < requests {
                    events.push(Reverse((now + random.next() % (2 * MS), Event::Begin)));
                }
                let takes = endpoint(&mut random, now);
                match hedger.delay(now).filter(|delay| hedging && *delay < takes) {
                    Some(delay) => events.push(Reverse((now + delay, Event::Slow(now, takes)))),
                    None => events.push(Reverse((now + takes, Event::Answer(takes)))),
                }
            }
            Event::Slow(began, takes) => {
                let mut end = began + takes;
                if hedger.may(now) {
                    outcome.hedges += 1;
                    end = end.min(now + endpoint(&mut random, now));
                }
                events.push(Reverse((end, Event::Answer(end - began))));
            }
            Event::Answer(took) => {
                hedger.observe(took, now);
                outcome.latencies.push(took);
            }
        }
    }
    outcome
}

/// 3 % of the answers take half a second: the p99 is in there, and two of them in a row are rare.
fn slow_tail(random: &mut Random, _: u64) -> u64 {
    if random.next() % 100 < 3 { 500 * MS } else { 5 * MS + random.next() % (10 * MS) }
}

#[test]
fn a_slow_tail_is_cut_for_five_percent_at_most() {
    for seed in 1..4 {
        let mut without = run(30_000, false, slow_tail, seed);
        let mut with = run(30_000, true, slow_tail, seed);
        assert_eq!(without.hedges, 0);
        assert_eq!(with.latencies.len(), 30_000, "each request has one answer");
        assert!(with.extra() <= 0.05, "{}", with.extra());
        assert!(with.extra() > 0.02, "{}", with.extra());
        assert!(with.p99() * 10 < without.p99(), "{} {}", with.p99(), without.p99());
    }
}

/// Everything becomes slow at once: a hedge would help nobody, and there is no flood of them.
#[test]
fn when_all_is_slow_the_share_still_holds() {
    let endpoint: Endpoint = |random, now| {
        let usual = 5 * MS + random.next() % (10 * MS);
        if (10_000 * MS..20_000 * MS).contains(&now) { usual * 20 } else { usual }
    };
    let mut outcome = run(30_000, true, endpoint, 4);
    assert!(outcome.extra() <= 0.05, "{}", outcome.extra());
    assert!(outcome.p99() <= 300 * MS);
}

/// Where there is no tail there is next to nothing to hedge.
#[test]
fn latencies_that_are_alike_are_not_hedged() {
    let endpoint: Endpoint = |random, _| 10 * MS + random.next() % 100_000;
    let outcome = run(20_000, true, endpoint, 5);
    assert!(outcome.hedges == 0, "{}", outcome.hedges);
}
