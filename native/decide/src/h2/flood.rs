//! What an honest peer never does so often. In: the time, and each occurrence; out: whether it is a flood, by name.
//! Meters refill with time and, for frames that go with traffic, with each frame of traffic. The ledger weighs
//! streams that were cut short against those that completed.

use super::{Broken, Millis};

/// What is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nuisance {
    Ping,
    Settings,
    EmptyData,
    EmptyHeaders,
    Priority,
    WindowUpdate,
    /// A frame on a stream that is over.
    Late,
    /// A frame of unknown type.
    Unknown,
}

const NUISANCES: usize = 8;

/// A nuisance's allowance.
struct Allowance {
    /// How many at once, from rest.
    burst: u64,
    /// How many a second for good.
    per_second: u64,
    /// How many more per frame of traffic (HEADERS and DATA, either way).
    per_frame: u64,
    reason: &'static str,
}

impl Nuisance {
    const fn allowance(self) -> Allowance {
        // Bandwidth probes ping once a round trip while data flows; window updates come two a frame and more.
        let (burst, per_second, per_frame, reason) = match self {
            Self::Ping => (1000, 100, 1, "PING flood"),
            Self::Settings => (100, 10, 0, "SETTINGS flood"),
            Self::EmptyData => (100, 10, 0, "flood of empty DATA"),
            Self::EmptyHeaders => (100, 10, 0, "flood of empty HEADERS or CONTINUATION"),
            Self::Priority => (1000, 100, 2, "PRIORITY flood"),
            Self::WindowUpdate => (4000, 500, 4, "WINDOW_UPDATE flood"),
            Self::Late => (2000, 200, 2, "flood of frames on closed streams"),
            Self::Unknown => (1000, 100, 2, "flood of unknown frames"),
        };
        Allowance { burst, per_second, per_frame, reason }
    }
}

/// One nuisance's bucket, kept as the time at which it is full again, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    full_at: u64,
    /// Traffic that was already counted.
    seen: u32,
}

#[derive(Debug, Default)]
pub(super) struct Meters {
    meters: [Meter; NUISANCES],
    /// Frames of traffic, wrapping.
    traffic: u32,
}

impl Meters {
    /// A frame of HEADERS, or of DATA that is not for nothing, went or was welcome.
    pub(super) fn traffic(&mut self) {
        self.traffic = self.traffic.wrapping_add(1);
    }

    /// Counts one.
    pub(super) fn count(&mut self, nuisance: Nuisance, now: Millis) -> Result<(), Broken> {
        let allowance = nuisance.allowance();
        let Some(meter) = self.meters.get_mut(nuisance as usize) else { return Ok(()) };
        let cost = 1_000_000 / allowance.per_second;
        let now = now.0.saturating_mul(1000);
        let earned = u64::from(self.traffic.wrapping_sub(meter.seen)) * allowance.per_frame * cost;
        meter.seen = self.traffic;
        meter.full_at = meter.full_at.saturating_sub(earned).max(now) + cost;
        if meter.full_at - now > allowance.burst * cost {
            return Err(Broken::flood(allowance.reason));
        }
        Ok(())
    }
}

/// Resets that pass without a look at what else was done.
const RESETS: u32 = 100;
/// How long they count, at least; at most twice as long.
const GENERATION: u64 = 30_000;

/// How the peer's streams ended in the last 30 to 60 s (CVE-2023-44487, CVE-2025-8671).
#[derive(Debug, Default)]
pub(super) struct Ledger {
    since: Millis,
    resets: [u32; 2],
    completed: [u32; 2],
    /// Told at the next frame when the caller's own reset was one too many.
    overrun: bool,
}

impl Ledger {
    fn turn(&mut self, now: Millis) {
        let age = now.0.saturating_sub(self.since.0);
        if age >= GENERATION {
            let keep = age < 2 * GENERATION;
            for counts in [&mut self.resets, &mut self.completed] {
                let [current, _] = *counts;
                *counts = [0, if keep { current } else { 0 }];
            }
            self.since = now;
        }
    }

    /// A stream ran to its end.
    pub(super) fn complete(&mut self, now: Millis) {
        self.turn(now);
        let [current, _] = &mut self.completed;
        *current = current.saturating_add(1);
    }

    /// A stream of the peer's was cut short by the peer, or by us for the peer's fault, or refused.
    pub(super) fn reset(&mut self, now: Millis) {
        self.turn(now);
        let [current, _] = &mut self.resets;
        *current = current.saturating_add(1);
        let sum = |counts: [u32; 2]| counts.iter().fold(0_u32, |sum, &n| sum.saturating_add(n));
        let resets = sum(self.resets);
        self.overrun = resets > RESETS && resets > sum(self.completed);
    }

    /// Whether resets are the larger part of more than a few.
    pub(super) fn check(&self) -> Result<(), Broken> {
        if self.overrun { Err(Broken::flood("flood of resets")) } else { Ok(()) }
    }
}

/// Spreads a seed over all bits.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(meters: &mut Meters, nuisance: Nuisance, now: u64) -> u64 {
        (0..1_000_000).find(|_| meters.count(nuisance, Millis(now)).is_err()).unwrap_or(0)
    }

    #[test]
    fn a_meter_lets_its_burst_pass_and_refills() {
        let mut meters = Meters::default();
        assert_eq!(passed(&mut meters, Nuisance::Ping, 5_000), 1000);
        assert_eq!(passed(&mut meters, Nuisance::Settings, 5_000), 100);
        let mut meters = Meters::default();
        for n in 0..1000 {
            assert_eq!(meters.count(Nuisance::Ping, Millis(n / 1000)), Ok(()));
        }
        assert_eq!(meters.count(Nuisance::Ping, Millis(10)), Ok(()));
        assert_eq!(meters.count(Nuisance::Ping, Millis(10)), Err(Broken::flood("PING flood")));
    }

    #[test]
    fn traffic_pays_for_its_pings_but_is_not_saved_up() {
        let mut meters = Meters::default();
        for n in 0..100_000_u64 {
            meters.traffic();
            assert_eq!(meters.count(Nuisance::Ping, Millis(n / 1000)), Ok(()));
        }
        for _ in 0..100_000 {
            meters.traffic();
        }
        assert_eq!(passed(&mut meters, Nuisance::Ping, 100), 1000);
    }

    #[test]
    fn resets_are_cut_unless_more_streams_complete() {
        let mut ledger = Ledger::default();
        for _ in 0..RESETS {
            ledger.reset(Millis(1));
            assert_eq!(ledger.check(), Ok(()));
        }
        ledger.reset(Millis(29_000));
        assert_eq!(ledger.check(), Err(Broken::flood("flood of resets")));

        let mut honest = Ledger::default();
        for n in 0..10_000 {
            honest.complete(Millis(n));
            honest.reset(Millis(n));
            assert_eq!(honest.check(), Ok(()));
        }
    }

    #[test]
    fn resets_are_forgotten_after_a_minute_and_not_within_half_of_one() {
        let mut slow = Ledger::default();
        for n in 0..1000 {
            slow.reset(Millis(n * 700));
            assert_eq!(slow.check(), Ok(()), "{n}");
        }
        let mut across = Ledger::default();
        for n in 0..=100 {
            across.reset(Millis(29_999 + n));
        }
        assert!(across.check().is_err(), "a turn of the generation hides nothing");
    }
}
