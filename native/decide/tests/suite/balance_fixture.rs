//! Members, views and picks for the tests of balancing.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of tests are small"
)]

use std::sync::Arc;
use tulle_decide::balance::{
    Ask, Balancer, EndpointSet, HashTable, Loads, Member, Members, Settings, Site, View, Zone, balancer,
    stable_hash,
};
use tulle_snapshot::wire::BalancingPolicy;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

pub(crate) const POLICIES: [BalancingPolicy; 6] = [
    BalancingPolicy::RoundRobin,
    BalancingPolicy::Random,
    BalancingPolicy::LeastRequest,
    BalancingPolicy::PeakEwma,
    BalancingPolicy::RingHash,
    BalancingPolicy::Maglev,
];

/// Random numbers from a seed.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, below: u64) -> u64 {
        (self.next() >> 11) % below
    }

    /// Exponentially distributed.
    pub(crate) fn around(&mut self, mean: u64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - uniform).ln() * mean as f64) as u64
    }
}

/// Each known by an address of its own, in no zone.
pub(crate) fn members(weights: &[u32]) -> Members {
    zoned(weights, |_| Zone::Unknown)
}

pub(crate) fn zoned(weights: &[u32], zone: impl Fn(u32) -> Zone) -> Members {
    Members::with_sites((0..).zip(weights).map(|(endpoint, weight)| {
        (Member { endpoint, weight: *weight }, Site { zone: zone(endpoint), identity: identity(endpoint) })
    }))
}

pub(crate) fn identity(address: u32) -> u64 {
    stable_hash(format!("10.0.{}.{}:8080", address / 250, address % 250).as_bytes())
}

pub(crate) fn view(members: &Members, usable: Option<&EndpointSet>) -> View {
    View::new(members, usable, Settings::default(), |_| None)
}

pub(crate) fn build(policy: BalancingPolicy, members: &Members) -> Box<dyn Balancer + Send> {
    balancer(policy, HashTable::build(policy, members).map(Arc::new))
}

/// With a random key, for those who look at it.
pub(crate) fn ask<'a>(random: &mut Seeded, tried: &'a [u32]) -> Ask<'a> {
    Ask { random: random.next(), key: Some(random.next()), now: 0, tried }
}

/// How often each endpoint is picked.
pub(crate) fn shares(
    balancer: &mut dyn Balancer,
    view: &View,
    loads: &Loads,
    picks: usize,
    len: usize,
    now: u64,
) -> Vec<usize> {
    let mut random = Seeded(0x5EED ^ picks as u64);
    let mut counts = vec![0; len];
    for _ in 0..picks {
        let ask = Ask { now, ..ask(&mut random, &[]) };
        counts[balancer.pick(view, loads, &ask).unwrap() as usize] += 1;
    }
    counts
}
