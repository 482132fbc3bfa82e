//! A service, as one worker sees it: its balancers, what is known of its endpoints, and where its pools are.
//!
//! In: places and their standing, outcomes of attempts. Out: a place for each attempt. Views of who may be picked are made
//! anew when a standing changed, which one number tells.

mod tallies;

use super::exchange::Exchange;
use super::slots::Bounds;
use crate::certificates;
use crate::clock::Nanos;
use crate::running::{Place, Places, PoolKey, Running};
use crate::shared::ServiceCounts;
use crate::slab::Id;
use crate::standing::Ejection;
use crate::telemetry::{ServiceCounters, WorkerMetrics};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tallies::Tallies;
use tulle_decide::balance::affinity;
use tulle_decide::balance::{Ask, Balancer, EndpointSet, Loads, Members, Outcome, Settings, View, balancer};
use tulle_decide::outlier::{OutlierPolicy, Standing};
use tulle_decide::overload::{Batch, Gate, Outcome as Load};
use tulle_snapshot::wire::{CircuitLimits, PoolLimits, ProxyVersion, RequestKey, ServiceProtocol};

/// A service, as its connections and exchanges see it.
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
    pub(crate) circuit: CircuitLimits,
    /// The newest configuration's: who has waited since before a change is not left behind by those that came after it.
    pub(super) bounds: Rc<Cell<Bounds>>,
    pub(crate) name: Arc<str>,
    /// What ring hash and Maglev go by.
    pub(crate) key: Option<RequestKey>,
    /// The cookie that names an endpoint, and its `Max-Age`.
    pub(crate) affinity: Option<(Box<str>, u32)>,
    pub(crate) outlier: Option<OutlierPolicy>,
    pub(super) places: Arc<Places>,
    settings: Settings,
    /// Its endpoints' health is checked.
    checked: bool,
    /// When this worker last said that there is traffic.
    seen: Cell<u64>,
    /// Of the whole service, then of each subset.
    sets: Vec<RefCell<Set>>,
    loads: RefCell<Loads>,
    /// The standing that the views were made of.
    epoch: Cell<u64>,
    pub(super) tallies: RefCell<Tallies>,
    /// What was seen of its load since that was last handed over.
    seen_load: RefCell<Option<Box<Batch>>>,
    load_handed_over: Cell<u64>,
    /// By place: the worker's pool.
    pools: Vec<Cell<Option<Id>>>,
}

struct Set {
    balancer: Box<dyn Balancer + Send>,
    view: View,
    /// Those of its endpoints whose ejection is over, and that one request is to find out about; in order, rarely any.
    probes_due: Vec<u32>,
}

/// How often a worker says that there is traffic, in nanoseconds.
const TRAFFIC_NOTED: u64 = 1_000_000_000;
/// How often a worker hands over what it counted, in nanoseconds.
const HAND_OVER: u64 = 100_000_000;

/// What an attempt asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) subset: Option<u32>,
    pub(crate) random: u64,
    pub(crate) key: Option<u64>,
    pub(crate) now: Nanos,
    pub(crate) tried: &'a [u32],
    /// The place that a cookie names.
    pub(crate) named: Option<u32>,
}

