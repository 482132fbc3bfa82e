//! The upstream's side of HTTP/2: connections that carry many exchanges at once.
//!
//! In: an exchange that wants an endpoint, events of an upstream's connection. Out: an answer's head for `response`, body
//! bytes for the client; or an attempt that failed.

use super::Worker;
use super::config::WorkerService;
use super::conn::{Role, State};
use super::mux::{Mux, STREAMS, tag};
use crate::clock;
use crate::running::Place;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::rc::Rc;
use std::time::Duration;
use tulle_decide::grpc;
use tulle_decide::h2::{ErrorCode, Event, Phase as Lists, Role as Side, StreamId};
use tulle_decide::hpack::Indexing;
use tulle_decide::http::{Block, list_line, response_of, trailers_of};

impl Worker {
    /// Finds a connection with room for a stream, or opens one.
    pub(super) fn attempt_stream(
        &mut self,
        exchange: Id,
        service: &Rc<WorkerService>,
        place: &Place,
        pool: Id,
    ) {
        let tunnel = self.exchanges.get(exchange).is_some_and(|x| x.upgrade);
        let mut index = 0;
        while let Some(id) = self.mux_of(pool, index) {
            index += 1;
            let kept_off = self.is_kept_off(exchange, id);
            let Some(conn) = self.conns.get_mut(id) else { continue };
            let (state, streams) = (conn.state(), conn.streams());
            let Some(mux) = conn.mux.as_mut() else { continue };
            match state {
                Some(State::Opening) if streams < STREAMS as usize => {
                    mux.waiting.push(exchange);
                    return self.waits_at(exchange, id);
                }
                Some(State::Mux) if tunnel && !mux.settled => {
                    mux.waiting.push(exchange);
                    return self.waits_at(exchange, id);
                }
                Some(State::Mux) if tunnel && !mux.h2.peer_takes_connect_protocol() => {
                    return self.answer(exchange, Reason::UpgradeRefused);
                }
                Some(State::Mux) if !kept_off => {
                    if let Some(stream) = mux.h2.open(tag(exchange)) {
                        service.counters.pool_hit();
                        return self.attached_stream(exchange, (id, stream), true);
                    }
                }
                _ => {}
            }
        }
        service.counters.pool_miss();
        let Some(held) = self.admit_connection(exchange, service, place) else {
            return self.wait_for_room(exchange, service);
        };
        match self.connect(State::Opening, service, place, (pool, held)) {
            Ok(id) => {
                let seed = self.random.next();
                if let Some(conn) = self.conns.get_mut(id) {
                    let mut mux =
                        Mux::new(Side::Client, (super::request::UPSTREAM_HEAD, STREAMS), (false, seed));
                    mux.waiting.push(exchange);
                    conn.mux = Some(mux);
                }
                self.add_mux(pool, id);
                self.waits_at(exchange, id);
                // It is there for others that wait here, too.
                self.lines.freed_here(Some(&service.counts));
            }
            Err(reason) => self.attempt_failed(exchange, reason),
        }
    }

