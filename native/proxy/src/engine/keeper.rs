//! The thread that looks after files: certificates are loaded again when theirs change.

use super::Control;
use crate::Error;
use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Files are rarely replaced all at once: a failure is said when it is still there at the next look, and then once.
#[derive(Default)]
struct Failing {
    before: HashSet<String>,
    said: HashSet<String>,
}

/// The running thread.
pub(super) struct Keeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    join: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(super) fn start(control: Arc<Control>) -> Result<Self, Error> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let waits = Arc::clone(&stop);
        let body = move || {
            let mut failing = Failing::default();
            while !waited(&waits) {
                control.renew_certificates(&mut failing);
            }
        };
        let join = std::thread::Builder::new().name("tulle-keeper".into()).spawn(body);
        let join = join.map_err(|source| Error::Io { what: "keeper thread".into(), source })?;
        Ok(Self { stop, join: Mutex::new(Some(join)) })
    }

    pub(super) fn stop(&self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(join) = self.join.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It holds nothing that its panic could have harmed.
            let _ = join.join();
        }
    }
}

/// Waits for the next look; true: no more.
fn waited((stop, changed): &(Mutex<bool>, Condvar)) -> bool {
    let guard = stop.lock().unwrap_or_else(PoisonError::into_inner);
    let result = changed.wait_timeout_while(guard, INTERVAL, |stop| !*stop);
    *result.unwrap_or_else(PoisonError::into_inner).0
}

impl Control {
    /// Publishes what was rebuilt; says once what could not be.
    fn renew_certificates(&self, failing: &mut Failing) {
        let mut failures = HashSet::new();
        let running = self.shared.applied().running;
        let mut failed = |error: Error| {
            failures.insert(error.to_string());
        };
        let renewed = running.tls.refresh(&running.core.snapshot, &mut failed);
        failing.said.retain(|failure| failures.contains(failure));
        for failure in failures.intersection(&failing.before) {
            if failing.said.insert(failure.clone()) {
                self.notice(format!("{failure}: the certificate in use stays"));
            }
        }
        failing.before = failures;
        let Some(tls) = renewed else { return };
        let mut state = self.lock();
        // A configuration that was applied meanwhile has looked at the files itself.
        if Arc::ptr_eq(&self.shared.applied().running, &running) {
            self.publish(&mut state, &Arc::new(running.with_tls(tls)), Vec::new());
        }
    }
}
