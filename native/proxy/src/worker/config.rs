//! The running configuration as one worker holds it: its own handles, balancers and pool bindings.

use super::conn::{Conn, Role};
use crate::certificates;
use crate::running::{Place, Places, PoolKey, Proxies, Running};
use crate::shared::{Count, ServiceCounts};
use crate::slab::Id;
use crate::telemetry::{ListenerCounters, ServiceCounters, WorkerMetrics};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulle_decide::balance::{Balancer, Candidates, balancer};
use tulle_decide::forward::Forward;
use tulle_decide::http::{Edits, HeadLimits};
use tulle_decide::policy::Authorizer;
use tulle_decide::route::{Router, RuleId, RulePlan};
use tulle_snapshot::wire::{
    ForwardedHeaders, Limits, ListenerKind, PathRules, PoolLimits, ProxyVersion, ServiceProtocol,
};

/// What a worker serves by; requests hold on to the one that they began with.
pub(crate) struct WorkerConfig {
    pub(crate) running: Arc<Running>,
    pub(crate) generation: u32,
    pub(crate) listeners: Vec<Rc<WorkerListener>>,
    pub(crate) services: Vec<Rc<WorkerService>>,
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

/// A service, as its connections see it.
pub(crate) struct WorkerService {
    pub(crate) index: u16,
    pub(crate) counters: Arc<ServiceCounters>,
    pub(crate) counts: Arc<ServiceCounts>,
    pub(crate) tls: Option<Arc<certificates::Client>>,
    /// Its endpoints speak HTTP/2.
    pub(crate) http2: bool,
    pub(crate) connect_timeout_ms: u32,
    /// The PROXY header that its connections begin with.
    pub(crate) proxy_header: Option<ProxyVersion>,
    /// The idle connections are this worker's share.
    pub(crate) pool: PoolLimits,
    pub(crate) name: Arc<str>,
    places: Arc<Places>,
    /// Of the whole service, then of each subset.
    balancers: Vec<RefCell<Box<dyn Balancer + Send>>>,
    /// By place: the worker's pool.
    pools: Vec<Cell<Option<Id>>>,
}

/// The time limits of a rule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeLimits {
    pub(crate) request: Option<Duration>,
    pub(crate) stream_idle: Option<Duration>,
}

impl WorkerConfig {
    pub(crate) fn new(running: &Arc<Running>, metrics: &WorkerMetrics) -> Self {
        let snapshot = &running.core.snapshot;
        let listeners = (0..snapshot.listeners.len()).filter_map(|index| listener(running, index, metrics));
        let services = (0..snapshot.services.len()).filter_map(|index| service(running, index, metrics));
        Self {
            generation: running.core.names.generation(),
            listeners: listeners.map(Rc::new).collect(),
            services: services.map(Rc::new).collect(),
            running: Arc::clone(running),
        }
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

impl WorkerService {
    /// Picks a place for an attempt.
    pub(crate) fn pick(&self, subset: Option<u32>, tried: &[u32], random: u64) -> Option<u32> {
        let which = subset.map_or(0, |subset| subset as usize + 1);
        let members = self.places.members.get(which)?;
        let candidates = Candidates { members, usable: None, tried };
        let picked = self.balancers.get(which)?.borrow_mut().pick(&candidates, random)?;
        u32::try_from(picked).ok()
    }

    pub(crate) fn place(&self, place: u32) -> Option<&Place> {
        self.places.list.get(place as usize)
    }

    pub(crate) fn pool_of(&self, place: u32) -> Option<Id> {
        self.pools.get(place as usize)?.get()
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = Id> + '_ {
        self.pools.iter().filter_map(Cell::get)
    }

    fn keys(&self) -> impl Iterator<Item = PoolKey> + '_ {
        let tls = self.tls.as_ref().map_or(0, |tls| tls.serial);
        self.places.list.iter().map(move |place| PoolKey {
            service: Arc::clone(&self.name),
            address: place.address.clone(),
            tls,
        })
    }

    pub(crate) fn bind_pools(&self, mut bind: impl FnMut(&PoolKey) -> Id) {
        for (key, pool) in self.keys().zip(&self.pools) {
            pool.set(Some(bind(&key)));
        }
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

fn service(running: &Arc<Running>, index: usize, metrics: &WorkerMetrics) -> Option<WorkerService> {
    let wire = running.core.snapshot.services.get(index)?;
    let places = Arc::clone(running.places.get(index)?);
    let id = u16::try_from(index).ok()?;
    Some(WorkerService {
        index: id,
        counters: Arc::clone(metrics.service(index)?),
        counts: Arc::clone(running.service_counts.get(index)?),
        tls: running.tls.client.get(index)?.clone(),
        http2: matches!(wire.protocol, ServiceProtocol::Http2 | ServiceProtocol::Grpc),
        connect_timeout_ms: wire.connect_timeout_ms,
        proxy_header: wire.send_proxy_protocol,
        pool: PoolLimits {
            idle_per_endpoint: wire.pool.idle_per_endpoint.div_ceil(running.core.snapshot.workers),
            ..wire.pool
        },
        name: wire.name.as_str().into(),
        balancers: places
            .members
            .iter()
            .map(|_| RefCell::new(balancer(wire.load_balancing.policy)))
            .collect(),
        pools: places.list.iter().map(|_| Cell::new(None)).collect(),
        places,
    })
}
