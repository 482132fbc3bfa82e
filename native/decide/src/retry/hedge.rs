//! When a request that is slower than most gets a second attempt beside the first.
//!
//! In: how long answers took. Out: after which delay to hedge, and whether there may be one more. One hedger serves one
//! rule and worker; without locks, and within 512 bytes.

use tulle_snapshot::wire::Hedge;

/// Latencies of 2^14 ns (16 us) to 2^37 ns (137 s), each doubling in eight steps: a bound is at most 1/8 too high.
const LOWEST: u32 = 14;
const STEPS: usize = 8;
const BUCKETS: usize = (37 - LOWEST as usize) * STEPS;
/// What a sample counts at first; so a lone one of the tail is not gone with the first halving.
const WEIGHT: u16 = 16;
/// Before so many samples there is no delay.
const ENOUGH: u32 = 100 * WEIGHT as u32;
/// Counts are halved at so many samples, ...
const MOST: u32 = 2048 * WEIGHT as u32;
/// ... and after so long: a change is followed within about 2,000 requests, or a minute.
const HALF_LIFE_NS: u64 = 30_000_000_000;
/// The delay is found anew after so many samples.
const REFRESH: u32 = 32;
/// Hedges that may be saved up, in hundredths.
const SAVED: u32 = 1000;

/// Learns a percentile of latencies, and keeps hedges within their share of the requests.
///
/// A histogram with eight buckets per doubling, whose counts are halved now and then: unlike the P² algorithm it
/// forgets. Its bounds are rounded up, so that latencies that are all alike are not hedged.
#[derive(Debug)]
pub struct Hedger {
    percentile: u32,
    max_percent: u32,
    /// Hedges that there may be, in hundredths.
    credit: u32,
    counts: [u16; BUCKETS],
    total: u32,
    since_refresh: u32,
    halved_at: u64,
    delay: Option<u64>,
}

impl Hedger {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: Hedge, now_ns: u64) -> Self {
        Self {
            percentile: wire.percentile,
            max_percent: wire.max_percent,
            credit: 0,
            counts: [0; BUCKETS],
            total: 0,
            since_refresh: 0,
            halved_at: now_ns,
            delay: None,
        }
    }

    /// A request has been answered: the time from the start of its first attempt to the head of the answer that
    /// counted, whichever attempt gave it. (That of a hedged request is beyond the delay either way, so hedging does
    /// not hide from itself what it cuts off.)
    pub fn observe(&mut self, latency_ns: u64, now_ns: u64) {
        self.credit = (self.credit + self.max_percent).min(SAVED);
        self.forget(now_ns);
        if let Some(count) = self.counts.get_mut(bucket(latency_ns)) {
            *count += WEIGHT;
            self.total += u32::from(WEIGHT);
        }
        self.since_refresh += 1;
        if self.total >= MOST {
            self.halve(1);
        }
        if self.since_refresh >= REFRESH || (self.delay.is_none() && self.total >= ENOUGH) {
            self.refresh();
        }
    }

    /// How long after the start of its first attempt a request is hedged; none: not yet known, or no longer.
    #[must_use]
    pub fn delay(&mut self, now_ns: u64) -> Option<u64> {
        self.forget(now_ns);
        self.delay
    }

    /// The delay is over, and there is no answer: takes a hedge, if there is one left. There are never more than
    /// `max_percent` of the requests that were answered so far, and never more than ten at once. The caller
    /// hedges only methods for which [`super::is_idempotent`] holds.
    #[must_use]
    pub fn may(&mut self, now_ns: u64) -> bool {
        if self.delay(now_ns).is_none() || self.credit < 100 {
            return false;
        }
        self.credit -= 100;
        true
    }

    fn forget(&mut self, now_ns: u64) {
        let lives = now_ns.saturating_sub(self.halved_at) / HALF_LIFE_NS;
        if lives > 0 {
            self.halved_at += lives * HALF_LIFE_NS;
            self.halve(u32::try_from(lives).unwrap_or(u32::MAX));
            self.refresh();
        }
    }

    fn halve(&mut self, times: u32) {
        for count in &mut self.counts {
            *count = count.checked_shr(times).unwrap_or(0);
        }
        self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
    }

    fn refresh(&mut self) {
        self.since_refresh = 0;
        if self.total < ENOUGH {
            self.delay = None;
            return;
        }
        let rank = (self.total * self.percentile).div_ceil(100);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += u32::from(*count);
            below >= rank
        });
        self.delay = found.map(bound);
    }
}

/// The bucket of a latency; what is beyond the ends is in the outermost ones.
fn bucket(latency_ns: u64) -> usize {
    let latency = latency_ns.max(1 << LOWEST);
    let octave = latency.ilog2();
    let step = (latency >> (octave - 3)) & 7;
    let index = u64::from(octave - LOWEST) * STEPS as u64 + step;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// Where a bucket ends.
fn bound(bucket: usize) -> u64 {
    let steps = (bucket % STEPS + 1 + STEPS) as u64;
    (steps << LOWEST >> 3) << (bucket / STEPS)
}
