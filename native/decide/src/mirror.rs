//! Copies of requests, for a service whose answers nobody waits for.
//!
//! In: a request that goes its way, and one random number. Out: whether it is copied.
//! Before: route. After: upstream, for the copy; the request itself never waits for it.

use crate::chance::hit;
use tulle_snapshot::wire;

/// Copies that one worker has under way at most; further ones are not made, and counted. A slow mirror costs this many
/// connections and replay buffers at most.
pub const COPIES_PER_WORKER: u32 = 64;

/// Bytes of a copy's answer that are read, so that its connection can serve the next one; a longer answer is cut off.
pub const ANSWER_BYTES: u64 = 1024 * 1024;

/// Where copies of a rule's requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// Index into the snapshot's services.
    pub service: u32,
    /// Index into the service's subsets, or none for all endpoints.
    pub subset: Option<u32>,
    per_million: u32,
}

impl Mirror {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: &wire::Mirror) -> Self {
        Self { service: wire.service, subset: wire.subset, per_million: wire.per_million }
    }

    /// Whether a request is copied. `random` is uniform over all of `u64`.
    #[must_use]
    pub fn draws(&self, random: u64) -> bool {
        hit(random, self.per_million)
    }
}

#[cfg(test)]
mod tests {
    use super::Mirror;
    use tulle_snapshot::wire;

    #[test]
    fn all_or_none_are_drawn_at_the_ends() {
        let draws = |per_million, random| {
            Mirror::new(&wire::Mirror { service: 1, subset: Some(2), per_million }).draws(random)
        };
        assert!(draws(1_000_000, u64::MAX) && draws(1_000_000, 0));
        assert!(!draws(0, 0) && !draws(0, u64::MAX));
        assert!(draws(500_000, u64::MAX / 2) && !draws(500_000, u64::MAX / 2 + 1));
    }
}
