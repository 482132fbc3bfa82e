//! The running configuration as one worker holds it: its own handles, balancers and pool bindings.

use super::conn::{Conn, Role};
use super::service;
pub(crate) use super::service::WorkerService;
use crate::certificates;
use crate::clock::Nanos;
use crate::rules::RuleCounts;
use crate::running::{PoolKey, Proxies, Running};
use crate::shared::Count;
use crate::telemetry::{ListenerCounters, WorkerMetrics};
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tulle_decide::forward::Forward;
use tulle_decide::http::{Edits, HeadLimits};
use tulle_decide::policy::Authorizer;
use tulle_decide::retry::{Hedger, WorkerBudget};
use tulle_decide::route::{Router, RuleId, RulePlan};
use tulle_snapshot::wire::{ForwardedHeaders, Limits, ListenerKind, PathRules};

/// What a worker serves by; requests hold on to the one that they began with.
pub(crate) struct WorkerConfig {
    pub(crate) running: Arc<Running>,
    pub(crate) generation: u32,
    pub(crate) listeners: Vec<Rc<WorkerListener>>,
    pub(crate) services: Vec<Rc<WorkerService>>,
    /// Which worker it is.
    worker: usize,
    /// Those that were used.
    rules: RefCell<HashMap<u32, Rc<WorkerRule>, RandomState>>,
}

/// What a worker counts for a rule.
pub(crate) struct WorkerRule {
    pub(crate) counts: Arc<RuleCounts>,
    budget: RefCell<Option<WorkerBudget>>,
    worker: usize,
}

impl WorkerRule {
    /// A first attempt is made.
    pub(crate) fn count_request(&self, now: Nanos) {
        if let Some(budget) = self.budget.borrow_mut().as_mut() {
            budget.request(now.0);
        }
    }

    /// Takes a retry from the budget, if there is one left.
    pub(crate) fn charge_retry(&self, now: Nanos) -> bool {
        self.budget.borrow_mut().as_mut().is_none_or(|budget| budget.charge(now.0))
    }

    /// What decides about a second attempt beside a slow first one.
    pub(crate) fn hedger(&self) -> Option<MutexGuard<'_, Hedger>> {
        self.counts.hedger(self.worker)
    }
}

/// A listener, as its connections see it.
pub(crate) struct WorkerListener {
    pub(crate) index: u16,
    pub(crate) name: Arc<str>,
    address: SocketAddr,
    pub(crate) kind: ListenerKind,
    pub(crate) counters: Arc<ListenerCounters>,
    pub(crate) count: Arc<Count>,
    pub(crate) tls: Option<Arc<certificates::Server>>,
    pub(crate) limits: Limits,
    pub(crate) head: HeadLimits,
    pub(crate) forwarded: ForwardedHeaders,
    pub(crate) forward_identity: bool,
    pub(crate) paths: PathRules,
    pub(crate) http1: bool,
    pub(crate) upgrade: bool,
    pub(crate) connect: bool,
    pub(crate) router: Router,
    pub(crate) authorizer: Authorizer,
    /// Where connections go that are forwarded unread.
    pub(crate) forward: Option<Arc<Forward>>,
    /// Whose PROXY header is believed.
    pub(crate) proxies: Option<Arc<Proxies>>,
}

/// The time limits of a rule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeLimits {
    pub(crate) request: Option<Duration>,
    pub(crate) stream_idle: Option<Duration>,
    /// Of one attempt.
    pub(crate) per_try: Option<Duration>,
}

impl WorkerConfig {
    pub(crate) fn new(
        running: &Arc<Running>,
        metrics: &WorkerMetrics,
        worker: usize,
        before: Option<&Self>,
    ) -> Self {
        let snapshot = &running.core.snapshot;
        let listeners = (0..snapshot.listeners.len()).filter_map(|index| listener(running, index, metrics));
        let known = |index: usize| {
            let name = snapshot.services.get(index)?.name.as_str();
            service::named(&before?.services, name).map(|service| &**service)
        };
        let services = (0..snapshot.services.len())
            .filter_map(|index| WorkerService::new(running, index, metrics, known(index)));
        Self {
            generation: running.core.names.generation(),
            listeners: listeners.map(Rc::new).collect(),
            services: services.map(Rc::new).collect(),
            running: Arc::clone(running),
            worker,
            rules: RefCell::default(),
        }
    }

