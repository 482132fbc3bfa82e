//! Health checks over real sockets: what servers do, and what is found of them.

mod apply;
mod grpc;
mod http;
mod pace;
mod peers;
mod secure;

use super::*;
use crate::running::{Core, Resolved};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longer than anything takes that should happen.
const LONG: Duration = Duration::from_secs(20);

/// What a listener was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Checked(String, Verdict),
    Changed(String, Verdict),
    Forgotten(String),
}

/// Keeps what it is told.
#[derive(Default)]
struct Recorder {
    told: Mutex<Vec<(Told, Address)>>,
    more: Condvar,
    traffic: AtomicBool,
}

impl Recorder {
    fn new() -> Arc<Self> {
        let recorder = Self::default();
        recorder.traffic.store(true, Ordering::Relaxed);
        Arc::new(recorder)
    }

    fn push(&self, told: Told, address: &Address) {
        self.told.lock().unwrap().push((told, address.clone()));
        self.more.notify_all();
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().iter().map(|(told, _)| told.clone()).collect()
    }

    /// Waits until what was told is as it should be.
    fn wait(&self, what: &str, is: impl Fn(&[Told]) -> bool) {
        let guard = self.told.lock().unwrap();
        let list =
            |told: &Vec<(Told, Address)>| told.iter().map(|(told, _)| told.clone()).collect::<Vec<_>>();
        let (told, waited) = self.more.wait_timeout_while(guard, LONG, |told| !is(&list(told))).unwrap();
        assert!(!waited.timed_out(), "{what}: {told:?}");
    }

    /// Waits until so many more checks of a service have ended.
    fn wait_checks(&self, service: &str, more: usize) {
        let before = checks(&self.told(), service);
        self.wait(service, |told| checks(told, service) >= before + more);
    }

    /// Waits for the first change of a service, and tells it.
    fn wait_change(&self, service: &str) -> Verdict {
        self.wait(service, |told| !changes(told, service).is_empty());
        changes(&self.told(), service)[0]
    }
}

fn checks(told: &[Told], service: &str) -> usize {
    told.iter().filter(|told| matches!(told, Told::Checked(name, _) if name == service)).count()
}

fn changes(told: &[Told], service: &str) -> Vec<Verdict> {
    let of = |told: &Told| match told {
        Told::Changed(name, verdict) if name == service => Some(*verdict),
        _ => None,
    };
    told.iter().filter_map(of).collect()
}

impl Listener for Recorder {
    fn checked(&self, service: &str, address: &Address, verdict: Verdict) {
        self.push(Told::Checked(service.into(), verdict), address);
    }

    fn changed(&self, service: &str, address: &Address, verdict: Verdict) {
        self.push(Told::Changed(service.into(), verdict), address);
    }

    fn forgotten(&self, service: &str, address: &Address) {
        self.push(Told::Forgotten(service.into()), address);
    }

    fn has_traffic(&self, _service: &str) -> bool {
        self.traffic.load(Ordering::Relaxed)
    }
}

/// Whatever listens there.
fn at(address: SocketAddr) -> Value {
    json!({ "kind": "tcp", "address": address.to_string() })
}

fn get(path: &str) -> Value {
    json!({ "kind": "http", "path": path, "host": null })
}

/// A service that is checked every 50 ms; 3 down, 2 up.
fn service(name: &str, endpoints: &[Value], probe: &Value) -> Value {
    let mut made = crate::fixture::service(name, endpoints);
    made["healthCheck"] = json!({
        "probe": probe, "intervalMs": 50, "idleIntervalMs": 50, "timeoutMs": 5000, "unhealthyAfter": 3, "healthyAfter": 2,
    });
    made
}

/// The same with other values, by path.
fn with(mut service: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        *service.pointer_mut(path).unwrap() = value.clone();
    }
    service
}

fn running(services: &[Value]) -> Arc<Running> {
    let snapshot = json!({
        "format": tulle_snapshot::FORMAT, "version": "v1", "workers": 1, "drainMs": 1000, "memoryBytes": null, "zone": null,
        "accessLog": { "requests": "off", "file": "-" }, "listeners": [], "services": services, "routes": [],
        "authorization": [],
    });
    let core = Core::new(snapshot.to_string().as_bytes(), 1).unwrap();
    Arc::new(Running::new(core, &Resolved::new(), None).unwrap())
}

/// Starts checks of these services.
fn start(services: &[Value]) -> (Health, Arc<Recorder>) {
    let recorder = Recorder::new();
    let health = Health::start(Arc::clone(&recorder) as Arc<dyn Listener>).unwrap();
    health.apply(&running(services));
    (health, recorder)
}

/// Each service's endpoint is found to be so, check by check, and that is what changes it.
fn all_are(services: &[Value], expected: &[(&str, Verdict)]) {
    let (health, recorder) = start(services);
    for (name, verdict) in expected {
        recorder.wait(name, |told| checks(told, name) >= 4);
        let told = recorder.told();
        let found = told.iter().filter_map(|told| match told {
            Told::Checked(service, verdict) if service == name => Some(verdict),
            _ => None,
        });
        assert!(found.clone().all(|found| found == verdict), "{name}: {:?}", found.collect::<Vec<_>>());
        let changed = if *verdict == Verdict::Well { vec![] } else { vec![*verdict] };
        assert_eq!(changes(&told, name), changed, "{name}");
    }
    health.stop();
}
