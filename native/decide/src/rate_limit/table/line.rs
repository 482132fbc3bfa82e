//! Eight slots in two cache lines: who they belong to, and their TATs.
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
#[repr(align(128))]
pub(super) struct Line {
    tags: [AtomicU64; Self::SLOTS],
    tats: [AtomicU64; Self::SLOTS],
}

/// A slot that nobody else touches until it is published.
pub(super) struct Slot<'a> {
    tag: &'a AtomicU64,
    tat: &'a AtomicU64,
}

impl Line {
    pub(super) const SLOTS: usize = 8;

    fn slots(&self) -> impl Iterator<Item = (&AtomicU64, &AtomicU64)> {
        self.tags.iter().zip(&self.tats)
    }

    /// Charges the bucket of `tag`, if it is here.
    pub(super) fn charge(&self, tag: u64, now: u64, gcra: &Gcra) -> Option<Verdict> {
        let mut found = self.slots().filter(|(held, _)| held.load(Ordering::Relaxed) == tag);
        found.find_map(|(held, tat)| {
            let mut seen = tat.load(Ordering::Acquire);
            while seen != CLAIMED && held.load(Ordering::Acquire) == tag {
                match swap(tat, seen, now, gcra) {
                    Ok(verdict) => return Some(verdict),
                    Err(changed) => seen = changed,
                }
            }
            None
        })
    }

    /// Claims a slot whose key is at rest.
    pub(super) fn claim_at_rest(&self, now: u64) -> Option<Slot<'_>> {
        let mut used = self.slots().filter(|(held, _)| held.load(Ordering::Relaxed) != 0);
        used.find_map(|(tag, tat)| {
            let seen = tat.load(Ordering::Relaxed);
            let claimed = seen <= now
                && seen != 0
                && tat.compare_exchange(seen, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            claimed.then_some(Slot { tag, tat })
        })
    }

    /// Claims a slot that was never used.
    pub(super) fn claim_fresh(&self) -> Option<Slot<'_>> {
        let mut fresh = self.slots().filter(|(held, _)| held.load(Ordering::Relaxed) == 0);
        fresh.find_map(|(tag, tat)| {
            let claimed = tat.compare_exchange(0, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            claimed.then_some(Slot { tag, tat })
        })
    }
}

impl Slot<'_> {
    /// Hands the slot over: `at` is after every TAT at which it was at rest. Or gives it back: 0 and 0.
    pub(super) fn publish(self, tag: u64, at: u64) {
        self.tag.store(tag, Ordering::Release);
        self.tat.store(at, Ordering::Release);
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
    match step.tat {
        None => Ok(step.verdict),
        Some(next) => {
            tat.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire).map(|_| step.verdict)
        }
    }
}
