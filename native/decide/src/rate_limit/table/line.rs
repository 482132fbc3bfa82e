//! Four slots in one cache line: who they belong to, and their TATs.
//!
//! A slot changes hands only at rest: whoever wants it swaps its TAT for [`CLAIMED`], writes the tag, then a TAT ahead of
//! now. Whoever charges a slot reads the TAT, then the tag, and swaps the TAT: had the slot changed hands in between, the
//! TAT would be another, as it only ever grows past what was at rest.

use super::super::Verdict;
use super::super::gcra::Gcra;
use std::sync::atomic::{AtomicU64, Ordering};

/// In place of a TAT while a slot changes hands.
const CLAIMED: u64 = u64::MAX;

/// Zero: never used.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Line {
    slots: [Slot; Self::SLOTS],
}

#[derive(Debug, Default)]
struct Slot {
    tag: AtomicU64,
    tat: AtomicU64,
}

/// A slot that nobody else touches until it is published.
pub(super) struct Claim<'a>(&'a Slot);

impl Line {
    pub(super) const SLOTS: usize = 4;

    /// Charges the bucket of `tag`, if it is here.
    ///
    /// All tags are compared before anything depends on which it is: a branch on each would be foreseen wrongly most of
    /// the time, and the processor would start nothing of what follows before this line has come from memory.
    pub(super) fn charge(&self, tag: u64, now: u64, gcra: &Gcra) -> Option<Verdict> {
        let mut found = self
            .slots
            .iter()
            .rev()
            .fold(0_u32, |found, slot| found << 1 | u32::from(slot.tag.load(Ordering::Relaxed) == tag));
        // More than one, while one of them changes hands.
        while let Some(slot) = self.slots.get(found.trailing_zeros() as usize) {
            let verdict = slot.charge(tag, now, gcra);
            if verdict.is_some() {
                return verdict;
            }
            found &= found - 1;
        }
        None
    }

    /// Claims a slot whose key is at rest.
    pub(super) fn claim_at_rest(&self, now: u64) -> Option<Claim<'_>> {
        let mut used = self.slots.iter().filter(|slot| slot.tag.load(Ordering::Relaxed) != 0);
        used.find_map(|slot| {
            let seen = slot.tat.load(Ordering::Relaxed);
            if seen == 0 || seen > now { None } else { slot.claim(seen) }
        })
    }

    /// Claims a slot that was never used.
    pub(super) fn claim_fresh(&self) -> Option<Claim<'_>> {
        let mut fresh = self.slots.iter().filter(|slot| slot.tag.load(Ordering::Relaxed) == 0);
        fresh.find_map(|slot| slot.claim(0))
    }
}

impl Slot {
    fn charge(&self, tag: u64, now: u64, gcra: &Gcra) -> Option<Verdict> {
        let mut seen = self.tat.load(Ordering::Acquire);
        while seen != CLAIMED && self.tag.load(Ordering::Acquire) == tag {
            match swap(&self.tat, seen, now, gcra) {
                Ok(verdict) => return Some(verdict),
                Err(changed) => seen = changed,
            }
        }
        None
    }

    fn claim(&self, seen: u64) -> Option<Claim<'_>> {
        let claimed = self.tat.compare_exchange(seen, CLAIMED, Ordering::AcqRel, Ordering::Relaxed);
        claimed.is_ok().then_some(Claim(self))
    }
}

impl Claim<'_> {
    /// Hands the slot over: `at` is after every TAT at which it was at rest. Or gives it back: 0 and 0.
    pub(super) fn publish(self, tag: u64, at: u64) {
        self.0.tag.store(tag, Ordering::Release);
        self.0.tat.store(at, Ordering::Release);
    }
}

/// Charges a bucket that belongs to nobody else.
pub(super) fn charge(tat: &AtomicU64, now: u64, gcra: &Gcra) -> Verdict {
    let mut seen = tat.load(Ordering::Relaxed);
    loop {
        match swap(tat, seen, now, gcra) {
            Ok(verdict) => return verdict,
            Err(changed) => seen = changed,
        }
    }
}

/// One step from the TAT that was seen. Err: the TAT is another by now, which is given.
fn swap(tat: &AtomicU64, seen: u64, now: u64, gcra: &Gcra) -> Result<Verdict, u64> {
    let step = gcra.step(seen, now);
    if step.tat == seen {
        return Ok(step.verdict);
    }
    tat.compare_exchange_weak(seen, step.tat, Ordering::AcqRel, Ordering::Acquire).map(|_| step.verdict)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Verdict, gcra::Gcra};
    use super::Line;

    #[test]
    fn a_line_is_one_cache_line() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }

    #[test]
    fn each_slot_is_found_by_its_tag_alone() {
        let (line, gcra) = (Line::default(), Gcra::new(1, 5));
        for tag in 1..=4 {
            assert!(line.charge(tag, 100, &gcra).is_none());
            line.claim_fresh().unwrap().publish(tag, 200 + tag);
        }
        assert!(line.claim_fresh().is_none());
        assert!(line.claim_at_rest(200).is_none());
        for tag in 1..=4 {
            let expected = Verdict::Pass { limit: 5, remaining: 3, reset_ns: 1_000_000_100 + tag };
            assert_eq!(line.charge(tag, 100, &gcra), Some(expected));
        }
        assert!(line.charge(5, 100, &gcra).is_none());
    }

    /// The slot that changes hands still has the tag of the key that it belonged to.
    #[test]
    fn a_key_is_found_behind_a_slot_of_its_own_that_changes_hands() {
        let (line, gcra) = (Line::default(), Gcra::new(1, 5));
        line.claim_fresh().unwrap().publish(7, 10);
        let taken = line.claim_at_rest(20).unwrap();
        assert!(line.charge(7, 20, &gcra).is_none());
        line.claim_fresh().unwrap().publish(7, 30);
        assert!(line.charge(7, 20, &gcra).is_some());
        taken.publish(9, 40);
        assert!(line.charge(7, 20, &gcra).is_some());
        assert!(line.charge(9, 20, &gcra).is_some());
    }
}
