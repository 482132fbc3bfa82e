//! The thread that looks after things: once a second certificates are loaded again whose files changed, and memory goes
//! back to the system when many connections have ended; ten times a second memory is held against its limit, if any.

use super::Control;
use super::pressure::{Pressure, resident_bytes};
use crate::Error;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often everything else is, in looks at memory.
const OTHERS: u32 = 10;

/// Files are rarely replaced all at once: a failure is said when it is still there at the next look, and then once.
#[derive(Default)]
struct Failing {
    before: BTreeSet<String>,
    said: BTreeSet<String>,
}

impl Failing {
    /// Takes what a look found wrong; tells what is to be said now. What went away may be said again.
    fn look(&mut self, found: BTreeSet<String>) -> Vec<String> {
        self.said.retain(|failure| found.contains(failure));
        let stayed = found.intersection(&self.before);
        let saying: Vec<String> = stayed.filter(|failure| !self.said.contains(*failure)).cloned().collect();
        self.said.extend(saying.iter().cloned());
        self.before = found;
        saying
    }
}

/// Notices that many connections have ended and no more end.
#[derive(Default)]
struct Ebb {
    peak: u32,
    last: u32,
}

impl Ebb {
    /// Fewer ended connections than this are not worth a look through the heap.
    const MANY: u32 = 1_000;

    /// Takes the number of connections; true: now is the time to give memory back.
    fn look(&mut self, connections: u32) -> bool {
        let settled = connections >= self.last;
        self.peak = self.peak.max(connections);
        self.last = connections;
        let over = settled && self.peak - connections >= Self::MANY;
        if over {
            self.peak = connections;
        }
        over
    }
}

