//! Buckets by key, for all workers: atomics, and a lock only for a key that is not there yet.
//!
//! Levels of open addressing, each eight times the one before, made when it is needed, in chunks of 4 KiB that are made
//! when they are needed. A key has one place in each level, four cache lines of four slots, and begins at one of
//! them: at the bound, nine in ten are in the first line that is looked at. It is entered once and stays where it is for
//! as long as it is not at rest. Nothing is moved: levels that were outgrown empty by themselves.

mod line;

use super::Verdict;
use super::gcra::Gcra;
use crate::chance::{again, index};
use line::{Claim, Line, charge};
use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Slots for each key within the bound: so few lines are full that a thousandth of the keys at most has to share.
const SLOTS_PER_KEY: usize = 2;
const LINES_PER_PLACE: usize = 4;
const PLACES_PER_CHUNK: usize = 16;
const LINES_PER_CHUNK: usize = PLACES_PER_CHUNK * LINES_PER_PLACE;
const SLOTS_PER_CHUNK: usize = LINES_PER_CHUNK * Line::SLOTS;
/// How much larger a level is than the one before.
const GROWTH: usize = 8;
const GUARDS: usize = 16;

/// At the bound, lines that are searched for a slot at rest besides the key's own.
const LINES_LOOKED_AT: usize = 8;

type Place = [Line; LINES_PER_PLACE];
type Chunk = [Place; PLACES_PER_CHUNK];

#[derive(Debug)]
pub(super) struct Table {
    /// At most so many slots are used.
    keys: u32,
    /// Slots that were ever used.
    used: AtomicU32,
    /// The bucket of requests without a key, and of keys that found no slot.
    shared: AtomicU64,
    /// One key is entered once: whoever enters it holds its guard, for some tens of nanoseconds, or for as long as it
    /// takes to make a chunk. Keys that are there need none.
    guards: [Mutex<()>; GUARDS],
    levels: Box<[Level]>,
}

#[derive(Debug)]
struct Level {
    size: usize,
    chunks: OnceLock<Box<[OnceLock<Box<Chunk>>]>>,
}

/// Where to look for a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    /// Slots that were never used only in the newest level.
    InNewest,
    /// In all.
    Anywhere,
}

impl Table {
    pub(super) fn new(keys: u32) -> Self {
        let mut left = (keys.max(1) as usize * SLOTS_PER_KEY).div_ceil(SLOTS_PER_CHUNK);
        let mut sizes = Vec::new();
        let mut size = 1;
        while left > 0 {
            // What would be left for a smaller level than this one makes this one larger.
            let take = if left < 2 * size { left } else { size };
            sizes.push(take);
            left -= take;
            size *= GROWTH;
        }
        Self {
            keys,
            used: AtomicU32::new(0),
            shared: AtomicU64::new(0),
            guards: array::from_fn(|_| Mutex::new(())),
            levels: sizes.into_iter().map(|size| Level { size, chunks: OnceLock::new() }).collect(),
        }
    }

    pub(super) fn decide(&self, hash: Option<u64>, now: u64, gcra: &Gcra) -> Verdict {
        hash.and_then(|hash| {
            // The hash is uniform: it is a key's tag, and its place. 0 is the tag of slots that were never used.
            let key = hash.max(1);
            self.known(key, now, gcra).or_else(|| self.enter(key, now, gcra))
        })
        .unwrap_or_else(|| charge(&self.shared, now, gcra))
    }

    pub(super) fn memory(&self) -> usize {
        let level = |level: &Level| {
            let chunks = level.chunks.get()?;
            let made = chunks.iter().filter(|chunk| chunk.get().is_some()).count();
            Some(size_of_val::<[_]>(chunks) + made * size_of::<Chunk>())
        };
        size_of::<Self>()
            + size_of_val::<[_]>(&self.levels)
            + self.levels.iter().filter_map(level).sum::<usize>()
    }

    /// The levels that there are, newest first: most keys are there.
    fn made(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().rev().filter(|level| level.chunks.get().is_some())
    }

    /// Loops, and no chain of iterators: that costs twice the instructions, and what counts with many keys is how many
    /// decisions the processor has under way while it waits for memory.
    fn known(&self, key: u64, now: u64, gcra: &Gcra) -> Option<Verdict> {
        for level in self.levels.iter().rev() {
            let Some(lines) = level.lines(key) else { continue };
            for line in lines {
                let verdict = line.charge(key, now, gcra);
                if verdict.is_some() {
                    return verdict;
                }
            }
        }
        None
    }

    /// Enters a key that is not there. None: there is no slot for it.
    ///
    /// Whoever meets another worker that enters the same key waits for it: with a bucket that is not its own, more
    /// requests would pass than its limit says.
    fn enter(&self, key: u64, now: u64, gcra: &Gcra) -> Option<Verdict> {
        let _guard = self.guard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        // Another worker may just have entered it.
        self.known(key, now, gcra).or_else(|| {
            let slot = self.slot(key, now)?;
            let step = gcra.step(0, now);
            slot.publish(key, step.tat);
            Some(step.verdict)
        })
    }

