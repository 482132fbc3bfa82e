//! TLS configurations built from files, and rebuilt when the files change.
//!
//! In: the snapshot's TLS settings. Out: what handshakes run on. A rebuild that fails leaves the old one in place.

use crate::Error;
use crate::running::Running;
use crate::tls::{Loaded, Renewal, Source, TlsConfigError, UpstreamTls, WallClock};
use std::sync::Arc;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{ListenerTls, ServiceProtocol};

/// What a listener's handshakes run on.
pub(crate) type Server = Loaded<ListenerTls>;
/// What a service's handshakes run on.
pub(crate) type Client = Loaded<UpstreamTls>;

/// The TLS of all listeners and services, by index; none: plain text.
#[derive(Clone, Default)]
pub(crate) struct TlsTables {
    pub(crate) server: Vec<Option<Arc<Server>>>,
    pub(crate) client: Vec<Option<Arc<Client>>>,
}

/// The clock that certificates are judged by.
fn wall_clock() -> WallClock {
    WallClock::new(|| crate::clock::wall().as_secs())
}

impl TlsTables {
    /// Loads what a snapshot names; what `before` has of the same settings and unchanged files is taken over.
    pub(crate) fn load(snapshot: &Checked, before: Option<&Running>) -> Result<Self, Error> {
        let mut tables = Self::default();
        for listener in &snapshot.listeners {
            let known = before.and_then(|b| b.tls.server.get(b.listener_named(&listener.name)?)?.clone());
            let loaded = listener.tls.as_ref().map(|wire| reuse_or_load(known, wire.clone())).transpose();
            tables.server.push(loaded.map_err(|problem| listener_error(&listener.name, &problem))?);
        }
        for service in &snapshot.services {
            let known = before.and_then(|b| b.tls.client.get(b.service_named(&service.name)?)?.clone());
            let source = service
                .tls
                .as_ref()
                .map(|tls| UpstreamTls { tls: tls.clone(), alpn: alpn(service.protocol) });
            let loaded = source.map(|source| reuse_or_load(known, source)).transpose();
            tables.client.push(loaded.map_err(|problem| service_error(&service.name, &problem))?);
        }
        Ok(tables)
    }

    /// Looks at the files again. None: nothing changed that can be used. Failures are handed to `failed`, each time.
    pub(crate) fn refresh(&self, snapshot: &Checked, failed: &mut dyn FnMut(Error)) -> Option<Self> {
        let mut changed = false;
        let mut again = self.clone();
        for (slot, listener) in again.server.iter_mut().zip(&snapshot.listeners) {
            changed |= renew(slot, |problem| failed(listener_error(&listener.name, problem)));
        }
        for (slot, service) in again.client.iter_mut().zip(&snapshot.services) {
            changed |= renew(slot, |problem| failed(service_error(&service.name, problem)));
        }
        changed.then_some(again)
    }

    /// What operators should look at: certificates that have expired, and the like.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let server = self.server.iter().flatten().flat_map(|tls| tls.built.warnings());
        let client = self.client.iter().flatten().flat_map(|tls| tls.built.warnings());
        server.chain(client).cloned().collect()
    }
}

/// What we say we speak to endpoints.
fn alpn(protocol: ServiceProtocol) -> Vec<String> {
    match protocol {
        ServiceProtocol::Http => vec!["http/1.1".to_owned()],
        ServiceProtocol::Http2 | ServiceProtocol::Grpc => vec!["h2".to_owned()],
        // What is forwarded unread may be any protocol: none is asked for.
        ServiceProtocol::Tcp => Vec::new(),
    }
}

fn reuse_or_load<S: Source + PartialEq>(
    known: Option<Arc<Loaded<S>>>,
    source: S,
) -> Result<Arc<Loaded<S>>, TlsConfigError> {
    match known.filter(|known| known.is_current(&source)) {
        Some(known) => Ok(known),
        None => Loaded::load(source, wall_clock()).map(Arc::new),
    }
}

/// Puts a newer build in the slot, if there is one to be had; true: there was.
fn renew<S: Source + Clone>(slot: &mut Option<Arc<Loaded<S>>>, failed: impl FnOnce(&TlsConfigError)) -> bool {
    match slot.as_ref().map(|loaded| loaded.renew()) {
        Some(Renewal::Rebuilt(fresh)) => {
            *slot = Some(Arc::new(fresh));
            true
        }
        Some(Renewal::Failed(problem)) => {
            failed(&problem);
            false
        }
        Some(Renewal::Unchanged) | None => false,
    }
}

fn listener_error(name: &str, problem: &TlsConfigError) -> Error {
    Error::Listener { listener: name.to_owned(), problem: problem.to_string() }
}

fn service_error(name: &str, problem: &TlsConfigError) -> Error {
    Error::Service { service: name.to_owned(), problem: problem.to_string() }
}
