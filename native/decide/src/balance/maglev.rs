//! Maglev's table (Eisenbud et al., "Maglev: a fast and reliable software network load balancer", 2016, section 3.4):
//! each endpoint lists all places in an order of its own, and they take turns at taking the next that is free.

use super::dice::{mix, scale};
use super::{Member, Members};

/// Sizes, primes. An endpoint has at least 100 places in the first as long as there are at most 655 of them, and at
/// least 26 in the second at 10,000: it gets what is its share, give or take one place.
const SIZES: [u32; 3] = [65_537, 262_147, 1_048_583];
/// Up to so many endpoints for the first and the second size.
const CROWDED: [usize; 2] = [655, 16_384];
/// Rounds in which the places are handed out, at most.
const ROUNDS: u64 = 64;
/// Places of its order that an endpoint tries, before it takes the next that is free after the last of them: where the
/// table is almost full, that saves most of the work, and moves no more keys.
const TRIES: usize = 256;

/// Maglev's table.
#[derive(Debug)]
pub struct Maglev {
    table: Box<[u32]>,
}

/// An endpoint while the table is filled.
struct Filler {
    endpoint: u32,
    /// How many places are its share.
    share: u64,
    /// What of it is due, in parts of a place: as many as there are rounds.
    due: u64,
    next: u32,
    skip: u32,
}

impl Maglev {
    /// From all members; none, where none has weight.
    #[must_use]
    pub fn build(members: &Members) -> Option<Self> {
        let seats = members.by_identity();
        let size = match seats.len() {
            0 => return None,
            few if few <= CROWDED[0] => SIZES[0],
            more if more <= CROWDED[1] => SIZES[1],
            _ => SIZES[2],
        };
        let mut fillers: Vec<Filler> = shares(&seats, size.into())
            .into_iter()
            .zip(&seats)
            .map(|(share, (identity, member))| Filler {
                endpoint: member.endpoint,
                share,
                due: 0,
                next: below(mix(*identity), size),
                skip: 1 + below(mix(!*identity), size - 1),
            })
            .collect();
        Some(Self { table: fill(&mut fillers, size) })
    }

    /// Where the key of this hash belongs.
    pub(super) fn first(&self, hash: u64) -> usize {
        scale(hash, self.table.len())
    }

    /// The endpoint at a place; none beyond the last.
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        self.table.get(place).copied()
    }
}

/// Hands the places out, in rounds: in each, an endpoint takes its part of its share.
fn fill(fillers: &mut [Filler], size: u32) -> Box<[u32]> {
    let mut table = vec![0; size as usize].into_boxed_slice();
    let mut taken = vec![0_u64; size as usize / 64 + 1];
    if let Some(last) = taken.last_mut() {
        // Beyond the end, nothing is free.
        *last = u64::MAX << (size % 64);
    }
    let most = fillers.iter().map(|filler| filler.share).max().unwrap_or(1);
    let rounds = most.clamp(1, ROUNDS);
    for _ in 0..rounds {
        for filler in &mut *fillers {
            filler.due += filler.share;
            while filler.due >= rounds {
                filler.due -= rounds;
                let place = filler.take(&mut taken, size);
                if let Some(entry) = table.get_mut(place as usize) {
                    *entry = filler.endpoint;
                }
            }
        }
    }
    table
}

impl Filler {
    /// A free place near the front of its order. There is one: shares sum up to the size.
    fn take(&mut self, taken: &mut [u64], size: u32) -> u32 {
        let mut place = self.next;
        for _ in 0..TRIES {
            place = self.next;
            // Both are less than the size, which is less than 2^31.
            self.next += self.skip;
            if self.next >= size {
                self.next -= size;
            }
            if let Some(word) = taken.get_mut(place as usize / 64)
                && *word & (1 << (place % 64)) == 0
            {
                *word |= 1 << (place % 64);
                return place;
            }
        }
        next_free(taken, place)
    }
}

/// Takes the next free place, around the end.
fn next_free(taken: &mut [u64], place: u32) -> u32 {
    let start = place as usize / 64;
    // Of the word that it lies in, first what is after it.
    let before = (1_u64 << (place % 64)) - 1;
    let free = |(nth, word): (usize, &u64)| (if nth == 0 { *word | before } else { *word }) != u64::MAX;
    let (front, back) = taken.split_at_checked(start).unwrap_or((&[], taken));
    let Some((nth, word)) = back.iter().chain(front).chain(back.first()).enumerate().find(|w| free(*w))
    else {
        return place;
    };
    let bit = (if nth == 0 { *word | before } else { *word }).trailing_ones();
    let index = (start + nth) % taken.len().max(1);
    if let Some(word) = taken.get_mut(index) {
        *word |= 1 << bit;
    }
    u32::try_from(index).unwrap_or(0) * 64 + bit
}

/// Whole shares of the places, by weight, that sum up to the size: one, where it would be less; otherwise rounded down,
/// and the rest to those that lost most.
fn shares(seats: &[(u64, Member)], size: u64) -> Vec<u64> {
    let weights = || seats.iter().map(|(_, member)| u64::from(member.weight));
    let whole = weights().sum::<u64>().max(1);
    let is_least = |weight: &u64| weight * size < whole;
    let others = || weights().filter(|weight| !is_least(weight));
    let room = size - weights().filter(is_least).count() as u64;
    let whole_of_others = others().sum::<u64>().max(1);
    let part = |weight: u64| match weight {
        least if is_least(&least) => (1, 0),
        weight => (weight * room / whole_of_others, weight * room % whole_of_others),
    };
    let mut shares: Vec<u64> = weights().map(|weight| part(weight).0).collect();
    let mut lost: Vec<(u64, usize)> = weights().map(|weight| part(weight).1).zip(0..).collect();
    let rest = size.saturating_sub(shares.iter().sum::<u64>());
    lost.sort_unstable_by_key(|(lost, position)| (std::cmp::Reverse(*lost), *position));
    for (_, position) in lost.iter().take(usize::try_from(rest).unwrap_or(0)) {
        if let Some(share) = shares.get_mut(*position) {
            *share += 1;
        }
    }
    shares
}

#[expect(clippy::cast_possible_truncation, reason = "less than `below`")]
fn below(uniform: u64, below: u32) -> u32 {
    scale(uniform, below as usize) as u32
}
