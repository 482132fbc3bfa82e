//! forward: connections that are passed on as they are, and what ends them beside their two sides.
//!
//! In: a connection and what it was found to be. Out: a tunnel to an endpoint, by the same balance, dial and copy loop
//! that requests and upgrades have; or a record that says why not. Before: detect. Policy decides by the caller alone,
//! and again whenever a configuration is applied.

use super::Worker;
use super::config::WorkerListener;
use super::conn::{Conn, Phase, Role, State};
use super::exchange::{Carries, Exchange};
use super::permit::{caller, permitted};
use crate::slab::Id;
use crate::telemetry::{Address, Flags, NONE_16, Reason, Record, Text};
use std::net::SocketAddr;
use std::rc::Rc;
use tulle_decide::policy::Decision;
use tulle_decide::proxy_protocol::{Addresses, write_v1, write_v2};
use tulle_decide::retry::Failure;
use tulle_snapshot::wire::ProxyVersion;

/// Attempts to connect, over all endpoints: nothing was sent, so another one is always safe.
const DIALS: u32 = 3;

/// Where a connection is to go.
pub(super) enum Target {
    /// To the listener's backends; with the name that its TLS asks for, where there is one.
    Opaque(Option<Box<str>>),
    /// There too, but nobody has spoken: the client may still turn out to speak something else.
    Ahead,
    /// By the name that its TLS asks for.
    Named(Option<Box<str>>),
}

impl Worker {
    /// Sends a connection on.
    pub(super) fn forward(&mut self, id: Id, target: &Target) {
        let Some(exchange) = self.open_exchange(id, None) else { return self.close(id) };
        match self.decide_connection(exchange, target) {
            Ok(()) => {
                self.arm(exchange);
                self.attempt(exchange, true);
            }
            Err(reason) => self.end_connection(exchange, reason),
        }
    }

    /// policy → route, of a connection.
    fn decide_connection(&mut self, exchange: Id, target: &Target) -> Result<(), Reason> {
        let (now, random) = (self.now, self.random.next());
        let x = self.exchanges.get_mut(exchange).ok_or(Reason::Internal)?;
        let conn = self.conns.get(x.client).ok_or(Reason::Internal)?;
        x.becomes_connection(if matches!(target, Target::Ahead) {
            Carries::Ahead
        } else {
            Carries::Connection
        });
        let peeked = match target {
            Target::Opaque(sni) | Target::Named(sni) => sni.as_deref(),
            Target::Ahead => None,
        };
        let sni = peeked.or_else(|| conn.link.session().and_then(|session| session.sni()));
        x.record.path = Text::new(sni.unwrap_or_default().as_bytes());
        let listener = Rc::clone(&x.listener);
        let permit = permitted(x, listener.authorizer.decide_connection(caller(conn)))?;
        let forward = listener.forward.as_deref().ok_or(Reason::NoRoute)?;
        let split = match (target, sni) {
            (Target::Opaque(_) | Target::Ahead, _) => {
                forward.opaque(&permit).ok_or(Reason::ProtocolUnknown)?
            }
            (Target::Named(_), Some(name)) => forward.by_name(&permit, name).ok_or(Reason::SniUnknown)?,
            (Target::Named(_), None) => return Err(Reason::SniUnknown),
        };
        let backend = split.pick(random);
        let service = x.config.services.get(backend.service as usize).ok_or(Reason::Internal)?;
        x.record.service = service.index;
        x.record.at.routed = now.0;
        x.subset = backend.subset;
        x.service = Some(Rc::clone(service));
        Ok(())
    }

    /// Says to an endpoint who the connection comes from, ahead of everything else.
    pub(super) fn announce_source(&mut self, id: Id, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        let version = x.service.as_ref().and_then(|service| service.proxy_header);
        let Some(version) = version.filter(|_| x.is_connection()) else { return };
        let addresses = self.conns.get(x.client).and_then(addresses);
        let Some(conn) = self.conns.get_mut(id).filter(|conn| !conn.link.handshake_started()) else { return };
        let mut header = std::mem::take(&mut self.scratch.head);
        header.clear();
        match version {
            ProxyVersion::V1 => write_v1(&mut header, addresses),
            ProxyVersion::V2 => write_v2(&mut header, addresses),
        }
        // An endpoint that is gone again is found out by what comes next.
        let _sent = conn.link.send_clear(&header, &mut self.io);
        self.scratch.head = header;
    }

