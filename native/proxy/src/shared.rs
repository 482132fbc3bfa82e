//! What threads share: counts that only connects and closes touch, and what the admin pages read.

use crate::clock::{self, Nanos};
use crate::line::{For, Line, Stand};
use crate::mailbox::Mailbox;
use crate::running::{Places, Running};
use crate::standing::{Ejection, Roster};
use crate::telemetry::admin::{Facts, Readiness, config_page, endpoints_page};
use crate::telemetry::{
    AccessLog, CertificateExpiry, CertificateOwner, EndpointFacts, EndpointState, Identities, Metrics,
    ProcessFacts, ServiceFacts, Usage,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tulle_decide::circuit::Circuit;
use tulle_decide::overload::{Adaptive, Batch, Gate};
use tulle_decide::request_key::Seed;
use tulle_snapshot::wire::AdaptiveLimit;

/// How many connections something has, or how many wait, over all workers. Touched when one opens or closes, never per
/// request. Ordered as [`tulle_decide::circuit::Gauge`] is.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU32);

impl Count {
    /// One more, unless there are `limit` already. Never one too many for a moment: who looks in that moment would find no room
    /// and be told of none afterwards.
    pub(crate) fn admit(&self, limit: u32) -> bool {
        let more = |now| (now < limit).then(|| now + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// One more, whatever the bound.
    pub(crate) fn join(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// One less.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many there are.
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// How often idle connections were closed early. What is closed at about one time counts once: an endpoint that ends closes
/// all that it has.
#[derive(Debug, Default)]
pub(crate) struct EarlyCloses {
    count: AtomicU32,
    /// When the last one counted, in nanoseconds.
    last: AtomicU64,
}

impl EarlyCloses {
    /// One more, at `now` nanoseconds; how many there are, if it counts.
    pub(crate) fn count(&self, now: u64, apart: u64) -> Option<u32> {
        let last = self.last.load(Ordering::Relaxed);
        if last != 0 && now < last.saturating_add(apart) {
            return None;
        }
        self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        Some(self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What goes on at a service, over all workers.
#[derive(Debug, Default)]
pub(crate) struct ServiceCounts {
    pub(crate) connections: Count,
    pub(crate) waiting: Waiting,
    /// How often endpoints closed idle connections before we did.
    pub(crate) early_closes: EarlyCloses,
    /// Requests and retries under way, where there is a limit on them.
    pub(crate) circuit: Circuit,
    /// Those that wait.
    pub(crate) line: Line,
    pub(crate) roster: Roster,
    pub(crate) overload: Overload,
}

impl ServiceCounts {
    /// Takes out who comes first, and counts them out: whoever called them has done so, and they do not do it again.
    pub(crate) fn call_first(&self, waits_for: For) -> Option<(u64, Arc<Mailbox>)> {
        let called = self.line.take_first(waits_for)?;
        self.waiting.0.leave();
        Some(called)
    }

    /// Someone who is `counted` goes, from where they stand, if they do. Who was called meanwhile is counted out already.
    pub(crate) fn go(&self, stand: Option<Stand>, counted: bool) {
        let called = stand.is_some_and(|stand| !self.line.leave(stand));
        if counted && !called {
            self.waiting.0.leave();
        }
    }

    /// Someone who is counted leaves a queue, to wait in another one. Who was called meanwhile counts anew.
    pub(crate) fn change_queue(&self, before: Stand) {
        if !self.line.leave(before) {
            self.waiting.0.join();
        }
    }
}

/// The adaptive limit of a service; nothing, until it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Overload {
    gate: OnceLock<Gate>,
    learned: Mutex<Option<Learned>>,
}

#[derive(Debug)]
struct Learned {
    adaptive: Adaptive,
    bounds: AdaptiveLimit,
    /// What workers have handed over since `folded`.
    seen: Batch,
    folded: Nanos,
}

/// How often the limit is set anew.
const FOLDED: Duration = Duration::from_millis(100);

impl Overload {
    /// What lets requests in.
    pub(crate) fn gate(&self, bounds: AdaptiveLimit) -> &Gate {
        self.gate.get_or_init(|| Gate::new(Adaptive::new(bounds, 0).limit()))
    }

    /// Takes what a worker saw, and sets the limit anew if it is time to.
    pub(crate) fn take(&self, bounds: AdaptiveLimit, seen: &Batch, now: Nanos) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let learned = learned.get_or_insert_with(|| Learned {
            adaptive: Adaptive::new(bounds, now.0),
            bounds,
            seen: Batch::default(),
            folded: now,
        });
        if learned.bounds != bounds {
            learned.bounds = bounds;
            learned.adaptive.set_bounds(bounds);
        }
        learned.seen.add(seen);
        let periods = u128::from(now.0.saturating_sub(learned.folded.0)) / FOLDED.as_nanos();
        if periods > 0 {
            learned.folded = now;
            let limit = learned.adaptive.fold(&std::mem::take(&mut learned.seen), now.0);
            self.gate(bounds).set_limit(limit);
            self.gate(bounds).rebalance(u32::try_from(periods).unwrap_or(u32::MAX));
        }
    }
}

/// On a cache line of its own: looked at after every answer, written only when the connections' limit is reached.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Waiting(pub(crate) Count);

/// What is running, and since when.
#[derive(Clone)]
pub(crate) struct Applied {
    pub(crate) running: Arc<Running>,
    pub(crate) at: Duration,
}

/// The state of one engine.
pub(crate) struct Shared {
    /// Clients' connections to listeners that carry traffic, over all data-plane workers.
    pub(crate) clients: Count,
    pub(crate) draining: AtomicBool,
    /// [`crate::engine::Pressure::number`].
    pub(crate) pressure: AtomicU8,
    pub(crate) applied: Mutex<Applied>,
    pub(crate) reloads: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) metrics: Metrics,
    pub(crate) identities: Arc<Identities>,
    pub(crate) log: AccessLog,
    /// What an operator should hear of what happened to services.
    pub(crate) notes: Mutex<VecDeque<String>>,
    pub(crate) started: Duration,
    /// How the keys of rate limits are hashed: callers who choose their keys do not know.
    pub(crate) seed: Seed,
}

/// Notes kept for whoever logs them.
const NOTES: usize = 64;

impl Shared {
    /// Keeps a note for an operator; the oldest goes when there are too many.
    pub(crate) fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= NOTES {
            notes.pop_front();
        }
        notes.push_back(text);
    }

    /// Takes the notes.
    pub(crate) fn take_notes(&self) -> VecDeque<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is running.
    pub(crate) fn applied(&self) -> Applied {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_running(&self, running: Arc<Running>) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = Applied { running, at: clock::wall() };
    }

    /// Everything as JSON.
    pub(crate) fn stats(&self) -> String {
        self.metrics.stats_json(&self.process())
    }

    fn process(&self) -> ProcessFacts {
        let applied = self.applied();
        let snapshot = &applied.running.core.snapshot;
        ProcessFacts {
            version: snapshot.version.clone(),
            started: self.started,
            applied: applied.at,
            workers: snapshot.workers as usize,
            reloads_applied: self.reloads.load(Ordering::Relaxed),
            reloads_refused: self.refused.load(Ordering::Relaxed),
            certificates: certificates(&applied.running),
            log_lost: self.log.lost(),
            usage: Usage::read(),
            memory_limit: snapshot.memory_bytes,
            memory_pressure: self.pressure.load(Ordering::Relaxed),
            services: services(&applied.running),
        }
    }
}

fn services(running: &Running) -> Vec<ServiceFacts> {
    let all = running.core.snapshot.services.iter().zip(&running.places).zip(&running.service_counts);
    let facts = all.map(|((service, places), counts)| {
        // Ejections of an earlier configuration say nothing where nobody ejects any more.
        let ejects = service.outlier_detection.is_some();
        ServiceFacts {
            name: service.name.clone(),
            endpoints: endpoints(places, ejects),
            panics: ejects && counts.roster.panics(),
            waiting: counts.waiting.0.now(),
        }
    });
    facts.collect()
}

fn endpoints(places: &Places, ejects: bool) -> Vec<EndpointFacts> {
    let facts = places.list.iter().map(|place| {
        let standing = &place.standing;
        let state = if !standing.is_healthy() {
            EndpointState::Unhealthy
        } else if ejects && standing.ejection() != Ejection::In {
            EndpointState::Ejected
        } else if place.weight == 0 {
            EndpointState::Draining
        } else {
            EndpointState::Usable
        };
        let why = if state == EndpointState::Unhealthy { standing.why() } else { "" };
        EndpointFacts { address: place.address.to_string(), state, why }
    });
    facts.collect()
}

fn certificates(running: &Running) -> Vec<CertificateExpiry> {
    let snapshot = &running.core.snapshot;
    let mut all = Vec::new();
    for (listener, tls) in snapshot.listeners.iter().zip(&running.tls.server) {
        let expiries = tls.iter().flat_map(|tls| tls.built.expiries());
        let owner = CertificateOwner::Listener(listener.name.clone());
        all.extend(expiries.map(|e| CertificateExpiry {
            owner: owner.clone(),
            file: e.file.clone(),
            not_after: e.not_after,
        }));
    }
    for (service, tls) in snapshot.services.iter().zip(&running.tls.client) {
        let expiries = tls.iter().flat_map(|tls| tls.built.expiries());
        let owner = CertificateOwner::Service(service.name.clone());
        all.extend(expiries.map(|e| CertificateExpiry {
            owner: owner.clone(),
            file: e.file.clone(),
            not_after: e.not_after,
        }));
    }
    all
}

impl Facts for Shared {
    fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) { Readiness::Draining } else { Readiness::Ready }
    }

    fn metrics(&self) -> String {
        let mut out = String::new();
        self.metrics.render(&mut out, &self.process());
        out
    }

    fn endpoints(&self) -> String {
        endpoints_page(&services(&self.applied().running))
    }

    fn config(&self) -> String {
        let applied = self.applied();
        config_page(&applied.running.core.snapshot, &self.process())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tulle_decide::overload::Outcome;

    #[test]
    fn who_is_turned_away_takes_no_room_for_a_moment() {
        let (count, over) = (Count::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(!count.admit(0));
                }
            });
            let vain = |_: &u32| {
                let admitted = count.admit(1);
                if admitted {
                    count.leave();
                }
                !admitted
            };
            let vain = (0..200_000).filter(vain).count();
            over.store(true, Ordering::Relaxed);
            assert_eq!(vain, 0);
        });
    }

    #[test]
    fn whoever_comes_goes_and_is_called_at_once_is_counted_once() {
        const BOUND: u32 = 12;
        let (counts, mailbox) = (ServiceCounts::default(), Arc::new(Mailbox::new().unwrap()));
        let (over, called) = (AtomicBool::new(false), AtomicU32::new(0));
        let place = For::Place(0, None);
        // Comes, and goes at once, from another queue than at first, or when all others have come.
        let comes_and_goes = |thread: usize| {
            let mut standing = Vec::new();
            for round in 0..20_000 {
                assert!(counts.waiting.0.now() <= BOUND, "it never falls below nothing");
                if counts.waiting.0.admit(BOUND) {
                    let mut stand = counts.line.join(For::Request, Nanos(1), &mailbox);
                    if round % 3 == thread % 3 {
                        counts.change_queue(stand);
                        stand = counts.line.join(place, Nanos(1), &mailbox);
                    }
                    standing.push(stand);
                }
                if standing.len() > 2 || round % 2 == 0 {
                    standing.drain(..).for_each(|stand| counts.go(Some(stand), true));
                }
            }
            standing.drain(..).for_each(|stand| counts.go(Some(stand), true));
        };
        std::thread::scope(|scope| {
            for of in [For::Request, place] {
                let (counts, over, called) = (&counts, &over, &called);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        called.fetch_add(counts.call_first(of).is_some().into(), Ordering::Relaxed);
                    }
                });
            }
            let come = &comes_and_goes;
            let all: Vec<_> = (0..3).map(|thread| scope.spawn(move || come(thread))).collect();
            let ends: Vec<_> = all.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            over.store(true, Ordering::Relaxed);
            assert!(ends.iter().all(Result::is_ok));
        });
        assert!(called.load(Ordering::Relaxed) > 100, "some were called while they stood there");
        assert_eq!(counts.waiting.0.now(), 0);
        assert!(counts.line.first(For::Request).is_none() && counts.line.first(place).is_none());
    }

    #[test]
    fn what_closes_early_at_about_one_time_counts_once() {
        let closes = EarlyCloses::default();
        let counted: Vec<_> = [1_000, 1_001, 1_499, 1_500, 1_600, 2_100]
            .into_iter()
            .map(|now| closes.count(now, 500))
            .collect();
        assert_eq!(counted, [Some(1), None, None, Some(2), None, Some(3)]);
    }

    /// A window of requests of which half were refused by the service, with `in_flight` under way.
    fn overloaded(in_flight: u32) -> Batch {
        let mut seen = Batch::default();
        for index in 0..40 {
            let outcome = if index % 2 == 0 { Outcome::Overloaded } else { Outcome::Answered };
            seen.finished(1_000_000, in_flight, outcome);
        }
        seen
    }

    #[test]
    fn the_limit_follows_what_all_workers_saw() {
        let bounds = AdaptiveLimit { min: 2, max: 64 };
        let overload = Overload::default();
        let began = Nanos(1);
        let first = overload.gate(bounds).limit();
        // What comes before the time is kept for then.
        overload.take(bounds, &overloaded(10), began);
        overload.take(bounds, &Batch::default(), began.after(FOLDED / 2));
        assert_eq!(overload.gate(bounds).limit(), first);
        overload.take(bounds, &Batch::default(), began.after(FOLDED));
        assert_eq!(overload.gate(bounds).limit(), 8, "four fifths of the ten that were under way");
        // Other bounds count from the next time on, and there is one gate all the time.
        let narrow = AdaptiveLimit { min: 20, max: 30 };
        overload.take(narrow, &Batch::default(), began.after(FOLDED * 2));
        assert_eq!(overload.gate(bounds).limit(), 20);
        assert!(std::ptr::eq(overload.gate(bounds), overload.gate(narrow)));
    }
}
