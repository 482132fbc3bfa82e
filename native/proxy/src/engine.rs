//! The engine's handle: starts workers, hands them configurations whole, and ends them.
//!
//! In: snapshots and resolved names from the orchestrator, changed certificate files from the keeper. Out: messages to
//! workers. Nothing here is on the way of a request.

mod findings;
mod keeper;
mod pressure;
mod sockets;
mod threads;

use crate::health::Health;
use crate::random::Random;
use crate::running::{Core, Resolved, Running};
use crate::shared::{Applied, Shared};
use crate::telemetry::{AccessLog, Identities, LOG_BOUND, LogSetup, Metrics};
use crate::{Error, clock};
use findings::Findings;
use keeper::Keeper;
use sockets::Sockets;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use threads::Threads;
use tulle_decide::request_key::Seed;

pub(crate) use pressure::Pressure;
pub(crate) use sockets::holds;

/// How often a drain is looked at.
const DRAIN_STEP: Duration = Duration::from_millis(5);

/// A running data plane. Every method may be called from any thread.
pub struct Engine {
    control: Arc<Control>,
    keeper: Keeper,
}

/// What changes a configuration, under one lock.
struct Control {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Started when a service first asks for it.
    health: Mutex<Option<Health>>,
}

struct State {
    generation: u32,
    resolved: Resolved,
    sockets: Sockets,
    threads: Threads,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Checks and starts a snapshot (JSON): its listeners take connections when this returns.
    pub fn start(snapshot: &[u8]) -> Result<Self, Error> {
        Self::start_with(snapshot, || {})
    }

    /// As [`Engine::start`]; `release` is called, on a thread of ours, when many connections have ended: whoever chose
    /// the allocator can have it give memory back to the system.
    pub fn start_with(snapshot: &[u8], release: fn()) -> Result<Self, Error> {
        let core = Core::new(snapshot, 1)?;
        let running = Arc::new(Running::new(core, &Resolved::new(), None)?);
        let wire = &running.core.snapshot;
        let workers = wire.workers as usize;
        let mut sockets = Sockets::default();
        let opened = sockets.open(&running, workers)?;
        let (metrics, counters) = Metrics::new(&running.core.names, workers + 1);
        let identities = Arc::new(Identities::default());
        let setup = LogSetup {
            names: Arc::clone(&running.core.names),
            identities: Arc::clone(&identities),
            epoch: clock::wall_epoch,
            bound: LOG_BOUND,
        };
        let (log, logs) = AccessLog::start(&wire.access_log, setup, &metrics)
            .map_err(|source| Error::Io { what: format!("access log {}", wire.access_log.file), source })?;
        let shared = Arc::new(Shared {
            clients: crate::shared::Count::default(),
            draining: false.into(),
            pressure: 0.into(),
            applied: Mutex::new(Applied { running: Arc::clone(&running), at: clock::wall() }),
            reloads: 0.into(),
            refused: 0.into(),
            metrics,
            identities,
            log,
            notes: Mutex::new(running.tls.warnings().into()),
            started: clock::wall(),
            seed: Seed::of_process(Random::from_os().next()),
        });
        let threads = Threads::start(&shared, &running, counters, logs, opened)?;
        let state = Mutex::new(State { generation: 1, resolved: HashMap::new(), sockets, threads });
        let control = Arc::new(Control { shared, state, health: Mutex::default() });
        control.watch_health(&running)?;
        let keeper = Keeper::start(Arc::clone(&control), release)?;
        Ok(Self { control, keeper })
    }

