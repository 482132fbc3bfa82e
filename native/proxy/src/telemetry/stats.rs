//! The counters as JSON, for `proxy.stats()`: the facts of `/metrics`, durations in milliseconds.
//!
//! In: sums over all workers and the facts of the process. Out: one JSON object with camel-case keys. Before: fold.

use super::fold::{ListenerTotals, ServiceTotals, Totals};
use super::process::{CertificateOwner, ProcessFacts};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    version: &'a str,
    started_ms: u128,
    applied_ms: u128,
    workers: usize,
    reloads: Reloads,
    requests: Vec<Requests<'a>>,
    grpc: Vec<Grpc<'a>>,
    forwarded: Vec<Forwarded<'a>>,
    listeners: Vec<Listener<'a>>,
    services: Vec<Service<'a>>,
    authorization: Vec<Decisions<'a>>,
    certificates: Vec<Certificate<'a>>,
    bytes: Bytes,
    access_log: AccessLog,
    panics: u64,
    accept_pauses: u64,
    process: Usage,
}

#[derive(Serialize)]
struct Reloads {
    applied: u64,
    refused: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Requests<'a> {
    listener: &'a str,
    route: &'a str,
    service: &'a str,
    code_class: &'a str,
    count: u64,
    duration_ms: Duration,
}

#[derive(Serialize)]
struct Grpc<'a> {
    listener: &'a str,
    route: &'a str,
    service: &'a str,
    status: u8,
    count: u64,
}

/// Milliseconds; `atMost` counts durations up to each of its bounds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Duration {
    sum: f64,
    at_most: Vec<(f64, u64)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Forwarded<'a> {
    listener: &'a str,
    service: &'a str,
    /// How they ended.
    reason: &'a str,
    connections: u64,
    bytes: Bytes,
    open_ms: f64,
}

#[derive(Serialize)]
struct Listener<'a> {
    name: &'a str,
    connections: Connections,
    tls: Handshakes,
    reasons: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Connections {
    active: u64,
    total: u64,
    refused: u64,
}

#[derive(Serialize)]
struct Handshakes {
    full: u64,
    resumed: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    connections: UpstreamConnections,
    pool: Pool,
    retries: u64,
    events: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct UpstreamConnections {
    active: u64,
    total: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Pool {
    reused: u64,
    misses: u64,
}

#[derive(Serialize)]
struct Decisions<'a> {
    listener: &'a str,
    /// Empty: no allow policy let the caller in.
    policy: &'a str,
    mode: &'a str,
    allowed: u64,
    denied: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Certificate<'a> {
    listener: Option<&'a str>,
    service: Option<&'a str>,
    file: &'a str,
    not_after_ms: i64,
}

#[derive(Serialize)]
struct Bytes {
    r#in: u64,
    out: u64,
}

#[derive(Serialize)]
struct AccessLog {
    dropped: u64,
    lost: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    resident_bytes: Option<u64>,
    cpu_ms: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    threads: Option<u64>,
}

/// Everything as one JSON object.
pub(super) fn json(totals: &Totals, process: &ProcessFacts) -> String {
    let usage = &process.usage;
    let stats = Stats {
        version: &process.version,
        started_ms: process.started.as_millis(),
        applied_ms: process.applied.as_millis(),
        workers: process.workers,
        reloads: Reloads { applied: process.reloads_applied, refused: process.reloads_refused },
        requests: requests(totals),
        grpc: grpc(totals),
        forwarded: forwarded(totals),
        listeners: totals.listeners.iter().map(|(name, total)| listener(name, total)).collect(),
        services: totals.services.iter().map(|(name, total)| service(name, total)).collect(),
        authorization: decisions(totals),
        certificates: certificates(process),
        bytes: Bytes { r#in: totals.bytes_in, out: totals.bytes_out },
        access_log: AccessLog { dropped: totals.log_dropped, lost: process.log_lost },
        panics: totals.panics,
        accept_pauses: totals.accept_pauses,
        process: Usage {
            resident_bytes: usage.resident_bytes,
            cpu_ms: usage.cpu_ms,
            open_fds: usage.open_fds,
            max_fds: usage.max_fds,
            threads: usage.threads,
        },
    };
    // Strings and numbers always serialize.
    serde_json::to_string(&stats).unwrap_or_default()
}

fn requests(totals: &Totals) -> Vec<Requests<'_>> {
    let series = totals.requests.iter().map(|(([listener, route, service], class), distribution)| Requests {
        listener,
        route,
        service,
        code_class: class,
        count: distribution.count(),
        duration_ms: Duration {
            sum: milliseconds(distribution.sum),
            at_most: distribution.cumulative().map(|(bound, below)| (milliseconds(bound), below)).collect(),
        },
    });
    series.collect()
}

fn grpc(totals: &Totals) -> Vec<Grpc<'_>> {
    let calls = totals.grpc.iter().map(|(([listener, route, service], status), count)| Grpc {
        listener,
        route,
        service,
        status: *status,
        count: *count,
    });
    calls.collect()
}

fn forwarded(totals: &Totals) -> Vec<Forwarded<'_>> {
    let all = totals.connections.iter().map(|([listener, service, reason], total)| Forwarded {
        listener,
        service,
        reason,
        connections: total.ended,
        bytes: Bytes { r#in: total.bytes_in, out: total.bytes_out },
        open_ms: milliseconds(total.nanos),
    });
    all.collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a double holds 104 days of nanoseconds exactly, and more closely enough"
)]
fn milliseconds(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn listener<'a>(name: &'a str, total: &ListenerTotals) -> Listener<'a> {
    Listener {
        name,
        connections: Connections { active: total.active(), total: total.opened, refused: total.refused },
        tls: Handshakes { full: total.tls_full, resumed: total.tls_resumed, failed: total.tls_failed },
        reasons: total.reasons().map(|(reason, count)| (reason.code(), count)).collect(),
    }
}

fn service<'a>(name: &'a str, total: &ServiceTotals) -> Service<'a> {
    Service {
        name,
        connections: UpstreamConnections {
            active: total.active(),
            total: total.opened,
            failed: total.failed,
        },
        pool: Pool { reused: total.pool_hits, misses: total.pool_misses },
        retries: total.retries,
        events: total.events().map(|(event, count)| (event.code(), count)).collect(),
    }
}

fn decisions(totals: &Totals) -> Vec<Decisions<'_>> {
    let all = totals.decisions.iter().map(|([listener, policy, mode], (allowed, denied))| Decisions {
        listener,
        policy,
        mode,
        allowed: *allowed,
        denied: *denied,
    });
    all.collect()
}

fn certificates(process: &ProcessFacts) -> Vec<Certificate<'_>> {
    let all = process.certificates.iter().map(|certificate| {
        let (listener, service) = match &certificate.owner {
            CertificateOwner::Listener(name) => (Some(name.as_str()), None),
            CertificateOwner::Service(name) => (None, Some(name.as_str())),
        };
        Certificate {
            listener,
            service,
            file: &certificate.file,
            not_after_ms: certificate.not_after.saturating_mul(1_000),
        }
    });
    all.collect()
}
