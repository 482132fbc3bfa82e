//! Simulations of balancing: endpoints that are slow, fail, hang, leave and come back, over minutes and hours.
#![expect(clippy::cast_precision_loss, reason = "numbers of tests are small")]

use super::balance_fixture::{MS, SECOND, Seeded, build, members, view, zoned};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tulle_decide::balance::{
    Ask, Balancer, EndpointSet, HashTable, Loads, Member, Members, Outcome, Settings, View, Zone, balancer,
};
use tulle_snapshot::wire::BalancingPolicy;

/// One worker and a service.
struct Sim {
    balancer: Box<dyn Balancer + Send>,
    members: Members,
    loads: Loads,
    view: View,
    now: u64,
    random: Seeded,
    /// Answers to come: when, to whom, began when, and how.
    under_way: BinaryHeap<Reverse<(u64, u32, u64, bool)>>,
    /// Requests in the last run, and the most at once, by endpoint.
    got: Vec<u32>,
    most: Vec<u32>,
    /// Latencies of the last run.
    latencies: Vec<u64>,
}

/// What an endpoint does with a request.
enum Does {
    Answer(u64),
    Fail(u64),
    Hang,
}

impl Sim {
    fn new(policy: BalancingPolicy, members: Members, settings: Settings) -> Self {
        Self {
            balancer: build(policy, &members),
            loads: Loads::new(&members),
            view: View::new(&members, None, settings, |_| None),
            members,
            now: SECOND,
            random: Seeded(0x7EA5),
            under_way: BinaryHeap::new(),
            got: Vec::new(),
            most: Vec::new(),
            latencies: Vec::new(),
        }
    }

    /// Requests at a rate, for some seconds. `does` is asked with endpoint, requests under way there, and chance.
    fn run(&mut self, seconds: u64, per_second: u64, does: impl Fn(u32, u32, &mut Seeded) -> Does) {
        let end = self.now + seconds * SECOND;
        let len = self.members.as_slice().len();
        (self.got, self.most, self.latencies) = (vec![0; len], vec![0; len], Vec::new());
        loop {
            self.now += self.random.around(SECOND / per_second);
            while let Some(Reverse((at, endpoint, began, well))) = self.under_way.peek().copied() {
                if at > self.now {
                    break;
                }
                self.under_way.pop();
                let outcome = if well { Outcome::Success } else { Outcome::Failure };
                self.loads.finished(endpoint, at, at - began, outcome);
            }
            if self.now >= end {
                return;
            }
            let ask =
                Ask { random: self.random.next(), key: Some(self.random.next()), now: self.now, tried: &[] };
            let endpoint = self.balancer.pick(&self.view, &self.loads, &ask).unwrap();
            let there = self.loads.in_flight(endpoint);
            self.loads.started(endpoint, self.now);
            self.got[endpoint as usize] += 1;
            self.most[endpoint as usize] = self.most[endpoint as usize].max(there + 1);
            let (latency, well) = match does(endpoint, there, &mut self.random) {
                Does::Answer(latency) => (latency, true),
                Does::Fail(latency) => (latency, false),
                Does::Hang => continue,
            };
            self.latencies.push(latency);
            self.under_way.push(Reverse((self.now + latency, endpoint, self.now, well)));
        }
    }

    /// What some endpoints got, of 1.
    fn share(&self, of: impl Fn(u32) -> bool) -> f64 {
        let all: u32 = self.got.iter().sum();
        let some: u32 = (0..).zip(&self.got).filter(|(e, _)| of(*e)).map(|(_, got)| got).sum();
        f64::from(some) / f64::from(all)
    }

    fn percentile(&mut self, percent: usize) -> u64 {
        self.latencies.sort_unstable();
        self.latencies[self.latencies.len() * percent / 100]
    }
}

fn usual(random: &mut Seeded) -> Does {
    Does::Answer(5 * MS + random.around(5 * MS))
}

fn ten(policy: BalancingPolicy) -> Sim {
    Sim::new(policy, members(&[1; 10]), Settings::default())
}

#[test]
fn peak_ewma_leaves_a_slow_endpoint_and_comes_back() {
    let mut sim = ten(BalancingPolicy::PeakEwma);
    sim.run(30, 500, |_, _, random| usual(random));
    assert!((0.06..0.14).contains(&sim.share(|e| e == 0)));
    let slow = |endpoint, _, random: &mut Seeded| match usual(random) {
        Does::Answer(latency) if endpoint == 0 => Does::Answer(latency + 200 * MS),
        does => does,
    };
    sim.run(60, 500, slow);
    let share = sim.share(|e| e == 0);
    assert!(share > 0.0 && share < 0.005, "{share}");
    assert!(sim.percentile(99) < 50 * MS, "one in a hundred does not meet it");
    sim.run(60, 500, |_, _, random| usual(random));
    sim.run(30, 500, |_, _, random| usual(random));
    assert!((0.06..0.14).contains(&sim.share(|e| e == 0)), "{:?}", sim.got);
}