/// The running thread.
pub(super) struct Keeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    join: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(super) fn start(control: Arc<Control>, release: fn()) -> Result<Self, Error> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let waits = Arc::clone(&stop);
        let body = move || {
            let mut failing = Failing::default();
            let mut ebb = Ebb::default();
            let mut pressure = Pressure::Calm;
            let mut looks = 0;
            while !waited(&waits, if control.memory_limit().is_some() { 1 } else { OTHERS }) {
                pressure = control.weigh(pressure);
                looks += 1;
                if control.memory_limit().is_some() && looks < OTHERS {
                    continue;
                }
                looks = 0;
                control.renew_certificates(&mut failing);
                if ebb.look(control.shared.clients.now()) || pressure != Pressure::Calm {
                    release();
                }
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

/// Waits for so many looks; true: no more.
fn waited((stop, changed): &(Mutex<bool>, Condvar), looks: u32) -> bool {
    let guard = stop.lock().unwrap_or_else(PoisonError::into_inner);
    let result = changed.wait_timeout_while(guard, INTERVAL * looks, |stop| !*stop);
    *result.unwrap_or_else(PoisonError::into_inner).0
}

impl Control {
    fn memory_limit(&self) -> Option<u64> {
        self.shared.applied().running.core.snapshot.memory_bytes
    }

    /// Holds memory against the limit, and tells workers and operator when the level changes. The level.
    fn weigh(&self, before: Pressure) -> Pressure {
        let limit = self.memory_limit();
        if limit.is_none() && before == Pressure::Calm {
            return before;
        }
        let resident = resident_bytes();
        let after = before.next(resident, limit);
        if after != before {
            self.lock().threads.press(after);
            self.shared.pressure.store(after.number(), Ordering::Relaxed);
            self.shared.note(match after {
                Pressure::Calm => {
                    format!("memory: {resident} bytes resident: connections are accepted again")
                }
                Pressure::Tight => {
                    format!(
                        "memory: {resident} bytes resident, 90 % of `memory`: no connections are accepted"
                    )
                }
                Pressure::Full => {
                    format!("memory: {resident} bytes resident, all of `memory`: requests get 503")
                }
            });
        }
        after
    }

    /// Publishes what was rebuilt; says once what could not be.
    fn renew_certificates(&self, failing: &mut Failing) {
        let mut failures = BTreeSet::new();
        let running = self.shared.applied().running;
        let mut failed = |error: Error| {
            failures.insert(error.to_string());
        };
        let renewed = running.tls.refresh(&running.core.snapshot, &mut failed);
        for failure in failing.look(failures) {
            self.shared.note(format!("{failure}: the certificate in use stays"));
        }
        let Some(tls) = renewed else { return };
        let mut state = self.lock();
        // A configuration that was applied meanwhile has looked at the files itself.
        if Arc::ptr_eq(&self.shared.applied().running, &running) {
            self.publish(&mut state, &Arc::new(running.with_tls(tls)), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::Engine;
    use rcgen::{CertificateParams, KeyPair};
    use std::path::{Path, PathBuf};

    #[test]
    fn memory_goes_back_once_when_many_have_ended() {
        let cases: [(&[u32], &[usize]); 4] = [
            (&[0, 500, 999, 0, 0, 0], &[]),
            (&[0, 5_000, 3_000, 10, 10, 10], &[4]),
            (&[2_000, 900, 950, 940, 0, 0], &[2]),
            (&[10_000, 9_500, 9_500, 9_500], &[]),
        ];
        for (connections, expected) in cases {
            let mut ebb = Ebb::default();
            let found: Vec<_> =
                connections.iter().enumerate().filter(|(_, now)| ebb.look(**now)).map(|(at, _)| at).collect();
            assert_eq!(found, expected, "{connections:?}");
        }
    }

    /// What looks find wrong, one after the other, and what is said at each.
    type Looks = &'static [(&'static [&'static str], &'static [&'static str])];

    #[test]
    fn failures_are_said_once_and_at_the_second_look() {
        let cases: [(&str, Looks); 7] = [
            ("nothing is wrong", &[(&[], &[]), (&[], &[])]),
            ("files are half replaced", &[(&["a"], &[]), (&[], &[]), (&["a"], &[]), (&[], &[])]),
            ("it stays", &[(&["a"], &[]), (&["a"], &["a"]), (&["a"], &[]), (&["a"], &[])]),
            (
                "it comes back",
                &[
                    (&["a"], &[]),
                    (&["a"], &["a"]),
                    (&[], &[]),
                    (&["a"], &[]),
                    (&["a"], &["a"]),
                    (&["a"], &[]),
                ],
            ),
            ("another one each time", &[(&["a"], &[]), (&["b"], &[]), (&["a"], &[]), (&["b"], &[])]),
            (
                "one turns into another",
                &[(&["a"], &[]), (&["a"], &["a"]), (&["b"], &[]), (&["b"], &["b"]), (&["b"], &[])],
            ),
            (
                "each on its own, in order",
                &[
                    (&["b"], &[]),
                    (&["c", "b", "a"], &["b"]),
                    (&["c", "b", "a"], &["a", "c"]),
                    (&["b"], &[]),
                    (&["b", "c"], &[]),
                    (&["c"], &["c"]),
                ],
            ),
        ];
        for (case, looks) in cases {
            let mut failing = Failing::default();
            for (number, (found, said)) in looks.iter().enumerate() {
                let found = found.iter().map(ToString::to_string).collect();
                assert_eq!(failing.look(found), *said, "{case}, look {number}");
            }
        }
    }

    /// A directory that goes away with its owner.
    struct Dir(PathBuf);

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A certificate and its key, as PEM.
    fn identity() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// An engine with one TLS listener; its keeper rests, so that the test alone looks at the files.
    fn engine(cert: &Path, key: &Path) -> Engine {
        let text = include_str!("../../../../test/golden/edge.snapshot.json");
        let mut snapshot: serde_json::Value = serde_json::from_str(text).unwrap();
        let secure = snapshot["listeners"][1].take();
        snapshot["listeners"] = serde_json::json!([secure]);
        let listener = &mut snapshot["listeners"][0];
        listener["address"] = "127.0.0.1:0".into();
        listener["tls"]["certificates"] = serde_json::json!([{ "cert": cert, "key": key }]);
        snapshot["routes"] = serde_json::json!([]);
        snapshot["services"] = serde_json::json!([]);
        snapshot["authorization"] = serde_json::json!([]);
        snapshot["workers"] = 1.into();
        let engine = Engine::start(snapshot.to_string().as_bytes()).unwrap();
        engine.keeper.stop();
        engine
    }

    #[test]
    fn a_new_certificate_is_served_and_a_broken_one_is_said_once() {
        let dir = Dir(std::env::temp_dir().join(format!("tulle-keeper-{}", std::process::id())));
        std::fs::create_dir_all(&dir.0).unwrap();
        let (cert, key) = (dir.0.join("edge.crt"), dir.0.join("edge.key"));
        let (old, new) = (identity(), identity());
        std::fs::write(&cert, &old.0).unwrap();
        std::fs::write(&key, &old.1).unwrap();
        let engine = engine(&cert, &key);
        let mut failing = Failing::default();
        // What a look says, and which build is served after it.
        let mut look = || {
            engine.control.renew_certificates(&mut failing);
            let running = engine.control.shared.applied().running;
            (engine.notices(), running.tls.server[0].as_ref().unwrap().serial)
        };
        let (said, first) = look();
        assert!(said.is_empty(), "{said:?}");

        // The certificate alone does not fit the key, which is not worth a word while it is replaced too.
        std::fs::write(&cert, &new.0).unwrap();
        assert_eq!(look(), (vec![], first));
        std::fs::write(&key, &new.1).unwrap();
        let (said, second) = look();
        assert!(said.is_empty() && second > first, "{said:?}");
        assert_eq!(look(), (vec![], second));

        std::fs::write(&key, "nothing of use").unwrap();
        assert_eq!(look(), (vec![], second));
        let (said, serial) = look();
        let line = format!(
            "{}: there is no private key in it (expected PEM): the certificate in use stays",
            key.display()
        );
        assert!(said.len() == 1 && said[0].ends_with(&line) && said[0].contains("secure"), "{said:?}");
        assert_eq!(serial, second);
        assert_eq!(look(), (vec![], second));

        // What is in use is there again, and broken once more: said again.
        std::fs::write(&key, &new.1).unwrap();
        assert_eq!(look(), (vec![], second));
        std::fs::remove_file(&key).unwrap();
        assert_eq!(look(), (vec![], second));
        assert_eq!(look().0.len(), 1);
        engine.close();
    }
}
