//! Counters that have labels: found by ids on the fast path, kept under names, so that they survive a configuration.
//!
//! In: ids of a record. Out: the counters of this worker under those names. A process-wide bound on names keeps a
//! configuration that changes a lot from growing memory and scrapes without end.

use super::counter::Counter;
use super::event::ServiceEvent;
use super::histogram::Histogram;
use super::reason::Reason;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Label values: listener, then what the kind of series says.
pub(super) type Key = [Arc<str>; 3];

/// Status classes of a series; the first is for requests that got no answer.
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// 0 to 16.
const GRPC_STATUSES: usize = 17;

/// What stands in for names beyond the bound.
pub(super) const OTHER: &str = "other";

/// Of one listener on one worker. Events are counted only on that worker's thread.
#[derive(Debug)]
#[repr(align(64))]
pub struct ListenerCounters {
    pub(super) name: Arc<str>,
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) refused: Counter,
    pub(super) tls_full: Counter,
    pub(super) tls_resumed: Counter,
    pub(super) tls_failed: Counter,
    pub(super) reasons: [Counter; Reason::ALL.len()],
}

impl ListenerCounters {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            opened: Counter::default(),
            closed: Counter::default(),
            refused: Counter::default(),
            tls_full: Counter::default(),
            tls_resumed: Counter::default(),
            tls_failed: Counter::default(),
            reasons: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// A connection was accepted. Whoever keeps it says [`ListenerCounters::connection_closed`] at its end.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A connection counted as opened has ended.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A connection was closed at once, because the listener has as many as it may.
    pub fn connection_refused(&self) {
        self.refused.add(1);
    }

    /// A client's TLS handshake succeeded.
    pub fn tls_done(&self, resumed: bool) {
        let counter = if resumed { &self.tls_resumed } else { &self.tls_full };
        counter.add(1);
    }

    /// A client's TLS handshake failed.
    pub fn tls_failed(&self) {
        self.tls_failed.add(1);
    }
}

/// Of one service on one worker. Events are counted only on that worker's thread.
#[derive(Debug)]
#[repr(align(64))]
pub struct ServiceCounters {
    pub(super) name: Arc<str>,
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) failed: Counter,
    pub(super) pool_hits: Counter,
    pub(super) pool_misses: Counter,
    pub(super) retries: Counter,
    pub(super) events: [Counter; ServiceEvent::ALL.len()],
}

impl ServiceCounters {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            opened: Counter::default(),
            closed: Counter::default(),
            failed: Counter::default(),
            pool_hits: Counter::default(),
            pool_misses: Counter::default(),
            retries: Counter::default(),
            events: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// A connection was begun. Whoever keeps it says [`ServiceCounters::connection_closed`] at its end.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A connection counted as opened has ended.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A connection could not be established.
    pub fn connection_failed(&self) {
        self.failed.add(1);
    }

    /// An attempt is made after one that failed.
    pub fn retried(&self) {
        self.retries.add(1);
    }

    /// Something happened to the service.
    pub fn happened(&self, event: ServiceEvent) {
        if let Some(counter) = self.events.get(event.index()) {
            counter.add(1);
        }
    }

    /// A request found a pooled connection.
    pub fn pool_hit(&self) {
        self.pool_hits.add(1);
    }

    /// A request needed a new connection.
    pub fn pool_miss(&self) {
        self.pool_misses.add(1);
    }
}

/// Requests of one (listener, route, service), by status class.
#[derive(Debug)]
pub(super) struct RequestSeries {
    pub(super) key: Key,
    classes: [OnceLock<Box<Histogram>>; CLASSES.len()],
    /// By gRPC status.
    grpc: OnceLock<Box<[Counter; GRPC_STATUSES]>>,
}

impl RequestSeries {
    pub(super) fn new(key: Key) -> Self {
        Self { key, classes: std::array::from_fn(|_| OnceLock::new()), grpc: OnceLock::new() }
    }

    /// A gRPC call ended with this status.
    pub(super) fn grpc(&self, status: u8) {
        let counters = self.grpc.get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
        if let Some(counter) = counters.get(usize::from(status)) {
            counter.add(1);
        }
    }

    /// gRPC statuses that occurred, and how often.
    pub(super) fn grpc_statuses(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        let counters = self.grpc.get().into_iter().flat_map(|counters| counters.iter());
        (0u8..)
            .zip(counters)
            .map(|(status, counter)| (status, counter.read()))
            .filter(|(_, count)| *count > 0)
    }