#[test]
fn a_slow_endpoint_gets_nothing_for_being_the_best_of_the_ill() {
    let ill = |endpoint, _, random: &mut Seeded| match (endpoint, usual(random)) {
        (0, Does::Answer(latency)) => Does::Answer(latency + 200 * MS),
        (2, _) => Does::Fail(MS),
        (4, _) => Does::Fail(500 * MS),
        (6, _) => Does::Hang,
        (_, does) => does,
    };
    for weights in [[1; 10], [1, 2, 3, 2, 1, 2, 3, 2, 1, 2]] {
        let mut sim = Sim::new(BalancingPolicy::PeakEwma, members(&weights), Settings::default());
        sim.run(30, 500, |_, _, random| usual(random));
        sim.run(60, 500, ill);
        let (slow, all_ill) = (sim.share(|e| e == 0), sim.share(|e| e < 8 && e % 2 == 0));
        assert!(slow > 0.0 && slow < 0.006, "{slow}: {:?}", sim.got);
        assert!(all_ill < 0.01, "{all_ill}: {:?}", sim.got);
        // Even among the well.
        assert!((1..10).step_by(2).all(|e| sim.share(|it| it == e) > 0.08), "{:?}", sim.got);
        sim.run(60, 500, |_, _, random| usual(random));
        sim.run(30, 500, |_, _, random| usual(random));
        assert!(sim.share(|e| e == 0) > 0.02, "it is well again: {:?}", sim.got);
    }
}

#[test]
fn an_endpoint_that_fails_fast_attracts_nothing() {
    let failing = |endpoint, _, random: &mut Seeded| match usual(random) {
        Does::Answer(_) if endpoint == 3 => Does::Fail(MS / 2),
        does => does,
    };
    let mut sim = ten(BalancingPolicy::PeakEwma);
    sim.run(60, 500, failing);
    assert!(sim.share(|e| e == 3) < 0.005, "{:?}", sim.got);
    // One that fails half of the time, too.
    let half = |endpoint, there, random: &mut Seeded| {
        if random.below(2) == 0 { usual(random) } else { failing(endpoint, there, random) }
    };
    let mut sim = ten(BalancingPolicy::PeakEwma);
    sim.run(60, 500, half);
    assert!(sim.share(|e| e == 3) < 0.005, "{:?}", sim.got);
    sim.run(90, 500, |_, _, random| usual(random));
    sim.run(30, 500, |_, _, random| usual(random));
    assert!(sim.share(|e| e == 3) > 0.05, "it is well again: {:?}", sim.got);
}

#[test]
fn an_endpoint_that_answers_nothing_is_left_before_any_timeout() {
    for (policy, most) in [(BalancingPolicy::PeakEwma, 8), (BalancingPolicy::LeastRequest, 20)] {
        let mut sim = ten(policy);
        sim.run(10, 500, |_, _, random| usual(random));
        sim.run(15, 500, |endpoint, _, random| if endpoint == 5 { Does::Hang } else { usual(random) });
        assert!(sim.got[5] <= most, "{policy:?}: {:?}", sim.got);
    }
}

#[test]
fn least_request_evens_out_unequal_service_times() {
    // Half of the endpoints take four times as long.
    let unequal = |endpoint: u32, _, random: &mut Seeded| {
        Does::Answer(random.around(if endpoint.is_multiple_of(2) { 20 * MS } else { 80 * MS }))
    };
    let mut most = Vec::new();
    for policy in [BalancingPolicy::RoundRobin, BalancingPolicy::LeastRequest, BalancingPolicy::PeakEwma] {
        let mut sim = Sim::new(policy, members(&[1; 20]), Settings::default());
        sim.run(60, 1000, unequal);
        most.push((sim.most.iter().copied().max().unwrap(), sim.share(|e| e % 2 == 0)));
    }
    let [(turns, half), (least, more), (_, most_share)] = most[..] else { panic!("three") };
    assert!((0.49..0.51).contains(&half));
    assert!(more > 0.6 && most_share > 0.6, "the fast ones get more: {more} {most_share}");
    assert!(least * 3 < turns * 2, "{least} at once instead of {turns}");
}

