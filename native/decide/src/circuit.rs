//! Bounds on what is under way to a service and to each endpoint, over all workers.
//!
//! In: a wish to send, and the limits. Out: a token, or none; the token comes back when the request is over. Before:
//! route (a service) and balance (an endpoint). After: upstream. What has no limit is not counted, and touches nothing
//! shared.

use std::sync::atomic::{AtomicU32, Ordering};
use tulle_snapshot::wire::CircuitLimits;

/// What is under way to a service. Tunnels and health checks are not counted.
#[derive(Debug, Default)]
pub struct Circuit {
    requests: Padded,
    retries: Padded,
}

/// What is under way to an endpoint.
#[derive(Debug, Default)]
pub struct EndpointCircuit {
    requests: Padded,
    connections: Gauge,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(Gauge);

impl Circuit {
    /// Requests, each once, however many attempts it takes.
    #[must_use]
    pub fn requests(&self) -> &Gauge {
        &self.requests.0
    }

    /// Attempts after the first, hedges among them.
    #[must_use]
    pub fn retries(&self) -> &Gauge {
        &self.retries.0
    }

    /// One more request, within `requests` of the limits.
    #[must_use]
    pub fn request(&self, limits: &CircuitLimits) -> Option<Held> {
        self.requests().admit(limits.requests)
    }

    /// One more retry, within `retries` of the limits.
    #[must_use]
    pub fn retry(&self, limits: &CircuitLimits) -> Option<Held> {
        self.retries().admit(limits.retries)
    }
}

impl EndpointCircuit {
    /// Attempts that are under way.
    #[must_use]
    pub fn requests(&self) -> &Gauge {
        &self.requests.0
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// Whether it would admit one more attempt: a full endpoint is no candidate for balancing.
    #[must_use]
    pub fn has_room(&self, limits: &CircuitLimits) -> bool {
        limits.endpoint_requests.is_none_or(|limit| self.requests().now() < limit)
    }

    /// One more attempt, within `endpoint_requests` of the limits.
    #[must_use]
    pub fn request(&self, limits: &CircuitLimits) -> Option<Held> {
        self.requests().admit(limits.endpoint_requests)
    }

    /// One more connection, within `endpoint_connections` of the limits.
    #[must_use]
    pub fn connection(&self, limits: &CircuitLimits) -> Option<Held> {
        self.connections.admit(limits.endpoint_connections)
    }
}

/// How many there are of something, over all workers; exact. In one order with what else is in such an order: who frees a
/// place and then sees nobody wait, and who waits and then sees no place, cannot both be right.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU32);

/// A place in a [`Gauge`]: given back with [`Gauge::leave`], to the same one. Remembers whether it was counted, so that
/// counts stay right when a limit appears or goes while a request is under way.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a place that is not given back is taken forever"]
pub struct Held {
    counted: bool,
}

impl Gauge {
    /// One more, unless there are `limit` already; none: any number.
    #[must_use]
    pub fn admit(&self, limit: Option<u32>) -> Option<Held> {
        let Some(limit) = limit else { return Some(Held { counted: false }) };
        let more = |now| (now < limit).then(|| now + 1);
        let admitted = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        admitted.is_ok().then_some(Held { counted: true })
    }

    /// One less.
    #[expect(clippy::needless_pass_by_value, reason = "the place is used up")]
    pub fn leave(&self, held: Held) {
        if held.counted {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// How many are counted.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}
