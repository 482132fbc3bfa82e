//! Storage with stable ids: an id of something that ended never finds its successor.

/// Where something is, and which of the somethings that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    index: u32,
    generation: u32,
}

impl Id {
    /// Never found.
    pub(crate) const NONE: Self = Self { index: u32::MAX, generation: u32::MAX };

    /// As one number, for epoll.
    pub(crate) fn token(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// From [`Id::token`].
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    pub(crate) fn from_token(token: u64) -> Self {
        Self { index: token as u32, generation: (token >> 32) as u32 }
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<Box<T>>,
}

/// Values by [`Id`]. Boxed, so that memory goes back when they end.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: Box<T>) -> Id {
        self.len += 1;
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return Id { index, generation: slot.generation };
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 0, value: Some(value) });
        Id { index, generation: 0 }
    }

    #[inline]
    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation { slot.value.as_deref() } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation == id.generation { slot.value.as_deref_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<Box<T>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let value = slot.value.take()?;
        // Generations stay below 2^31: the upper half of the tokens belongs to listeners and wakers.
        slot.generation = (slot.generation + 1) & 0x7fff_ffff;
        self.free.push(id.index);
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        let taken = self.slots.iter().zip(0u32..).filter(|(slot, _)| slot.value.is_some());
        taken.map(|(slot, index)| Id { index, generation: slot.generation }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_finds_its_successor() {
        let mut slab = Slab::new();
        let first = slab.insert(Box::new("a"));
        assert_eq!(slab.remove(first).as_deref(), Some(&"a"));
        let second = slab.insert(Box::new("b"));
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(Id::from_token(second.token())), Some(&"b"));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.ids(), [second]);
    }
}
