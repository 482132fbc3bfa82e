//! After an attempt: another one, at once or after a rest; or what there is goes to the client.
//!
//! In: how an attempt ended. Out: an attempt (`dispatch`), an answer's head (`response`), or an answer of our own
//! (`local`). What is decided is in `retry` of native/decide.

use super::Worker;
use super::body::{Body, Sink};
use super::exchange::Exchange;
use crate::clock::{self, Nanos};
use crate::slab::Id;
use crate::telemetry::{Flags, NONE_32, Reason, ServiceEvent};
use std::rc::Rc;
use tulle_decide::circuit::Held;
use tulle_decide::grpc;
use tulle_decide::http::{Fields, ResponseHead};
use tulle_decide::retry::{
    Advice, Exposure, Failure, Next, Replay, Resent, RetryFacts, Reused, Why, may_resend, next,
};

/// Another attempt.
pub(super) struct Again {
    /// On a fresh connection.
    fresh: bool,
    wait_ns: u64,
}

impl Worker {
    /// An attempt came to nothing: another one, or an answer of our own, or a cut one.
    pub(super) fn attempt_failed(&mut self, exchange: Id, reason: Reason) {
        self.note_failure(exchange, reason);
        self.drop_upstream(exchange);
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.ghost {
            return self.end_exchange(exchange, Reason::ClientClosed);
        }
        if x.head_sent {
            return self.truncate(exchange, reason);
        }
        let failure = match reason {
            Reason::ConnectFailure | Reason::ConnectTimeout | Reason::UpstreamTls => Failure::Connect,
            Reason::UpstreamReset => Failure::Reset,
            Reason::PerTryTimeout => Failure::PerTryTimeout,
            _ => return self.answer(exchange, reason),
        };
        if x.is_connection() {
            return match x.dials_again(failure) {
                Some(fresh) => self.attempt(exchange, fresh),
                None => self.answer(exchange, reason),
            };
        }
        if self.has_twin(exchange) {
            return self.arm(exchange); // the other one may still answer, within the request's time
        }
        match self.another_try(exchange, failure, Advice::None) {
            Some(again) => self.go_again(exchange, &again),
            None => self.answer(exchange, reason),
        }
    }

    /// An answer's head is there, and nothing of it went to the client: true, if another attempt is made instead.
    pub(super) fn tries_again_after(
        &mut self,
        exchange: Id,
        (head, parsed, fields): (&[u8], &ResponseHead, &Fields),
        rest: &mut [u8],
        ended: bool,
    ) -> bool {
        let Some(x) = self.exchanges.get(exchange).filter(|x| !x.ghost) else { return false };
        let trailers_only = if x.grpc { fields.values(head, b"grpc-status").next() } else { None };
        let failure = match trailers_only.map(grpc::status) {
            Some(0) => return false,
            Some(status) => Failure::Grpc(status),
            None if parsed.status >= 400 => Failure::Status(parsed.status),
            None => return false,
        };
        if !self.covers(exchange, failure) {
            return false;
        }
        let wall_s = clock::wall().as_secs();
        let value = |name| fields.values(head, name).next();
        let advice = Advice::of(value(b"retry-after"), value(b"grpc-retry-pushback-ms"), wall_s);
        let Some(again) = self.another_try(exchange, failure, advice) else { return false };
        self.record_attempt(exchange, Reason::UpstreamStatus);
        self.discard_answer(exchange, parsed, rest, ended);
        self.go_again(exchange, &again);
        true
    }

    /// Whether the rule names this failure.
    pub(super) fn covers(&self, exchange: Id, failure: Failure) -> bool {
        let rule = self.exchanges.get(exchange).and_then(|x| x.config.rule(x.rule?));
        rule.is_some_and(|rule| rule.retry.covers(failure))
    }

