//! The streams of a connection: a slab, and an index by stream number. In: numbers that the peer may have chosen;
//! out: streams. The index holds chains under a universal hash (multiply by a secret odd factor, take the high
//! bits): whichever numbers are chosen without knowing the factor, a chain's expected length is constant.

use super::Phase;
use super::stream::{Half, ResetBy, Stream};

/// The end of a chain.
const NONE: u16 = u16::MAX;
/// Buckets of the smallest index.
const FIRST_BUCKETS: usize = 4;
/// Slots that shrinking leaves alone.
const KEPT: usize = 8;
/// Streams that we reset and that the peer may not know about yet: at least so many are remembered.
const REMEMBERED: usize = 128;

#[derive(Debug)]
pub(super) struct Streams {
    slots: Vec<Stream>,
    /// Heads of chains; a power of two of them, or none yet.
    buckets: Vec<u16>,
    /// 64 less the bits of a bucket's number.
    shift: u32,
    factor: u64,
    free: u16,
    len: usize,
    /// Numbers of streams that we reset while the peer could still send, a ring.
    reset: Vec<u32>,
    reset_at: usize,
    remembered: usize,
}

impl Streams {
    pub(super) fn new(seed: u64, max_streams: u32) -> Self {
        let remembered = REMEMBERED.max(2 * max_streams as usize);
        Self {
            slots: Vec::new(),
            buckets: Vec::new(),
            shift: 64,
            factor: seed | 1,
            free: NONE,
            len: 0,
            reset: Vec::new(),
            reset_at: 0,
            remembered,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().filter(|stream| stream.id != 0)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter(|stream| stream.id != 0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the high bits that are left fit")]
    fn bucket(&self, id: u32) -> usize {
        (u64::from(id >> 1).wrapping_mul(self.factor) >> (self.shift & 63)) as usize
    }

    fn slot(&self, id: u32) -> Option<u16> {
        let mut at = *self.buckets.get(self.bucket(id))?;
        loop {
            let stream = self.slots.get(usize::from(at))?;
            if stream.id == id {
                return Some(at);
            }
            at = stream.next;
        }
    }

    pub(super) fn find(&self, id: u32) -> Option<&Stream> {
        self.slots.get(usize::from(self.slot(id)?))
    }

    pub(super) fn find_mut(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.slot(id)?;
        self.slots.get_mut(usize::from(at))
    }

    /// Adds a stream that is not there yet; there are never more than 32,767.
    pub(super) fn insert(&mut self, id: u32, expects: Phase, windows: (i32, i32)) -> &mut Stream {
        let stream = Stream {
            tag: 0,
            id,
            send_window: windows.0,
            receive_window: windows.1,
            credit: 0,
            next: NONE,
            local: Half::Idle,
            remote: Half::Open,
            reset: ResetBy::Nobody,
            expects,
        };
        let at = self.take_slot();
        self.len += 1;
        if self.slots.len() >= self.buckets.len() {
            self.rebuild((self.buckets.len() * 2).max(FIRST_BUCKETS));
        }
        let bucket = self.bucket(id);
        let head = self.buckets.get_mut(bucket).map_or(NONE, |head| std::mem::replace(head, at));
        let at = usize::from(at);
        if at == self.slots.len() {
            self.slots.push(stream);
        } else if let Some(slot) = self.slots.get_mut(at) {
            *slot = stream;
        }
        #[expect(clippy::indexing_slicing, reason = "the slot was just filled")]
        let stream = &mut self.slots[at];
        stream.next = head;
        stream
    }

    /// A free slot, or the next one behind the last.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 32,767 streams")]
    fn take_slot(&mut self) -> u16 {
        match self.slots.get(usize::from(self.free)) {
            Some(slot) => std::mem::replace(&mut self.free, slot.next),
            None => self.slots.len() as u16,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are at most 32,767 streams")]
    fn rebuild(&mut self, buckets: usize) {
        self.shift = 64 - buckets.trailing_zeros();
        self.buckets.clear();
        self.buckets.resize(buckets, NONE);
        for at in 0..self.slots.len() {
            let Some(id) = self.slots.get(at).map(|stream| stream.id).filter(|&id| id != 0) else { continue };
            let bucket = self.bucket(id);
            let head = self.buckets.get_mut(bucket).map_or(NONE, |head| std::mem::replace(head, at as u16));
            if let Some(stream) = self.slots.get_mut(at) {
                stream.next = head;
            }
        }
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let at = self.slot(id)?;
        let removed = self.slots.get(usize::from(at))?.clone();
        let bucket = self.bucket(id);
        let head = self.buckets.get_mut(bucket)?;
        if *head == at {
            *head = removed.next;
        } else {
            let mut before = *head;
            while let Some(stream) = self.slots.get_mut(usize::from(before)) {
                if stream.next == at {
                    stream.next = removed.next;
                    break;
                }
                before = stream.next;
            }
        }
        let slot = self.slots.get_mut(usize::from(at))?;
        slot.id = 0;
        slot.next = std::mem::replace(&mut self.free, at);
        self.len -= 1;
        Some(removed)
    }

    /// The first stream in or behind this slot that meets the condition, and its slot.
    pub(super) fn next_from(
        &mut self,
        slot: usize,
        wanted: impl Fn(&Stream) -> bool,
    ) -> Option<(usize, &mut Stream)> {
        let behind = self.slots.iter_mut().enumerate().skip(slot);
        behind.filter(|(_, stream)| stream.id != 0).find(|(_, stream)| wanted(stream))
    }

    /// The peer may go on sending on this stream for a while: it does not know yet that we reset it.
    pub(super) fn remember_reset(&mut self, id: u32) {
        if self.reset.len() < self.remembered {
            self.reset.push(id);
        } else {
            self.reset_at = (self.reset_at + 1) % self.remembered;
            if let Some(place) = self.reset.get_mut(self.reset_at) {
                *place = id;
            }
        }
    }

    /// Whether we reset this stream while the peer could still send.
    pub(super) fn was_reset(&self, id: u32) -> bool {
        self.reset.contains(&id)
    }

    /// The peer has said that it sends nothing more on this stream.
    pub(super) fn forget_reset(&mut self, id: u32) {
        if let Some(place) = self.reset.iter_mut().find(|place| **place == id) {
            *place = 0;
        }
    }

    pub(super) fn shrink(&mut self) {
        if self.len == 0 && self.slots.capacity() > KEPT {
            self.slots = Vec::new();
            self.buckets = Vec::new();
            self.free = NONE;
            self.reset = Vec::new();
            self.reset_at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn streams() -> Streams {
        Streams::new(0x9E37_79B9_7F4A_7C15, 100)
    }

    #[test]
    fn finds_what_was_put_in_through_growth_and_removal() {
        let mut streams = streams();
        let mut model = HashMap::new();
        let mut random = 7_u64;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = step * 2 + 1;
            if model.len() < 300 && random >> 63 == 0 {
                let stream = streams.insert(id, Phase::First, (1, 2));
                stream.tag = random;
                model.insert(id, random);
            } else if let Some(&id) = model.keys().next() {
                assert_eq!(streams.remove(id).map(|stream| stream.tag), model.remove(&id));
                assert!(streams.find(id).is_none());
                assert!(streams.remove(id).is_none());
            }
            assert_eq!(streams.len(), model.len());
        }
        assert!(model.len() > 100);
        for (&id, &tag) in &model {
            assert_eq!(streams.find(id).map(|stream| stream.tag), Some(tag));
        }
        assert_eq!(streams.iter().count(), model.len());
        assert!(streams.slots.len() <= 301, "slots are used again");
    }

    #[test]
    fn chains_stay_short_for_numbers_far_apart() {
        for step in [2_u32, 1 << 8, 1 << 16, 1 << 20] {
            let mut streams = streams();
            let ids: Vec<u32> = (0..256_u32).map(|n| (n.wrapping_mul(step) % 0x7FFF_FFFF) | 1).collect();
            let mut seen = std::collections::HashSet::new();
            for &id in ids.iter().filter(|&&id| seen.insert(id)) {
                streams.insert(id, Phase::First, (0, 0));
            }
            let longest = streams.buckets.iter().map(|&head| chain(&streams, head)).max();
            assert!(longest < Some(16), "{longest:?} for a step of {step}");
        }
    }

    fn chain(streams: &Streams, head: u16) -> usize {
        std::iter::successors(streams.slots.get(usize::from(head)), |stream| {
            streams.slots.get(usize::from(stream.next))
        })
        .count()
    }

    #[test]
    fn the_ring_of_resets_forgets_the_oldest() {
        let mut streams = Streams::new(1, 1);
        let last = u32::try_from(REMEMBERED).unwrap() + 1;
        for id in 1..=last {
            streams.remember_reset(id);
        }
        assert_eq!(streams.reset.len(), REMEMBERED);
        assert!(streams.was_reset(3) && streams.was_reset(last));
        streams.forget_reset(3);
        assert!(!streams.was_reset(3));
    }

    #[test]
    fn shrinking_gives_memory_back_only_when_empty() {
        let mut streams = streams();
        for n in 0..50 {
            streams.insert(n * 2 + 1, Phase::First, (0, 0));
        }
        streams.shrink();
        assert!(streams.slots.capacity() >= 50);
        for n in 0..50 {
            streams.remove(n * 2 + 1);
        }
        streams.shrink();
        assert_eq!(streams.slots.capacity(), 0);
        streams.insert(101, Phase::First, (0, 0));
        assert!(streams.find(101).is_some());
    }
}
