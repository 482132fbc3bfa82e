//! Metrics of one worker: the half that it writes, and the half that others read.
//!
//! In: finished records and events of connections. Out: counters. A record in steady state costs a few loads and
//! stores on the worker's own cache lines: no lock, no allocation, no locked instruction.

use super::counter::Counter;
use super::flags::Flags;
use super::names::{Generations, Names};
use super::reason::Reason;
use super::record::{NONE_8, NONE_16, Record};
use super::series::{
    Admission, ConnectionSeries, DecisionSeries, Key, ListenerCounters, Published, RequestSeries,
    ServiceCounters, Table,
};
use std::collections::HashMap;
use std::sync::Arc;
use tulle_snapshot::wire::Mode;

/// Triples of listener, route and service that have series of their own in one process; further ones are counted under
/// `other`. Each has up to six status classes, usually two.
pub const SERIES_BOUND: usize = 2_000;

/// What readers see of one worker.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerCounters {
    /// Bytes read from clients, heads and bodies.
    pub(super) bytes_in: Counter,
    /// Bytes written to clients, heads and bodies.
    pub(super) bytes_out: Counter,
    pub(super) panics: Counter,
    pub(super) accept_pauses: Counter,
    pub(super) log_dropped: Counter,
    pub(super) listeners: Published<ListenerCounters>,
    pub(super) services: Published<ServiceCounters>,
    pub(super) requests: Published<RequestSeries>,
    pub(super) decisions: Published<DecisionSeries>,
    pub(super) connections: Published<ConnectionSeries>,
}

/// Where a worker counts. One per worker, used by its thread alone.
#[derive(Debug)]
pub struct WorkerMetrics {
    shared: Arc<WorkerCounters>,
    names: Arc<Names>,
    generations: Generations,
    listeners: Scopes<ListenerCounters>,
    services: Scopes<ServiceCounters>,
    requests: Table<RequestSeries>,
    decisions: Table<DecisionSeries>,
    connections: Table<ConnectionSeries>,
}

impl WorkerMetrics {
    pub(super) fn new(shared: Arc<WorkerCounters>, names: Arc<Names>, bounds: &SeriesBounds) -> Self {
        let mut metrics = Self {
            shared,
            names: Arc::clone(&names),
            generations: Generations::default(),
            listeners: Scopes::new(ListenerCounters::new),
            services: Scopes::new(ServiceCounters::new),
            requests: Table::new(Arc::clone(&bounds.requests), RequestSeries::new),
            decisions: Table::new(Arc::clone(&bounds.decisions), DecisionSeries::new),
            connections: Table::new(Arc::clone(&bounds.connections), ConnectionSeries::new),
        };
        metrics.rebind(names);
        metrics
    }

    /// Takes the names of a newly applied snapshot. What was counted stays under its names; records of the last few
    /// generations are still counted under theirs.
    pub fn rebind(&mut self, names: Arc<Names>) {
        self.listeners.rebind(names.listeners(), &self.shared.listeners);
        self.services.rebind(names.services(), &self.shared.services);
        self.requests.rebind();
        self.decisions.rebind();
        self.connections.rebind();
        self.generations.add(Arc::clone(&names));
        self.names = names;
    }

    /// Counts a finished request, or a whole connection that has ended.
    pub fn observe(&mut self, record: &Record) {
        self.shared.bytes_in.add(u64::from(record.head_in).wrapping_add(record.body_in));
        self.shared.bytes_out.add(u64::from(record.head_out).wrapping_add(record.body_out));
        if record.generation != self.names.generation() {
            self.observe_older(record);
            return;
        }
        let names = &self.names;
        if record.flags.contains(Flags::CONNECTION) {
            let ids = u64::from(record.listener) << 32 | u64::from(record.service) << 16;
            let ids = ids | record.reason.index() as u64;
            let key = || connection_key(names, record);
            count_connection(self.connections.find(ids, &self.shared.connections, key), record);
        } else {
            let ids = u64::from(record.listener) << 48 | u64::from(record.rule) << 16;
            let ids = ids | u64::from(record.service);
            let series = self.requests.find(ids, &self.shared.requests, || request_key(names, record));
            count_request(series, record);
        }
        if let Some(listener) = self.listeners.by_id(usize::from(record.listener)) {
            count_reason(listener, record);
        }
        for (policy, denied) in decisions(record).into_iter().flatten() {
            let ids = u64::from(record.listener) << 16 | u64::from(policy);
            let key = || decision_key(names, record, policy);
            count_decision(self.decisions.find(ids, &self.shared.decisions, key), denied);
        }
    }

    /// The rare path: a request that began under an earlier snapshot. Its ids mean what they meant then.
    #[cold]
    fn observe_older(&mut self, record: &Record) {
        let Some(names) = self.generations.find(record.generation).cloned() else {
            let unknown =
                self.requests.find_by_key(&self.shared.requests, std::array::from_fn(|_| "".into()));
            count_request(&unknown, record);
            return;
        };
        if record.flags.contains(Flags::CONNECTION) {
            let key = connection_key(&names, record);
            count_connection(&self.connections.find_by_key(&self.shared.connections, key), record);
        } else {
            let series = self.requests.find_by_key(&self.shared.requests, request_key(&names, record));
            count_request(&series, record);
        }
        if let Some(listener) = names.listener(record.listener).and_then(|name| self.listeners.by_name(name))
        {
            count_reason(listener, record);
        }
        for (policy, denied) in decisions(record).into_iter().flatten() {
            let key = decision_key(&names, record, policy);
            count_decision(&self.decisions.find_by_key(&self.shared.decisions, key), denied);
        }
    }