impl WorkerService {
    pub(super) fn new(
        running: &Arc<Running>,
        index: usize,
        metrics: &WorkerMetrics,
        before: Option<&Self>,
    ) -> Option<Self> {
        let wire = running.core.snapshot.services.get(index)?;
        let places = Arc::clone(running.places.get(index)?);
        let counts = running.service_counts.get(index)?;
        let balancing = &wire.load_balancing;
        let settings = Settings::new(balancing);
        let sets = places.members.iter().zip(&places.tables).map(|(members, table)| {
            let balancer = balancer(balancing.policy, table.clone());
            let view = View::new(members, None, settings, |_| None);
            RefCell::new(Set { balancer, view, probes_due: Vec::new() })
        });
        let bounds = Bounds { circuit: wire.circuit, connections: wire.pool.connections };
        let bounds = match before.filter(|before| Arc::ptr_eq(&before.counts, counts)) {
            Some(before) => before.renew(bounds),
            None => Rc::new(Cell::new(bounds)),
        };
        let made = Self {
            index: u16::try_from(index).ok()?,
            counters: Arc::clone(metrics.service(index)?),
            counts: Arc::clone(counts),
            tls: running.tls.client.get(index)?.clone(),
            http2: matches!(wire.protocol, ServiceProtocol::Http2 | ServiceProtocol::Grpc),
            connect_timeout_ms: wire.connect_timeout_ms,
            proxy_header: wire.send_proxy_protocol,
            pool: PoolLimits {
                idle_per_endpoint: wire.pool.idle_per_endpoint.div_ceil(running.core.snapshot.workers),
                ..wire.pool
            },
            circuit: wire.circuit,
            bounds,
            name: wire.name.as_str().into(),
            key: balancing.key.clone(),
            affinity: balancing.affinity.as_ref().map(|a| (a.cookie.as_str().into(), a.max_age_s)),
            outlier: wire.outlier_detection.as_ref().map(OutlierPolicy::new),
            settings,
            checked: wire.health_check.is_some(),
            seen: Cell::new(0),
            sets: sets.collect(),
            loads: RefCell::new(places.members.first().map(Loads::new).unwrap_or_default()),
            epoch: Cell::new(0),
            tallies: RefCell::default(),
            seen_load: RefCell::default(),
            load_handed_over: Cell::new(0),
            pools: places.list.iter().map(|_| Cell::new(None)).collect(),
            places,
        };
        if let Some(before) = before {
            made.remember(before);
        }
        made.look_again();
        Some(made)
    }

    /// Takes over what was known of the places that stay.
    fn remember(&self, before: &Self) {
        let (mut loads, known) = (self.loads.borrow_mut(), before.loads.borrow());
        loads.set_means(&known);
        let earlier = before.places.list.iter().zip(0u32..);
        let earlier: HashMap<_, u32> =
            earlier.map(|(place, index)| (Arc::as_ptr(&place.standing), index)).collect();
        for (place, index) in self.places.list.iter().zip(0u32..) {
            if let Some(at) = earlier.get(&Arc::as_ptr(&place.standing)) {
                // What is under way there is counted where it began.
                loads.set(index, known.get(*at).at_rest());
            }
        }
    }

    /// Makes the views anew if any place stands otherwise than they say.
    fn refresh(&self) {
        if self.counts.roster.epoch() != self.epoch.get() {
            self.look_again();
        }
    }

    fn look_again(&self) {
        let roster = &self.counts.roster;
        self.epoch.set(roster.epoch());
        // Of these places, and not the roster's: workers change to another configuration one after the other.
        let used_all_the_same = self.outlier.as_ref().is_none_or(|policy| policy.panics(self.standing()));
        let list = || self.places.list.iter().zip(0u32..);
        let fits = |place: &Place| {
            place.standing.is_healthy() && (used_all_the_same || place.standing.ejection() == Ejection::In)
        };
        let usable: EndpointSet = list().filter(|(place, _)| fits(place)).map(|(_, index)| index).collect();
        let since = |index: u32| self.place(index).map(|place| place.standing.came()).filter(|at| *at > 0);
        let is_due =
            |place: &Place| place.standing.is_healthy() && place.standing.ejection() == Ejection::ProbeDue;
        let due: EndpointSet = list().filter(|(place, _)| is_due(place)).map(|(_, index)| index).collect();
        for (set, members) in self.sets.iter().zip(&self.places.members) {
            let mut set = set.borrow_mut();
            set.view = View::new(members, Some(&usable), self.settings, since);
            let all = members.as_slice().iter().map(|(member, _)| member.endpoint);
            set.probes_due.clear();
            set.probes_due.extend(all.filter(|endpoint| due.contains(*endpoint)));
        }
    }

