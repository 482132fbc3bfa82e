//! A snapshot, compiled: what all workers of a process serve by. Immutable; a change makes a new one.
//!
//! In: a checked snapshot, resolved names, certificates. Out: routers, policies, edits, places, TLS configurations.

use crate::Error;
use crate::certificates::TlsTables;
use crate::clock::{self, Nanos};
use crate::rules::RuleBook;
use crate::shared::{Count, ServiceCounts};
use crate::standing::Standing;
use crate::telemetry::Names;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tulle_decide::balance::affinity::Affinity;
use tulle_decide::balance::{HashTable, Member, Members, Site, Zone, stable_hash};
use tulle_decide::forward::Forward;
use tulle_decide::http::Edits;
use tulle_decide::network::Networks;
use tulle_decide::policy::Authorizer;
use tulle_decide::route::{Plan, Router, RuleId};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{BalancingPolicy, EndpointAddress, Rule, Service};

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
    /// What rules count; the same one as long as the engine lives.
    pub(crate) book: Arc<RuleBook>,
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
    /// Its share; 0: only clients whose cookie names it.
    pub(crate) weight: u32,
    /// How it does.
    pub(crate) standing: Arc<Standing>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// All addresses of a service.
#[derive(Debug)]
pub(crate) struct Places {
    /// The same one over changes as long as there are the same addresses, in the service and in each subset.
    pub(crate) number: u32,
    pub(crate) list: Vec<Place>,
    /// Indices into `list`: of the whole service, then of each subset.
    pub(crate) members: Vec<Members>,
    /// Of the same: what ring hash and Maglev look up.
    pub(crate) tables: Vec<Option<Arc<HashTable>>>,
    policy: BalancingPolicy,
    /// What cookies name.
    pub(crate) affinity: Affinity,
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

impl Core {
    fn places(&self, resolved: &Resolved, before: Option<&Running>) -> Vec<Arc<Places>> {
        let made = self.snapshot.services.iter().map(|service| {
            let before = before.and_then(|before| before.places.get(before.service_named(&service.name)?));
            Arc::new(Places::new(self, service, resolved, before.map(|before| &**before)))
        });
        made.collect()
    }

    /// A rule as the snapshot has it.
    pub(crate) fn wire_rule(&self, rule: RuleId) -> Option<&Rule> {
        let (_, position) = self.names.rule(rule.0)?;
        let plan = self.plan.get(rule)?;
        self.snapshot.routes.get(plan.route as usize)?.rules.get(position as usize)
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
        let places = core.places(resolved, before);
        let listener_counts = carry(core.snapshot.listeners.iter().map(|l| l.name.as_str()), |name| {
            before.and_then(|b| b.listener_count(name))
        });
        let service_counts = carry(core.snapshot.services.iter().map(|s| s.name.as_str()), |name| {
            before.and_then(|b| b.service_count(name))
        });
        let book = before.map_or_else(
            || Arc::new(RuleBook::new(core.snapshot.workers as usize)),
            |before| Arc::clone(&before.book),
        );
        Ok(Self { core: Arc::new(core), tls, places, listener_counts, service_counts, book })
    }