    pub(super) fn observe(&self, class: usize, nanos: u64) {
        if let Some(cell) = self.classes.get(class) {
            cell.get_or_init(Box::default).observe(nanos);
        }
    }

    /// Classes that were used, by name.
    pub(super) fn classes(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        CLASSES.iter().zip(&self.classes).filter_map(|(name, cell)| Some((*name, cell.get()?.as_ref())))
    }
}

/// Decisions of one (listener, policy, mode).
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct DecisionSeries {
    pub(super) key: Key,
    pub(super) allowed: Counter,
    pub(super) denied: Counter,
}

impl DecisionSeries {
    pub(super) fn new(key: Key) -> Self {
        Self { key, allowed: Counter::default(), denied: Counter::default() }
    }
}

/// Whole connections of one (listener, service, reason).
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct ConnectionSeries {
    pub(super) key: Key,
    pub(super) ended: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) nanos: Counter,
}

impl ConnectionSeries {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            ended: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            nanos: Counter::default(),
        }
    }
}

/// What readers see of one kind of counters of one worker.
#[derive(Debug)]
pub(super) struct Published<T>(Mutex<Vec<Arc<T>>>);

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Published<T> {
    /// All of them. Holds the lock only to copy the handles.
    pub(super) fn read(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds `fresh`, waiting for a reader where one is at it: only when a configuration is applied.
    pub(super) fn add(&self, fresh: Vec<Arc<T>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh);
    }

    /// Adds `fresh` and empties it, unless a reader is at it: then the next call will.
    pub(super) fn offer(&self, fresh: &mut Vec<Arc<T>>) {
        if let Ok(mut list) = self.0.try_lock() {
            list.append(fresh);
        }
    }
}

/// Which names have series of their own, over all workers.
#[derive(Debug)]
pub(super) struct Admission {
    bound: usize,
    admitted: Mutex<HashSet<Key>>,
}

impl Admission {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, admitted: Mutex::default() }
    }

    /// The key, or beyond the bound one that keeps the listener and is [`OTHER`] in the rest.
    fn admit(&self, key: Key) -> Key {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        if admitted.contains(&key) {
            return key;
        }
        if admitted.len() < self.bound {
            admitted.insert(key.clone());
            return key;
        }
        let [listener, _, _] = key;
        [listener, OTHER.into(), OTHER.into()]
    }
}

/// One worker's series of one kind.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// By the ids of the current generation.
    by_ids: HashMap<u64, Arc<T>, RandomState>,
    by_key: HashMap<Key, Arc<T>, RandomState>,
    fresh: Vec<Arc<T>>,
    admission: Arc<Admission>,
    make: fn(Key) -> T,
}

impl<T> Table<T> {
    pub(super) fn new(admission: Arc<Admission>, make: fn(Key) -> T) -> Self {
        Self { by_ids: HashMap::default(), by_key: HashMap::default(), fresh: Vec::new(), admission, make }
    }

    /// The series of `ids` in the current generation. At first use its key is asked for, and it is published.
    pub(super) fn find(&mut self, ids: u64, published: &Published<T>, key: impl FnOnce() -> Key) -> &T {
        if !self.fresh.is_empty() {
            published.offer(&mut self.fresh);
        }
        let Self { by_ids, by_key, fresh, admission, make } = self;
        by_ids.entry(ids).or_insert_with(|| named(by_key, fresh, admission, *make, published, key()))
    }

    /// The series of a key, for records of an older generation.
    pub(super) fn find_by_key(&mut self, published: &Published<T>, key: Key) -> Arc<T> {
        named(&mut self.by_key, &mut self.fresh, &self.admission, self.make, published, key)
    }

    /// Forgets what the ids meant; counters stay under their names.
    pub(super) fn rebind(&mut self) {
        self.by_ids.clear();
    }
}

fn named<T>(
    by_key: &mut HashMap<Key, Arc<T>, RandomState>,
    fresh: &mut Vec<Arc<T>>,
    admission: &Admission,
    make: fn(Key) -> T,
    published: &Published<T>,
    key: Key,
) -> Arc<T> {
    if let Some(known) = by_key.get(&key) {
        return Arc::clone(known);
    }
    let key = admission.admit(key);
    let series = by_key.entry(key.clone()).or_insert_with(|| {
        let series = Arc::new(make(key));
        fresh.push(Arc::clone(&series));
        published.offer(fresh);
        series
    });
    Arc::clone(series)
}
