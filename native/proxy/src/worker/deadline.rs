//! Time: what is due when, and what follows.

use super::Worker;
use super::config::TimeLimits;
use super::conn::{Phase, Role, State};
use super::exchange::{Carries, Exchange};
use crate::clock::Nanos;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::rc::Rc;
use std::time::Duration;
use tulle_decide::h2::ErrorCode;

/// The window over which a body's rate is judged.
const RATE_WINDOW_MS: u32 = 10_000;

impl Worker {
    pub(super) fn fire_timers(&mut self) {
        if self.accept_again.is_some_and(|again| again <= self.now) {
            self.resume_accepting();
        }
        self.end_late_copies();
        while let Some(entry) = self.timers.pop(self.now) {
            let id = entry.1;
            let Some(conn) = self.conns.get_mut(id) else { continue };
            if self.timers.is_due(entry, &mut conn.deadline, self.now) {
                conn.deadline.clear();
                self.due(id);
            }
        }
    }

    fn due(&mut self, id: Id) {
        match self.conns.get(id).map(|conn| &conn.role) {
            Some(Role::Client(client)) => match client.phase {
                Phase::Entry => self.entry_due(id),
                Phase::Handshake => {
                    client.listener.counters.tls_failed();
                    self.handshake_failed(id, "timeout");
                }
                Phase::Idle | Phase::Lingering => self.close(id),
                Phase::Head => self.refuse_slow_head(id),
                Phase::Busy(exchange) => self.exchange_due(exchange),
                Phase::Mux => self.mux_due(id),
            },
            Some(Role::Upstream(upstream)) => match upstream.state {
                State::Connecting(exchange) => self.attempt_failed(exchange, Reason::ConnectTimeout),
                State::Idle => self.close_upstream(id),
                State::Busy(_) => {}
                State::Opening => self.mux_failed(id, Reason::ConnectTimeout),
                State::Mux => self.upstream_mux_due(id),
            },
            None => {}
        }
    }

    /// Bytes moved: sets the deadline of an exchange by where it stands.
    pub(super) fn rearm(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.moved = now;
        self.arm(exchange);
    }

    /// An attempt begins to connect: its own limit of time runs. If nothing moved before, it was we who rested or waited.
    pub(super) fn arm_attempt(&mut self, exchange: Id) {
        if self.exchanges.get(exchange).is_some_and(|x| !x.is_connection()) {
            self.rearm(exchange);
        }
    }

