//! Whether a request is within its rule's rate.
//!
//! In: the hash of the request's key, and the time. Out: pass or refuse, with what the client is told. Before: route.
//! After: faults, or an answer of 429. One limiter serves all workers of a process.

mod gcra;
mod headers;
mod table;

pub use headers::{each_field, write_fields};

use gcra::Gcra;
use std::sync::Arc;
use table::Table;
use tulle_snapshot::wire::RateLimit;

/// What decides: in this process, or one day for a mesh.
pub trait Limiter: Send + Sync {
    /// Whether one more request with this key may pass at `now_ns`. `key` is of
    /// [`crate::request_key::hash_for_limit`] with a seed of this process; requests without one share a bucket. `now_ns`
    /// is monotonic; a time that is a little behind that of another worker is fine.
    fn decide(&self, key: Option<u64>, now_ns: u64) -> Verdict;
}

/// What becomes of a request, and what its client may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Pass {
        /// Requests that pass at once from rest.
        limit: u32,
        /// How many more would pass now.
        remaining: u32,
        /// Until all of the limit is there again.
        reset_ns: u64,
    },
    /// It is answered with 429.
    Refuse {
        /// Requests that pass at once from rest.
        limit: u32,
        /// Until all of the limit is there again.
        reset_ns: u64,
        /// Until one more passes, if none comes in between.
        retry_after_ns: u64,
    },
}

/// The limit of one rule in this process, exact under concurrency: at no time do more requests pass, over all workers,
/// than one bucket would let through.
///
/// A decision takes no lock, but for a key that is not at hand, and, once the table has grown, allocates nothing. A key costs 16 bytes, twice that at the
/// bound of keys (the table is at most half full); ten keys cost 4 KiB. A key that is back at rest gives up its place.
#[derive(Debug, Clone)]
pub struct LocalLimiter {
    gcra: Gcra,
    keys: u32,
    table: Arc<Table>,
}

impl LocalLimiter {
    /// From the snapshot, with every key at rest.
    #[must_use]
    pub fn new(wire: &RateLimit) -> Self {
        let gcra = Gcra::new(wire.requests_per_second, wire.burst);
        Self { gcra, keys: wire.keys, table: Arc::new(Table::new(wire.keys)) }
    }

    /// The same buckets under other limits: what was used up stays so, and nobody waits longer than the new limits say.
    /// With another number of keys, or another kind of key, the buckets are new.
    #[must_use]
    pub fn with_limits(&self, old: &RateLimit, new: &RateLimit) -> Self {
        if self.keys != new.keys || old.key != new.key {
            return Self::new(new);
        }
        let gcra = Gcra::new(new.requests_per_second, new.burst);
        Self { gcra, keys: self.keys, table: Arc::clone(&self.table) }
    }

    /// Bytes that the buckets hold, to within the allocator's own.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table.memory()
    }
}

impl Limiter for LocalLimiter {
    fn decide(&self, key: Option<u64>, now_ns: u64) -> Verdict {
        self.table.decide(key, now_ns, &self.gcra)
    }
}
