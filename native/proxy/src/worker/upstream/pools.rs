//! pools: a worker's connections that wait for requests, by endpoint.
//!
//! In: connections that serve no more, configurations. Out: one that is still whole. Before: balance. After: `upstream`,
//! which opens and closes them.
//!
//! Idle connections stay registered, so that the end of one is seen when it happens, not when it is needed.

use super::super::Worker;
use super::super::config::WorkerService;
use super::super::conn::{Role, State};
use crate::running::PoolKey;
use crate::slab::{Id, Slab};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What closes sooner than this was not idle for too long: it ended for another reason.
const SOON_MS: u64 = 500;
/// How often it is seen before it is taken for a habit.
const HABIT: u32 = 3;

/// A worker's idle connections to one endpoint. The last one given back is the first one taken, so that the others may
/// become idle enough to close.
#[derive(Default)]
pub(in super::super) struct Pool {
    idle: Vec<Id>,
    /// Those of HTTP/2, open or opening.
    muxes: Vec<Id>,
}

/// All pools of a worker. They survive configuration changes: an endpoint that stays keeps its connections. The id of a
/// pool whose endpoint is gone finds nothing ever after, so what comes back for it is closed.
pub(in super::super) struct Pools {
    pools: Slab<Pool>,
    by_key: HashMap<PoolKey, Id, foldhash::fast::RandomState>,
}

impl Pools {
    pub(in super::super) fn new() -> Self {
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

    pub(super) fn forget(&mut self, pool: Id, id: Id) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.idle.retain(|idle| *idle != id);
            pool.muxes.retain(|mux| *mux != id);
        }
    }
}

impl Worker {
    /// Ties the configuration's endpoints to pools, and closes what waits for endpoints that are gone.
    pub(in super::super) fn bind_pools(&mut self) {
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
    pub(in super::super) fn take_idle(&mut self, pool: Id) -> Option<Id> {
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
    pub(in super::super) fn idle_of(&self, service: &WorkerService, subset: Option<u32>) -> Option<Id> {
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
    pub(in super::super) fn mux_of(&self, pool: Id, index: usize) -> Option<Id> {
        self.pools.pools.get(pool)?.muxes.get(index).copied()
    }

    /// Whether there is a connection to an endpoint that takes this request, too.
    pub(in super::super) fn has_connection(&self, pool: Id, exchange: Id) -> bool {
        let Some(Pool { idle, muxes }) = self.pools.pools.get(pool) else { return false };
        let takes_streams = |id: &Id| {
            self.conns.get(*id).is_some_and(|conn| {
                conn.mux.as_ref().is_some_and(|mux| match conn.state() {
                    Some(State::Opening) => conn.streams() < super::super::mux::STREAMS as usize,
                    _ => mux.h2.openable() > 0 && !self.is_kept_off(exchange, *id),
                })
            })
        };
        !idle.is_empty() || muxes.iter().any(takes_streams)
    }

    pub(in super::super) fn add_mux(&mut self, pool: Id, id: Id) {
        if let Some(pool) = self.pools.pools.get_mut(pool) {
            pool.muxes.push(id);
        }
    }

    /// Whether an idle connection may serve: no end, and no bytes that nobody asked for and the next answer would begin
    /// with. An event alone says little: what it announced may have been read with the last answer.
    pub(super) fn is_quiet(&mut self, id: Id) -> bool {
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

    /// Puts a connection back whose answer is complete, unless it may not serve again.
    pub(in super::super) fn release_upstream(&mut self, id: Id, keep: bool) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let healthy = keep && !conn.link.is_blocked() && !conn.link.is_hung_up();
        let Role::Upstream(upstream) = &mut conn.role else { return };
        upstream.requests += 1;
        let limits = upstream.service.pool;
        let worn = limits.requests_per_connection.is_some_and(|most| upstream.requests >= most);
        let pool = self.pools.pools.get_mut(upstream.pool);
        // Another worker's request waits for a connection: this one makes room.
        let wanted = self.lines.connection_freed(&upstream.service, upstream.pool, &self.exchanges);
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

    /// An endpoint closes idle connections before we do: once that is a habit, an operator hears of it, because a request may
    /// meet a connection that is just closing.
    pub(super) fn note_early_close(&self, id: Id) {
        let Some(conn) = self.conns.get(id) else { return };
        let Role::Upstream(upstream) = &conn.role else { return };
        let (service, limit) = (&upstream.service, upstream.service.pool.idle_timeout_ms);
        let Some(idle) = conn.deadline.age(limit, self.now).filter(|idle| *idle >= SOON_MS) else { return };
        if service.counts.early_closes.count(self.now.0, SOON_MS * 1_000_000) == Some(HABIT) {
            self.setup.shared.note(format!(
                "service {}: its endpoints close connections that were idle for {idle} ms, before pool.idleTimeout ({limit} ms) \
                 does: set it below that, so that no request meets one that is closing",
                service.name,
            ));
        }
    }
}