#[test]
fn weights_hold_under_load() {
    let weights = [9, 1, 5, 5, 2, 8, 1, 1, 4, 4];
    for policy in [BalancingPolicy::LeastRequest, BalancingPolicy::PeakEwma] {
        for weights in [&weights[..], &weights[..2]] {
            let whole = f64::from(weights.iter().sum::<u32>());
            for per_second in [20, 300] {
                let mut sim = Sim::new(policy, members(weights), Settings::default());
                sim.run(20_000 / per_second, per_second, |_, _, random| usual(random));
                for (weight, got) in weights.iter().zip(&sim.got) {
                    let part = f64::from(*got) / f64::from(sim.got.iter().sum::<u32>());
                    let of = part * whole / f64::from(*weight);
                    assert!(
                        (0.75..1.25).contains(&of),
                        "{policy:?} {per_second}/s {weights:?}: {:?}",
                        sim.got
                    );
                }
            }
        }
    }
}

#[test]
fn a_zone_spills_what_it_cannot_carry_and_takes_it_back() {
    let settings = Settings { prefer_zone: true, slow_start: 0 };
    // Four work on at most eight requests each at a time; others are two milliseconds away.
    let does = |endpoint: u32, there: u32, random: &mut Seeded| {
        let work = random.around(20 * MS);
        match endpoint {
            0..4 => Does::Answer(work * u64::from((there + 1).max(8)) / 8),
            _ => Does::Answer(work + 2 * MS),
        }
    };
    for policy in [BalancingPolicy::PeakEwma, BalancingPolicy::LeastRequest, BalancingPolicy::RoundRobin] {
        let zones = zoned(&[1; 12], |e| if e < 4 { Zone::Own } else { Zone::Other });
        let mut sim = Sim::new(policy, zones, settings);
        sim.run(30, 400, does);
        assert!(sim.share(|e| e < 4) > 0.97, "{policy:?}: {:?}", sim.got);
        // Twice what the zone can do: 4 x 8 / 20 ms = 1600 a second.
        sim.run(10, 3200, does);
        let own = sim.share(|e| e < 4);
        assert!((0.2..0.7).contains(&own), "{policy:?}: {own}");
        assert!(sim.percentile(90) < 250 * MS, "{policy:?}: {}", sim.percentile(90) / MS);
        sim.run(60, 200, does);
        sim.run(20, 400, does);
        assert!(sim.share(|e| e < 4) > 0.97, "{policy:?}: {:?}", sim.got);
    }
}

#[test]
fn a_zone_that_fails_is_left() {
    let settings = Settings { prefer_zone: true, slow_start: 0 };
    let zones = zoned(&[1; 6], |e| if e < 2 { Zone::Own } else { Zone::Other });
    let mut sim = Sim::new(BalancingPolicy::PeakEwma, zones, settings);
    sim.run(30, 300, |_, _, random| usual(random));
    assert!(sim.share(|e| e < 2) > 0.97);
    // One in a hundred fails, everywhere: that is no reason.
    let few = |_: u32, _: u32, random: &mut Seeded| {
        if random.below(100) == 0 { Does::Fail(MS) } else { usual(random) }
    };
    sim.run(60, 300, few);
    assert!(sim.share(|e| e < 2) > 0.95, "{:?}", sim.got);
    sim.run(10, 300, |e, _, random| if e < 2 { Does::Fail(MS) } else { usual(random) });
    assert!(sim.share(|e| e < 2) < 0.2, "{:?}", sim.got);
}

#[test]
fn a_new_endpoint_ramps_up_under_load() {
    for policy in [BalancingPolicy::RoundRobin, BalancingPolicy::LeastRequest, BalancingPolicy::PeakEwma] {
        let settings = Settings { prefer_zone: false, slow_start: 10 * SECOND };
        let mut sim = Sim::new(policy, members(&[1; 10]), settings);
        let usable: EndpointSet = (0..9).collect();
        sim.view = View::new(&sim.members, Some(&usable), settings, |_| None);
        sim.run(10, 500, |_, _, random| usual(random));
        let came = sim.now;
        sim.view = View::new(&sim.members, None, settings, |e| (e == 9).then_some(came));
        let parts: Vec<f64> = (0..6)
            .map(|_| {
                sim.run(2, 500, |_, _, random| usual(random));
                sim.share(|e| e == 9) * 10.0
            })
            .collect();
        assert!(parts[0] < 0.4, "{policy:?}: {parts:?}");
        assert!(parts[2] > 0.3 && parts[2] < 1.0, "{policy:?}: {parts:?}");
        assert!(parts[5] > 0.75 && parts[5] < 1.35, "{policy:?}: {parts:?}");
        assert!(parts[0] < parts[2] && parts[1] < parts[4], "{policy:?}: {parts:?}");
    }
}