    /// The attempt has a connection, which is not ready for it yet.
    fn waits_at(&mut self, exchange: Id, id: Id) {
        self.leave_queue(exchange);
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.upstream = Some(id);
        }
        self.arm_attempt(exchange);
    }

    /// TCP and TLS are done: whoever waited may begin.
    pub(super) fn mux_established(&mut self, id: Id) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.link.session().is_some_and(|session| session.alpn() != Some(b"h2")) {
            return self.mux_failed(id, Reason::UpstreamTls);
        }
        conn.deadline.clear();
        if let Some(upstream) = conn.upstream() {
            upstream.state = State::Mux;
        }
        self.admit_waiting(id);
        self.mark_dirty(id);
        // All who waited may have left.
        if let Some(conn) = self.conns.get(id).filter(|conn| conn.streams() == 0)
            && let Role::Upstream(upstream) = &conn.role
        {
            let idle_ms = upstream.service.pool.idle_timeout_ms;
            self.set_deadline(id, self.now.after_ms(idle_ms));
        }
    }

    /// Whoever waited for the connection may begin; who wants a tunnel, only once the peer has said whether it takes any.
    fn admit_waiting(&mut self, id: Id) {
        let Some(mux) = self.mux(id) else { return };
        let settled = mux.settled;
        for exchange in std::mem::take(&mut mux.waiting) {
            let Some(x) = self.exchanges.get_mut(exchange) else { continue };
            let Some(mux) = self.conns.get_mut(id).and_then(|conn| conn.mux.as_mut()) else { return };
            let wrong = x.upgrade && !mux.h2.peer_takes_connect_protocol();
            if x.upgrade && !settled {
                mux.waiting.push(exchange);
            } else if wrong {
                self.answer(exchange, Reason::UpgradeRefused);
            } else if let Some(stream) = mux.h2.open(tag(exchange)) {
                self.attached_stream(exchange, (id, stream), false);
            } else {
                x.upstream = None;
                x.attempts = x.attempts.saturating_sub(1);
                self.attempt_over(exchange);
                self.attempt(exchange, false);
            }
        }
    }

    /// There is a stream: sends what is there of the request.
    fn attached_stream(&mut self, exchange: Id, (id, stream): (Id, StreamId), reused: bool) {
        self.leave_queue(exchange);
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let (Role::Upstream(upstream), Some(service)) = (&mut conn.role, &x.service) {
            upstream.requests += 1;
            if !Rc::ptr_eq(&upstream.service, service) {
                upstream.service = Rc::clone(service);
            }
        }
        conn.deadline.clear();
        (x.upstream, x.upstream_stream) = (Some(id), Some(stream));
        x.window = (now, x.request.bytes);
        (x.reused, x.sent) = (reused, true);
        let stamp = clock::now().0;
        x.record.at.connected = stamp;
        x.record.at.sent = stamp;
        if reused {
            x.record.flags.insert(Flags::POOLED);
        }
        let (head, body) = x.replay.split_at(x.replay_head.min(x.replay.len()));
        x.unsent = body.len();
        // What asks for a tunnel goes on behind its head.
        let end = !x.upgrade && x.request.is_done() && body.is_empty() && x.request.trailers().is_empty();
        let deadline = &mut self.scratch.text;
        deadline.clear();
        if let Some(ends) = x.call_ends.filter(|_| x.grpc) {
            let left = &mut self.scratch.path;
            left.clear();
            grpc::write_timeout(Duration::from_nanos(ends.0.saturating_sub(stamp)), left);
            list_line(deadline, Indexing::Without, b"grpc-timeout", left);
        }
        x.list_for_this_hop(now, deadline);
        if let Some(mux) = conn.mux.as_mut() {
            mux.send_head(stream, [head, deadline], end);
        }
        self.mark_dirty(id);
        self.send_replay(exchange);
        self.request_wanted(exchange);
        self.rearm(exchange);
    }

    /// Sends what an earlier attempt, or an early client, has left of the body.
    fn send_replay(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let (Some(id), Some(stream)) = (x.upstream, x.upstream_stream) else { return };
        let Some(mux) = self.conns.get_mut(id).and_then(|conn| conn.mux.as_mut()) else { return };
        let unsent = x.replay.get(x.replay.len() - x.unsent..).unwrap_or_default();
        let count = mux.h2.room(stream).min(unsent.len());
        let end = x.request.is_done() && count == unsent.len();
        // An end without bytes before it went along with the head, unless trailers make it.
        let trailers = x.request.trailers();
        if count > 0 || (end && !trailers.is_empty()) {
            let data = unsent.get(..count).unwrap_or_default();
            mux.send_body(stream, data, end, trailers, &mut self.scratch.text);
            x.unsent -= count;
        }
        self.mark_dirty(id);
    }

    /// The upstream may take more of a request.
    pub(super) fn request_may_go_on(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        if x.unsent > 0 {
            self.send_replay(exchange);
        }
        self.request_wanted(exchange);
    }

    pub(super) fn upstream_event(&mut self, id: Id, event: Event, input: &mut [u8], block: &mut Block) {
        match event {
            Event::Headers { stream, end, phase } => self.answer_list(id, stream, (end, phase), block),
            Event::Data { stream, from, len, end } => {
                let data = input.get_mut(from..from + len).unwrap_or_default();
                if let Some(exchange) = self.exchange_of(id, stream) {
                    self.answer_data(exchange, data, end);
                }
            }
            Event::Reset { stream, code, by_peer } => self.stream_broke(id, stream, (code, by_peer)),
            Event::Refused { stream } => {
                if let Some(exchange) = self.exchange_of(id, stream) {
                    // Nothing was done about it, as if it had never been sent.
                    if let Some(x) = self.exchanges.get_mut(exchange) {
                        x.sent = false;
                    }
                    self.attempt_failed(exchange, Reason::UpstreamReset);
                } else {
                    self.upstream_stream_over(id, stream);
                }
            }
            Event::Writable { stream: Some(stream) } => {
                if let Some(exchange) = self.exchange_of(id, stream) {
                    self.request_may_go_on(exchange);
                }
            }
            Event::SettingsChanged => {
                if let Some(mux) = self.mux(id) {
                    mux.settled = true;
                }
                self.admit_waiting(id);
                self.all_writable(id);
                // It may take more streams.
                self.lines.freed_here(None);
            }
            Event::Writable { stream: None } => self.all_writable(id),
            Event::GoingAway { .. } => {}
        }
    }

    fn stream_broke(&mut self, id: Id, stream: StreamId, (code, by_peer): (ErrorCode, bool)) {
        if by_peer && code == ErrorCode::EnhanceYourCalm {
            // The connection is too much for the endpoint, whoever made it so: others go by another one.
            self.drain_mux(id);
        }
        let Some(exchange) = self.exchange_of(id, stream) else {
            return self.upstream_stream_over(id, stream);
        };
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        // A server may answer early and ask for no more of the request (RFC 9113 section 8.1).
        let answered = x.head_sent && (x.response.is_done() || x.outbox.ended);
        if by_peer && code == ErrorCode::NoError && answered {
            x.request_broken = true;
            return;
        }
        if by_peer && code == ErrorCode::RefusedStream {
            x.sent = false;
        } else {
            x.reused = false; // the connection was open: it is this request that failed
        }
        let reason = if by_peer { Reason::UpstreamReset } else { Reason::UpstreamProtocolError };
        self.attempt_failed(exchange, reason);
    }

    /// A head, or trailers.
    fn answer_list(&mut self, id: Id, stream: StreamId, (end, phase): (bool, Lists), block: &mut Block) {
        let Some(exchange) = self.exchange_of(id, stream) else { return };
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.reused = false; // it is no closing connection that brings an answer
        if phase == Lists::Later {
            if x.held_head.is_some() && self.call_again(exchange, block) {
                return;
            }
            let Some(x) = self.exchanges.get_mut(exchange) else { return };
            let kept =
                x.response.trailers_mut(&mut self.io.pool).map(|trailers| trailers_of(block, trailers));
            return match kept {
                Some(Err(bad)) => self.bad_answer(exchange, bad.reason),
                Some(Ok(())) | None => self.answer_data(exchange, &mut [], true),
            };
        }
        let parsed = match response_of(block, x.method, end) {
            Ok(parsed) => parsed,
            Err(bad) => return self.bad_answer(exchange, bad.reason),
        };
        if parsed.is_interim() {
            if let Some(mux) = self.mux(id) {
                mux.h2.interim(stream);
            }
            self.interim(exchange, block.head(), &parsed, block.fields());
            return;
        }
        if x.upgrade && !x.is_stream() && (200..300).contains(&parsed.status) && !end {
            self.answered(exchange, (block.head(), &parsed, block.fields()));
            return self.agree_to_text(exchange, (block.head(), block.fields()));
        }
        if !end && self.holds_head(exchange, &parsed, block) {
            return;
        }
        self.final_head(exchange, (block.head(), &parsed, block.fields()), &mut [], end);
        if self.exchanges.get(exchange).is_some_and(|x| x.tunnel.streamed) {
            self.request_wanted(exchange); // what the client said ahead of the agreement
        }
    }

    fn bad_answer(&mut self, exchange: Id, detail: &'static str) {
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.record.detail = detail;
        }
        self.attempt_failed(exchange, Reason::UpstreamProtocolError);
    }

    /// A part of an answer's body, or its end: goes on as far as the client takes it; the rest waits, no more than a
    /// window of it.
    fn answer_data(&mut self, exchange: Id, data: &mut [u8], end: bool) {
        self.pass_held_head(exchange);
        let room = self.client_room(exchange).min(data.len());
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if !x.head_sent || x.response.is_done() {
            return;
        }
        if !x.outbox.bytes.is_empty() {
            x.outbox.bytes.push(data, &mut self.io.pool);
            x.outbox.ended |= end;
            return;
        }
        let Some((now, later)) = data.split_at_mut_checked(room) else { return };
        let end_now = end && later.is_empty();
        if !now.is_empty() || end_now {
            self.body_bytes(exchange, &[], now, end_now);
        }
        if let Some(x) = self.exchanges.get_mut(exchange)
            && !x.response.is_done()
        {
            x.outbox.ended |= end;
            self.keep_for_client(exchange, later);
        }
    }

    /// The exchange needs its stream no more, whole or not: a stream that is not over is cancelled.
    pub(super) fn upstream_stream_over(&mut self, id: Id, stream: StreamId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(mux) = conn.mux.as_mut() else { return };
        mux.h2.finish(stream);
        let idle = mux.h2.streams() == 0;
        let wanted = self.wants_connection(id, idle);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (Role::Upstream(upstream), Some(mux)) = (&conn.role, conn.mux.as_mut()) else { return };
        let limits = upstream.service.pool;
        let worn = limits.requests_per_connection.is_some_and(|most| upstream.requests >= most);
        if (worn || wanted) && !mux.h2.is_draining() {
            mux.h2.drain();
        }
        if idle {
            self.timers.set(id, &mut conn.deadline, now.after_ms(limits.idle_timeout_ms));
        }
        self.mark_dirty(id);
    }

    /// The connection came to nothing, or broke: so did what ran on it.
    pub(super) fn mux_failed(&mut self, id: Id, reason: Reason) {
        let mut all = self.exchanges_of(id);
        if let Some(mux) = self.mux(id) {
            all.append(&mut mux.waiting);
        }
        // It was no closing connection, but an endpoint that broke the protocol.
        let broken = self.mux(id).is_some_and(|mux| mux.h2.is_over());
        self.close_upstream(id);
        for exchange in all {
            if let Some(x) = self.exchanges.get_mut(exchange)
                && x.upstream == Some(id)
            {
                x.reused &= !broken;
                (x.upstream, x.upstream_stream) = (None, None);
                self.attempt_failed(exchange, reason);
            }
        }
    }
}