    /// Swaps the configuration whole; every worker serves by it when this returns. An error changes nothing.
    pub fn apply(&self, snapshot: &[u8]) -> Result<(), Error> {
        let result = self.control.apply(snapshot);
        let shared = &self.control.shared;
        let counter = if result.is_ok() { &shared.reloads } else { &shared.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Hands in what DNS names resolve to: JSON `{"name:port": ["ip:port", …]}`; names left out keep what they had.
    pub fn resolve(&self, addresses: &[u8]) -> Result<(), Error> {
        let fresh: Resolved = serde_json::from_slice(addresses).map_err(tulle_snapshot::Error::Parse)?;
        let mut state = self.control.lock();
        state.resolved.extend(fresh);
        let running = self.control.shared.applied().running.with_resolved(&state.resolved);
        self.control.publish(&mut state, &Arc::new(running), Vec::new());
        Ok(())
    }

    /// Listener names and the addresses they got.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.control.lock().sockets.addresses()
    }

    /// Counters as JSON.
    pub fn stats(&self) -> String {
        self.control.shared.stats()
    }

    /// What an operator should hear, since the last call: certificates that expired or could not be reloaded.
    pub fn notices(&self) -> Vec<String> {
        self.control.shared.take_notes().into()
    }

    /// Opens the access log again, as after a rotation.
    pub fn reopen_log(&self) {
        self.control.shared.log.reopen();
    }

    /// Stops accepting and ends connections as they become idle; returns at once. Admin and probes stay.
    pub fn drain(&self) {
        self.control.shared.draining.store(true, Ordering::Relaxed);
        self.control.lock().threads.drain();
    }

    /// Waits until no client is connected, at most this long; true when so.
    pub fn wait_drained(&self, limit: Duration) -> bool {
        let end = clock::now().after(limit);
        loop {
            if self.control.shared.clients.now() == 0 {
                return true;
            }
            if clock::now() >= end {
                return false;
            }
            std::thread::sleep(DRAIN_STEP);
        }
    }

    /// Ends everything and joins the threads. Also done by drop.
    pub fn close(&self) {
        self.keeper.stop();
        if let Some(health) = self.control.health.lock().unwrap_or_else(PoisonError::into_inner).take() {
            health.stop();
        }
        self.control.lock().threads.stop();
        self.control.shared.log.close();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, snapshot: &[u8]) -> Result<(), Error> {
        let mut state = self.lock();
        let before = self.shared.applied().running;
        let core = Core::new(snapshot, state.generation + 1)?;
        if core.snapshot.workers != before.core.snapshot.workers {
            return Err(Error::NeedsRestart("workers"));
        }
        let running = Arc::new(Running::new(core, &state.resolved, Some(&before))?);
        let wire = &running.core.snapshot;
        let opened = state.sockets.open(&running, wire.workers as usize)?;
        if wire.access_log != before.core.snapshot.access_log {
            self.shared.log.configure(&wire.access_log).map_err(|source| Error::Io {
                what: format!("access log {}", wire.access_log.file),
                source,
            })?;
        }
        state.generation += 1;
        running.book.retain(&running.core);
        self.shared.log.add_names(Arc::clone(&running.core.names));
        for warning in running.tls.warnings() {
            self.shared.note(warning);
        }
        self.publish(&mut state, &running, opened);
        Ok(())
    }

    /// Hands a configuration to every worker and waits until they serve by it.
    fn publish(&self, state: &mut State, running: &Arc<Running>, opened: Vec<sockets::Opened>) {
        self.shared.set_running(Arc::clone(running));
        state.sockets.forget_unnamed(running);
        state.threads.apply(running, opened);
        if let Err(error) = self.watch_health(running) {
            self.shared.note(error.to_string());
        }
    }

    /// Has endpoints checked by this configuration.
    fn watch_health(&self, running: &Arc<Running>) -> Result<(), Error> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = running.core.snapshot.services.iter().any(|service| service.health_check.is_some());
        if health.is_none() && wanted {
            let listener = Arc::new(Findings::new(Arc::clone(&self.shared)));
            let started = Health::start(listener);
            let started =
                started.map_err(|source| Error::Io { what: "health check thread".into(), source })?;
            *health = Some(started);
        }
        if let Some(health) = health.as_ref() {
            health.apply(running);
        }
        Ok(())
    }
}
