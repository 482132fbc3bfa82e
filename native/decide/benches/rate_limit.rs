//! What a decision of the rate limiter costs, by the number of keys, and what a key costs in memory.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use tulle_decide::chance::again;
use tulle_decide::rate_limit::{Limiter, LocalLimiter};
use tulle_decide::request_key::{Seed, Shown, hash_for_limit};
use tulle_snapshot::wire::{RateLimit, RequestKey};

const SECOND: u64 = 1_000_000_000;

struct From(IpAddr);

impl Shown for From {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
    fn source(&self) -> Option<IpAddr> {
        Some(self.0)
    }
    fn path(&self) -> &[u8] {
        b"/"
    }
    fn identity(&self) -> Option<&str> {
        None
    }
}

/// Decisions for keys in random order, their hashing included, all of them known and with some of their burst left.
fn decide(c: &mut Criterion) {
    let seed = Seed::of_process(11);
    for (keys, rate) in [(1_u32, 1_000_000), (10_000, 1000), (1_000_000, 100), (1_000_000, 7)] {
        let wire = RateLimit { requests_per_second: rate, burst: 1000, key: Some(RequestKey::Source), keys };
        let limiter = LocalLimiter::new(&wire);
        let address =
            |n: u64| From(Ipv4Addr::from_bits(u32::try_from(n % u64::from(keys)).unwrap_or(0)).into());
        let mut now = SECOND;
        for key in 0..u64::from(keys) {
            limiter.decide(hash_for_limit(&RequestKey::Source, &address(key), seed), now);
        }
        eprintln!("{keys} keys: {} bytes a key", limiter.memory() / keys as usize);
        let mut random = 5;
        c.bench_function(&format!("rate limit, {keys} keys at {rate} per second"), |b| {
            b.iter(|| {
                random = again(random);
                now += 1000;
                black_box(limiter.decide(hash_for_limit(&RequestKey::Source, &address(random), seed), now))
            });
        });
    }
}

/// New keys only, into a table that is full of keys that are not at rest.
fn beyond_the_bound(c: &mut Criterion) {
    let limiter = LocalLimiter::new(&RateLimit {
        requests_per_second: 1,
        burst: 1_000_000,
        key: Some(RequestKey::Source),
        keys: 1_000_000,
    });
    for _ in 0..3 {
        (0..1_100_000).for_each(|key| {
            let _ = limiter.decide(Some(again(key)), SECOND);
        });
    }
    let mut key = 1 << 40;
    c.bench_function("rate limit, new keys beyond a bound of 1000000", |b| {
        b.iter(|| {
            key += 1;
            black_box(limiter.decide(Some(again(key)), SECOND))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    targets = decide, beyond_the_bound
}
criterion_main!(benches);
