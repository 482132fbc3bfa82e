//! upstream: new connections, and readiness of those that there are. Those that wait for requests are in pools.
//!
//! In: a place, events. Out: a connection for whoever waits for it, and its bytes. Before: balance. After: the answer
//! (`response`).

mod pools;

pub(super) use pools::Pools;

use super::config::WorkerService;
use super::conn::{Conn, Role, State, Upstream};
use super::{TURNS, Worker};
use crate::io::{Connecting, Link, LinkError, Socket};
use crate::running::{Address, Place};
use crate::slab::Id;
use crate::telemetry::Reason;
use crate::timers::Deadline;
use std::rc::Rc;
use std::sync::Arc;
use tulle_decide::circuit::Held;

impl Worker {
    /// Opens a connection for whoever `state` names; they are told when there is one, or none.
    pub(super) fn connect(
        &mut self,
        state: State,
        service: &Rc<WorkerService>,
        place: &Place,
        (pool, held): (Id, Held),
    ) -> Result<Id, Reason> {
        let opened = self.open(state, service, place, pool);
        if let Some(upstream) = opened.as_ref().ok().and_then(|id| self.conns.get_mut(*id)?.upstream()) {
            upstream.held = Some(held);
        } else {
            place.standing.circuit.connections().leave(held);
            service.counts.connections.leave();
            self.freed(&service.counts);
        }
        opened
    }

    fn open(
        &mut self,
        state: State,
        service: &Rc<WorkerService>,
        place: &Place,
        pool: Id,
    ) -> Result<Id, Reason> {
        let connecting = match &place.address {
            Address::Tcp(address) => Socket::connect_tcp(address),
            Address::Unix(path) => Socket::connect_unix(path),
        };
        let (socket, done) = match connecting {
            Ok(Connecting::Done(socket)) => (socket, true),
            Ok(Connecting::Waiting(socket)) => (socket, false),
            Err(_) => return Err(Reason::ConnectFailure),
        };
        let session = service.tls.as_ref().map(|tls| tls.built.session(place.host.as_deref())).transpose();
        let session = session.map_err(|_| Reason::UpstreamTls)?;
        let host = session.as_ref().and(place.host.clone());
        let mut link = Link::new(socket, session.map(Box::new));
        if done {
            link.assume_writable();
        }
        let role = Role::Upstream(Upstream {
            pool,
            service: Rc::clone(service),
            host,
            state,
            requests: 0,
            standing: Arc::clone(&place.standing),
            held: None,
        });
        let conn = Conn { link, deadline: Deadline::default(), role, mux: None, queued: false };
        let id = self.register(conn).ok_or(Reason::Overload)?;
        service.counters.connection_opened();
        self.set_deadline(id, self.now.after_ms(service.connect_timeout_ms));
        Ok(id)
    }

    pub(super) fn drive_upstream(&mut self, id: Id) {
        for _ in 0..TURNS {
            let Some(conn) = self.conns.get_mut(id) else { return };
            let Role::Upstream(upstream) = &conn.role else { return };
            let again = match upstream.state {
                State::Connecting(_) | State::Opening => self.advance_connection(id),
                State::Mux => self.serve_mux(id),
                State::Idle => {
                    if !self.is_quiet(id) {
                        self.note_early_close(id);
                        self.close_upstream(id);
                    }
                    false
                }
                State::Busy(exchange) => self.serve(id, exchange),
            };
            if !again {
                return;
            }
        }
        self.queue(id);
    }

    /// TCP done? Then TLS. Done? Then the request.
    fn advance_connection(&mut self, id: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if !conn.link.is_writable() {
            return false;
        }
        if conn.link.socket().connect_result().is_err() {
            self.connection_failed(id, Reason::ConnectFailure);
            return false;
        }
        if let Some(State::Connecting(exchange)) = self.conns.get(id).and_then(Conn::state) {
            self.announce_source(id, exchange);
        }
        match self.handshake(id) {
            Ok(true) => {
                self.established(id);
                return self.conns.get(id).is_some_and(|conn| conn.link.may_read());
            }
            Ok(false) => {}
            Err(error) => {
                let reason = match error {
                    LinkError::Tls(_) => Reason::UpstreamTls,
                    LinkError::Io(_) => Reason::ConnectFailure,
                };
                self.connection_failed(id, reason);
            }
        }
        false
    }

