//! The tries upstream that a request made, and why each ended.

use super::reason::Reason;
use super::record::NONE_32;

/// Attempts that are kept: the first ones and always the last.
pub const KEPT_ATTEMPTS: usize = 4;

/// One try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Index into the service's endpoints.
    pub endpoint: u32,
    /// How it ended; [`Reason::Ok`] where a response head came.
    pub ended: Reason,
    /// How long it took, in microseconds, at most 71 minutes.
    pub micros: u32,
}

/// The tries of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    endpoints: [u32; KEPT_ATTEMPTS],
    micros: [u32; KEPT_ATTEMPTS],
    ended: [Reason; KEPT_ATTEMPTS],
    made: u8,
}

impl Attempts {
    /// None yet.
    pub const EMPTY: Self = Self {
        endpoints: [NONE_32; KEPT_ATTEMPTS],
        micros: [0; KEPT_ATTEMPTS],
        ended: [Reason::Ok; KEPT_ATTEMPTS],
        made: 0,
    };

    /// Adds one that ended after `nanos`. Beyond [`KEPT_ATTEMPTS`] the last one kept is replaced.
    pub fn push(&mut self, endpoint: u32, ended: Reason, nanos: u64) {
        let at = usize::from(self.made).min(KEPT_ATTEMPTS - 1);
        let slots = (self.endpoints.get_mut(at), self.micros.get_mut(at), self.ended.get_mut(at));
        if let (Some(endpoint_slot), Some(micros_slot), Some(ended_slot)) = slots {
            *endpoint_slot = endpoint;
            *micros_slot = u32::try_from(nanos / 1_000).unwrap_or(u32::MAX);
            *ended_slot = ended;
        }
        self.made = self.made.saturating_add(1);
    }

    /// How many were made, the ones not kept included.
    #[must_use]
    pub const fn made(&self) -> u8 {
        self.made
    }

    /// Those kept, in order.
    pub fn iter(&self) -> impl Iterator<Item = Attempt> + '_ {
        let kept = usize::from(self.made).min(KEPT_ATTEMPTS);
        let columns = self.endpoints.iter().zip(&self.micros).zip(&self.ended);
        columns.take(kept).map(|((endpoint, micros), ended)| Attempt {
            endpoint: *endpoint,
            ended: *ended,
            micros: *micros,
        })
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_and_the_last_are_kept() {
        let mut attempts = Attempts::EMPTY;
        assert_eq!(attempts.iter().count(), 0);
        for endpoint in 0..6 {
            attempts.push(endpoint, Reason::ConnectFailure, u64::from(endpoint) * 1_000);
        }
        attempts.push(9, Reason::Ok, u64::MAX);
        assert_eq!(attempts.made(), 7);
        let kept: Vec<_> = attempts.iter().map(|a| (a.endpoint, a.ended, a.micros)).collect();
        let failure = Reason::ConnectFailure;
        assert_eq!(kept, [(0, failure, 0), (1, failure, 1), (2, failure, 2), (9, Reason::Ok, u32::MAX)]);
    }
}
