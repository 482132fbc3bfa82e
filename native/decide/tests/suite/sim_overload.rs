//! A service with a queue behind an adaptive limit, four workers: convergence after steps of capacity, goodput under
//! three times the load, priorities.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and counts of a simulation"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use tulle_decide::chance::again;
use tulle_decide::overload::{Adaptive, Batch, Gate, Outcome, Pressure};
use tulle_snapshot::wire::{AdaptiveLimit, Priority};

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// Callers give up after this.
const PATIENCE: u64 = SECOND;
const FOLD: u64 = 100 * MS;
const WORKERS: usize = 4;

/// What the service can do from some time on: requests served side by side, and the mean time for each.
#[derive(Clone, Copy)]
struct Capacity {
    from: u64,
    servers: usize,
    mean: u64,
}

impl Capacity {
    /// Per second.
    fn peak(&self) -> f64 {
        self.servers as f64 * 1e9 / self.mean as f64
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = again(self.0);
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: u64) -> u64 {
        (-(1.0 - self.unit()).ln() * mean as f64) as u64
    }
}

#[derive(Clone, Copy)]
struct Request {
    begun: u64,
    class: usize,
}

const CLASSES: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

/// Counts per second and class.
#[derive(Clone, Copy, Default)]
struct Second {
    offered: [u32; 3],
    good: [u32; 3],
}

struct Sim {
    random: Random,
    capacities: Vec<Capacity>,
    /// Requests per second.
    load: f64,
    /// Of a hundred requests, how many are of each class.
    mix: [u64; 3],
    gate: Gate,
    adaptive: Option<Adaptive>,
    batches: [Batch; WORKERS],
    queue: VecDeque<Request>,
    serving: BinaryHeap<Reverse<(u64, u64, usize)>>,
    seconds: Vec<Second>,
    limits: Vec<u32>,
}

impl Sim {
    fn new(seed: u64, capacities: Vec<Capacity>, load: f64, mix: [u64; 3], adaptive: bool) -> Self {
        let adaptive = adaptive.then(|| Adaptive::new(AdaptiveLimit { min: 2, max: 10_000 }, 0));
        let gate = Gate::new(adaptive.as_ref().map_or(u32::MAX, Adaptive::limit));
        Self {
            random: Random(seed),
            capacities,
            load,
            mix,
            gate,
            adaptive,
            batches: Default::default(),
            queue: VecDeque::new(),
            serving: BinaryHeap::new(),
            seconds: Vec::new(),
            limits: Vec::new(),
        }
    }

    fn capacity(&self, now: u64) -> Capacity {
        *self.capacities.iter().rev().find(|c| c.from <= now).unwrap()
    }

    fn second(&mut self, now: u64) -> &mut Second {
        let index = usize::try_from(now / SECOND).unwrap();
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }

    fn start(&mut self, now: u64) {
        let capacity = self.capacity(now);
        while self.serving.len() < capacity.servers {
            let Some(request) = self.queue.pop_front() else { return };
            // Half of the time is fixed, half of it exponential.
            let took = capacity.mean / 2 + self.random.exponential(capacity.mean / 2);
            self.serving.push(Reverse((now + took, request.begun, request.class)));
        }
    }

    fn finish(&mut self, now: u64, begun: u64, class: usize) {
        let in_flight = self.gate.leave();
        let latency = now - begun;
        let timely = latency <= PATIENCE;
        let outcome = if timely { Outcome::Answered } else { Outcome::Overloaded };
        let worker = usize::try_from(begun % WORKERS as u64).unwrap();
        self.batches[worker].finished(latency.min(PATIENCE), in_flight, outcome);
        if timely {
            self.second(now).good[class] += 1;
        }
        self.start(now);
    }

    fn arrive(&mut self, now: u64) {
        let draw = self.random.next() % 100;
        let class = usize::from(draw >= self.mix[0]) + usize::from(draw >= self.mix[0] + self.mix[1]);
        self.second(now).offered[class] += 1;
        if self.gate.enter(CLASSES[class], Pressure::None) {
            self.queue.push_back(Request { begun: now, class });
            self.start(now);
        }
    }

    fn fold(&mut self, now: u64) {
        let mut sum = Batch::default();
        for batch in &mut self.batches {
            sum.add(&std::mem::take(batch));
        }
        if let Some(adaptive) = &mut self.adaptive {
            self.gate.set_limit(adaptive.fold(&sum, now));
        }
        self.limits.push(self.gate.limit());
    }

    fn run(&mut self, end: u64) {
        let gap = (1e9 / self.load) as u64;
        let (mut arrival, mut fold) = (0, FOLD);
        loop {
            let done = self.serving.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            let now = arrival.min(fold).min(done);
            if now >= end {
                return;
            }
            if now == done {
                let Reverse((_, begun, class)) = self.serving.pop().unwrap();
                self.finish(now, begun, class);
            } else if now == arrival {
                self.arrive(now);
                arrival = now + self.random.exponential(gap).max(1);
            } else {
                self.fold(now);
                fold += FOLD;
            }
        }
    }