    /// Lets go of an answer that nobody will read; its connection is kept where all of the answer is there.
    fn discard_answer(&mut self, exchange: Id, parsed: &ResponseHead, rest: &mut [u8], ended: bool) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.upstream_keep_alive = parsed.keep_alive;
        x.response = Body::of_response(parsed.framing, Sink::Plain);
        let whole = match x.response.step(rest, ended) {
            Ok(step) if step.done => Some(step.consumed == rest.len()),
            Ok(_) | Err(_) => None,
        };
        x.response = Body::empty();
        match whole {
            Some(clean) => self.let_go_of_upstream(exchange, clean),
            None => self.drop_upstream(exchange),
        }
    }

    /// Makes the next attempt, now or when it has waited.
    pub(super) fn go_again(&mut self, exchange: Id, again: &Again) {
        let due = Nanos(self.now.0.saturating_add(again.wait_ns));
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if again.wait_ns == 0 {
            return self.attempt(exchange, again.fresh);
        }
        (x.rests_until, x.fresh) = (Some(due), again.fresh);
        self.arm(exchange);
    }

    /// It has waited.
    pub(super) fn rested(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.rests_until.is_some_and(|until| until > now) {
            return self.arm(exchange);
        }
        x.rests_until = None;
        if let Some(abort) = x.aborts.take() {
            return self.abort(exchange, abort);
        }
        let fresh = std::mem::take(&mut x.fresh);
        self.arm(exchange);
        self.attempt(exchange, fresh);
    }

    /// Whether there is another attempt, which is then as good as made: the budget is charged for it.
    pub(super) fn another_try(&mut self, exchange: Id, failure: Failure, advice: Advice) -> Option<Again> {
        let (now, random) = (self.now, self.random.next());
        let x = self.exchanges.get_mut(exchange)?;
        let config = Rc::clone(&x.config);
        let policy = &config.rule(x.rule?)?.retry;
        let due = x.limits().and_then(|limits| x.answer_due(&limits));
        let facts = RetryFacts {
            attempts_made: x.attempts,
            failure,
            exposure: if x.sent { Exposure::Something } else { Exposure::Nothing },
            method: x.record.method.as_bytes(),
            idempotency_key: x.idempotency_key,
            replay: if x.replayable { Replay::Complete } else { Replay::Lost },
            advice,
            left_ns: due.map(|due| due.0.saturating_sub(now.0)),
        };
        let reused = if x.reused { Reused::Yes } else { Reused::No };
        let resent = if x.resent { Resent::Yes } else { Resent::No };
        let fresh = x.reused && failure == Failure::Reset;
        if may_resend(reused, resent, &facts) {
            // The pooled connection died of old age; the endpoint is as good as before, and this does not count.
            x.resent = true;
            x.attempts -= 1;
            // Any other one will do, unless the request belongs to this one.
            if x.service.as_ref().is_some_and(|service| service.key.is_none() && service.affinity.is_none()) {
                x.tried.push(x.place);
            }
            return Some(Again { fresh, wait_ns: 0 });
        }
        let mut held = None;
        let charged = |held: &mut Option<Held>| charge(x, now).map(|charged| *held = charged);
        match next(policy, &facts, random, || charged(&mut held)) {
            Next::Retry { wait_ns } => {
                if let Some(service) = &x.service {
                    service.counters.retried();
                }
                x.retrying = x.retrying.take().or(held);
                x.tried.push(x.place);
                x.record.flags.insert(Flags::RETRIED);
                Some(Again { fresh, wait_ns })
            }
            Next::GiveUp(why) => {
                // What a rule does not name needs no explanation.
                if !matches!(why, Why::NotCovered) {
                    x.record.detail = why.code();
                }
                None
            }
        }
    }

    /// Notes an attempt that is not the last.
    pub(super) fn record_attempt(&mut self, exchange: Id, reason: Reason) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let took = now.0.saturating_sub(x.attempt_began.0);
        let endpoint = x.record.endpoint;
        if endpoint != NONE_32 {
            x.record.attempts.push(endpoint, reason, took);
        }
    }

    /// The head is out, the body will not be whole: the client must see that.
    fn truncate(&mut self, exchange: Id, reason: Reason) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.flags.insert(Flags::TRUNCATED);
        x.record.flags.insert(Flags::UPSTREAM_ABORT);
        let client = x.client;
        let only_close_ends_it = x.ends_by_close;
        if let Some(stream) = x.client_stream {
            self.cut_stream(exchange, (client, stream), reason);
            return self.end_exchange(exchange, reason);
        }
        self.end_exchange(exchange, reason);
        if let Some(conn) = self.conns.get_mut(client)
            && only_close_ends_it
        {
            conn.link.socket().reset_on_close();
        }
        self.abandon(client);
    }
}

/// Takes a retry from the service's circuit and from the rule's budget.
fn charge(x: &Exchange, now: Nanos) -> Result<Option<Held>, Why> {
    let Some(service) = &x.service else { return Ok(None) };
    let circuit = &service.counts.circuit;
    let held = if x.retrying.is_some() { None } else { Some(circuit.retry(&service.circuit)) };
    if let Some(None) = held {
        service.counters.happened(ServiceEvent::RetriesLimited);
        return Err(Why::RetriesLimit);
    }
    if x.counts.as_ref().is_none_or(|counts| counts.charge_retry(now)) {
        return Ok(held.flatten());
    }
    if let Some(held) = held.flatten() {
        circuit.retries().leave(held);
    }
    service.counters.happened(ServiceEvent::RetryBudgetSpent);
    Err(Why::BudgetSpent)
}
