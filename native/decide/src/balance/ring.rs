//! Ring hash (Karger et al., "Consistent hashing and random trees", 1997): an endpoint owns the keys before its points.

use super::Members;
use super::dice::{mix, scale};

/// Points of an endpoint of usual weight, while there is room.
const POINTS: u64 = 128;
/// About how many points a ring has at most: 2 MiB.
const MOST_POINTS: u64 = 1 << 18;

/// A ring of hashes.
#[derive(Debug)]
pub struct Ring {
    /// Ascending: the point in the upper half, its endpoint in the lower.
    points: Box<[u64]>,
    /// By the upper bits of a hash, the first point that can be its own.
    starts: Box<[u32]>,
}

impl Ring {
    /// From all members; none, where none has weight. Each has at least one point; the number of points is bounded, and
    /// so is, at thousands of members, how evenly they share: for that there is Maglev.
    #[must_use]
    pub fn build(members: &Members) -> Option<Self> {
        let seats = members.by_identity();
        let each = POINTS.min(MOST_POINTS / (seats.len() as u64).max(1)).max(1);
        let whole: u64 = seats.iter().map(|(_, m)| u64::from(m.weight)).sum();
        let room = each * seats.len() as u64;
        let mut points = Vec::new();
        for (identity, member) in &seats {
            // Rounded, whatever the others' weights: at most 2^18 x 10^6.
            let count = (room * u64::from(member.weight) + whole / 2) / whole.max(1);
            let point =
                |nth| mix(identity.wrapping_add(mix(nth))) & !0xFFFF_FFFF | u64::from(member.endpoint);
            points.extend((1..=count.max(1)).map(point));
        }
        if points.is_empty() {
            return None;
        }
        points.sort_unstable();
        // About as many starts as points: then a point is found within a few steps.
        let bits = points.len().ilog2().max(1);
        let shift = 64 - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut at = 0;
        for bucket in 0..1_u64 << bits {
            while points.get(at as usize).is_some_and(|point| point >> shift < bucket) {
                at += 1;
            }
            starts.push(at);
        }
        Some(Self { points: points.into_boxed_slice(), starts: starts.into_boxed_slice() })
    }

    /// Where the key of this hash belongs.
    pub(super) fn first(&self, hash: u64) -> usize {
        let start = self.starts.get(scale(hash, self.starts.len())).map_or(0, |start| *start as usize);
        let from = self.points.get(start..).unwrap_or_default();
        start + from.iter().take_while(|point| **point < hash).count()
    }

    /// The endpoint at a point; none beyond the last, where the ring begins again.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        self.points.get(place).map(|point| *point as u32)
    }
}