    fn set(&self, subset: Option<u32>) -> Option<&RefCell<Set>> {
        self.refresh();
        self.sets.get(subset.map_or(0, |subset| subset as usize + 1))
    }

    /// A place for an attempt.
    pub(crate) fn pick(&self, wanted: &Wanted<'_>) -> Option<u32> {
        let mut set = self.set(wanted.subset)?.borrow_mut();
        let Set { balancer, view, .. } = &mut *set;
        let Wanted { random, key, now, tried, .. } = *wanted;
        let ask = Ask { random, key, now: now.0, tried };
        let loads = self.loads.borrow();
        if self.affinity.is_some() {
            return affinity::pick(wanted.named, balancer.as_mut(), view, &loads, &ask);
        }
        balancer.pick(view, &loads, &ask)
    }

    /// One of all that may be picked which `takes` it, looked at one by one from a random one on.
    pub(super) fn search(
        &self,
        subset: Option<u32>,
        random: u64,
        mut takes: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let set = self.set(subset)?.borrow();
        set.view.endpoints(random).find(|endpoint| takes(*endpoint))
    }

    /// Whether the client is to be given a cookie that names the place, where an attempt is made; `failed`: where others
    /// came to nothing. Where nobody judges endpoints, that is all that tells of one that is gone.
    pub(super) fn cookie_due(
        &self,
        subset: Option<u32>,
        named: Option<u32>,
        place: u32,
        failed: &[u32],
    ) -> bool {
        let Some(set) = self.affinity.as_ref().and_then(|_| self.set(subset)) else { return false };
        let judged = self.outlier.is_some() || self.checked;
        let lost = !judged && named.is_some_and(|named| named != place && failed.contains(&named));
        lost || affinity::is_cookie_due(named, place, &set.borrow().view)
    }

    /// Whether a place takes one more request, which is then counted there.
    pub(super) fn has_room(&self, place: u32, x: &mut Exchange) -> bool {
        let Some(most) = self.limits().endpoint_requests else { return true };
        let Some(place) = self.place(place) else { return true };
        if x.is_tunnel() || x.is_connection() {
            return true;
        }
        x.holds_place = place.standing.circuit.requests().admit(Some(most));
        x.holds_place.is_some()
    }

    /// How its endpoints stand, all together.
    pub(super) fn standing(&self) -> Standing {
        Standing::count(self.places.list.iter().map(|place| {
            let standing = &place.standing;
            (place.weight, standing.is_healthy(), standing.ejection() != Ejection::In)
        }))
    }

    /// Whether any endpoint of the service or subset may be picked.
    pub(crate) fn is_usable(&self, subset: Option<u32>) -> bool {
        self.set(subset).is_some_and(|set| !set.borrow().view.is_empty())
    }

    /// An endpoint whose ejection is over, and that `takes` the one request that is to find out about it; with `own`, no other
    /// than that.
    pub(super) fn probe(
        &self,
        subset: Option<u32>,
        own: Option<u32>,
        mut takes: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let set = self.set(subset)?.borrow();
        match own {
            Some(own) => Some(own).filter(|own| set.probes_due.binary_search(own).is_ok() && takes(*own)),
            None => set.probes_due.iter().copied().find(|endpoint| takes(*endpoint)),
        }
    }

    /// What lets requests in under the adaptive limit, where there is one.
    pub(super) fn gate(&self) -> Option<&Gate> {
        self.circuit.adaptive.map(|bounds| self.counts.overload.gate(bounds))
    }

    /// Counts how a request went under the adaptive limit.
    pub(super) fn count_load(&self, latency: u64, in_flight: u32, outcome: Load, now: Nanos) {
        if self.circuit.adaptive.is_some() {
            self.seen_load.borrow_mut().get_or_insert_default().finished(latency, in_flight, outcome);
            self.hand_load_over(now);
        }
    }

