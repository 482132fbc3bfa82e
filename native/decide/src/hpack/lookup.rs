//! Which entry of the dynamic table has this name and value. In: entries as they are inserted, names and values to look
//! for; out: indices. Used by the encoder.
//!
//! Peers send the same lines in the same order again and again, so the entry that came behind the last one before is
//! tried first. Then chains of entries per hash, newest first, linked by places in the table's ring. Nothing is unlinked when an entry
//! is evicted: entries are evicted oldest first, so a chain ends where the next one is not older, or is gone.

use super::table::{Slot, Table};

/// No place: there are 128 at most.
const NOWHERE: u8 = u8::MAX;
/// Set in the tag of a name that is not in the static table.
const HASHED: u16 = 0x8000;

/// What the encoder keeps with an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    key: Key,
    /// The next older of the same bucket, for lines and for names.
    next: u8,
    next_name: u8,
    /// What came behind it the last time.
    then: u8,
}

/// What a line is looked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// A hash of name and value.
    line: u16,
    /// The name's index in the static table, or a hash of it with the highest bit set.
    name: u16,
}

/// The newest places of a bucket.
#[derive(Debug, Clone, Copy)]
struct Heads {
    line: u8,
    name: u8,
}

/// A dynamic table that entries can be found in. 4096 bytes at most, so that places fit 8 bits.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) table: Table<Links>,
    heads: Vec<Heads>,
    /// The first entry of the last block, and the latest of this one. Both, and `Links::then`, are guesses.
    first: u8,
    latest: u8,
    seeds: [u64; 3],
}

