//! What threads share: counts that only connects and closes touch, and what the admin pages read.

use crate::clock;
use crate::running::Running;
use crate::telemetry::admin::{Facts, Readiness, config_page};
use crate::telemetry::{
    AccessLog, CertificateExpiry, CertificateOwner, Identities, Metrics, ProcessFacts, Usage,
};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many connections something has, over all workers. Touched when one opens or closes, never per request.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU32);

impl Count {
    /// One more, unless there are `limit` already.
    pub(crate) fn admit(&self, limit: u32) -> bool {
        if self.0.fetch_add(1, Ordering::Relaxed) < limit {
            return true;
        }
        self.leave();
        false
    }

    /// One more, whatever the bound.
    pub(crate) fn join(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Connections to a service, and requests that wait for one, over all workers.
#[derive(Debug, Default)]
pub(crate) struct ServiceCounts {
    pub(crate) connections: Count,
    pub(crate) waiting: Waiting,
}

/// On a cache line of its own: looked at after every answer, written only when the connections' limit is reached.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Waiting(pub(crate) Count);

/// What is running, and since when.
#[derive(Clone)]
pub(crate) struct Applied {
    pub(crate) running: Arc<Running>,
    pub(crate) at: Duration,
}

/// The state of one engine.
pub(crate) struct Shared {
    /// Clients' connections to listeners that carry traffic, over all data-plane workers.
    pub(crate) clients: Count,
    pub(crate) draining: AtomicBool,
    /// [`crate::engine::Pressure::number`].
    pub(crate) pressure: AtomicU8,
    pub(crate) applied: Mutex<Applied>,
    pub(crate) reloads: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) metrics: Metrics,
    pub(crate) identities: Arc<Identities>,
    pub(crate) log: AccessLog,
    pub(crate) started: Duration,
}

impl Shared {
    /// What is running.
    pub(crate) fn applied(&self) -> Applied {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_running(&self, running: Arc<Running>) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = Applied { running, at: clock::wall() };
    }

    /// Everything as JSON.
    pub(crate) fn stats(&self) -> String {
        self.metrics.stats_json(&self.process())
    }

    fn process(&self) -> ProcessFacts {
        let applied = self.applied();
        let snapshot = &applied.running.core.snapshot;
        ProcessFacts {
            version: snapshot.version.clone(),
            started: self.started,
            applied: applied.at,
            workers: snapshot.workers as usize,
            reloads_applied: self.reloads.load(Ordering::Relaxed),
            reloads_refused: self.refused.load(Ordering::Relaxed),
            certificates: certificates(&applied.running),
            log_lost: self.log.lost(),
            usage: Usage::read(),
            memory_limit: snapshot.memory_bytes,
            memory_pressure: self.pressure.load(Ordering::Relaxed),
        }
    }
}

fn certificates(running: &Running) -> Vec<CertificateExpiry> {
    let snapshot = &running.core.snapshot;
    let mut all = Vec::new();
    for (listener, tls) in snapshot.listeners.iter().zip(&running.tls.server) {
        let expiries = tls.iter().flat_map(|tls| tls.built.expiries());
        let owner = CertificateOwner::Listener(listener.name.clone());
        all.extend(expiries.map(|e| CertificateExpiry {
            owner: owner.clone(),
            file: e.file.clone(),
            not_after: e.not_after,
        }));
    }
    for (service, tls) in snapshot.services.iter().zip(&running.tls.client) {
        let expiries = tls.iter().flat_map(|tls| tls.built.expiries());
        let owner = CertificateOwner::Service(service.name.clone());
        all.extend(expiries.map(|e| CertificateExpiry {
            owner: owner.clone(),
            file: e.file.clone(),
            not_after: e.not_after,
        }));
    }
    all
}

impl Facts for Shared {
    fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) { Readiness::Draining } else { Readiness::Ready }
    }

    fn metrics(&self) -> String {
        let mut out = String::new();
        self.metrics.render(&mut out, &self.process());
        out
    }

    fn config(&self) -> String {
        let applied = self.applied();
        config_page(&applied.running.core.snapshot, &self.process())
    }
}