    /// What is counted for a rule.
    pub(crate) fn counts(&self, rule: RuleId) -> Option<Rc<WorkerRule>> {
        let mut rules = self.rules.borrow_mut();
        if let Some(known) = rules.get(&rule.0) {
            return Some(Rc::clone(known));
        }
        let counts = self.running.book.counts(&self.running.core, rule)?;
        let budget = RefCell::new(counts.budget.handle(self.worker));
        let made = Rc::new(WorkerRule { counts, budget, worker: self.worker });
        rules.insert(rule.0, Rc::clone(&made));
        Some(made)
    }

    pub(crate) fn listener_named(&self, name: &str) -> Option<&Rc<WorkerListener>> {
        self.listeners.iter().find(|listener| &*listener.name == name)
    }

    /// Whether a listener of this name has this address; port 0 takes any.
    pub(crate) fn is_listening(&self, name: &str, address: SocketAddr) -> bool {
        self.listener_named(name).is_some_and(|listener| crate::engine::holds(listener.address, address))
    }

    pub(crate) fn rule(&self, rule: RuleId) -> Option<&RulePlan> {
        self.running.core.plan.get(rule)
    }

    /// Edits for requests and for responses.
    pub(crate) fn edits(&self, rule: RuleId) -> Option<&(Edits, Edits)> {
        self.running.core.edits.get(rule.0 as usize)
    }

    /// The pools of all endpoints.
    pub(crate) fn pool_keys(&self) -> impl Iterator<Item = PoolKey> + '_ {
        self.services.iter().flat_map(|service| service.keys())
    }

    /// Whether TLS would refuse the connection's peer today.
    pub(crate) fn would_refuse(&self, conn: &Conn) -> bool {
        let Some(session) = conn.link.session().filter(|session| !session.is_handshaking()) else {
            return false;
        };
        match &conn.role {
            Role::Client(client) => {
                let tls =
                    self.listener_named(&client.listener.name).and_then(|listener| listener.tls.as_ref());
                tls.is_some_and(|tls| !tls.built.still_trusted(session))
            }
            Role::Upstream(upstream) => {
                let service = self.services.iter().find(|service| service.name == upstream.service.name);
                let tls = service.and_then(|service| service.tls.as_ref());
                tls.is_some_and(|tls| !tls.built.still_trusted(session, upstream.host.as_deref()))
            }
        }
    }
}

impl WorkerListener {
    /// Requests are all that it takes, and they begin at once.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.forward.is_none() && self.proxies.is_none()
    }
}

fn listener(running: &Arc<Running>, index: usize, metrics: &WorkerMetrics) -> Option<WorkerListener> {
    let wire = running.core.snapshot.listeners.get(index)?;
    let core = running.core.listeners.get(index)?;
    let id = u16::try_from(index).ok()?;
    Some(WorkerListener {
        index: id,
        name: wire.name.as_str().into(),
        address: core.address,
        kind: wire.kind,
        counters: Arc::clone(metrics.listener(index)?),
        count: Arc::clone(running.listener_counts.get(index)?),
        tls: running.tls.server.get(index)?.clone(),
        limits: wire.limits.clone(),
        head: HeadLimits { bytes: wire.limits.header_bytes, fields: wire.limits.header_fields },
        forwarded: wire.forwarded.clone(),
        forward_identity: wire.forward_identity,
        paths: wire.paths,
        http1: wire.http1,
        upgrade: wire.upgrade,
        connect: wire.connect,
        router: core.router.clone(),
        authorizer: core.authorizer.clone(),
        forward: core.forward.clone(),
        proxies: core.proxies.clone(),
    })
}