    /// Hands over what was counted, ten times a second at most; true: it was time to, and the limit and its shares may be
    /// others.
    pub(super) fn hand_load_over(&self, now: Nanos) -> bool {
        let Some(bounds) = self.circuit.adaptive else { return false };
        let due = now.0.saturating_sub(self.load_handed_over.get()) >= HAND_OVER;
        if due {
            self.load_handed_over.set(now.0);
            let seen = self.seen_load.borrow_mut().as_deref_mut().map(std::mem::take).unwrap_or_default();
            self.counts.overload.take(bounds, &seen, now);
        }
        due
    }

    /// Says now and then that there is traffic, where health checks want to know.
    pub(super) fn note_traffic(&self, now: Nanos) {
        if self.checked && now.0.saturating_sub(self.seen.get()) > TRAFFIC_NOTED {
            self.seen.set(now.0);
            self.counts.roster.note_traffic(now);
        }
    }

    pub(super) fn loads(&self) -> std::cell::RefMut<'_, Loads> {
        self.loads.borrow_mut()
    }

    pub(super) fn answered(&self, place: u32, now: Nanos, latency: u64, outcome: Outcome) {
        self.loads.borrow_mut().answered(place, now.0, latency, outcome);
    }

    pub(crate) fn place(&self, place: u32) -> Option<&Place> {
        self.places.list.get(place as usize)
    }

    pub(crate) fn pool_of(&self, place: u32) -> Option<Id> {
        self.pools.get(place as usize)?.get()
    }

    /// The pools of all places, or of those of a subset.
    pub(crate) fn pools(&self, subset: Option<u32>) -> impl Iterator<Item = Id> + '_ {
        let members = self.places.members.get(subset.map_or(0, |subset| subset as usize + 1));
        let members = members.into_iter().flat_map(Members::as_slice);
        members.filter_map(|(member, _)| self.pool_of(member.endpoint))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = PoolKey> + '_ {
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

/// The service of a name, among those of a configuration.
pub(super) fn named<'a>(services: &'a [Rc<WorkerService>], name: &str) -> Option<&'a Rc<WorkerService>> {
    services.iter().find(|service| &*service.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::telemetry::Metrics;
    use serde_json::json;

    #[test]
    fn who_waits_for_a_probe_is_looked_for_where_it_is_and_nowhere_else() {
        let address = |port: u32| json!({ "kind": "tcp", "address": format!("127.0.0.1:{port}") });
        let mut wire = fixture::service("api", &(1..=100).map(address).collect::<Vec<_>>());
        let subset = |name: &str, of: std::ops::Range<u32>| json!({ "name": name, "endpoints": of.collect::<Vec<_>>() });
        wire["subsets"] = json!([subset("quiet", 0..50), subset("busy", 50..100)]);
        let running = Arc::new(fixture::running(&[wire], &HashMap::new(), None));
        let (_, metrics) = Metrics::new(&running.core.names, 1);
        let service = WorkerService::new(&running, 0, &metrics[0], None).unwrap();
        let asked = |subset, own| {
            let mut all = Vec::new();
            assert_eq!(
                service.probe(subset, own, |place| {
                    all.push(place);
                    false
                }),
                None
            );
            all
        };
        let stands = |place: usize, ejection, healthy| {
            service.places.list[place].standing.set_ejection(ejection);
            service.places.list[place].standing.set_health(healthy, "");
            service.counts.roster.changed();
        };
        stands(7, Ejection::ProbeDue, true);
        assert_eq!(asked(Some(1), None), vec![0; 0], "the requests of another subset look for it in vain");
        assert_eq!((asked(Some(0), None), asked(None, None)), (vec![7], vec![7]));
        assert_eq!(
            (asked(Some(0), Some(7)), asked(Some(0), Some(8)), asked(Some(1), Some(7))),
            (vec![7], vec![], vec![])
        );
        assert_eq!(service.probe(None, None, |_| true), Some(7));
        stands(7, Ejection::ProbeDue, false);
        assert_eq!(asked(Some(0), None), vec![0; 0], "who fails health checks is not asked");
        stands(7, Ejection::Out, true);
        assert_eq!(asked(Some(0), None), vec![0; 0]);
    }
}