    /// The counters of a listener of the current generation. A connection keeps the handle: what happens to it is counted
    /// under the name that it began under, whatever is applied meanwhile.
    #[must_use]
    pub fn listener(&self, id: usize) -> Option<&Arc<ListenerCounters>> {
        self.listeners.by_id(id)
    }

    /// The counters of a service of the current generation; an upstream connection keeps the handle.
    #[must_use]
    pub fn service(&self, id: usize) -> Option<&Arc<ServiceCounters>> {
        self.services.by_id(id)
    }

    /// A panic was caught; it cost one connection.
    pub fn panicked(&self) {
        self.shared.panics.add(1);
    }

    /// Accepting was paused, at the limit of file descriptors.
    pub fn accept_paused(&self) {
        self.shared.accept_pauses.add(1);
    }

    /// The half that others read.
    #[must_use]
    pub const fn shared(&self) -> &Arc<WorkerCounters> {
        &self.shared
    }
}

/// Bounds on the number of series, shared by the workers of a process.
#[derive(Debug)]
pub(super) struct SeriesBounds {
    requests: Arc<Admission>,
    decisions: Arc<Admission>,
    connections: Arc<Admission>,
}

impl SeriesBounds {
    pub(super) fn new(bound: usize) -> Self {
        let bounded = || Arc::new(Admission::new(bound));
        Self { requests: bounded(), decisions: bounded(), connections: bounded() }
    }
}

/// Counters that go with one name each.
#[derive(Debug)]
struct Scopes<T> {
    /// By the ids of the current generation.
    current: Vec<Arc<T>>,
    by_name: HashMap<Arc<str>, Arc<T>>,
    make: fn(Arc<str>) -> T,
}

impl<T> Scopes<T> {
    fn new(make: fn(Arc<str>) -> T) -> Self {
        Self { current: Vec::new(), by_name: HashMap::new(), make }
    }

    fn rebind<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>, published: &Published<T>) {
        let Self { current, by_name, make } = self;
        current.clear();
        let mut fresh = Vec::new();
        for name in names {
            let counters = by_name.entry(Arc::clone(name)).or_insert_with(|| {
                let counters = Arc::new(make(Arc::clone(name)));
                fresh.push(Arc::clone(&counters));
                counters
            });
            current.push(Arc::clone(counters));
        }
        published.add(fresh);
    }

    fn by_id(&self, id: usize) -> Option<&Arc<T>> {
        self.current.get(id)
    }

    fn by_name(&self, name: &Arc<str>) -> Option<&Arc<T>> {
        self.by_name.get(name)
    }
}

fn count_request(series: &RequestSeries, record: &Record) {
    series.observe(record.class(), record.duration());
    if record.grpc_status != NONE_8 {
        series.grpc(record.grpc_status);
    }
}

fn count_reason(listener: &ListenerCounters, record: &Record) {
    if record.reason != Reason::Ok
        && let Some(counter) = listener.reasons.get(record.reason.index())
    {
        counter.add(1);
    }
}

fn request_key(names: &Names, record: &Record) -> Key {
    let route = names.rule(record.rule).map(|(route, _)| route);
    [named(names.listener(record.listener)), named(route), named(names.service(record.service))]
}

fn connection_key(names: &Names, record: &Record) -> Key {
    let service = names.service(record.service);
    [named(names.listener(record.listener)), named(service), record.reason.code().into()]
}

fn count_connection(series: &ConnectionSeries, record: &Record) {
    series.ended.add(1);
    series.bytes_in.add(record.body_in);
    series.bytes_out.add(record.body_out);
    series.nanos.add(record.total());
}

fn named(name: Option<&Arc<str>>) -> Arc<str> {
    name.map_or_else(|| "".into(), Arc::clone)
}

/// The policies that looked at a request, and whether each refused it: the enforced one, the shadow one.
fn decisions(record: &Record) -> [Option<(u16, bool)>; 2] {
    let denied = record.reason == Reason::Denied;
    let enforced = (denied || record.policy != NONE_16).then_some((record.policy, denied));
    let shadow = (record.shadow_policy != NONE_16)
        .then_some((record.shadow_policy, record.flags.contains(Flags::SHADOW_DENIED)));
    [enforced, shadow]
}

fn count_decision(series: &DecisionSeries, denied: bool) {
    if denied {
        series.denied.add(1);
    } else {
        series.allowed.add(1);
    }
}

/// A denial without a policy means that no allow policy let the caller in: an empty policy name, enforced.
fn decision_key(names: &Names, record: &Record, policy: u16) -> Key {
    let (policy, mode) = match names.policy(policy) {
        Some((name, mode)) => (Some(name), mode),
        None => (None, Mode::Enforce),
    };
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    };
    [named(names.listener(record.listener)), named(policy), mode.into()]
}
