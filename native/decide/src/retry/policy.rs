//! A rule's retry policy, compiled: in, what the snapshot says; out, a bit per status.

use super::{Backoff, Failure};
use tulle_snapshot::wire::{Hedge, Retry, RetryOn};

/// A rule's retry policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    connect: bool,
    reset: bool,
    per_try_timeout: bool,
    non_idempotent: bool,
    statuses: Statuses,
    /// A bit per gRPC status.
    grpc: u32,
    backoff: Backoff,
    hedge: Option<Hedge>,
}

impl RetryPolicy {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: &Retry) -> Self {
        let mut policy = Self {
            attempts: wire.attempts,
            non_idempotent: wire.non_idempotent,
            backoff: Backoff::from_ms(wire.backoff_base_ms, wire.backoff_max_ms),
            hedge: wire.hedge,
            ..Self::default()
        };
        wire.statuses.iter().for_each(|status| policy.statuses.insert(*status));
        for on in &wire.on {
            match on {
                RetryOn::ConnectFailure => policy.connect = true,
                RetryOn::Reset => policy.reset = true,
                RetryOn::PerTryTimeout => policy.per_try_timeout = true,
                RetryOn::GatewayError => (502..=504).for_each(|status| policy.statuses.insert(status)),
                RetryOn::ServerError => (500..=599).for_each(|status| policy.statuses.insert(status)),
                RetryOn::GrpcCancelled => policy.grpc |= 1 << 1,
                RetryOn::GrpcDeadlineExceeded => policy.grpc |= 1 << 4,
                RetryOn::GrpcResourceExhausted => policy.grpc |= 1 << 8,
                RetryOn::GrpcInternal => policy.grpc |= 1 << 13,
                RetryOn::GrpcUnavailable => policy.grpc |= 1 << 14,
            }
        }
        policy
    }

    /// Attempts after the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the rule names this failure.
    #[must_use]
    pub fn covers(&self, failure: Failure) -> bool {
        match failure {
            Failure::Connect => self.connect,
            Failure::Reset => self.reset,
            Failure::PerTryTimeout => self.per_try_timeout,
            Failure::Status(status) => self.statuses.contains(status),
            Failure::Grpc(status) => self.grpc.checked_shr(u32::from(status)).unwrap_or(0) & 1 == 1,
        }
    }

    /// Whether an answer's gRPC status can matter, so that it is worth waiting for.
    #[must_use]
    pub fn looks_at_grpc(&self) -> bool {
        self.attempts > 0 && self.grpc != 0
    }

    /// Whether requests of any method are retried, even where they may have been seen.
    #[must_use]
    pub fn non_idempotent(&self) -> bool {
        self.non_idempotent
    }

    /// The waits.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// A second attempt beside a slow first one, for [`super::Hedger`].
    #[must_use]
    pub fn hedge(&self) -> Option<Hedge> {
        self.hedge
    }
}

/// A set of the statuses from 400 to 599.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Statuses([u64; 4]);

impl Statuses {
    fn insert(&mut self, status: u16) {
        let Some((word, bit)) = place(status) else { return };
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn contains(&self, status: u16) -> bool {
        place(status).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let bit = status.checked_sub(400).filter(|bit| *bit < 200)?;
    Some((usize::from(bit / 64), 1 << (bit % 64)))
}