impl Lookup {
    /// An empty table for 4096 bytes whose hashes are keyed by `seed`.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            table: Table::new(super::DEFAULT_TABLE_BYTES),
            heads: Vec::new(),
            first: NOWHERE,
            latest: NOWHERE,
            seeds: [spread(seed, 1), spread(seed, 2), spread(seed, 3)],
        }
    }

    /// Memory on the heap, in bytes.
    pub(super) const fn memory(&self) -> usize {
        self.table.memory() + self.heads.capacity() * size_of::<Heads>()
    }

    /// What to look for; `fixed` is the name's index in the static table.
    #[inline]
    pub(super) fn key(&self, fixed: Option<usize>, name: &[u8], value: &[u8]) -> Key {
        let [for_name, for_value, multiplier] = self.seeds;
        let (tag, name) = if let Some(index) = fixed.and_then(|index| u16::try_from(index).ok()) {
            (index, u64::from(index).wrapping_mul(for_name | 1))
        } else {
            let hash = hash(name, for_name, multiplier);
            (top(hash) | HASHED, hash)
        };
        Key { line: top(hash(value, for_value, multiplier) ^ name), name: tag }
    }

    /// A block begins.
    pub(super) const fn begin(&mut self) {
        self.latest = NOWHERE;
    }

    /// The age of the entry that came here in the block before, if it has this name and value.
    #[inline]
    pub(super) fn guess(&mut self, name: &[u8], value: &[u8]) -> Option<usize> {
        let place = match self.table.at(usize::from(self.latest)) {
            Some(latest) => latest.extra.then,
            None => self.first,
        };
        let age = self.table.age(usize::from(place));
        // An entry across the ring's end is left to `find`.
        let (its_name, its_value) = self.table.text(self.table.get(age)?)?;
        if !same(its_value, value) || !same(its_name, name) {
            return None;
        }
        self.latest = place;
        Some(age)
    }

    /// The entry at this place is the next of the block.
    fn came(&mut self, place: u8) {
        match self.table.at_mut(usize::from(self.latest)) {
            Some(latest) => latest.extra.then = place,
            None => self.first = place,
        }
        self.latest = place;
    }

    /// The age of the entry with this name and value.
    #[inline]
    pub(super) fn find(&mut self, key: Key, name: &[u8], value: &[u8]) -> Option<usize> {
        let mut place = self.heads.get(self.bucket(key.line))?.line;
        let mut before = None;
        loop {
            let (age, slot) = self.older(place, before)?;
            if slot.extra.key == key && self.is(slot, key.name, name, value) {
                self.came(place);
                return Some(age);
            }
            place = slot.extra.next;
            before = Some(age);
        }
    }

    /// The age of the newest entry with this name, which is not in the static table.
    pub(super) fn find_name(&self, key: Key, name: &[u8]) -> Option<usize> {
        let mut place = self.heads.get(self.bucket(key.name))?.name;
        let mut before = None;
        loop {
            let (age, slot) = self.older(place, before)?;
            if slot.extra.key.name == key.name && self.has_name(slot, name) {
                return Some(age);
            }
            place = slot.extra.next_name;
            before = Some(age);
        }
    }

    /// The entry at a place, if it is there and older than the one before it in its chain.
    #[inline]
    fn older(&self, place: u8, before: Option<usize>) -> Option<(usize, &Slot<Links>)> {
        if place == NOWHERE {
            return None;
        }
        let age = self.table.age(usize::from(place));
        if before.is_some_and(|before| age <= before) {
            return None;
        }
        Some((age, self.table.get(age)?))
    }

    /// Inserts a line that has this key.
    pub(super) fn insert(&mut self, key: Key, name: &[u8], value: &[u8]) {
        let slots = self.table.slots();
        let links = Links { key, next: NOWHERE, next_name: NOWHERE, then: NOWHERE };
        let Some(place) = self.table.insert(name, value, links) else { return };
        if self.table.slots() == slots {
            self.link(place);
        } else {
            self.heads = vec![Heads { line: NOWHERE, name: NOWHERE }; self.table.slots()];
            for place in 0..self.table.count() {
                self.link(place);
            }
        }
        self.came(u8::try_from(place).unwrap_or(NOWHERE));
    }

    /// Puts the entry at this place, newer than all linked before, in front of its chains.
    fn link(&mut self, place: usize) {
        let mask = self.heads.len().wrapping_sub(1);
        let (Some(slot), Ok(place)) = (self.table.at_mut(place), u8::try_from(place)) else { return };
        let links = &mut slot.extra;
        if let Some(heads) = self.heads.get_mut(usize::from(links.key.line) & mask) {
            links.next = std::mem::replace(&mut heads.line, place);
        }
        if links.key.name & HASHED == 0 {
            return;
        }
        if let Some(heads) = self.heads.get_mut(usize::from(links.key.name) & mask) {
            links.next_name = std::mem::replace(&mut heads.name, place);
        }
    }

    fn bucket(&self, hash: u16) -> usize {
        usize::from(hash) & self.heads.len().wrapping_sub(1)
    }

    /// Whether an entry has this name and value. If its tag is the name's and says which name it is in the static
    /// table, the names need no comparing.
    #[inline]
    fn is(&self, slot: &Slot<Links>, tag: u16, name: &[u8], value: &[u8]) -> bool {
        match self.table.text(slot) {
            Some((its_name, its_value)) => {
                same(its_value, value) && (tag & HASHED == 0 || same(its_name, name))
            }
            None => {
                slot.name_len() == name.len()
                    && slot.len() == name.len() + value.len()
                    && joined(self.table.parts(slot)).eq(name.iter().chain(value))
            }
        }
    }

    fn has_name(&self, slot: &Slot<Links>, name: &[u8]) -> bool {
        match self.table.text(slot) {
            Some((its_name, _)) => same(its_name, name),
            None => slot.name_len() == name.len() && joined(self.table.parts(slot)).take(name.len()).eq(name),
        }
    }
}

fn joined<'a>((before, behind): (&'a [u8], &'a [u8])) -> impl Iterator<Item = &'a u8> {
    before.iter().chain(behind)
}

/// Whether two strings are the same; short ones are compared in place.
#[inline]
pub(super) fn same(one: &[u8], two: &[u8]) -> bool {
    if one.len() != two.len() {
        return false;
    }
    match one.len() {
        0 => true,
        1..4 => ends::<1>(one) == ends::<1>(two) && one.get(1) == two.get(1),
        4..8 => ends::<4>(one) == ends::<4>(two),
        8..=16 => ends::<8>(one) == ends::<8>(two),
        17..=32 => ends::<16>(one) == ends::<16>(two),
        _ => one == two,
    }
}

/// The first and the last N bytes, which may overlap.
#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    Some((bytes.first_chunk()?, bytes.last_chunk()?))
}

/// A keyed hash of a string: sixteen bytes at a time are multiplied, halves first mixed with what is secret.
#[inline]
fn hash(bytes: &[u8], seed: u64, multiplier: u64) -> u64 {
    let mut state = seed ^ bytes.len() as u64;
    let mut rest = bytes;
    while rest.len() > 16 {
        let Some((chunk, behind)) = rest.split_first_chunk::<16>() else { break };
        state = fold(halves(chunk), state, multiplier);
        rest = behind;
    }
    let last = if let Some((first, last)) = ends::<8>(rest) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let Some((first, last)) = ends::<4>(rest) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else if let Some(([first], [last])) = ends::<1>(rest) {
        let middle = rest.get(1).copied().unwrap_or_default();
        (u64::from(*first) << 8 | u64::from(middle), u64::from(*last))
    } else {
        (0, 0)
    };
    fold(last, state, multiplier)
}

