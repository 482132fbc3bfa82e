//! How near the process is to its memory limit. In: resident bytes, as often as the keeper looks; out: what workers are
//! told when it changes.

use rustix::param::page_size;

/// What may still be taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Pressure {
    /// Anything.
    #[default]
    Calm,
    /// No more connections; idle ones end.
    Tight,
    /// No more requests either.
    Full,
}

/// Each level is left only some way below where it was entered, so that it does not flap.
const TIGHT: Level = Level { enter: 90, leave: 85 };
const FULL: Level = Level { enter: 100, leave: 95 };

/// In percent of the limit.
struct Level {
    enter: u64,
    leave: u64,
}

impl Level {
    fn holds(&self, percent: u64, already: bool) -> bool {
        percent >= if already { self.leave } else { self.enter }
    }
}

impl Pressure {
    /// The level that follows, with so many bytes resident; without a limit there is none.
    pub(super) fn next(self, resident: u64, limit: Option<u64>) -> Self {
        let Some(percent) = limit.and_then(|limit| resident.saturating_mul(100).checked_div(limit)) else {
            return Self::Calm;
        };
        if FULL.holds(percent, self == Self::Full) {
            Self::Full
        } else if TIGHT.holds(percent, self >= Self::Tight) {
            Self::Tight
        } else {
            Self::Calm
        }
    }

    /// As metrics count it.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// Resident memory of this process in bytes (`proc_pid_statm(5)`, second field); 0 where the system does not say.
pub(super) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_entered_and_left_at_their_bounds() {
        use Pressure::{Calm, Full, Tight};
        let cases = [
            (Calm, 899, Calm),
            (Calm, 900, Tight),
            (Calm, 1_000, Full),
            (Tight, 850, Tight),
            (Tight, 849, Calm),
            (Tight, 999, Tight),
            (Tight, 1_000, Full),
            (Full, 950, Full),
            (Full, 949, Tight),
            (Full, 800, Calm),
        ];
        for (before, resident, after) in cases {
            assert_eq!(before.next(resident, Some(1_000)), after, "{before:?} at {resident}");
            assert_eq!(before.next(resident, None), Calm);
        }
    }

    #[test]
    fn this_process_is_resident() {
        assert!(resident_bytes() > 100_000);
    }
}
