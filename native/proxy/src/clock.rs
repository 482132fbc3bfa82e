//! The one place that reads the clocks; everything else is handed a time.
//!
//! Monotonic nanoseconds since the process's first reading, and wall-clock time for certificates and dates.
#![expect(clippy::disallowed_methods, reason = "this module is where the clocks are read")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static EPOCH: OnceLock<Instant> = OnceLock::new();

/// A monotonic time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Nanos(pub(crate) u64);

impl Nanos {
    /// This time plus a duration.
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This time plus milliseconds.
    pub(crate) fn after_ms(self, ms: u32) -> Self {
        Self(self.0.saturating_add(u64::from(ms) * 1_000_000))
    }
}

/// Now, monotonic.
pub(crate) fn now() -> Nanos {
    let epoch = *EPOCH.get_or_init(Instant::now);
    Nanos(u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Now, since the Unix epoch.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The wall-clock time at which [`now`] was 0, by the clocks as they are now.
pub(crate) fn wall_epoch() -> Duration {
    wall().saturating_sub(Duration::from_nanos(now().0))
}
