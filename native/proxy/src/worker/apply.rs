//! apply, as a worker sees it: a configuration is swapped whole between two turns; and the drain.

use super::conn::{Conn, Phase, Role};
use super::{Worker, WorkerConfig};
use crate::engine::Pressure;
use crate::io::Listening;
use crate::running::Running;
use crate::slab::Id;
use crate::telemetry::Reason;
use std::rc::Rc;
use std::sync::Arc;

/// What an idle connection gets when a drain begins: a request that is on its way is still answered.
pub(super) const LAST_CHANCE_MS: u32 = 1_000;

impl Worker {
    /// Serves by `running` from now on. Requests under way end by what they began with.
    pub(super) fn apply(&mut self, running: &Arc<Running>, sockets: Vec<(usize, Listening)>) {
        self.setup.metrics.rebind(Arc::clone(&running.core.names));
        let config =
            Rc::new(WorkerConfig::new(running, &self.setup.metrics, self.setup.index, Some(&self.config)));
        // What still waits at a listener that goes was let in by what was.
        self.close_unnamed_listeners(&config);
        let before = std::mem::replace(&mut self.config, config);
        self.note_orphans(&before);
        self.bind_pools();
        self.recount();
        self.lines.freed_here(None);
        for (index, socket) in sockets {
            if let Some(listener) = self.config.listeners.get(index) {
                let name = Arc::clone(&listener.name);
                self.open_listener(name, socket);
            }
        }
        self.close_mistrusted();
        self.close_denied();
    }

    fn close_unnamed_listeners(&mut self, config: &WorkerConfig) {
        let gone = |open: &super::OpenListener| !config.is_listening(&open.name, open.socket.address());
        let closing: Vec<usize> = (0..self.listeners.len())
            .filter(|index| matches!(self.listeners.get(*index), Some(Some(open)) if gone(open)))
            .collect();
        for index in closing {
            self.close_listener(index);
        }
    }

    /// Connections whose listener is gone hold on to the configuration that had it: its routes and services belong
    /// together.
    fn note_orphans(&mut self, before: &Rc<WorkerConfig>) {
        let config = Rc::clone(&self.config);
        for id in self.conns.ids() {
            let Some(client) = self.conns.get_mut(id).and_then(Conn::client) else { continue };
            if client.orphan.is_some() || config.listener_named(&client.listener.name).is_some() {
                continue;
            }
            client.orphan = Some(Rc::clone(before));
            match client.phase {
                Phase::Idle | Phase::Entry => self.set_deadline(id, self.now.after_ms(LAST_CHANCE_MS)),
                Phase::Mux => self.drain_client(id),
                Phase::Handshake | Phase::Head | Phase::Busy(_) | Phase::Lingering => {}
            }
        }
    }

    /// Ends connections whose peer the present trust bundle, revocation list or identity would refuse.
    fn close_mistrusted(&mut self) {
        let config = Rc::clone(&self.config);
        let refused: Vec<_> = self
            .conns
            .ids()
            .into_iter()
            .filter(|id| self.conns.get(*id).is_some_and(|conn| config.would_refuse(conn)))
            .collect();
        for id in refused {
            match self.phase(id) {
                Some(Phase::Busy(exchange))
                    if self.exchanges.get(exchange).is_some_and(|x| x.tunnel.open) =>
                {
                    self.end_tunnel(exchange, Reason::Denied);
                }
                _ => self.abandon(id),
            }
        }
    }

    /// Accepts no more; idle connections get a last chance, busy ones end with their answer.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        for index in 0..self.listeners.len() {
            self.close_listener(index);
        }
        self.end_idle_clients();
    }

    /// Takes note of how near the process is to its memory limit: from [`Pressure::Tight`] on idle connections end.
    pub(super) fn press(&mut self, pressure: Pressure) {
        let rising = pressure > self.pressure;
        self.pressure = pressure;
        if !rising {
            return;
        }
        self.end_idle_clients();
        let config = Rc::clone(&self.config);
        for service in &config.services {
            while let Some(id) = self.idle_of(service, None) {
                self.close_upstream(id);
            }
        }
    }

    /// Has a client's connection of HTTP/2 end with the streams that it has; without any it gets a last chance.
    fn drain_client(&mut self, id: Id) {
        self.drain_mux(id);
        if self.conns.get(id).is_some_and(|conn| conn.streams() == 0) {
            self.set_deadline(id, self.now.after_ms(LAST_CHANCE_MS));
        }
    }

    fn end_idle_clients(&mut self) {
        for id in self.conns.ids() {
            let Some(conn) = self.conns.get(id) else { continue };
            match &conn.role {
                Role::Client(client) if matches!(client.phase, Phase::Idle | Phase::Entry) => {
                    self.set_deadline(id, self.now.after_ms(LAST_CHANCE_MS));
                }
                Role::Client(client) if client.phase == Phase::Mux => self.drain_client(id),
                Role::Client(_) | Role::Upstream(_) => {}
            }
        }
    }
}
