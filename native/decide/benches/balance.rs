//! What a pick costs, by algorithm and number of endpoints, and what tables and views cost to build:
//! `cargo bench -p tulle-decide --bench balance`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for people, not part of the proxy")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tulle_decide::balance::{
    Ask, EndpointSet, HashTable, Loads, Member, Members, Outcome, Settings, Site, View, Zone, balancer,
    stable_hash,
};
use tulle_snapshot::wire::BalancingPolicy;

const SIZES: [u32; 3] = [10, 1_000, 10_000];
const POLICIES: [(&str, BalancingPolicy); 6] = [
    ("round-robin", BalancingPolicy::RoundRobin),
    ("random", BalancingPolicy::Random),
    ("least-request", BalancingPolicy::LeastRequest),
    ("peak-ewma", BalancingPolicy::PeakEwma),
    ("ring-hash", BalancingPolicy::RingHash),
    ("maglev", BalancingPolicy::Maglev),
];
const MS: u64 = 1_000_000;

/// Name, weight of each endpoint, settings, and who was tried.
type Shape = (&'static str, fn(u32) -> u32, Settings, &'static [u32]);

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *random ^ *random >> 29
}

fn members(count: u32, weight: impl Fn(u32) -> u32) -> Members {
    Members::with_sites((0..count).map(|endpoint| {
        let zone = if endpoint % 3 == 0 { Zone::Own } else { Zone::Other };
        let site = Site { zone, identity: stable_hash(&endpoint.to_le_bytes()) };
        (Member { endpoint, weight: weight(endpoint) }, site)
    }))
}

/// One in five is not usable.
fn usable(count: u32) -> EndpointSet {
    (0..count).filter(|endpoint| endpoint % 5 != 4).collect()
}

/// Each has been asked and answered, and half are busy.
fn loads(members: &Members) -> Loads {
    let (mut loads, mut random) = (Loads::new(members), 1);
    for (member, _) in members.as_slice() {
        loads.started(member.endpoint, 0);
        let latency = 5 * MS + next(&mut random) % (20 * MS);
        loads.finished(member.endpoint, latency, latency, Outcome::Success);
        if next(&mut random).is_multiple_of(2) {
            loads.started(member.endpoint, 20 * MS);
        }
    }
    loads
}

fn picks(criterion: &mut Criterion) {
    let shapes: [Shape; 4] = [
        ("even", |_| 1, Settings { prefer_zone: false, slow_start: 0 }, &[]),
        ("even, 2 tried", |_| 1, Settings { prefer_zone: false, slow_start: 0 }, &[3, 7]),
        ("weighted", |e| 1 + e * 7919 % 100, Settings { prefer_zone: false, slow_start: 0 }, &[]),
        (
            "weighted, zones, warming, 2 tried",
            |e| 1 + e * 7919 % 100,
            Settings { prefer_zone: true, slow_start: 10_000 * MS },
            &[3, 7],
        ),
    ];
    for (shape, weight, settings, tried) in shapes {
        let mut group = criterion.benchmark_group(shape);
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
        for (name, policy) in POLICIES {
            for size in SIZES {
                let members = members(size, weight);
                let loads = loads(&members);
                let since = |endpoint: u32| endpoint.is_multiple_of(10).then_some(15 * MS);
                let view = View::new(&members, Some(&usable(size)), settings, since);
                let table = HashTable::build(policy, &members).map(Arc::new);
                let (mut balancer, mut random) = (balancer(policy, table), 7);
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        let random = next(&mut random);
                        let key = Some(random.rotate_left(17));
                        let ask = Ask { random, key, now: 30 * MS, tried: black_box(tried) };
                        balancer.pick(black_box(&view), &loads, &ask)
                    });
                });
            }
        }
        group.finish();
    }
}

fn builds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let zones = Settings { prefer_zone: true, slow_start: 10_000 * MS };
    for size in SIZES {
        let even = members(size, |_| 1);
        let weighted = members(size, |endpoint| 1 + endpoint * 7919 % 100);
        let usable = usable(size);
        for (name, policy) in [("ring", BalancingPolicy::RingHash), ("maglev", BalancingPolicy::Maglev)] {
            for (shape, members) in [("even", &even), ("weighted", &weighted)] {
                group.bench_function(BenchmarkId::new(format!("{name}, {shape}"), size), |bencher| {
                    bencher.iter(|| HashTable::build(policy, black_box(members)));
                });
            }
        }
        group.bench_function(BenchmarkId::new("view, weighted, zones", size), |bencher| {
            bencher.iter(|| View::new(black_box(&weighted), Some(&usable), zones, |_| None));
        });
        let loads = loads(&weighted);
        let views = [Some(&usable), None].map(|usable| View::new(&weighted, usable, zones, |_| None));
        let (mut balancer, mut turn) = (balancer(BalancingPolicy::RoundRobin, None), 0);
        group.bench_function(BenchmarkId::new("first turn of a new view", size), |bencher| {
            bencher.iter(|| {
                turn += 1;
                let ask = Ask { random: turn, key: None, now: 0, tried: &[] };
                balancer.pick(if turn % 2 == 0 { &views[0] } else { &views[1] }, &loads, &ask)
            });
        });
    }
    group.finish();
}

fn updates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loads");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    for size in SIZES {
        let mut loads = loads(&members(size, |_| 1));
        let (mut random, mut now) = (7, 0);
        group.bench_function(BenchmarkId::new("started and finished", size), |bencher| {
            bencher.iter(|| {
                let endpoint = u32::try_from(next(&mut random) >> 32).unwrap() % size;
                now += MS;
                loads.started(endpoint, now);
                loads.finished(endpoint, now + MS, MS, Outcome::Success);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, picks, builds, updates);
criterion_main!(benches);
