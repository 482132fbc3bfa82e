//! Which endpoint of a service or subset gets an attempt.
//!
//! In: the members, which of them are usable, and which this request has tried. Out: one endpoint. Before: route,
//! which picked service and subset. After: upstream. One balancer serves one worker, service and subset.

mod round_robin;

pub use round_robin::RoundRobin;

use tulle_snapshot::wire::BalancingPolicy;

/// An algorithm. What it learns or counts is its own; who may be picked is handed in each time.
pub trait Balancer {
    /// The index, within the service, of the endpoint for one attempt; none, when no candidate is usable. `random` is
    /// uniform over all of `u64`.
    fn pick(&mut self, candidates: &Candidates<'_>, random: u64) -> Option<usize>;
}

/// The balancer that a service asks for.
#[must_use]
pub fn balancer(policy: BalancingPolicy) -> Box<dyn Balancer + Send> {
    match policy {
        // The others are refused by check until they are here.
        BalancingPolicy::RoundRobin
        | BalancingPolicy::Random
        | BalancingPolicy::LeastRequest
        | BalancingPolicy::PeakEwma
        | BalancingPolicy::RingHash
        | BalancingPolicy::Maglev => Box::new(RoundRobin::default()),
    }
}

/// One endpoint that may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its index within the service.
    pub endpoint: u32,
    /// Its relative share, 1 to 1,000,000; 0 counts as 1.
    pub weight: u32,
}

/// The endpoints of a service or subset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    list: Box<[Member]>,
    equal: bool,
    /// Tells these members from others, without looking at each.
    fingerprint: u64,
}

impl Members {
    /// From the endpoints in the order of the snapshot.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let at_least_one = |m: Member| Member { weight: m.weight.max(1), ..m };
        let list: Box<[Member]> = members.into_iter().map(at_least_one).collect();
        let equal = list.windows(2).all(|pair| matches!(pair, [a, b] if a.weight == b.weight));
        let mix = |sum: u64, m: &Member| {
            let both = u64::from(m.endpoint) << 32 | u64::from(m.weight);
            (sum.rotate_left(23) ^ both).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        let fingerprint = list.iter().fold(list.len() as u64, mix);
        Self { list, equal, fingerprint }
    }

    /// The endpoints.
    #[must_use]
    pub fn as_slice(&self) -> &[Member] {
        &self.list
    }
}

/// A set of endpoints of one service, by their index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointSet {
    words: Vec<u64>,
}

impl EndpointSet {
    /// Adds an endpoint; an index of 2^20 or more is no endpoint and is left out.
    pub fn insert(&mut self, endpoint: u32) {
        let word = endpoint as usize / 64;
        if endpoint >= 1 << 20 {
            return;
        }
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (endpoint % 64);
        }
    }

    /// Takes an endpoint out.
    pub fn remove(&mut self, endpoint: u32) {
        if let Some(word) = self.words.get_mut(endpoint as usize / 64) {
            *word &= !(1 << (endpoint % 64));
        }
    }

    /// Whether the endpoint is in the set.
    #[must_use]
    pub fn contains(&self, endpoint: u32) -> bool {
        self.words.get(endpoint as usize / 64).is_some_and(|word| word & (1 << (endpoint % 64)) != 0)
    }
}

impl FromIterator<u32> for EndpointSet {
    fn from_iter<I: IntoIterator<Item = u32>>(endpoints: I) -> Self {
        let mut set = Self::default();
        endpoints.into_iter().for_each(|endpoint| set.insert(endpoint));
        set
    }
}

/// Who may be picked for one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    /// The endpoints of the service or subset.
    pub members: &'a Members,
    /// Those that may be used; none: all.
    pub usable: Option<&'a EndpointSet>,
    /// Indices within the service that this request has tried; they are picked only where there is no other.
    pub tried: &'a [u32],
}

impl Candidates<'_> {
    /// Whether the endpoint may be used at all.
    #[must_use]
    pub fn is_usable(&self, endpoint: u32) -> bool {
        self.usable.is_none_or(|set| set.contains(endpoint))
    }

    /// Whether the endpoint may be used, and was not tried.
    #[must_use]
    pub fn is_fresh(&self, endpoint: u32) -> bool {
        self.is_usable(endpoint) && !self.tried.contains(&endpoint)
    }
}