    /// Sets the deadline without news.
    pub(super) fn arm(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange).filter(|x| !x.ghost) else { return };
        let Some(limits) = x.limits().or_else(|| x.unruled()) else { return };
        let idle = limits.stream_idle.map(|idle| x.idle_from().after(idle));
        let due = if let Some(until) = x.waits_until.or(x.rests_until) {
            if x.request.is_done() {
                x.request_ended.get_or_insert(now);
            }
            x.answer_due(&limits).into_iter().chain([until]).min()
        } else if x.tunnel.open
            || x.tunnel.streamed
            || x.carries == Carries::Ahead
            || (x.head_sent && x.request.is_done())
        {
            [idle, x.ends_at].into_iter().flatten().min()
        } else if x.grpc {
            // Streams may say nothing for long: the call has begun with its head.
            if x.head_sent { idle } else { limits.request.map(|limit| Nanos(x.record.at.head).after(limit)) }
        } else if x.request.is_done() {
            let ended = *x.request_ended.get_or_insert(now);
            limits.request.map(|limit| ended.after(limit))
        } else {
            // A body that is still coming is judged by its rate as well.
            Some(x.window.0.after_ms(RATE_WINDOW_MS).min(idle.unwrap_or(Nanos(u64::MAX))))
        };
        let call_ends = x.call_ends.filter(|_| x.grpc || !x.head_sent);
        let sooner = [x.try_due(&limits), call_ends, x.paced_until, x.hedges_at];
        let due = due.into_iter().chain(sooner.into_iter().flatten()).min();
        let client = x.client;
        if x.is_stream() {
            x.due = due;
            if let Some(due) = x.due {
                self.bring_forward(client, due);
            }
            return;
        }
        match (due, self.conns.get_mut(client)) {
            (Some(due), _) => self.set_deadline(client, due),
            (None, Some(conn)) => conn.deadline.clear(),
            (None, None) => {}
        }
    }

    pub(super) fn exchange_due(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let ends = x.call_ends.is_some_and(|ends| ends <= now);
        if x.waits_until.is_some() || x.rests_until.is_some() {
            return self.pause_due(exchange, ends);
        }
        if x.paced_until.is_some_and(|until| until <= now) {
            x.paced_until = None;
            self.rearm(exchange);
            return self.answer_may_go_on(exchange);
        }
        if x.hedges_at.is_some_and(|at| at <= now) && !ends {
            x.hedges_at = None;
            self.arm(exchange);
            return self.hedge(exchange);
        }
        if x.ends_at.is_some_and(|end| end <= now) {
            return self.end_tunnel(exchange, Reason::Draining);
        }
        if x.carries == Carries::Ahead {
            return self.ahead_due(exchange);
        }
        if x.tunnel.open {
            return self.close_tunnel(exchange, Reason::StreamIdle, false);
        }
        if (x.grpc || !x.head_sent) && x.call_ends.is_some_and(|ends| ends <= now) {
            x.record.flags.insert(Flags::TIMEOUT);
            return self.attempt_failed(exchange, Reason::DeadlineExceeded);
        }
        let limits = x.limits().or_else(|| x.unruled());
        let overdue = limits.as_ref().and_then(|limits| x.answer_due(limits)).is_some_and(|due| due <= now);
        let try_over = limits.as_ref().and_then(|limits| x.try_due(limits)).is_some_and(|due| due <= now);
        if try_over && !overdue {
            x.record.flags.insert(Flags::TIMEOUT);
            return self.attempt_failed(exchange, Reason::PerTryTimeout);
        }
        let idle = limits.and_then(|limits| limits.stream_idle);
        let silent = idle.is_some_and(|idle| x.idle_from().after(idle) <= now);
        let waits_for_answer = !x.head_sent && (x.request.is_done() || x.grpc);
        let late = if waits_for_answer { overdue } else { silent };
        match (late, x.request.is_done() || x.grpc || x.tunnel.streamed) {
            (true, _) => self.time_out(exchange),
            // It was set for what is over by now.
            (false, true) => self.arm(exchange),
            (false, false) => self.body_due(exchange),
        }
    }

    /// It waits for room or rests before an attempt: that is over, or the time of all of it is.
    fn pause_due(&mut self, exchange: Id, ends: bool) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let overdue = x.limits().and_then(|limits| x.answer_due(&limits)).is_some_and(|due| due <= now);
        if ends || overdue {
            // No attempt is under way that could have failed.
            x.record.flags.insert(Flags::TIMEOUT);
            let reason = if ends { Reason::DeadlineExceeded } else { Reason::RequestTimeout };
            return self.answer(exchange, reason);
        }
        match x.waits_until {
            Some(until) if until <= now => self.answer(exchange, Reason::QueueTimeout),
            Some(_) => self.arm(exchange),
            None => self.rested(exchange),
        }
    }

    /// A body is still coming: is it the client that is slow, or the upstream that does not take more?
    fn body_due(&mut self, exchange: Id) {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let came = x.request.bytes - x.window.1;
        let (bytes, listener) = (x.request.bytes, Rc::clone(&x.listener));
        let blocked = self.upstream_room(exchange) == 0;
        let least = u64::from(listener.limits.body_bytes_per_second) * u64::from(RATE_WINDOW_MS / 1000);
        if !blocked && came < least {
            return self.answer(exchange, Reason::BodyTooSlow);
        }
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.window = (now, bytes);
        }
        self.arm(exchange);
    }

    /// An upstream's connection of HTTP/2 has been idle for long enough.
    fn upstream_mux_due(&mut self, id: Id) {
        if self.conns.get(id).is_some_and(|conn| conn.streams() == 0) {
            self.close_mux(id, ErrorCode::NoError);
        }
    }

    fn time_out(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.flags.insert(Flags::TIMEOUT);
        let reason = if x.head_sent { Reason::StreamIdle } else { Reason::RequestTimeout };
        self.attempt_failed(exchange, reason);
    }
}

impl Exchange {
    /// Since when nothing moved that could have: what we hold back ourselves is not idle.
    fn idle_from(&self) -> Nanos {
        self.paced_until.map_or(self.moved, |until| until.max(self.moved))
    }

    /// What no rule was found for is answered at once; but a client of HTTP/2 may not take the answer.
    fn unruled(&self) -> Option<TimeLimits> {
        let patience = Duration::from_millis(u64::from(self.listener.limits.idle_timeout_ms));
        self.is_stream().then(|| TimeLimits { stream_idle: Some(patience), ..TimeLimits::default() })
    }
}
