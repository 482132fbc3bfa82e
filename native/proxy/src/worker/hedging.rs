//! Hedging: a second attempt beside a first one that is slower than most; the first answer counts.
//!
//! In: an exchange whose time to hedge has come. Out: a twin, an exchange without a client, whose connection becomes the
//! first one's when it answers first. Before: dispatch. After: answer. When, and how often, is decided in `retry` of
//! native/decide.

use super::Worker;
use super::body::Body;
use super::conn::{Conn, State};
use super::exchange::{Exchange, UnderWay};
use super::mux::tag;
use crate::clock::Nanos;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason, ServiceEvent};
use tulle_decide::balance::Outcome;
use tulle_decide::retry::is_idempotent;

impl Worker {
    /// A first attempt is about to be made: says when it is to be hedged, if ever.
    pub(super) fn plan_hedge(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange).filter(|x| x.attempts == 1 && x.may_be_hedged())
        else {
            return;
        };
        let delay = x.counts.as_ref().and_then(|counts| counts.hedger()?.delay(now.0));
        x.hedges_at = delay.map(|delay| Nanos(now.0.saturating_add(delay)));
    }

    /// The first attempt is slow: makes a second one, if there may be one.
    pub(super) fn hedge(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let waits = x.upstream.is_some() && !x.head_sent && x.twin.is_none();
        if !waits || !x.may_be_hedged() {
            return;
        }
        let Some(service) = x.service.clone() else { return };
        if !x.counts.as_ref().and_then(|counts| counts.hedger()).is_some_and(|mut hedger| hedger.may(now.0)) {
            return;
        }
        // It counts among the retries until one of the two attempts is alone.
        let Some(held) = service.counts.circuit.retry(&service.circuit) else {
            return service.counters.happened(ServiceEvent::RetriesLimited);
        };
        let mut twin = Exchange::detached(x, now);
        twin.retrying = Some(held);
        twin.twin_of = Some(exchange);
        twin.request = Body::empty();
        twin.replay = self.io.pool.take();
        twin.replay.extend_from_slice(&x.replay);
        twin.replay_head = x.replay_head;
        (twin.rule, twin.call_ends, twin.request_ended) = (x.rule, x.call_ends, x.request_ended);
        (twin.service, twin.subset, twin.key) = (x.service.clone(), x.subset, x.key);
        twin.attempts = x.attempts;
        twin.tried.push(x.place);
        twin.place = x.place;
        x.record.flags.insert(Flags::HEDGED);
        service.counters.happened(ServiceEvent::Hedged);
        let id = self.new_exchange(twin);
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.twin = Some(id);
        }
        self.attempt(id, false);
    }

    /// Whether a second attempt is still under way.
    pub(super) fn has_twin(&self, exchange: Id) -> bool {
        let twin = self.exchanges.get(exchange).and_then(|x| x.twin);
        twin.is_some_and(|twin| self.exchanges.get(twin).is_some())
    }

    /// A head is there. Of a first attempt: the second one is not needed. Of a second one: it takes the first one's place,
    /// unless it only brings an error and the first may do better. The exchange that goes on; none: neither does, here.
    pub(super) fn heir(&mut self, exchange: Id, is_error: bool) -> Option<Id> {
        let x = self.exchanges.get_mut(exchange)?;
        if let Some(twin) = x.twin.take() {
            self.end_exchange(twin, Reason::ClientClosed);
            return Some(exchange);
        }
        let Some(first) = x.twin_of else { return Some(exchange) };
        let elder = self.exchanges.get(first).filter(|first| !first.head_sent && !first.ghost);
        let Some(elder) = elder else {
            self.end_exchange(exchange, Reason::ClientClosed);
            return None;
        };
        if is_error && elder.upstream.is_some() {
            self.end_exchange(exchange, Reason::UpstreamStatus);
            return None;
        }
        self.succeed(first, exchange);
        Some(first)
    }

    /// Puts the second attempt in the first one's place.
    fn succeed(&mut self, first: Id, second: Id) {
        let now = self.now;
        if let Some(x) = self.exchanges.get_mut(first) {
            x.twin = None;
            if let (UnderWay::Begun, Some(service)) = (x.under_way, &x.service) {
                // It is at least as slow as this.
                let latency = now.0.saturating_sub(x.attempt_began.0);
                service.answered(x.place, now, latency, Outcome::Success);
                service.counters.happened(ServiceEvent::HedgeWon);
                x.under_way = UnderWay::Told;
            }
        }
        self.drop_upstream(first);
        let Some(twin) = self.exchanges.get_mut(second) else { return };
        twin.twin_of = None;
        let (upstream, stream) = (twin.upstream.take(), twin.upstream_stream.take());
        let (place, reused, began) = (twin.place, twin.reused, twin.attempt_began);
        let (under_way, held, probes) = (twin.under_way, twin.holds_place.take(), twin.probes);
        let (unsent, load) = (twin.unsent, twin.load.take());
        (twin.under_way, twin.probes) = (UnderWay::Nothing, false);
        let (endpoint, stamps) = (twin.record.endpoint, twin.record.at);
        if let Some(x) = self.exchanges.get_mut(first) {
            // Should this one's answer have it tried again, then not where the first one did not do.
            x.tried.push(x.place);
            (x.upstream, x.upstream_stream) = (upstream, stream);
            (x.place, x.reused, x.attempt_began, x.sent) = (place, reused, began, true);
            (x.under_way, x.holds_place, x.probes) = (under_way, held, probes);
            (x.request_broken, x.unsent, x.load) = (false, unsent, load);
            x.record.endpoint = endpoint;
            (x.record.at.connected, x.record.at.sent) = (stamps.connected, stamps.sent);
        }
        if let Some(conn) = upstream.and_then(|id| self.conns.get_mut(id)) {
            match (stream, conn.mux.as_mut()) {
                (Some(stream), Some(mux)) => mux.h2.set_tag(stream, tag(first)),
                _ => {
                    if let Some(upstream) = conn.upstream() {
                        upstream.state = State::Busy(first);
                    }
                }
            }
        }
        self.close_record(second);
    }

    /// A second attempt came to nothing, at a place where no retry is to go: where the first one has, too, that is the end of
    /// both. One that found no place names the first one's.
    pub(super) fn twin_ended(&mut self, first: Id, twin: Id, place: u32) {
        let Some(x) = self.exchanges.get_mut(first).filter(|x| x.twin == Some(twin)) else { return };
        x.twin = None;
        x.tried.push(place);
        if x.upstream.is_none() && !x.head_sent && x.rests_until.is_none() && x.waits_until.is_none() {
            self.attempt_failed(first, Reason::UpstreamReset);
        }
    }

    /// The exchange that a busy connection serves now.
    pub(super) fn served_by(&self, id: Id, exchange: Id) -> Id {
        match self.conns.get(id).and_then(Conn::state) {
            Some(State::Busy(now)) => now,
            _ => exchange,
        }
    }

    /// An answer counts: hedging learns how long it took.
    pub(super) fn learn_latency(&self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange).filter(|x| !x.detached) else { return };
        if let Some(mut hedger) = x.counts.as_ref().and_then(|counts| counts.hedger()) {
            hedger.observe(self.now.0.saturating_sub(x.record.at.routed), self.now.0);
        }
    }
}

impl Exchange {
    /// Only what may be done twice at the same time, and is there as a whole.
    fn may_be_hedged(&self) -> bool {
        !self.detached
            && !self.is_tunnel()
            && !self.is_connection()
            && self.replayable
            && self.request.is_done()
            // Trailers are not kept with the body for HTTP/2.
            && self.request.trailers().is_empty()
            && is_idempotent(self.record.method.as_bytes())
    }
}
