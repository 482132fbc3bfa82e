//! Ring hash and Maglev: the same key goes to the same endpoint, in every worker and process.
//!
//! Tables are made from all members, usable or not, off the workers, by whoever applies a snapshot. A pick walks on past
//! those that may not be used, so that an ejection moves only the keys of the endpoint that is ejected. Zones do not
//! count: a key belongs to its endpoint.

use super::dice::{Dice, mix, scale};
use super::{Ask, Balancer, Loads, Maglev, Members, Random, Ring, View};
use std::sync::Arc;
use tulle_snapshot::wire::BalancingPolicy;

/// Entries of the table that a pick looks at.
const STEPS: usize = 64;

/// Which keys belong to which endpoints.
#[derive(Debug)]
pub enum HashTable {
    /// A ring.
    Ring(Ring),
    /// Maglev's table.
    Maglev(Maglev),
}

impl HashTable {
    /// The table of a policy that has one; none, where there is nobody in it, too. Takes milliseconds for thousands of
    /// members.
    #[must_use]
    pub fn build(policy: BalancingPolicy, members: &Members) -> Option<Self> {
        match policy {
            BalancingPolicy::RingHash => Ring::build(members).map(Self::Ring),
            BalancingPolicy::Maglev => Maglev::build(members).map(Self::Maglev),
            BalancingPolicy::RoundRobin
            | BalancingPolicy::Random
            | BalancingPolicy::LeastRequest
            | BalancingPolicy::PeakEwma => None,
        }
    }

    /// The entry that the key of this hash belongs to.
    fn first(&self, hash: u64) -> usize {
        match self {
            Self::Ring(ring) => ring.first(hash),
            Self::Maglev(maglev) => maglev.first(hash),
        }
    }

    /// The endpoint of an entry; none beyond the last.
    fn at(&self, place: usize) -> Option<u32> {
        match self {
            Self::Ring(ring) => ring.at(place),
            Self::Maglev(maglev) => maglev.at(place),
        }
    }
}

/// By key; without a key, by chance.
#[derive(Debug)]
pub struct Hashed {
    table: Option<Arc<HashTable>>,
}

impl Hashed {
    /// By this table.
    #[must_use]
    pub fn new(table: Option<Arc<HashTable>>) -> Self {
        Self { table }
    }
}

impl Balancer for Hashed {
    fn pick(&mut self, view: &View, loads: &Loads, ask: &Ask<'_>) -> Option<u32> {
        let (Some(table), Some(key)) = (self.table.as_deref(), ask.key) else {
            return Random.pick(view, loads, ask);
        };
        let hash = mix(key);
        let mut place = table.first(hash);
        for _ in 0..STEPS {
            if table.at(place).is_none() {
                place = 0;
            }
            let endpoint = table.at(place)?;
            place += 1;
            let Some(slot) = view.position(endpoint).and_then(|position| view.slot(position)) else {
                continue;
            };
            // While an endpoint warms, its keys come to it one after the other, and stay.
            if !ask.tried.contains(&endpoint)
                && view.is_warm(slot, ask.now, || mix(hash ^ u64::from(endpoint)))
            {
                return Some(endpoint);
            }
        }
        beside_the_table(view, ask, hash)
    }
}

/// Few are usable, or few have almost all of the table: one by the key, all alike.
fn beside_the_table(view: &View, ask: &Ask<'_>, hash: u64) -> Option<u32> {
    let start = scale(Dice::new(hash).next(), view.len());
    let row = (start..view.len()).chain(0..start).take(ask.tried.len() + 1);
    let mut row = row.filter_map(|position| view.slot(position)).map(|slot| slot.endpoint);
    row.clone().find(|endpoint| !ask.tried.contains(endpoint)).or_else(|| row.next())
}