    /// Whoever waited for the connection hears that there will be none.
    pub(super) fn connection_failed(&mut self, id: Id, reason: Reason) {
        match self.conns.get(id).and_then(Conn::state) {
            Some(State::Connecting(exchange)) => self.attempt_failed(exchange, reason),
            Some(State::Opening) => self.mux_failed(id, reason),
            _ => {}
        }
    }

    /// Something happened on a connection of HTTP/2.
    fn serve_mux(&mut self, id: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if conn.link.is_blocked() {
            if conn.link.flush(&mut self.io).is_err() {
                self.abandon(id);
                return false;
            }
            if self.conns.get(id).is_none_or(|conn| conn.link.is_blocked()) {
                return false;
            }
            self.mark_dirty(id);
        }
        self.drive_mux(id)
    }

    /// True when application data may flow.
    fn handshake(&mut self, id: Id) -> Result<bool, LinkError> {
        let Some(conn) = self.conns.get_mut(id) else { return Ok(false) };
        if !conn.link.is_handshaking() {
            return Ok(true);
        }
        if !conn.link.handshake_started() {
            conn.link.start_handshake(&mut self.io)?;
        }
        conn.link.flush(&mut self.io)?;
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let mut result = Ok(0);
        while conn.link.is_handshaking() && conn.link.may_read() && result.is_ok() {
            result = conn.link.fill(&mut buffer, &mut self.io);
        }
        conn.link.keep(&buffer, &mut self.io);
        self.scratch.read = buffer;
        result?;
        if conn.link.is_handshaking() && conn.link.at_end() {
            return Err(LinkError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(!conn.link.is_handshaking())
    }

    fn established(&mut self, id: Id) {
        match self.conns.get(id).and_then(Conn::state) {
            Some(State::Opening) => self.mux_established(id),
            Some(State::Connecting(exchange)) => {
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.deadline.clear();
                    if let Some(upstream) = conn.upstream() {
                        upstream.state = State::Busy(exchange);
                    }
                }
                self.attached(exchange, id, false);
            }
            _ => {}
        }
    }

    /// A busy connection is ready: request bytes out, answer bytes in.
    fn serve(&mut self, id: Id, exchange: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if conn.link.is_blocked() {
            if conn.link.flush(&mut self.io).is_err() {
                self.request_broken(exchange);
            } else if !self.conns.get(id).is_some_and(|conn| conn.link.is_blocked()) {
                self.upstream_flushed(exchange);
            }
        }
        self.read_answer(id, exchange)
    }

    /// The upstream took what waited: the client may go on sending.
    fn upstream_flushed(&mut self, exchange: Id) {
        if self.exchanges.get(exchange).is_some_and(|x| x.tunnel.open) {
            if let Some(client) = self.exchanges.get(exchange).map(|x| x.client) {
                self.queue(client);
            }
            return;
        }
        self.request_wanted(exchange);
    }

    /// Closes a connection and takes it out of its pool.
    pub(super) fn close_upstream(&mut self, id: Id) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        let _gone_already = conn.link.part(&mut self.io);
        conn.link.release(&mut self.io);
        if let Role::Upstream(upstream) = &mut conn.role {
            if matches!(upstream.state, State::Idle | State::Opening | State::Mux) {
                self.pools.forget(upstream.pool, id);
            }
            if let Some(held) = upstream.held.take() {
                upstream.standing.circuit.connections().leave(held);
            }
            upstream.service.counters.connection_closed();
            upstream.service.counts.connections.leave();
            self.freed(&upstream.service.counts);
        }
    }
}
