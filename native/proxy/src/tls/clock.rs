//! Wall-clock time for certificates and tickets, passed in so that tests can move it.

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::sync::Arc;
use std::time::Duration;

/// Tells Unix seconds. Cheap to clone.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl WallClock {
    /// A clock that asks `seconds`, which tells seconds since 1970-01-01 UTC.
    pub fn new(seconds: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(seconds))
    }

    /// Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.0)()
    }

    pub(super) fn unix_time(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.now()))
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.unix_time())
    }
}

impl std::fmt::Debug for WallClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WallClock({})", self.now())
    }
}
