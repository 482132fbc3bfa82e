//! The dynamic table (RFC 7541 section 2.3.2): a ring of bytes and a ring of slots that say where each entry is. In:
//! entries as they are inserted; out: entries by age. Used by the decoder and the encoder, which keep something of
//! their own with each entry.

/// The overhead of an entry (RFC 7541 section 4.1).
const ENTRY: usize = 32;
/// The largest table: lengths and places fit 16 bits.
pub(super) const MAX_BYTES: u32 = 1 << 16;
/// What the rings begin with.
const FIRST_BYTES: usize = 512;
const FIRST_SLOTS: usize = 16;

/// One entry: its name at this place of the ring of bytes, its value behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<X> {
    at: u16,
    name: u16,
    value: u16,
    /// What the table's owner keeps with it.
    pub(super) extra: X,
}

impl<X> Slot<X> {
    /// The name's length.
    pub(super) fn name_len(&self) -> usize {
        usize::from(self.name)
    }

    /// Both lengths together.
    pub(super) fn len(&self) -> usize {
        usize::from(self.name) + usize::from(self.value)
    }
}

/// A dynamic table. Owns no memory before its first entry.
#[derive(Debug)]
pub(super) struct Table<X> {
    /// A ring, all of it in use as memory; `used` bytes before `end` are entries, the oldest first.
    bytes: Vec<u8>,
    end: usize,
    used: usize,
    /// A ring of 2^n slots; the `count` before `head` are entries, the oldest first.
    slots: Vec<Slot<X>>,
    head: usize,
    count: usize,
    limit: usize,
}

