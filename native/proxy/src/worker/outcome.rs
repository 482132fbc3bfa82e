//! What became of an attempt: told to balancing and to outlier detection.
//!
//! In: an attempt that begins, is answered, fails or ends. Out: loads of this worker, and the standing of places, which all
//! workers share. A place is counted from the pick to the end of its answer; its latency ends with the answer's head.

use super::Worker;
use super::exchange::{Exchange, UnderWay};
use super::service::WorkerService;
use crate::clock;
use crate::slab::Id;
use crate::standing::Ejection;
use crate::telemetry::{NONE_8, Reason, ServiceEvent};
use std::rc::Rc;
use std::time::Duration;
use tulle_decide::balance::Outcome;
use tulle_decide::grpc;
use tulle_decide::http::{Fields, ResponseHead};
use tulle_decide::outlier::{self, Change, OutlierPolicy, State, Tally, Window, is_error};
use tulle_decide::overload::Outcome as Load;
use tulle_decide::retry::{is_idempotent, retry_after};

/// So long an endpoint waits for a request that can be made again, should it fail; then any will do.
const CHOOSY: Duration = Duration::from_secs(1);

impl Worker {
    /// An attempt begins at the exchange's place.
    pub(super) fn attempt_begins(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(service) = &x.service else { return };
        service.loads().started(x.place, now.0);
        service.note_traffic(now);
        x.under_way = UnderWay::Begun;
    }

