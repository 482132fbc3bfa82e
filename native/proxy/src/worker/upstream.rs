//! upstream: pools, new connections, and readiness of either. Before: balance. After: the answer (`response`).
//!
//! Idle connections stay registered, so that the end of one is seen when it happens, not when it is needed.

use super::config::WorkerService;
use super::conn::{Conn, Role, State, Upstream};
use super::{TURNS, Worker};
use crate::io::{Connecting, Link, LinkError, Socket};
use crate::running::{Address, Place, PoolKey};
use crate::slab::{Id, Slab};
use crate::telemetry::Reason;
use crate::timers::Deadline;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tulle_decide::circuit::Held;

/// What closes sooner than this was not idle for too long: it ended for another reason.
const SOON_MS: u64 = 500;
/// How often it is seen before it is taken for a habit.
const HABIT: u32 = 3;

/// A worker's idle connections to one endpoint. The last one given back is the first one taken, so that the others may
/// become idle enough to close.
#[derive(Default)]
pub(super) struct Pool {
    idle: Vec<Id>,
    /// Those of HTTP/2, open or opening.
    muxes: Vec<Id>,
}

/// All pools of a worker. They survive configuration changes: an endpoint that stays keeps its connections. The id of a
/// pool whose endpoint is gone finds nothing ever after, so what comes back for it is closed.
pub(super) struct Pools {
    pools: Slab<Pool>,
    by_key: HashMap<PoolKey, Id, foldhash::fast::RandomState>,
}

impl Pools {
    pub(super) fn new() -> Self {
        Self { pools: Slab::new(), by_key: HashMap::default() }
    }

    /// The pool of an endpoint, new or known.
    fn bind(&mut self, key: &PoolKey) -> Id {
        let pools = &mut self.pools;
        *self.by_key.entry(key.clone()).or_insert_with(|| pools.insert(Box::default()))
    }

    fn pop(&mut self, pool: Id) -> Option<Id> {
        self.pools.get_mut(pool)?.idle.pop()
    }

    fn forget(&mut self, pool: Id, id: Id) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.idle.retain(|idle| *idle != id);
            pool.muxes.retain(|mux| *mux != id);
        }
    }
}

impl Worker {
    /// Ties the configuration's endpoints to pools, and closes what waits for endpoints that are gone.
    pub(super) fn bind_pools(&mut self) {
        let config = Rc::clone(&self.config);
        let named: HashSet<PoolKey> = config.pool_keys().collect();
        let (mut orphans, mut served_out) = (Vec::new(), Vec::new());
        let Pools { pools, by_key } = &mut self.pools;
        by_key.retain(|key, pool| {
            let keep = named.contains(key);
            if !keep && let Some(gone) = pools.remove(*pool) {
                orphans.extend(gone.idle);
                served_out.extend(gone.muxes);
            }
            keep
        });
        for service in &config.services {
            service.bind_pools(|key| self.pools.bind(key));
        }
        for id in orphans {
            self.close_upstream(id);
        }
        for id in served_out {
            self.drain_mux(id);
        }
    }

    /// An idle connection of the pool that is still whole.
    pub(super) fn take_idle(&mut self, pool: Id) -> Option<Id> {
        while let Some(id) = self.pools.pop(pool) {
            if self.is_quiet(id) {
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.deadline.clear();
                }
                return Some(id);
            }
            self.close_upstream(id);
        }
        None
    }

    /// An idle connection to any place of the service or subset.
    pub(super) fn idle_of(&self, service: &WorkerService, subset: Option<u32>) -> Option<Id> {
        service.pools(subset).find_map(|pool| {
            let Pool { idle, muxes } = self.pools.pools.get(pool)?;
            let quiet = |id: &&Id| {
                self.conns
                    .get(**id)
                    .is_some_and(|conn| conn.state() == Some(State::Mux) && conn.streams() == 0)
            };
            idle.first().or_else(|| muxes.iter().find(quiet)).copied()
        })
    }

    /// One of the connections of HTTP/2 to an endpoint, in the order they were opened.
    pub(super) fn mux_of(&self, pool: Id, index: usize) -> Option<Id> {
        self.pools.pools.get(pool)?.muxes.get(index).copied()
    }

    /// Whether there is a connection to an endpoint that takes one more request.
    pub(super) fn has_connection(&self, pool: Id) -> bool {
        let Some(Pool { idle, muxes }) = self.pools.pools.get(pool) else { return false };
        let takes_streams = |id: &Id| {
            self.conns.get(*id).is_some_and(|conn| {
                conn.mux.as_ref().is_some_and(|mux| match conn.state() {
                    Some(State::Opening) => conn.streams() < super::mux::STREAMS as usize,
                    _ => mux.h2.openable() > 0,
                })
            })
        };
        !idle.is_empty() || muxes.iter().any(takes_streams)
    }

    pub(super) fn add_mux(&mut self, pool: Id, id: Id) {
        if let Some(pool) = self.pools.pools.get_mut(pool) {
            pool.muxes.push(id);
        }
    }

    /// Whether an idle connection may serve: no end, and no bytes that nobody asked for and the next answer would begin
    /// with. An event alone says little: what it announced may have been read with the last answer.
    fn is_quiet(&mut self, id: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if conn.link.is_hung_up() || !conn.link.may_read() {
            return !conn.link.is_hung_up();
        }
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let quiet = filled.is_ok() && buffer.is_empty() && !conn.link.is_hung_up();
        self.scratch.read = buffer;
        quiet
    }

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

    /// An endpoint closes idle connections before we do: once that is a habit, an operator hears of it, because a request may
    /// meet a connection that is just closing.
    fn note_early_close(&self, id: Id) {
        let Some(conn) = self.conns.get(id) else { return };
        let Role::Upstream(upstream) = &conn.role else { return };
        let (service, limit) = (&upstream.service, upstream.service.pool.idle_timeout_ms);
        let Some(idle) = conn.deadline.age(limit, self.now).filter(|idle| *idle >= SOON_MS) else { return };
        if service.counts.early_closes.fetch_add(1, Ordering::Relaxed) + 1 == HABIT {
            self.setup.shared.note(format!(
                "service {}: its endpoints close connections that were idle for {idle} ms, before pool.idleTimeout ({limit} ms) \
                 does: set it below that, so that no request meets one that is closing",
                service.name,
            ));
        }
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

    /// Puts a connection back whose answer is complete, unless it may not serve again.
    pub(super) fn release_upstream(&mut self, id: Id, keep: bool) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let healthy = keep && !conn.link.is_blocked() && !conn.link.is_hung_up();
        let Role::Upstream(upstream) = &mut conn.role else { return };
        upstream.requests += 1;
        let limits = upstream.service.pool;
        let worn = limits.requests_per_connection.is_some_and(|most| upstream.requests >= most);
        let pool = self.pools.pools.get_mut(upstream.pool);
        // Another worker's request waits for a connection: this one makes room.
        let wanted = self.lines.connection_freed(&upstream.service, &self.exchanges);
        let room = |pool: &&mut Pool| pool.idle.len() < limits.idle_per_endpoint as usize;
        match pool.filter(|pool| healthy && !worn && !wanted && room(pool)) {
            Some(pool) => {
                pool.idle.push(id);
                upstream.state = State::Idle;
                self.timers.set(id, &mut conn.deadline, now.after_ms(limits.idle_timeout_ms));
            }
            None => self.close_upstream(id),
        }
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