    /// The endpoint is there.
    pub(super) fn dialled(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        // One that wants to be told the source first cannot be left to wait for the client.
        let announced = x.service.as_ref().is_some_and(|service| service.proxy_header.is_some());
        if x.carries == Carries::Connection || announced {
            return self.open_connection(exchange);
        }
        let upstream = x.upstream;
        self.rearm(exchange);
        if let Some(upstream) = upstream {
            self.queue(upstream);
        }
    }

    /// The endpoint of a connection that was dialled ahead may have spoken. True: look again at once.
    pub(super) fn server_spoke(&mut self, id: Id, exchange: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.link.may_read()) else { return false };
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        conn.link.keep(&buffer, &mut self.io);
        let spoke = !buffer.is_empty() || conn.link.at_end();
        self.scratch.read = buffer;
        if filled.is_err() {
            self.attempt_failed(exchange, Reason::UpstreamReset);
        } else if spoke {
            self.settle(exchange);
        }
        spoke && filled.is_ok()
    }

    /// A connection that was dialled ahead is to be forwarded.
    pub(super) fn settle(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.carries = Carries::Connection;
        if let Some(client) = self.conns.get_mut(x.client).and_then(Conn::client) {
            x.record.peer = Address::from(client.peer);
        }
        let upstream = x.upstream.and_then(|id| self.conns.get(id)).map(|conn| &conn.role);
        if matches!(upstream, Some(Role::Upstream(up)) if matches!(up.state, State::Busy(_))) {
            self.open_connection(exchange);
        }
    }

    /// A connection that was dialled ahead was not needed: nothing happened.
    pub(super) fn withdraw(&mut self, exchange: Id) {
        self.drop_upstream(exchange);
        self.leave_queue(exchange);
        let Some(mut x) = self.exchanges.remove(exchange) else { return };
        self.io.pool.give(std::mem::take(&mut x.replay));
        self.set_phase(x.client, Phase::Entry);
    }

    fn open_connection(&mut self, exchange: Id) {
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.carries = Carries::Connection;
        }
        self.begin_copying(exchange);
    }

    /// Ends a connection for a reason of ours, or of a failed dial.
    pub(super) fn end_connection(&mut self, exchange: Id, reason: Reason) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        let client = x.client;
        if x.tunnel.open {
            return self.end_tunnel(exchange, reason);
        }
        self.end_exchange(exchange, reason);
        self.close(client);
    }

    /// Ends what is open both ways. A peer that may no longer be here does not get to take it for a proper end.
    pub(super) fn end_tunnel(&mut self, exchange: Id, reason: Reason) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        if x.tunnel.open {
            self.close_tunnel(exchange, reason, reason == Reason::Denied);
        } else if x.tunnel.streamed {
            self.attempt_failed(exchange, reason);
        } else if x.is_connection() {
            self.end_connection(exchange, reason);
        }
    }

    /// A connection comes to nothing before anything was decided about it.
    pub(super) fn refuse(&mut self, id: Id, reason: Reason, detail: &'static str) {
        let Some(exchange) = self.open_exchange(id, None) else { return self.close(id) };
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.becomes_connection(Carries::Connection);
            x.record.detail = detail;
        }
        self.end_connection(exchange, reason);
    }

    /// A client's handshake came to nothing; where connections are what is recorded, that is one.
    pub(super) fn handshake_failed(&mut self, id: Id, detail: &'static str) {
        let client = self.conns.get_mut(id).and_then(Conn::client);
        if client.is_some_and(|client| client.listener.forward.is_some()) {
            self.refuse(id, Reason::TlsHandshake, detail);
        } else {
            self.abandon(id);
        }
    }

    /// A connection was closed at once, at a limit.
    pub(super) fn record_refused(&mut self, listener: &WorkerListener, peer: SocketAddr, reason: Reason) {
        if listener.forward.is_none() {
            return;
        }
        let mut record = Record::new(self.config.generation, listener.index, self.now.0);
        record.peer = Address::from(peer);
        record.reason = reason;
        record.flags.insert(Flags::CONNECTION);
        record.at.done = self.now.0;
        self.setup.metrics.observe(&record);
        self.setup.log.push(&record);
    }

    /// Asks policy again about everything that is open both ways, and ends what it refuses now. What belongs to a
    /// listener that is gone may last as long as a drain.
    pub(super) fn close_denied(&mut self) {
        let config = Rc::clone(&self.config);
        let end = self.now.after_ms(config.running.core.snapshot.drain_ms);
        for (exchange, id) in self.open_tunnels() {
            let Some(x) = self.exchanges.get_mut(exchange) else { continue };
            let Some(conn) = self.conns.get(id) else { continue };
            let Some(listener) = config.listener_named(&x.listener.name) else {
                x.ends_at = Some(x.ends_at.unwrap_or(end));
                self.arm(exchange);
                continue;
            };
            x.ends_at = None;
            let verdict = match x.asked.as_deref() {
                Some(asked) => listener.authorizer.decide(&caller(conn), &asked.method, &asked.path),
                None => listener.authorizer.decide_connection(caller(conn)),
            };
            if let Decision::Deny { .. } = verdict.decision {
                // Ids of policies are those of the configuration that it began with.
                x.record.policy = NONE_16;
                x.record.detail = "by_a_change";
                self.end_tunnel(exchange, Reason::Denied);
            }
        }
    }

    /// The drain is over: what is left ends now, and its records say so.
    pub(super) fn cut_off(&mut self) {
        for (exchange, _) in self.busy() {
            self.end_tunnel(exchange, Reason::Draining);
            if self.exchanges.get(exchange).is_some() {
                self.end_exchange(exchange, Reason::Draining);
            }
        }
        for id in self.conns.ids() {
            for exchange in self.exchanges_of(id) {
                self.end_exchange(exchange, Reason::Draining);
            }
        }
    }

    /// Exchanges, each with its client.
    fn busy(&self) -> Vec<(Id, Id)> {
        let all = self.exchanges.ids().into_iter();
        all.filter_map(|exchange| Some((exchange, self.exchanges.get(exchange)?.client))).collect()
    }

    fn open_tunnels(&self) -> Vec<(Id, Id)> {
        let mut all = self.busy();
        all.retain(|(exchange, _)| {
            self.exchanges
                .get(*exchange)
                .is_some_and(|x| x.tunnel.open || x.tunnel.streamed || x.is_connection())
        });
        all
    }

    /// Whether a client's connection is open both ways.
    pub(super) fn is_tunnel(&self, id: Id) -> bool {
        match self.conns.get(id).map(|conn| &conn.role) {
            Some(Role::Client(client)) => match client.phase {
                Phase::Busy(exchange) => self.exchanges.get(exchange).is_some_and(|x| x.tunnel.open),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Both ends of a client's connection.
fn addresses(conn: &Conn) -> Option<Addresses> {
    let Role::Client(client) = &conn.role else { return None };
    let destination = client.destination.as_deref().copied().or_else(|| conn.link.socket().local())?;
    Some(Addresses { source: client.peer, destination })
}

impl Exchange {
    fn becomes_connection(&mut self, carries: Carries) {
        self.carries = carries;
        self.ends_by_close = true;
        self.record.flags.insert(Flags::CONNECTION);
    }

    /// Whether a connection that could not be made is tried once more; on a fresh connection, always.
    pub(super) fn dials_again(&mut self, failure: Failure) -> Option<bool> {
        if failure != Failure::Connect || self.attempts >= DIALS {
            return None;
        }
        self.tried.push(self.place);
        self.record.flags.insert(Flags::RETRIED);
        Some(true)
    }
}
