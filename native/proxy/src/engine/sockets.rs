//! Listening sockets: they belong to the process and survive configuration changes.

use crate::Error;
use crate::io::{Listening, probe_free};
use crate::running::Running;
use std::net::SocketAddr;
use std::sync::Arc;

/// A new socket, on its way to its worker.
pub(super) struct Opened {
    /// Index of the listener.
    pub(super) listener: usize,
    /// Which worker; none: the one for admin pages and probes.
    pub(super) worker: Option<usize>,
    pub(super) socket: Listening,
}

/// Which addresses are held.
#[derive(Default)]
pub(super) struct Sockets {
    held: Vec<(Arc<str>, SocketAddr)>,
}

/// Whether a configured address is this one; port 0 is any port.
pub(crate) fn holds(configured: SocketAddr, actual: SocketAddr) -> bool {
    configured.ip() == actual.ip() && (configured.port() == actual.port() || configured.port() == 0)
}

impl Sockets {
    pub(super) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.held.iter().map(|(name, address)| (name.to_string(), *address)).collect()
    }

    fn address_of(&self, name: &str, configured: SocketAddr) -> Option<SocketAddr> {
        let mut held =
            self.held.iter().filter(|(held, actual)| &**held == name && holds(configured, *actual));
        held.next().map(|(_, actual)| *actual)
    }

    /// Opens what the configuration names and is not open yet: one socket per worker and listener. An error opens nothing.
    pub(super) fn open(&mut self, running: &Running, workers: usize) -> Result<Vec<Opened>, Error> {
        let mut opened = Vec::new();
        let mut fresh = Vec::new();
        for (index, core) in running.core.listeners.iter().enumerate() {
            let Some(wire) = running.core.snapshot.listeners.get(index) else { continue };
            if self.address_of(&wire.name, core.address).is_some() {
                continue;
            }
            let failed = |error: std::io::Error| Error::Listener {
                listener: wire.name.clone(),
                problem: explain(core.address, &error),
            };
            let ours = self.held.iter().any(|(_, actual)| holds(core.address, *actual));
            if !wire.shared && !ours {
                probe_free(&core.address).map_err(failed)?;
            }
            let mut address = core.address;
            let copies = if wire.kind.is_traffic() { workers } else { 1 };
            for worker in 0..copies {
                let socket = Listening::bind(&address).map_err(failed)?;
                address = socket.address();
                let worker = wire.kind.is_traffic().then_some(worker);
                opened.push(Opened { listener: index, worker, socket });
            }
            fresh.push((wire.name.as_str().into(), address));
        }
        self.held.append(&mut fresh);
        Ok(opened)
    }

    /// Forgets what the configuration does not name any more; the workers close it.
    pub(super) fn forget_unnamed(&mut self, running: &Running) {
        self.held.retain(|(name, actual)| {
            let index = running.listener_named(name);
            let core = index.and_then(|index| running.core.listeners.get(index));
            core.is_some_and(|core| holds(core.address, *actual))
        });
    }
}

fn explain(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("{address} is in use by another process (say `shared: true` to share it)")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!(
                "{address} may not be bound by this user: take a port above 1023, or grant CAP_NET_BIND_SERVICE"
            )
        }
        std::io::ErrorKind::AddrNotAvailable => format!("{address} is no address of this machine"),
        _ => format!("{address} cannot be bound: {error}"),
    }
}