    fn guard(&self, key: u64) -> Option<&Mutex<()>> {
        self.guards.get(index(key, GUARDS))
    }

    /// A slot for the key, claimed: one at rest in any level, or one that was never used.
    fn slot(&self, key: u64, now: u64) -> Option<Claim<'_>> {
        let mut at_rest = self.made().filter_map(|level| level.lines(key)).flatten();
        if let Some(slot) = at_rest.find_map(|line| line.claim_at_rest(now)) {
            return Some(slot);
        }
        let count = |used| (used < self.keys).then_some(used + 1);
        let counted = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok();
        if !counted && !self.give_back(key, now) {
            return None;
        }
        let slot = self.grow_to_fresh(key);
        if slot.is_none() {
            self.used.fetch_sub(1, Ordering::Relaxed);
        }
        slot
    }

    /// Makes a slot that is at rest one that was never used. Looks at a few lines, all of a small table.
    fn give_back(&self, key: u64, now: u64) -> bool {
        let small = self.made().nth(1).is_none();
        let lines = if small { LINES_PER_CHUNK } else { LINES_LOOKED_AT };
        let from = again(key ^ now);
        let at_rest = self
            .made()
            .take(1)
            .find_map(|level| level.walk(from, lines).find_map(|line| line.claim_at_rest(now)));
        at_rest.map(|slot| slot.publish(0, 0)).is_some()
    }

    fn grow_to_fresh(&self, key: u64) -> Option<Claim<'_>> {
        loop {
            if let Some(slot) = self.fresh(key, Fresh::InNewest) {
                return Some(slot);
            }
            let Some(next) = self.levels.iter().find(|level| level.chunks.get().is_none()) else {
                return self.fresh(key, Fresh::Anywhere);
            };
            next.make();
        }
    }

    fn fresh(&self, key: u64, which: Fresh) -> Option<Claim<'_>> {
        let levels = if which == Fresh::InNewest { 1 } else { usize::MAX };
        self.made()
            .take(levels)
            .filter_map(|level| level.lines_made(key))
            .flatten()
            .find_map(Line::claim_fresh)
    }
}

impl Level {
    fn make(&self) {
        self.chunks.get_or_init(|| (0..self.size).map(|_| OnceLock::new()).collect());
    }

    /// The lines that a key may be in, its first one first, if their chunk is there.
    fn lines(&self, key: u64) -> Option<impl Iterator<Item = &Line>> {
        let (chunk, line) = self.find(key)?;
        Some(near(chunk.get()?, line))
    }

    /// The lines that a key may be in. Their chunk is made if it is not there: 4 KiB of zeros.
    fn lines_made(&self, key: u64) -> Option<impl Iterator<Item = &Line>> {
        let (chunk, line) = self.find(key)?;
        Some(near(chunk.get_or_init(Box::default), line))
    }

    /// Some lines in a row that are there, from a random one on.
    fn walk(&self, from: u64, lines: usize) -> impl Iterator<Item = &Line> {
        let all = self.size * LINES_PER_CHUNK;
        let first = index(from, all);
        (0..lines).filter_map(move |step| {
            let (chunk, line) = self.at((first + step) % all)?;
            chunk.get()?.as_flattened().get(line)
        })
    }

    /// The chunk of a key, and its first line within it.
    fn find(&self, key: u64) -> Option<(&OnceLock<Box<Chunk>>, usize)> {
        self.at(index(key, self.size * LINES_PER_CHUNK))
    }

    fn at(&self, line: usize) -> Option<(&OnceLock<Box<Chunk>>, usize)> {
        let chunk = self.chunks.get()?.get(line / LINES_PER_CHUNK)?;
        Some((chunk, line % LINES_PER_CHUNK))
    }
}

/// The place that a line is in, from this line on.
fn near(chunk: &Chunk, line: usize) -> impl Iterator<Item = &Line> {
    let place = chunk.get(line / LINES_PER_PLACE);
    (0..LINES_PER_PLACE).filter_map(move |step| place?.get((line % LINES_PER_PLACE) ^ step))
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, gcra::Gcra};
    use super::Table;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn who_meets_a_worker_that_enters_its_key_waits_and_takes_from_that_bucket() {
        let (table, gcra, key, now) = (Table::new(16), Gcra::new(1, 5), 1 << 40, 1_000_000_000);
        let pass =
            |remaining| Verdict::Pass { limit: 5, remaining, reset_ns: u64::from(5 - remaining) * now };
        thread::scope(|scope| {
            let held = table.guard(key).unwrap().lock().unwrap();
            let met = scope.spawn(|| table.decide(Some(key), now, &gcra));
            thread::sleep(Duration::from_millis(50));
            table.slot(key, now).unwrap().publish(key, gcra.step(0, now).tat);
            drop(held);
            assert_eq!(met.join().unwrap(), pass(3));
        });
        assert_eq!(table.decide(None, now, &gcra), pass(4));
    }
}
