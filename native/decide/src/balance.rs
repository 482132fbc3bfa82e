//! Which endpoint of a service or subset gets an attempt.
//!
//! In: a view of who may be used, what this worker knows of their load, and what is asked. Out: one endpoint. Before:
//! route, which picked service and subset. After: upstream. One balancer serves one worker, service and subset.

pub mod affinity;
mod alias;
mod chance;
mod dice;
mod hashed;
mod loads;
mod maglev;
mod members;
mod ring;
mod round_robin;
mod two_choices;
mod view;

pub use chance::Random;
pub use dice::stable_hash;
pub use hashed::{HashTable, Hashed};
pub use loads::{Load, Loads, Outcome};
pub use maglev::Maglev;
pub use members::{EndpointSet, Member, Members, Site, Zone};
pub use ring::Ring;
pub use round_robin::RoundRobin;
pub use two_choices::{LeastRequest, PeakEwma};
pub use view::{Settings, View};

use std::sync::Arc;
use tulle_snapshot::wire::BalancingPolicy;

/// What is asked for one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Uniform over all of `u64`.
    pub random: u64,
    /// What ring hash and Maglev go by: [`stable_hash`] of the request's key; none: by chance.
    pub key: Option<u64>,
    /// Monotonic nanoseconds.
    pub now: u64,
    /// Endpoints that this request has tried; they are picked only where there is no other.
    pub tried: &'a [u32],
}

/// An algorithm. What it counts is its own; who may be picked is handed in each time.
pub trait Balancer {
    /// The endpoint, by its index within the service, for one attempt; none, when the view has none. Allocates only
    /// when the view is not the one of the pick before.
    fn pick(&mut self, view: &View, loads: &Loads, ask: &Ask<'_>) -> Option<u32>;
}

/// The balancer that a service asks for. `table` is [`HashTable::build`] of the same members; without it, ring hash
/// and Maglev pick by chance.
#[must_use]
pub fn balancer(policy: BalancingPolicy, table: Option<Arc<HashTable>>) -> Box<dyn Balancer + Send> {
    match policy {
        BalancingPolicy::RoundRobin => Box::new(RoundRobin::default()),
        BalancingPolicy::Random => Box::new(Random),
        BalancingPolicy::LeastRequest => Box::new(LeastRequest),
        BalancingPolicy::PeakEwma => Box::new(PeakEwma),
        BalancingPolicy::RingHash | BalancingPolicy::Maglev => Box::new(Hashed::new(table)),
    }
}
