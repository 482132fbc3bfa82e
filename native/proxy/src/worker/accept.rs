//! listen: takes waiting connections, within the listener's limits. Next: TLS, then the first head.

use super::conn::{Client, Conn, Phase, Role};
use super::{LISTENER_TOKEN, OpenListener, Worker};
use crate::clock::Nanos;
use crate::engine::Pressure;
use crate::io::{Link, Listening, Socket};
use crate::slab::Id;
use crate::telemetry::{NONE_32, Reason, Text};
use crate::timers::Deadline;
use rustix::io::Errno;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Connections taken from one listener before others get their turn.
const BATCH: usize = 64;
/// How long no connection is taken after the process ran out of file descriptors.
const PAUSE_MS: u32 = 50;

impl Worker {
    /// Opens a listener's socket for this worker.
    pub(super) fn open_listener(&mut self, name: Arc<str>, socket: Listening) {
        let index = self.listeners.len();
        if self.poller.add_level(&socket, LISTENER_TOKEN | index as u64).is_ok() {
            self.listeners.push(Some(OpenListener { name, socket, paused: false }));
        }
    }

    /// Takes what waits, then closes the socket: nobody who got through is turned away.
    pub(super) fn close_listener(&mut self, index: usize) {
        while self.accept(index) {}
        if let Some(open) = self.listeners.get_mut(index).and_then(Option::take) {
            let _closed_anyway = self.poller.remove(&open.socket);
        }
    }

    /// Takes waiting connections; true when there may be more.
    pub(super) fn accept(&mut self, index: usize) -> bool {
        for _ in 0..BATCH {
            let Some(Some(open)) = self.listeners.get(index) else { return false };
            match open.socket.accept() {
                Ok((socket, peer)) => {
                    let name = Arc::clone(&open.name);
                    self.welcome(&name, socket, peer);
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    self.pause_accepting();
                    return false;
                }
                // What these report is one connection's end, not the listener's.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn welcome(&mut self, name: &str, socket: Socket, peer: SocketAddr) {
        let config = Rc::clone(&self.config);
        let Some(listener) = config.listener_named(name) else { return };
        if self.pressure != Pressure::Calm {
            listener.counters.connection_refused();
            self.record_refused(listener, peer, Reason::Overload);
            return;
        }
        if !listener.count.admit(listener.limits.connections) {
            listener.counters.connection_refused();
            self.record_refused(listener, peer, Reason::ConnectionLimit);
            return;
        }
        let plain = listener.is_plain_http();
        let session = listener.tls.as_ref().filter(|_| plain).map(|tls| tls.built.session()).transpose();
        let Ok(session) = session else { return listener.count.leave() };
        let sealed = session.is_some();
        let phase = match plain {
            true if sealed => Phase::Handshake,
            true => Phase::Idle,
            false => Phase::Entry,
        };
        let limits = &listener.limits;
        let timeout = if sealed { limits.header_timeout_ms } else { limits.idle_timeout_ms };
        let mut link = Link::new(socket, session.map(Box::new));
        link.assume_writable();
        let role = Role::Client(Client {
            listener: Rc::clone(listener),
            generation: config.generation,
            fresh: true,
            orphan: None,
            peer,
            ip: Text::new(peer.ip().to_canonical().to_string().as_bytes()),
            identity: None,
            identity_number: NONE_32,
            phase,
            header_pending: false,
            sealed,
            destination: None,
            head_began: self.now,
            scanned: 0,
        });
        let conn = Conn { link, deadline: Deadline::default(), role, mux: None, queued: false };
        let Some(id) = self.register(conn) else { return listener.count.leave() };
        listener.counters.connection_opened();
        if self.setup.counts {
            self.setup.shared.clients.join();
        }
        if plain {
            self.set_deadline(id, self.now.after_ms(timeout));
        } else {
            self.enter(id);
        }
    }

    /// Puts a connection under the poller.
    pub(super) fn register(&mut self, conn: Conn) -> Option<Id> {
        let id = self.conns.insert(Box::new(conn));
        let registered = self.conns.get(id).map(|conn| self.poller.add_edge(&conn.link, id.token()));
        if matches!(registered, Some(Ok(()))) {
            return Some(id);
        }
        self.conns.remove(id);
        None
    }

    pub(super) fn set_deadline(&mut self, id: Id, due: Nanos) {
        if let Some(conn) = self.conns.get_mut(id) {
            self.timers.set(id, &mut conn.deadline, due);
        }
    }

    /// Out of file descriptors: leaves connections in their queues for a moment.
    fn pause_accepting(&mut self) {
        self.setup.metrics.accept_paused();
        for open in self.listeners.iter_mut().flatten().filter(|open| !open.paused) {
            open.paused = self.poller.remove(&open.socket).is_ok();
        }
        self.accept_again = Some(self.now.after_ms(PAUSE_MS));
    }

    /// Looks at the listeners again once the pause is over.
    pub(super) fn resume_accepting(&mut self) {
        self.accept_again = None;
        for (index, open) in self.listeners.iter_mut().enumerate() {
            if let Some(open) = open.as_mut().filter(|open| open.paused) {
                open.paused = self.poller.add_level(&open.socket, LISTENER_TOKEN | index as u64).is_err();
            }
        }
    }
}
