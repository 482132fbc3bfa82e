//! Sums over all workers, by name and in the order of names.

use super::event::ServiceEvent;
use super::histogram::Distribution;
use super::reason::Reason;
use super::series::Key;
use super::worker::WorkerCounters;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of one listener.
#[derive(Debug, Default)]
pub(super) struct ListenerTotals {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) refused: u64,
    pub(super) tls_full: u64,
    pub(super) tls_resumed: u64,
    pub(super) tls_failed: u64,
    /// By the position in [`Reason::ALL`].
    reasons: Vec<u64>,
}

impl ListenerTotals {
    /// Connections open now.
    pub(super) const fn active(&self) -> u64 {
        self.opened.saturating_sub(self.closed)
    }

    /// Reasons that occurred, and how often.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.reasons.iter().copied()).filter(|(_, count)| *count > 0)
    }
}

/// Of one service.
#[derive(Debug, Default)]
pub(super) struct ServiceTotals {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) failed: u64,
    pub(super) pool_hits: u64,
    pub(super) pool_misses: u64,
    pub(super) retries: u64,
    events: Vec<u64>,
}

impl ServiceTotals {
    /// Events that occurred, and how often.
    pub(super) fn events(&self) -> impl Iterator<Item = (ServiceEvent, u64)> + '_ {
        ServiceEvent::ALL.iter().copied().zip(self.events.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// Connections open now.
    pub(super) const fn active(&self) -> u64 {
        self.opened.saturating_sub(self.closed)
    }
}

/// Everything the workers counted.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) panics: u64,
    pub(super) accept_pauses: u64,
    pub(super) log_dropped: u64,
    pub(super) listeners: BTreeMap<Arc<str>, ListenerTotals>,
    pub(super) services: BTreeMap<Arc<str>, ServiceTotals>,
    /// By listener, route, service, and status class.
    pub(super) requests: BTreeMap<(Key, &'static str), Distribution>,
    /// By listener, route, service, and gRPC status.
    pub(super) grpc: BTreeMap<(Key, u8), u64>,
    /// By listener, policy and mode: allowed, denied.
    pub(super) decisions: BTreeMap<Key, (u64, u64)>,
    /// By listener, service and reason.
    pub(super) connections: BTreeMap<Key, ConnectionTotals>,
}

/// Of whole connections.
#[derive(Debug, Default)]
pub(super) struct ConnectionTotals {
    pub(super) ended: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// How long they were open, all together.
    pub(super) nanos: u64,
}

impl Totals {
    /// Sums up the workers, each at its own moment.
    pub(super) fn fold(workers: &[Arc<WorkerCounters>]) -> Self {
        let mut totals = Self::default();
        for worker in workers {
            totals.bytes_in += worker.bytes_in.read();
            totals.bytes_out += worker.bytes_out.read();
            totals.panics += worker.panics.read();
            totals.accept_pauses += worker.accept_pauses.read();
            totals.log_dropped += worker.log_dropped.read();
            totals.add_connections(worker);
            totals.add_requests(worker);
        }
        totals
    }

    fn add_connections(&mut self, worker: &WorkerCounters) {
        for counters in worker.listeners.read() {
            let total = self.listeners.entry(Arc::clone(&counters.name)).or_default();
            // Ends are read before beginnings, so that a gauge is never below what is open.
            total.closed += counters.closed.read();
            total.opened += counters.opened.read();
            total.refused += counters.refused.read();
            total.tls_full += counters.tls_full.read();
            total.tls_resumed += counters.tls_resumed.read();
            total.tls_failed += counters.tls_failed.read();
            total.reasons.resize(Reason::ALL.len(), 0);
            for (sum, counter) in total.reasons.iter_mut().zip(&counters.reasons) {
                *sum += counter.read();
            }
        }
        for counters in worker.services.read() {
            let total = self.services.entry(Arc::clone(&counters.name)).or_default();
            total.closed += counters.closed.read();
            total.opened += counters.opened.read();
            total.failed += counters.failed.read();
            total.pool_hits += counters.pool_hits.read();
            total.pool_misses += counters.pool_misses.read();
            total.retries += counters.retries.read();
            total.events.resize(ServiceEvent::ALL.len(), 0);
            for (sum, counter) in total.events.iter_mut().zip(&counters.events) {
                *sum += counter.read();
            }
        }
    }

    fn add_requests(&mut self, worker: &WorkerCounters) {
        for series in worker.requests.read() {
            for (class, histogram) in series.classes() {
                self.requests.entry((series.key.clone(), class)).or_default().add(&histogram.read());
            }
            for (status, count) in series.grpc_statuses() {
                *self.grpc.entry((series.key.clone(), status)).or_default() += count;
            }
        }
        for series in worker.decisions.read() {
            let total = self.decisions.entry(series.key.clone()).or_default();
            total.0 += series.allowed.read();
            total.1 += series.denied.read();
        }
        for series in worker.connections.read() {
            let total = self.connections.entry(series.key.clone()).or_default();
            total.ended += series.ended.read();
            total.bytes_in += series.bytes_in.read();
            total.bytes_out += series.bytes_out.read();
            total.nanos += series.nanos.read();
        }
    }
}