    /// The head of an answer is there: what it says of the endpoint. True: that it fails.
    pub(super) fn answered(
        &mut self,
        exchange: Id,
        (head, parsed, fields): (&[u8], &ResponseHead, &Fields),
    ) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        let grpc = if x.grpc { fields.values(head, b"grpc-status").next().map(grpc::status) } else { None };
        x.said_later = x.grpc && grpc.is_none() && parsed.status == 200;
        let outcome = grpc.map_or(outlier::Outcome::Http(parsed.status), outlier::Outcome::Grpc);
        let is_error = is_error(outcome) == Some(true);
        let busy = matches!(parsed.status, 429 | 503) || grpc == Some(8);
        let wait = || retry_after(fields.values(head, b"retry-after").next()?, clock::wall().as_secs());
        self.note_answer(exchange, (is_error, busy), if busy { wait() } else { None });
        is_error
    }

    pub(super) fn note_answer(
        &mut self,
        exchange: Id,
        (is_error, busy): (bool, bool),
        retry_after: Option<u64>,
    ) {
        let random = self.random.next();
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.under_way != UnderWay::Begun {
            return;
        }
        x.under_way = UnderWay::Told;
        let latency = now.0.saturating_sub(x.attempt_began.0);
        x.load = Some((latency, if busy { Load::Overloaded } else { Load::Answered }));
        let outcome = match (is_error, retry_after) {
            (_, Some(after)) => Outcome::RetryAfter(after),
            (true, None) => Outcome::Failure,
            (false, None) => Outcome::Success,
        };
        let Some(service) = x.service.clone() else { return };
        service.answered(x.place, now, latency, outcome);
        if std::mem::take(&mut x.said_later) {
            x.unjudged = true;
            return;
        }
        let probes = std::mem::take(&mut x.probes);
        let place = x.place;
        self.judge(&service, place, (is_error, probes), random);
    }

    /// A gRPC call has ended: its status says something of the endpoint.
    pub(super) fn judge_call(&mut self, exchange: Id) {
        let random = self.random.next();
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if !std::mem::take(&mut x.unjudged) {
            return;
        }
        let known = Some(x.record.grpc_status).filter(|status| *status != NONE_8);
        let status = grpc::status_in(x.response.trailers()).or(known);
        let is_error = status.is_none_or(|status| is_error(outlier::Outcome::Grpc(status)) == Some(true));
        let Some(service) = x.service.clone() else { return };
        let probes = std::mem::take(&mut x.probes);
        let place = x.place;
        self.judge(&service, place, (is_error, probes), random);
    }

    /// An attempt came to nothing.
    pub(super) fn note_failure(&mut self, exchange: Id, reason: Reason) {
        self.record_attempt(exchange, reason);
        let (now, random) = (self.now, self.random.next());
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(service) = x.service.clone() else { return };
        if matches!(reason, Reason::ConnectFailure | Reason::ConnectTimeout | Reason::UpstreamTls) {
            service.counters.connection_failed();
        }
        if std::mem::take(&mut x.unjudged) && blames_endpoint(x, reason) {
            let (place, probes) = (x.place, std::mem::take(&mut x.probes));
            return self.judge(&service, place, (true, probes), random);
        }
        if x.under_way != UnderWay::Begun || !blames_endpoint(x, reason) {
            return;
        }
        x.under_way = UnderWay::Told;
        let latency = now.0.saturating_sub(x.attempt_began.0);
        let late = matches!(reason, Reason::PerTryTimeout | Reason::RequestTimeout);
        x.load = late.then_some((latency, Load::Overloaded));
        service.answered(x.place, now, latency, Outcome::Failure);
        let probes = std::mem::take(&mut x.probes);
        let place = x.place;
        self.judge(&service, place, (true, probes), random);
    }

    /// Nothing of the attempt is under way any more.
    pub(super) fn attempt_over(&mut self, exchange: Id) {
        if let Some(service) = self.attempt_taken_back(exchange) {
            self.freed(&service.counts);
        }
    }

    /// The same, without word of it to those that wait; what it was of, if anything.
    pub(super) fn attempt_taken_back(&mut self, exchange: Id) -> Option<Rc<WorkerService>> {
        let x = self.exchanges.get_mut(exchange)?;
        // What is over is not hedged.
        x.hedges_at = None;
        if x.under_way == UnderWay::Nothing {
            return None;
        }
        let service = x.service.clone()?;
        match std::mem::replace(&mut x.under_way, UnderWay::Nothing) {
            UnderWay::Begun => service.loads().abandoned(x.place),
            UnderWay::Told => service.loads().ended(x.place),
            UnderWay::Nothing => {}
        }
        let place_index = x.place;
        if let Some(place) = service.place(place_index) {
            if let Some(held) = x.holds_place.take() {
                place.standing.circuit.requests().leave(held);
            }
            if std::mem::take(&mut x.probes) {
                // It told nothing: another one is to, unless the place was judged meanwhile.
                let mut judge = place.standing.judge();
                judge.accrual.probe_abandoned();
                let is_due = judge.accrual.state() == (State::Probing { since_ns: None });
                drop(judge);
                if is_due {
                    self.now_stands(&service, place_index, Change::ProbeDue);
                }
            }
        }
        Some(service)
    }

    /// Tells outlier detection, and acts on what it makes of it.
    fn judge(&mut self, service: &WorkerService, place: u32, (is_error, probes): (bool, bool), random: u64) {
        let Some(policy) = &service.outlier else { return };
        let now = self.now.0;
        let Some(standing) = service.place(place).map(|place| &place.standing) else { return };
        let change = if probes {
            standing.judge().accrual.probe(!is_error, policy, now, random)
        } else if is_error {
            let errors = standing.streak.error();
            let enough = policy.is_streak(errors);
            if enough { standing.judge().accrual.errors_in_a_row(errors, policy, now, random) } else { None }
        } else {
            standing.streak.success();
            None
        };
        if let Some(change) = change {
            self.changed(service, place, change);
        }
        if let Some(window) = policy.window() {
            self.tally(service, (policy, &window), (place, is_error), random);
        }
    }

    /// Counts for the share of successes, and hands over ten times a second.
    fn tally(
        &mut self,
        service: &WorkerService,
        (policy, window): (&OutlierPolicy, &Window),
        (place, is_error): (u32, bool),
        random: u64,
    ) {
        let now = self.now.0;
        let counted = service.tallies.borrow_mut().count(place, is_error, now);
        for (place, successes, failures) in counted {
            let Some(standing) = service.place(place).map(|place| &place.standing) else { continue };
            let mut judge = standing.judge();
            let own = judge.window.get_or_insert_with(|| window.clone());
            own.add(successes, failures, now);
            let tally: Tally = own.tally(now);
            let change = judge.accrual.window(tally, policy, now, random);
            if change.is_some() {
                judge.window = None;
            }
            drop(judge);
            if let Some(change) = change {
                self.changed(service, place, change);
            }
        }
    }

    /// Has ejections that are over looked at, once they are due.
    pub(super) fn look_after(&mut self, service: &Rc<WorkerService>) {
        let now = self.now;
        if !service.counts.roster.is_due(now) {
            return;
        }
        for (index, place) in (0u32..).zip(&service.places.list) {
            if place.standing.ejection() == Ejection::In {
                continue;
            }
            let mut judge = place.standing.judge();
            let change = judge.accrual.tick(now.0);
            let state = judge.accrual.state();
            drop(judge);
            match state {
                State::Ejected { until_ns } => service.counts.roster.wake_at(until_ns),
                State::Probing { since_ns: Some(since_ns) } => {
                    service.counts.roster.wake_at(since_ns.saturating_add(outlier::PROBE_LOST_NS));
                }
                State::Probing { since_ns: None } | State::In => {}
            }
            if let Some(change) = change {
                self.changed(service, index, change);
            }
        }
    }

    /// A place whose ejection is over, if there is one in the subset and this request is the one to find out. At first
    /// those are that can be made again elsewhere, and that have no place of their own.
    pub(super) fn take_probe(&mut self, exchange: Id, service: &Rc<WorkerService>) -> Option<u32> {
        service.outlier.as_ref()?;
        self.look_after(service);
        let now = self.now.0;
        let since = service.counts.roster.wants_probe()?;
        let x = self.exchanges.get(exchange).filter(|x| !x.detached)?;
        let choosy = now < since.after(CHOOSY).0;
        if choosy && !x.may_be_made_again() {
            return None;
        }
        let own = x.named.filter(|_| choosy);
        let takes = |index: u32| {
            service.place(index).is_some_and(|place| {
                place.standing.is_healthy()
                    && place.standing.ejection() == Ejection::ProbeDue
                    && place.standing.judge().accrual.take_probe(now)
            })
        };
        let place = service.probe(x.subset, own, takes)?;
        if let Some(place) = service.place(place) {
            place.standing.set_ejection(Ejection::Out);
        }
        service.counts.roster.wake_at(now.saturating_add(outlier::PROBE_LOST_NS));
        service.counters.happened(ServiceEvent::Probed);
        self.count_standing(service);
        Some(place)
    }

    /// The standing of a place has changed: who waits may have room.
    fn changed(&mut self, service: &WorkerService, index: u32, change: Change) {
        self.now_stands(service, index, change);
        self.freed(&service.counts);
    }

    /// The same, without word of it to those that wait.
    fn now_stands(&mut self, service: &WorkerService, index: u32, change: Change) {
        let Some(place) = service.place(index) else { return };
        let standing = &place.standing;
        let (ejection, event) = match change {
            Change::Ejected { until_ns: until, why, times } => {
                let text = format!(
                    "service {}: {} is ejected for {} ms ({}, for the {}. time)",
                    service.name,
                    place.address,
                    until.saturating_sub(self.now.0) / 1_000_000,
                    why.code(),
                    times,
                );
                self.setup.shared.note(text);
                service.counts.roster.wake_at(until);
                (Ejection::Out, Some(ServiceEvent::Ejected))
            }
            Change::EjectedAgain { until_ns: until, times } => {
                let text = format!(
                    "service {}: {} failed its probe and is ejected for {} ms (for the {}. time)",
                    service.name,
                    place.address,
                    until.saturating_sub(self.now.0) / 1_000_000,
                    times,
                );
                self.setup.shared.note(text);
                service.counts.roster.wake_at(until);
                (Ejection::Out, Some(ServiceEvent::Ejected))
            }
            Change::ProbeDue => {
                // From then on those that wait are asked that could not be before.
                service.counts.roster.wake_at(self.now.after(CHOOSY).0);
                (Ejection::ProbeDue, None)
            }
            Change::Readmitted => {
                self.setup.shared.note(format!("service {}: {} is back", service.name, place.address));
                standing.comes_back(self.now);
                standing.streak.success();
                (Ejection::In, Some(ServiceEvent::Readmitted))
            }
        };
        standing.set_ejection(ejection);
        if ejection == Ejection::In {
            // What it did before says nothing of what it does now.
            standing.judge().window = None;
        }
        if let Some(event) = event {
            service.counters.happened(event);
        }
        self.count_standing(service);
    }

    /// Counts anew in services of which some endpoints are ejected: others may have come or gone.
    pub(super) fn recount(&self) {
        for service in &self.config.services {
            let ejects = service.outlier.is_some();
            if ejects && (service.standing().ejected > 0 || service.counts.roster.panics()) {
                self.count_standing(service);
            }
        }
    }

    /// Counts who is ejected: whether too many are, and whether any wants a probe.
    fn count_standing(&self, service: &WorkerService) {
        let roster = &service.counts.roster;
        let _alone = roster.counting();
        let list = &service.places.list;
        let probes = list.iter().any(|place| place.standing.ejection() == Ejection::ProbeDue);
        roster.set_wants_probe(probes, self.now);
        let standing = service.standing();
        let panics = service.outlier.as_ref().is_some_and(|policy| policy.panics(standing));
        let outlier::Standing { total, ejected, .. } = standing;
        if roster.set_panics(panics) {
            let event = if panics { ServiceEvent::PanicBegan } else { ServiceEvent::PanicEnded };
            service.counters.happened(event);
            let of = format!("service {}: {ejected} of {total} endpoints are ejected", service.name);
            let then = if panics { "more than it allows, so all are used" } else { "which it allows" };
            self.setup.shared.note(format!("{of}, {then}"));
        }
        roster.changed();
    }
}

impl Exchange {
    /// Whether its rule makes another attempt after a failed one, whatever the endpoint did about this one.
    fn may_be_made_again(&self) -> bool {
        if self.is_connection() {
            return true; // nothing is sent before there is a connection
        }
        let Some(policy) = self.rule.and_then(|rule| self.config.rule(rule)).map(|rule| &rule.retry) else {
            return false;
        };
        let harmless = self.idempotency_key
            || policy.non_idempotent()
            || (self.grpc && policy.looks_at_grpc())
            || is_idempotent(self.record.method.as_bytes());
        harmless && self.replayable && self.attempts <= policy.attempts()
    }
}

/// Whether a failure says something about the endpoint.
fn blames_endpoint(x: &Exchange, reason: Reason) -> bool {
    match reason {
        Reason::ConnectFailure
        | Reason::ConnectTimeout
        | Reason::UpstreamTls
        | Reason::UpstreamProtocolError
        | Reason::PerTryTimeout
        | Reason::RequestTimeout => true,
        // A connection that had been idle may just have been closed for its age.
        Reason::UpstreamReset => !x.reused || x.head_sent,
        _ => false,
    }
}