impl<X: Copy> Table<X> {
    /// An empty table for `limit` bytes, [`MAX_BYTES`] at most, as RFC 7541 section 4.1 counts them.
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            bytes: Vec::new(),
            end: 0,
            used: 0,
            slots: Vec::new(),
            head: 0,
            count: 0,
            limit: at_most_max(limit),
        }
    }

    /// How many entries there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many slots there are, a power of two, or 0.
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// What the table may hold.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// What the table holds (RFC 7541 section 4.1).
    pub(super) const fn size(&self) -> usize {
        self.used + self.count * ENTRY
    }

    /// Memory on the heap.
    pub(super) const fn memory(&self) -> usize {
        self.bytes.capacity() + self.slots.capacity() * size_of::<Slot<X>>()
    }

    /// Changes the limit (RFC 7541 section 4.3). An empty table gives memory above the limit back.
    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = at_most_max(limit);
        self.make_room(0);
        if self.count == 0 && self.bytes.len() > self.limit {
            self.bytes = Vec::new();
            self.slots = Vec::new();
            self.head = 0;
        }
    }

    /// The place of an entry in the ring of slots by its age, the newest being 0.
    fn place(&self, age: usize) -> usize {
        self.head.wrapping_sub(age + 1) & self.slots.len().wrapping_sub(1)
    }

    /// An entry by its age.
    #[inline]
    pub(super) fn get(&self, age: usize) -> Option<&Slot<X>> {
        if age < self.count { self.slots.get(self.place(age)) } else { None }
    }

    /// The age of what stands, or stood, at a place of the ring of slots.
    #[inline]
    pub(super) fn age(&self, place: usize) -> usize {
        self.head.wrapping_sub(place + 1) & self.slots.len().wrapping_sub(1)
    }

    /// The slot at a place, whether or not its entry is still there.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<&Slot<X>> {
        self.slots.get(place)
    }

    /// As [`Table::at`], to be changed.
    #[inline]
    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut Slot<X>> {
        self.slots.get_mut(place)
    }

    /// Name and value, unless the ring's end lies within them.
    #[inline]
    pub(super) fn text(&self, slot: &Slot<X>) -> Option<(&[u8], &[u8])> {
        let at = usize::from(slot.at);
        self.bytes.get(at..at + slot.len())?.split_at_checked(slot.name_len())
    }

    /// The two parts of name and value behind each other: what is before the ring's end, and what is behind it.
    pub(super) fn parts(&self, slot: &Slot<X>) -> (&[u8], &[u8]) {
        let rest = self.bytes.get(usize::from(slot.at)..).unwrap_or_default();
        match rest.split_at_checked(slot.len()) {
            Some((whole, _)) => (whole, &[]),
            None => (rest, self.bytes.get(..slot.len() - rest.len()).unwrap_or_default()),
        }
    }

    /// Inserts an entry after evicting as many of the oldest as it takes (RFC 7541 section 4.4); its place in the ring
    /// of slots. None when it is larger than the table, which is then empty.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], extra: X) -> Option<usize> {
        let len = name.len() + value.len();
        self.make_room(len + ENTRY);
        if self.size() + len + ENTRY > self.limit {
            return None;
        }
        let mut slot = Slot {
            at: 0,
            name: u16::try_from(name.len()).ok()?,
            value: u16::try_from(value.len()).ok()?,
            extra,
        };
        if self.count == self.slots.len() {
            self.grow_slots(slot);
        }
        if self.used + len > self.bytes.len() {
            self.grow_bytes(self.used + len)?;
        }
        slot.at = u16::try_from(self.end).ok()?;
        self.write(name);
        self.write(value);
        self.used += len;
        let place = self.head;
        *self.slots.get_mut(place)? = slot;
        self.head = (place + 1) & (self.slots.len() - 1);
        self.count += 1;
        Some(place)
    }

    /// Evicts the oldest until `wanted` more bytes fit, or nothing is left.
    fn make_room(&mut self, wanted: usize) {
        while self.count > 0 && self.size() + wanted > self.limit {
            let oldest = self.get(self.count - 1).map_or(0, Slot::len);
            self.used -= oldest;
            self.count -= 1;
        }
        if self.count == 0 {
            self.end = 0;
        }
    }

    fn write(&mut self, from: &[u8]) {
        let ring = self.bytes.len();
        let end = self.end + from.len();
        if let Some(to) = self.bytes.get_mut(self.end..end) {
            to.copy_from_slice(from);
            self.end = if end == ring { 0 } else { end };
            return;
        }
        let (before, behind) = from.split_at_checked(ring - self.end).unwrap_or_default();
        if let Some(to) = self.bytes.get_mut(self.end..) {
            to.copy_from_slice(before);
        }
        if let Some(to) = self.bytes.get_mut(..behind.len()) {
            to.copy_from_slice(behind);
        }
        self.end = behind.len();
    }

    /// Doubles the ring of slots, the oldest entry first in it.
    fn grow_slots(&mut self, filler: Slot<X>) {
        let len = (self.slots.len() * 2).max(FIRST_SLOTS);
        let mut slots = Vec::with_capacity(len);
        slots.extend((0..self.count).rev().filter_map(|age| self.get(age).copied()));
        slots.resize(len, filler);
        self.slots = slots;
        self.head = self.count;
    }

    /// Grows the ring of bytes to `wanted` or more, never above the limit, the oldest entry first in it.
    fn grow_bytes(&mut self, wanted: usize) -> Option<()> {
        let len = wanted.next_power_of_two().max(FIRST_BYTES).min(self.limit);
        let mut bytes = Vec::with_capacity(len);
        for age in (0..self.count).rev() {
            let at = u16::try_from(bytes.len()).ok()?;
            let (before, behind) = self.parts(self.get(age)?);
            bytes.extend_from_slice(before);
            bytes.extend_from_slice(behind);
            let place = self.place(age);
            self.slots.get_mut(place)?.at = at;
        }
        self.end = bytes.len();
        bytes.resize(len, 0);
        self.bytes = bytes;
        Some(())
    }
}

const fn at_most_max(limit: u32) -> usize {
    (if limit < MAX_BYTES { limit } else { MAX_BYTES }) as usize
}

#[cfg(test)]
impl<X: Copy> Table<X> {
    /// Names and values, the newest first.
    pub(super) fn entries(&self) -> Vec<super::tests::Pair> {
        let slots = (0..self.count).filter_map(|age| self.get(age));
        slots
            .map(|slot| {
                let (before, behind) = self.parts(slot);
                let mut name = [before, behind].concat();
                let value = name.split_off(slot.name_len());
                (name, value)
            })
            .collect()
    }
}
