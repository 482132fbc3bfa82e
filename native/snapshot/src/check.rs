//! Checks a parsed snapshot: the format, every index, every bound. The proxy does not look again.

mod forward;
mod resilience;

use crate::wire::{
    Backend, ListenerKind, Policy, Route, Rule, Service, ServiceProtocol, ServiceTls, Snapshot, TlsMode,
};
use crate::{Error, FORMAT};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Deref;

/// A snapshot whose format, references and bounds hold. Only [`Checked::parse`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Snapshot);

impl Checked {
    /// Parses and checks the JSON bytes of one snapshot.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::check(serde_json::from_slice(json)?)
    }

    /// Checks a snapshot that is already parsed.
    pub fn check(snapshot: Snapshot) -> Result<Self, Error> {
        if snapshot.format != FORMAT {
            return Err(Error::Format { found: snapshot.format, expected: FORMAT });
        }
        bounds("workers", snapshot.workers, 1, 256)?;
        listeners(&snapshot)?;
        unique("services", snapshot.services.iter().map(|s| s.name.as_str()))?;
        forward::check(&snapshot)?;
        for (i, service) in snapshot.services.iter().enumerate() {
            service_of(&format!("services[{i}]"), service)?;
        }
        for (i, route) in snapshot.routes.iter().enumerate() {
            route_of(&format!("routes[{i}]"), route, &snapshot)?;
        }
        for (i, policy) in snapshot.authorization.iter().enumerate() {
            policy_of(&format!("authorization[{i}]"), policy, &snapshot)?;
        }
        Ok(Self(snapshot))
    }
}

impl Deref for Checked {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

fn invalid(at: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Invalid { at: at.into(), problem: problem.into() }
}

fn bounds(at: &str, value: u32, low: u32, high: u32) -> Result<(), Error> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(invalid(at, format!("{value} is not between {low} and {high}")))
}

fn unique<'a>(at: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(invalid(at, format!("two are named {name:?}")));
        }
    }
    Ok(())
}

fn indices(at: &str, values: &[u32], len: usize) -> Result<(), Error> {
    match values.iter().find(|&&v| v as usize >= len) {
        Some(v) => Err(invalid(at, format!("{v} refers to nothing: there are {len}"))),
        None => Ok(()),
    }
}

fn listeners(snapshot: &Snapshot) -> Result<(), Error> {
    unique("listeners", snapshot.listeners.iter().map(|l| l.name.as_str()))?;
    for (i, listener) in snapshot.listeners.iter().enumerate() {
        let at = format!("listeners[{i}]");
        let address: SocketAddr = listener.address.parse().map_err(|_| {
            invalid(format!("{at}.address"), format!("{:?} is not ip:port", listener.address))
        })?;
        if listener.kind == ListenerKind::Admin && !address.ip().is_loopback() {
            return Err(invalid(format!("{at}.address"), "an admin listener binds loopback only"));
        }
        bounds(&format!("{at}.limits.streams"), listener.limits.streams, 1, 32_767)?;
        bounds(&format!("{at}.limits.headerBytes"), listener.limits.header_bytes, 256, 1 << 20)?;
        bounds(&format!("{at}.limits.headerFields"), listener.limits.header_fields, 1, 1000)?;
        bounds(&format!("{at}.limits.connections"), listener.limits.connections, 1, 1 << 24)?;
        let Some(tls) = &listener.tls else { continue };
        if tls.certificates.is_empty() {
            return Err(invalid(format!("{at}.tls.certificates"), "at least one is needed"));
        }
        if tls.mode == TlsMode::Mutual && (tls.certificates.len() != 1 || tls.trust_bundle.is_none()) {
            return Err(invalid(format!("{at}.tls"), "mutual needs one certificate and a trust bundle"));
        }
    }
    Ok(())
}

fn service_of(at: &str, service: &Service) -> Result<(), Error> {
    for (i, endpoint) in service.endpoints.iter().enumerate() {
        bounds(&format!("{at}.endpoints[{i}].weight"), endpoint.weight, 0, 1_000_000)?;
        if let crate::wire::EndpointAddress::Tcp { address } = &endpoint.address
            && address.parse::<SocketAddr>().is_err()
        {
            return Err(invalid(format!("{at}.endpoints[{i}]"), format!("{address:?} is not ip:port")));
        }
    }
    unique(&format!("{at}.subsets"), service.subsets.iter().map(|s| s.name.as_str()))?;
    for (i, subset) in service.subsets.iter().enumerate() {
        indices(&format!("{at}.subsets[{i}]"), &subset.endpoints, service.endpoints.len())?;
    }
    bounds(&format!("{at}.connectTimeoutMs"), service.connect_timeout_ms, 1, 600_000)?;
    bounds(&format!("{at}.pool.connections"), service.pool.connections, 1, 1 << 24)?;
    resilience::service(at, service)?;
    if let Some(ServiceTls::Mutual { expect, .. }) = &service.tls
        && expect.is_empty()
    {
        return Err(invalid(format!("{at}.tls.expect"), "mutual needs at least one SPIFFE ID"));
    }
    Ok(())
}

fn route_of(at: &str, route: &Route, snapshot: &Snapshot) -> Result<(), Error> {
    indices(&format!("{at}.listeners"), &route.listeners, snapshot.listeners.len())?;
    for (i, rule) in route.rules.iter().enumerate() {
        rule_of(&format!("{at}.rules[{i}]"), rule, snapshot)?;
    }
    Ok(())
}

fn rule_of(at: &str, rule: &Rule, snapshot: &Snapshot) -> Result<(), Error> {
    resilience::rule(at, rule, snapshot)?;
    if rule.redirect.is_some() != rule.backends.is_empty() {
        return Err(invalid(at, "a rule has either backends or a redirect"));
    }
    backends_of(&format!("{at}.backends"), &rule.backends, Carries::Requests, snapshot)
}

/// What is sent to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    Requests,
    Connections,
}

fn backends_of(at: &str, backends: &[Backend], carries: Carries, snapshot: &Snapshot) -> Result<(), Error> {
    if !backends.is_empty() && backends.iter().map(|b| u64::from(b.weight)).sum::<u64>() == 0 {
        return Err(invalid(at, "the weights sum to 0"));
    }
    let mut all = backends.iter().enumerate();
    all.try_for_each(|(i, b)| backend_of(&format!("{at}[{i}]"), b, carries, snapshot))
}

fn backend_of(at: &str, backend: &Backend, carries: Carries, snapshot: &Snapshot) -> Result<(), Error> {
    bounds(&format!("{at}.weight"), backend.weight, 0, 1_000_000)?;
    let Some(service) = snapshot.services.get(backend.service as usize) else {
        return Err(invalid(format!("{at}.service"), format!("{} refers to nothing", backend.service)));
    };
    // Bytes that nobody has looked at never reach what takes requests, and the other way round.
    if (service.protocol == ServiceProtocol::Tcp) != (carries == Carries::Connections) {
        return Err(invalid(format!("{at}.service"), "the service speaks another protocol"));
    }
    match backend.subset {
        Some(subset) => indices(&format!("{at}.subset"), &[subset], service.subsets.len()),
        None => Ok(()),
    }
}

fn policy_of(at: &str, policy: &Policy, snapshot: &Snapshot) -> Result<(), Error> {
    if policy.listeners.is_empty() {
        return Err(invalid(format!("{at}.listeners"), "at least one is needed"));
    }
    indices(&format!("{at}.listeners"), &policy.listeners, snapshot.listeners.len())
}
