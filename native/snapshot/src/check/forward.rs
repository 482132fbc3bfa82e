//! What a listener forwards below HTTP: there where its kind needs it, and only there.

use super::{Carries, backends_of, invalid};
use crate::Error;
use crate::wire::{Forwarding, Listener, ListenerKind, ServiceProtocol, Snapshot};
use std::net::IpAddr;

/// Checks `forward` and `proxyProtocol` of each listener, and `sendProxyProtocol` of each service.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), Error> {
    for (i, listener) in snapshot.listeners.iter().enumerate() {
        let at = format!("listeners[{i}]");
        listener_of(&at, listener, snapshot)?;
        for (j, network) in listener.proxy_protocol.iter().flat_map(|proxy| proxy.accept.iter()).enumerate() {
            if !is_network(network) {
                let at = format!("{at}.proxyProtocol.accept[{j}]");
                return Err(invalid(at, format!("{network:?} is not a network")));
            }
        }
        if listener.proxy_protocol.as_ref().is_some_and(|proxy| proxy.accept.is_empty()) {
            return Err(invalid(format!("{at}.proxyProtocol.accept"), "at least one is needed"));
        }
    }
    for (i, service) in snapshot.services.iter().enumerate() {
        // A pooled connection carries requests of several clients, a header names one.
        if service.send_proxy_protocol.is_some() && service.protocol != ServiceProtocol::Tcp {
            return Err(invalid(format!("services[{i}].sendProxyProtocol"), "the protocol must be tcp"));
        }
    }
    Ok(())
}

fn listener_of(at: &str, listener: &Listener, snapshot: &Snapshot) -> Result<(), Error> {
    let (backends, sni) = match listener.kind {
        ListenerKind::Http | ListenerKind::Admin | ListenerKind::Probes => {
            return match &listener.forward {
                Some(_) => Err(invalid(format!("{at}.forward"), "the listener takes requests")),
                None => Ok(()),
            };
        }
        ListenerKind::Tcp => (true, false),
        ListenerKind::TlsPassthrough => (false, true),
        ListenerKind::Auto => (true, true),
    };
    let at = format!("{at}.forward");
    let Some(forward) = &listener.forward else { return Err(invalid(at, "is needed")) };
    if listener.kind == ListenerKind::TlsPassthrough && listener.tls.is_some() {
        return Err(invalid(at, "what is passed through is not opened: tls must be null"));
    }
    if (!backends && !forward.backends.is_empty()) || (!sni && !forward.sni.is_empty()) {
        return Err(invalid(at, "the listener forwards by other means"));
    }
    if listener.kind != ListenerKind::Auto && forward.backends.is_empty() && forward.sni.is_empty() {
        return Err(invalid(at, "leads nowhere"));
    }
    forwarding(&at, forward, snapshot)
}

fn forwarding(at: &str, forward: &Forwarding, snapshot: &Snapshot) -> Result<(), Error> {
    backends_of(&format!("{at}.backends"), &forward.backends, Carries::Connections, snapshot)?;
    for (i, route) in forward.sni.iter().enumerate() {
        let at = format!("{at}.sni[{i}]");
        if route.hostnames.is_empty() || route.backends.is_empty() {
            return Err(invalid(at, "needs hostnames and backends"));
        }
        backends_of(&format!("{at}.backends"), &route.backends, Carries::Connections, snapshot)?;
    }
    Ok(())
}

/// `ADDRESS/BITS`.
fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}