    /// The same, with names resolved anew.
    pub(crate) fn with_resolved(&self, resolved: &Resolved) -> Self {
        Self { places: self.core.places(resolved, Some(self)), ..self.share() }
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
            book: Arc::clone(&self.book),
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
    /// The places of a service. What is known of those that were there `before` is kept; others are new from `now` on,
    /// unless all are.
    fn new(core: &Core, service: &Service, resolved: &Resolved, before: Option<&Self>) -> Self {
        let now = clock::now();
        let known = before.map(|before| &before.list[..]).unwrap_or_default();
        let came = before.filter(|before| !before.list.is_empty()).map_or(Nanos(0), |_| now);
        // An address that is there twice, by two names, stands in one way.
        let mut standings: HashMap<Address, Arc<Standing>> =
            known.iter().map(|place| (place.address.clone(), Arc::clone(&place.standing))).collect();
        let mut standing = |address: &Address| {
            let known = standings.entry(address.clone()).or_insert_with(|| Arc::new(Standing::new(came)));
            Arc::clone(known)
        };
        let mut list = Vec::new();
        for (endpoint, index) in service.endpoints.iter().zip(0u32..) {
            let weight = endpoint.weight;
            let mut add = |address: Address, host: Option<String>| {
                let standing = standing(&address);
                list.push(Place { address, endpoint: index, host: host.map(Into::into), weight, standing });
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
        let members: Vec<_> =
            sets.map(|set| Members::with_sites(members_of(core, service, &list, set))).collect();
        let policy = service.load_balancing.policy;
        let tables = members.iter().enumerate().map(|(set, members)| {
            // Big tables take milliseconds, and rarely change.
            let known =
                before.filter(|before| before.policy == policy && before.members.get(set) == Some(members));
            match known.and_then(|before| before.tables.get(set)) {
                Some(known) => known.clone(),
                None => HashTable::build(policy, members).map(Arc::new),
            }
        });
        let tables = tables.collect();
        let wanted = members.first().filter(|_| service.load_balancing.affinity.is_some());
        let number = before.map_or(0, |before| {
            let same = same_addresses(&before.list, &list) && same_endpoints(&before.members, &members);
            before.number.wrapping_add(u32::from(!same))
        });
        let known = before.map(|before| &before.affinity);
        let affinity = wanted.map(|members| Affinity::new(members, known)).unwrap_or_default();
        Self { number, list, members, tables, policy, affinity }
    }
}

fn same_addresses(before: &[Place], now: &[Place]) -> bool {
    before.iter().map(|place| &place.address).eq(now.iter().map(|place| &place.address))
}

fn same_endpoints(before: &[Members], now: &[Members]) -> bool {
    let endpoints =
        |of: &Members| of.as_slice().iter().map(|(member, _)| member.endpoint).collect::<Vec<_>>();
    before.iter().map(endpoints).eq(now.iter().map(endpoints))
}

fn members_of(core: &Core, service: &Service, list: &[Place], set: &[u32]) -> Vec<(Member, Site)> {
    let inside = list.iter().zip(0u32..).filter(|(place, _)| set.binary_search(&place.endpoint).is_ok());
    let own = core.snapshot.zone.as_deref();
    let member = |(place, index): (&Place, u32)| {
        let zone = service.endpoints.get(place.endpoint as usize).and_then(|e| e.zone.as_deref());
        let zone = match (zone, own) {
            (Some(zone), Some(own)) if zone == own => Zone::Own,
            (Some(_), Some(_)) => Zone::Other,
            _ => Zone::Unknown,
        };
        let identity = stable_hash(place.address.to_string().as_bytes());
        (Member { endpoint: index, weight: place.weight }, Site { zone, identity })
    };
    inside.map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{running, service};
    use serde_json::json;

    #[test]
    fn an_address_by_two_names_stands_in_one_way() {
        let dns = |name: &str| json!({ "kind": "dns", "name": name, "port": 80 });
        let services = [service("api", &[dns("a.test"), dns("b.test")])];
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let other: SocketAddr = "127.0.0.2:80".parse().unwrap();
        let resolved: Resolved =
            [("a.test:80".to_owned(), vec![address]), ("b.test:80".to_owned(), vec![address, other])].into();
        let first = running(&services, &resolved, None);
        let [a, b, c] = &first.places[0].list[..] else { panic!("{:?}", first.places) };
        assert!(Arc::ptr_eq(&a.standing, &b.standing) && !Arc::ptr_eq(&a.standing, &c.standing));
        a.standing.set_health(false, "refused");
        let second = running(&services, &resolved, Some(&first));
        let healthy: Vec<bool> =
            second.places[0].list.iter().map(|place| place.standing.is_healthy()).collect();
        assert_eq!(healthy, [false, false, true]);
    }

    #[test]
    fn places_keep_their_number_as_long_as_addresses_and_subsets_are_the_same() {
        let tcp = |port: u16| json!({ "kind": "tcp", "address": format!("127.0.0.1:{port}") });
        let none = Resolved::new();
        let with = |ports: &[u16], subset: &[u32], weight: u32| {
            let mut api = service("api", &ports.iter().copied().map(tcp).collect::<Vec<_>>());
            api["subsets"] = json!([{ "name": "some", "endpoints": subset }]);
            api["endpoints"][0]["weight"] = json!(weight);
            api
        };
        let mut before = running(&[with(&[1, 2], &[0], 1)], &none, None);
        for (ports, subset, weight, number) in [
            (&[1, 2][..], &[0][..], 1, 0),
            (&[1, 2], &[0], 5, 0),
            (&[1, 2], &[1], 5, 1),
            (&[1, 3], &[1], 5, 2),
            (&[1, 3, 4], &[1], 5, 3),
            (&[1, 3, 4], &[1], 1, 3),
        ] {
            before = running(&[with(ports, subset, weight)], &none, Some(&before));
            assert_eq!(before.places[0].number, number, "{ports:?} {subset:?} {weight}");
        }
    }

    #[test]
    fn who_comes_later_is_new_and_who_was_there_is_not() {
        let tcp = |port: u16| json!({ "kind": "tcp", "address": format!("127.0.0.1:{port}") });
        let none = Resolved::new();
        let first = running(&[service("api", &[tcp(1)])], &none, None);
        let second = running(&[service("api", &[tcp(2), tcp(1)])], &none, Some(&first));
        let came: Vec<bool> = second.places[0].list.iter().map(|place| place.standing.came() > 0).collect();
        assert_eq!(came, [true, false]);
    }
}
