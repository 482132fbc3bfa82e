//! A snapshot, compiled: what all workers of a process serve by. Immutable; a change makes a new one.
//!
//! In: a checked snapshot, resolved names, certificates. Out: routers, policies, edits, places, TLS configurations.

use crate::Error;
use crate::certificates::TlsTables;
use crate::shared::{Count, ServiceCounts};
use crate::telemetry::Names;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tulle_decide::balance::{Member, Members};
use tulle_decide::forward::Forward;
use tulle_decide::http::Edits;
use tulle_decide::network::Networks;
use tulle_decide::policy::Authorizer;
use tulle_decide::route::{Plan, Router};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{EndpointAddress, Service};

/// What is compiled from a snapshot alone.
pub(crate) struct Core {
    pub(crate) snapshot: Checked,
    pub(crate) names: Arc<Names>,
    pub(crate) plan: Plan,
    /// By rule: for requests and for responses.
    pub(crate) edits: Vec<(Edits, Edits)>,
    pub(crate) listeners: Vec<ListenerCore>,
}

/// What a listener decides by.
pub(crate) struct ListenerCore {
    pub(crate) address: SocketAddr,
    pub(crate) router: Router,
    pub(crate) authorizer: Authorizer,
    /// Where connections go that are forwarded unread.
    pub(crate) forward: Option<Arc<Forward>>,
    /// Whose PROXY header is believed.
    pub(crate) proxies: Option<Arc<Proxies>>,
}

/// Whose PROXY header is believed, and whether there must be one.
#[derive(Debug)]
pub(crate) struct Proxies {
    pub(crate) networks: Networks,
    pub(crate) optional: bool,
}

/// Everything that a worker serves by.
pub(crate) struct Running {
    pub(crate) core: Arc<Core>,
    pub(crate) tls: TlsTables,
    /// By index of the snapshot's services.
    pub(crate) places: Vec<Arc<Places>>,
    /// Of each listener and service, kept by name over configuration changes.
    pub(crate) listener_counts: Vec<Arc<Count>>,
    pub(crate) service_counts: Vec<Arc<ServiceCounts>>,
}

/// Where an endpoint really is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// One address to connect to. An endpoint given by a DNS name has as many as the name has.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) address: Address,
    /// Index into the service's endpoints.
    pub(crate) endpoint: u32,
    /// Its DNS name or IP address, which TLS verifies; none for a Unix socket.
    pub(crate) host: Option<Box<str>>,
}

/// All addresses of a service.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) list: Vec<Place>,
    /// Indices into `list`: of the whole service, then of each subset.
    pub(crate) members: Vec<Members>,
}

/// What makes two connections to an upstream the same: where to, for which service, and under which TLS configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) service: Arc<str>,
    pub(crate) address: Address,
    pub(crate) tls: u64,
}

/// What DNS names resolve to, by `name:port`.
pub(crate) type Resolved = HashMap<String, Vec<SocketAddr>>;

impl Core {
    /// Compiles a snapshot.
    pub(crate) fn new(json: &[u8], generation: u32) -> Result<Self, Error> {
        let snapshot = Checked::parse(json)?;
        let invalid = |error: tulle_decide::route::BuildError| tulle_snapshot::Error::Invalid {
            at: error.at,
            problem: error.problem,
        };
        let plan = Plan::new(&snapshot).map_err(invalid)?;
        let mut listeners: Vec<ListenerCore> = Vec::new();
        for (listener, index) in snapshot.listeners.iter().zip(0u32..) {
            let address = listener.address.parse().map_err(|_| tulle_snapshot::Error::Invalid {
                at: format!("listeners[{index}].address"),
                problem: "not ip:port".into(),
            })?;
            let router = match same_routes(&snapshot, index).and_then(|earlier| listeners.get(earlier)) {
                Some(earlier) => earlier.router.clone(),
                None => Router::new(&snapshot, index).map_err(invalid)?,
            };
            let authorizer = Authorizer::new(&snapshot, index).map_err(invalid)?;
            let forward = Forward::new(&snapshot, index).map_err(invalid)?.map(Arc::new);
            let proxies = proxies(listener, index).map_err(invalid)?.map(Arc::new);
            listeners.push(ListenerCore { address, router, authorizer, forward, proxies });
        }
        let edits = compile_edits(&snapshot)?;
        let names = Arc::new(Names::new(&snapshot, generation));
        Ok(Self { snapshot, names, plan, edits, listeners })
    }
}

fn proxies(
    listener: &tulle_snapshot::wire::Listener,
    index: u32,
) -> Result<Option<Proxies>, tulle_decide::route::BuildError> {
    let Some(wire) = &listener.proxy_protocol else { return Ok(None) };
    let networks = Networks::new(&wire.accept, &format!("listeners[{index}].proxyProtocol.accept"))?;
    Ok(Some(Proxies { networks, optional: wire.optional }))
}