fn halves(chunk: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*chunk);
    #[expect(clippy::cast_possible_truncation, reason = "its lower half")]
    (both as u64, (both >> 64) as u64)
}

#[inline]
fn fold((first, last): (u64, u64), state: u64, multiplier: u64) -> u64 {
    let product = u128::from(first ^ state) * u128::from(last ^ multiplier);
    let (low, high) = halves(&product.to_le_bytes());
    low ^ high
}

/// The highest bits of a hash, in which all others have a part.
fn top(hash: u64) -> u16 {
    let [.., low, high] = hash.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The `n`th number of a sequence that begins at a seed (Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, 2014).
const fn spread(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Two values whose lines have the same key under this seed.
    fn colliding(lookup: &Lookup) -> (Vec<u8>, Vec<u8>) {
        let mut seen = HashMap::new();
        (0_u32..)
            .find_map(|i| {
                let value = i.to_string().into_bytes();
                let key = lookup.key(Some(1), b":authority", &value);
                seen.insert(key.line, value.clone()).map(|other| (other, value))
            })
            .unwrap()
    }

    #[test]
    fn a_key_alone_is_no_match() {
        let mut lookup = Lookup::new(7);
        let (one, two) = colliding(&lookup);
        let key = lookup.key(Some(1), b":authority", &one);
        assert_eq!(key, lookup.key(Some(1), b":authority", &two));
        lookup.insert(key, b":authority", &one);
        assert_eq!(lookup.find(key, b":authority", &two), None);
        lookup.insert(key, b":authority", &two);
        assert_eq!(lookup.find(key, b":authority", &two), Some(0));
        assert_eq!(lookup.find(key, b":authority", &one), Some(1));
    }

    #[test]
    fn what_was_evicted_is_not_found() {
        let mut lookup = Lookup::new(7);
        let names: Vec<_> = (0..1000).map(|i| format!("x-{i}").into_bytes()).collect();
        for (i, name) in names.iter().enumerate() {
            let key = lookup.key(None, name, b"value");
            lookup.insert(key, name, b"value");
            let there = lookup.table.count();
            for (age, name) in names[..=i].iter().rev().enumerate() {
                let key = lookup.key(None, name, b"value");
                let wanted = (age < there).then_some(age);
                assert_eq!(lookup.find_name(key, name), wanted);
                assert_eq!(lookup.find(key, name, b"value"), wanted);
                assert_eq!(lookup.find(lookup.key(None, name, b"other"), name, b"other"), None);
            }
        }
        lookup.table.set_limit(0);
        assert_eq!(lookup.find(lookup.key(None, b"x-999", b"value"), b"x-999", b"value"), None);
        assert_eq!(lookup.guess(b"x-999", b"value"), None);
    }

    #[test]
    fn the_order_of_the_last_block_is_guessed() {
        let mut lookup = Lookup::new(7);
        let lines = [&b"a"[..], b"b", b"c"];
        for name in lines {
            assert_eq!(lookup.guess(name, b""), None);
            lookup.insert(lookup.key(None, name, b""), name, b"");
        }
        lookup.begin();
        for (name, age) in lines.into_iter().zip([2, 1, 0]) {
            assert_eq!(lookup.guess(name, b""), Some(age));
        }
        lookup.begin();
        assert_eq!(lookup.guess(b"b", b""), None, "not the first");
        assert_eq!(lookup.find(lookup.key(None, b"b", b""), b"b", b""), Some(1));
        assert_eq!(lookup.guess(b"c", b""), Some(0), "behind it as before");
        lookup.begin();
        assert_eq!(lookup.guess(b"b", b""), Some(1), "now it is");
    }

    #[test]
    fn strings_are_the_same_only_if_every_byte_is() {
        for len in 0..70 {
            let one: Vec<u8> = (0..len).collect();
            assert!(same(&one, &one.clone()));
            assert!(!same(&one, &[&one[..], b"x"].concat()));
            for at in 0..one.len() {
                let mut two = one.clone();
                two[at] ^= 0x80;
                assert!(!same(&one, &two), "{len} {at}");
                let seeds = (spread(1, 1), spread(1, 2));
                assert_ne!(hash(&one, seeds.0, seeds.1), hash(&two, seeds.0, seeds.1), "{len} {at}");
            }
        }
    }
}