#[test]
fn two_thousand_endpoints_for_two_hours() {
    // One in ten is slow or fails, in each half of an hour another.
    let mut sim = Sim::new(BalancingPolicy::PeakEwma, members(&[1; 2000]), Settings::default());
    for half in 0..4 {
        let does = |endpoint: u32, _, random: &mut Seeded| match usual(random) {
            Does::Answer(latency) if endpoint % 20 == half => Does::Answer(latency + 500 * MS),
            Does::Answer(_) if endpoint % 20 == half + 5 => Does::Fail(MS),
            does => does,
        };
        sim.run(1800, 60, does);
        let fewest = sim.got.iter().min().unwrap();
        let well = sim.share(|e| e % 20 != half && e % 20 != half + 5);
        let busiest = sim.got.iter().max().unwrap();
        assert!(*fewest > 0, "nobody starves, the slow ones are asked again");
        assert!(well > 0.93, "half hour {half}: {well}");
        assert!(*busiest < 120, "54 each are a fair share: {busiest}");
    }
}

/// Where a thousand keys and more go.
fn placed(policy: BalancingPolicy, members: &Members, usable: Option<&EndpointSet>) -> Vec<u32> {
    let table = HashTable::build(policy, members).map(std::sync::Arc::new);
    place(&mut *balancer(policy, table), members, usable)
}

fn place(balancer: &mut dyn Balancer, members: &Members, usable: Option<&EndpointSet>) -> Vec<u32> {
    let (view, loads) = (view(members, usable), Loads::default());
    let mut pick =
        |key| balancer.pick(&view, &loads, &Ask { random: key, key: Some(key), now: 0, tried: &[] });
    (0..40_000).map(|key| pick(key).unwrap()).collect()
}

#[test]
fn few_keys_move_when_an_endpoint_leaves() {
    for policy in [BalancingPolicy::RingHash, BalancingPolicy::Maglev] {
        for weights in [vec![1; 400], (0..400).map(|i| 1 + i % 5).collect::<Vec<u32>>()] {
            let all = members(&weights);
            let before = placed(policy, &all, None);
            let left = Members::with_sites(all.as_slice().iter().copied().filter(|(m, _)| m.endpoint != 9));
            let after = placed(policy, &left, None);
            let moved = before.iter().zip(&after).filter(|(b, a)| **b != 9 && b != a).count();
            assert!(moved < 40_000 / 50, "{policy:?}: {moved} of 40,000 that were not its own");
            assert!(after.iter().all(|endpoint| *endpoint != 9));
            // Ejected only: no other key moves, and its own spread.
            let usable: EndpointSet = (0..400).filter(|e| *e != 9).collect();
            let mut balancer = build(policy, &all);
            let ejected = place(&mut *balancer, &all, Some(&usable));
            let mut taken = std::collections::HashSet::new();
            for (before, after) in before.iter().zip(&ejected) {
                assert!(before == after || *before == 9, "{policy:?}");
                if *before == 9 {
                    taken.insert(*after);
                }
            }
            assert!(taken.len() > 15, "{policy:?}: {}", taken.len());
            assert_eq!(place(&mut *balancer, &all, None), before, "and they come back");
        }
    }
}

#[test]
fn keys_do_not_depend_on_the_order_of_endpoints() {
    for policy in [BalancingPolicy::RingHash, BalancingPolicy::Maglev] {
        let all = members(&(0..300).map(|i| 1 + i % 3).collect::<Vec<_>>());
        let turned = all.as_slice().iter().rev().zip(0..);
        let turned = Members::with_sites(
            turned.map(|((member, site), endpoint)| (Member { endpoint, ..*member }, *site)),
        );
        let before = placed(policy, &all, None);
        let after: Vec<u32> = placed(policy, &turned, None).iter().map(|endpoint| 299 - endpoint).collect();
        assert_eq!(before, after, "{policy:?}");
    }
}

#[test]
fn keys_are_spread_evenly() {
    for (policy, least, most) in [(BalancingPolicy::RingHash, 0.6, 1.45), (BalancingPolicy::Maglev, 0.9, 1.1)]
    {
        let weights: Vec<u32> = (0..10).map(|i| 1 + i % 3).collect();
        let all = members(&weights);
        let placed = placed(policy, &all, None);
        let whole: u32 = weights.iter().sum();
        for (endpoint, weight) in (0..).zip(&weights) {
            let got = placed.iter().filter(|placed| **placed == endpoint).count() as f64;
            let of = got * f64::from(whole) / (40_000.0 * f64::from(*weight));
            assert!((least..most).contains(&of), "{policy:?}: {of}");
        }
    }
}

#[test]
fn the_least_weight_has_keys() {
    for policy in [BalancingPolicy::RingHash, BalancingPolicy::Maglev] {
        let all = members(&[1_000_000, 1, 1_000_000]);
        let (mut balancer, view, loads) = (build(policy, &all), view(&all, None), Loads::default());
        let mut pick =
            |key| balancer.pick(&view, &loads, &Ask { random: 1, key: Some(key), now: 0, tried: &[] });
        assert!((0..600_000).any(|key| pick(key) == Some(1)), "{policy:?}");
    }
}