    /// Good answers per second over some seconds.
    fn goodput(&self, from: usize, to: usize) -> f64 {
        let all: u32 = self.seconds[from..to].iter().flat_map(|s| s.good).sum();
        f64::from(all) / (to - from) as f64
    }
}

const EQUAL: [u64; 3] = [0, 100, 0];

fn at(seconds: u64, servers: usize, mean_ms: u64) -> Capacity {
    Capacity { from: seconds * SECOND, servers, mean: mean_ms * MS }
}

#[test]
fn three_times_the_load_costs_no_goodput_and_without_a_limit_it_does() {
    for seed in 1..=3 {
        let capacity = at(0, 20, 20);
        let mut limited = Sim::new(seed, vec![capacity], 3.0 * capacity.peak(), EQUAL, true);
        limited.run(15 * SECOND);
        let share = limited.goodput(2, 15) / capacity.peak();
        assert!(share >= 0.9, "seed {seed}: {share:.3} of the peak, limits {:?}", limited.limits);
        if seed == 1 {
            let mut unlimited = Sim::new(seed, vec![capacity], 3.0 * capacity.peak(), EQUAL, false);
            unlimited.run(6 * SECOND);
            let share = unlimited.goodput(3, 6) / capacity.peak();
            assert!(share < 0.1, "without a limit: {share:.3}");
        }
    }
}

#[test]
fn the_limit_follows_steps_of_capacity_both_ways() {
    // A quarter of the servers, more than before, each slower, each faster.
    let steps = [at(0, 20, 20), at(8, 5, 20), at(16, 20, 20), at(24, 20, 60), at(32, 20, 20)];
    for seed in 1..=2 {
        let mut sim = Sim::new(seed, steps.to_vec(), 1500.0, EQUAL, true);
        sim.run(40 * SECOND);
        for (step, capacity) in steps.iter().enumerate() {
            // Converged within four seconds.
            let from = step * 8 + 4;
            let share = sim.goodput(from, from + 4) / capacity.peak().min(1500.0);
            assert!(share >= 0.9, "seed {seed}, step {step}: {share:.3}, limits {:?}", sim.limits);
            let limit = f64::from(sim.limits[from * 10 + 20]);
            let servers = capacity.servers as f64;
            assert!(limit < 3.0 * servers, "seed {seed}, step {step}: {limit} for {servers} servers");
        }
    }
}

#[test]
fn a_load_that_lasts_does_not_make_the_limit_creep() {
    let capacity = at(0, 10, 50);
    let mut sim = Sim::new(5, vec![capacity], 2.0 * capacity.peak(), EQUAL, true);
    sim.run(120 * SECOND);
    let highest = sim.limits.iter().skip(600).max().unwrap();
    assert!(*highest <= 30, "{highest}");
    assert!(sim.goodput(60, 120) / capacity.peak() >= 0.9);
}

#[test]
fn a_load_below_capacity_is_let_in_whole() {
    let capacity = at(0, 20, 20);
    let mut sim = Sim::new(9, vec![capacity], 0.7 * capacity.peak(), EQUAL, true);
    sim.run(15 * SECOND);
    let offered: u32 = sim.seconds[3..15].iter().flat_map(|s| s.offered).sum();
    let share = sim.goodput(3, 15) * 12.0 / f64::from(offered);
    assert!(share >= 0.99, "{share:.4}");
}

#[test]
fn higher_priorities_are_served_first() {
    let capacity = at(0, 20, 20);
    let mut sim = Sim::new(3, vec![capacity], 2.0 * capacity.peak(), [40, 40, 20], true);
    sim.run(15 * SECOND);
    let share = |class: usize| {
        let sum =
            |of: fn(&Second) -> [u32; 3]| -> u32 { sim.seconds[3..15].iter().map(|s| of(s)[class]).sum() };
        f64::from(sum(|s| s.good)) / f64::from(sum(|s| s.offered))
    };
    let [low, normal, high] = [share(0), share(1), share(2)];
    assert!(high > 0.9 && high > normal && normal > low + 0.1, "{low:.2} {normal:.2} {high:.2}");
    assert!(sim.goodput(3, 15) / capacity.peak() >= 0.9);
}

#[test]
#[cfg(feature = "long")]
fn goodput_holds_for_long_and_for_many_services() {
    for (seed, servers, mean) in [(1, 1, 100), (2, 2, 5), (3, 50, 10), (4, 200, 30), (5, 8, 300)] {
        let capacity = at(0, servers, mean);
        let mut sim = Sim::new(seed, vec![capacity], 3.0 * capacity.peak(), EQUAL, true);
        sim.run(300 * SECOND);
        let share = sim.goodput(20, 300) / capacity.peak();
        assert!(share >= 0.9, "{servers} servers of {mean} ms: {share:.3}");
    }
}