/// An earlier listener with the same routes: the tables are shared.
fn same_routes(snapshot: &Checked, listener: u32) -> Option<usize> {
    let has = |route: &tulle_snapshot::wire::Route, l: u32| route.listeners.binary_search(&l).is_ok();
    (0..listener)
        .find(|earlier| snapshot.routes.iter().all(|route| has(route, *earlier) == has(route, listener)))
        .and_then(|earlier| usize::try_from(earlier).ok())
}

fn compile_edits(snapshot: &Checked) -> Result<Vec<(Edits, Edits)>, Error> {
    let mut all = Vec::new();
    for (r, route) in snapshot.routes.iter().enumerate() {
        for (i, rule) in route.rules.iter().enumerate() {
            let compile = |edits, key: &str| {
                Edits::new(edits).map_err(|problem| tulle_snapshot::Error::Invalid {
                    at: format!("routes[{r}].rules[{i}].{key}"),
                    problem,
                })
            };
            let request = compile(&rule.request_headers, "requestHeaders")?;
            all.push((request, compile(&rule.response_headers, "responseHeaders")?));
        }
    }
    Ok(all)
}

impl Running {
    /// Completes a compiled snapshot. Counts are carried over from `before` by name; so is TLS where its input is the
    /// same and its files have not changed.
    pub(crate) fn new(core: Core, resolved: &Resolved, before: Option<&Self>) -> Result<Self, Error> {
        let tls = TlsTables::load(&core.snapshot, before)?;
        let places =
            core.snapshot.services.iter().map(|service| Arc::new(Places::new(service, resolved))).collect();
        let listener_counts = carry(core.snapshot.listeners.iter().map(|l| l.name.as_str()), |name| {
            before.and_then(|b| b.listener_count(name))
        });
        let service_counts = carry(core.snapshot.services.iter().map(|s| s.name.as_str()), |name| {
            before.and_then(|b| b.service_count(name))
        });
        Ok(Self { core: Arc::new(core), tls, places, listener_counts, service_counts })
    }

    /// The same, with names resolved anew.
    pub(crate) fn with_resolved(&self, resolved: &Resolved) -> Self {
        let places = self.core.snapshot.services.iter().map(|s| Arc::new(Places::new(s, resolved))).collect();
        Self { places, ..self.share() }
    }

    /// The same, with other TLS configurations.
    pub(crate) fn with_tls(&self, tls: TlsTables) -> Self {
        Self { tls, ..self.share() }
    }

    fn share(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            tls: self.tls.clone(),
            places: self.places.clone(),
            listener_counts: self.listener_counts.clone(),
            service_counts: self.service_counts.clone(),
        }
    }

    pub(crate) fn listener_named(&self, name: &str) -> Option<usize> {
        self.core.snapshot.listeners.iter().position(|listener| listener.name == name)
    }

    pub(crate) fn service_named(&self, name: &str) -> Option<usize> {
        self.core.snapshot.services.iter().position(|service| service.name == name)
    }

    fn listener_count(&self, name: &str) -> Option<Arc<Count>> {
        self.listener_counts.get(self.listener_named(name)?).cloned()
    }

    fn service_count(&self, name: &str) -> Option<Arc<ServiceCounts>> {
        self.service_counts.get(self.service_named(name)?).cloned()
    }
}

fn carry<'a, T: Default>(
    names: impl Iterator<Item = &'a str>,
    before: impl Fn(&str) -> Option<Arc<T>>,
) -> Vec<Arc<T>> {
    names.map(|name| before(name).unwrap_or_default()).collect()
}

impl Places {
    fn new(service: &Service, resolved: &Resolved) -> Self {
        let mut list = Vec::new();
        for (endpoint, index) in service.endpoints.iter().zip(0u32..) {
            let mut add = |address: Address, host: Option<String>| {
                list.push(Place { address, endpoint: index, host: host.map(Into::into) });
            };
            match &endpoint.address {
                EndpointAddress::Tcp { address } => {
                    if let Ok(address) = address.parse::<SocketAddr>() {
                        add(Address::Tcp(address), Some(address.ip().to_string()));
                    }
                }
                EndpointAddress::Unix { path } => {
                    add(Address::Unix(path.into()), None);
                }
                EndpointAddress::Dns { name, port } => {
                    for address in resolved.get(&format!("{name}:{port}")).into_iter().flatten() {
                        add(Address::Tcp(*address), Some(name.clone()));
                    }
                }
            }
        }
        let all: Vec<u32> = (0u32..).take(service.endpoints.len()).collect();
        let sets = std::iter::once(&all).chain(service.subsets.iter().map(|subset| &subset.endpoints));
        let members = sets.map(|set| Members::new(members_of(service, &list, set))).collect();
        Self { list, members }
    }
}

fn members_of(service: &Service, list: &[Place], set: &[u32]) -> Vec<Member> {
    let inside = list.iter().zip(0u32..).filter(|(place, _)| set.binary_search(&place.endpoint).is_ok());
    let weight =
        |endpoint: u32| service.endpoints.get(endpoint as usize).map_or(1, |endpoint| endpoint.weight);
    inside.map(|(place, index)| Member { endpoint: index, weight: weight(place.endpoint) }).collect()
}
