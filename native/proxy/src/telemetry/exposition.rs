//! Prometheus text, exposition format 0.0.4. Each metric's name, type and help are declared in [`FAMILIES`] alone.
//!
//! In: sums over all workers and the facts of the process. Out: text for `/metrics`. Before: fold.

use super::fold::Totals;
use super::histogram::Distribution;
use super::process::{CertificateOwner, ProcessFacts};
use std::fmt::{Display, Write};
use std::time::Duration;

/// The content type of what [`render`] writes.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: all samples of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What it counts, for people.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal, $help:literal;)+) => {
        $(const $id: Family = Family { name: $name, kind: stringify!($kind), help: $help };)+

        /// Every metric that `/metrics` may show, in its order.
        pub const FAMILIES: &[Family] = &[$($id),+];
    };
}

families! {
    REQUESTS: counter "tulle_requests_total", "Requests that ended, by status class; none: no answer was sent.";
    DURATION: histogram "tulle_request_duration_seconds", "From a request's first byte to the end of its answer; an upgrade counts up to its response head.";
    GRPC: counter "tulle_grpc_requests_total", "gRPC calls that ended with a status, by its number.";
    REASONS: counter "tulle_request_reasons_total", "Requests, and connections without one, that did not end plainly, by reason.";
    BYTES: counter "tulle_bytes_total", "Bytes of requests read from clients (in) and of answers written to them (out), counted as requests end.";
    FORWARDED: counter "tulle_forwarded_connections_total", "Connections forwarded or refused as a whole, by how they ended; ok: both sides were done.";
    FORWARDED_BYTES: counter "tulle_forwarded_bytes_total", "Bytes of forwarded connections, counted as they end.";
    FORWARDED_SECONDS: counter "tulle_forwarded_connection_seconds_total", "How long forwarded connections were open, counted as they end.";
    CONNECTIONS: counter "tulle_connections_total", "Connections accepted from clients.";
    CONNECTIONS_ACTIVE: gauge "tulle_connections_active", "Connections of clients open now.";
    CONNECTIONS_REFUSED: counter "tulle_connections_refused_total", "Connections closed at once, at the listener's limit.";
    HANDSHAKES: counter "tulle_tls_handshakes_total", "TLS handshakes with clients: full, resumed or failed.";
    UPSTREAM: counter "tulle_upstream_connections_total", "Connections established to endpoints.";
    UPSTREAM_ACTIVE: gauge "tulle_upstream_connections_active", "Connections to endpoints open now, idle ones included.";
    UPSTREAM_FAILED: counter "tulle_upstream_connections_failed_total", "Connections to endpoints that could not be established.";
    POOL_REUSE: counter "tulle_pool_reuse_total", "Requests that found a pooled connection.";
    POOL_MISSES: counter "tulle_pool_misses_total", "Requests that needed a new connection.";
    RETRIES: counter "tulle_retries_total", "Attempts after a request's first.";
    EVENTS: counter "tulle_service_events_total", "What happened to a service beside its requests: ejections, copies, retries not made and the like.";
    WAITING: gauge "tulle_requests_waiting", "Requests that wait now until limits of the service, its connections or its endpoints have room.";
    ENDPOINTS: gauge "tulle_endpoints", "Endpoints of a service by how they stand: usable, ejected, unhealthy or draining.";
    SERVICE_PANIC: gauge "tulle_service_panic", "1: so many endpoints would be ejected that they are used all the same.";
    AUTHORIZATION: counter "tulle_authorization_total", "Decisions of authorization; an empty policy: no allow policy let the caller in.";
    LOG_DROPPED: counter "tulle_access_log_dropped_total", "Access log lines lost: the queue was full, or writing failed.";
    PANICS: counter "tulle_panics_total", "Defects that cost a connection each.";
    ACCEPT_PAUSES: counter "tulle_accept_pauses_total", "Times that accepting paused at the limit of file descriptors.";
    WORKERS: gauge "tulle_workers", "Data-plane threads.";
    VERSION: gauge "tulle_config_version_info", "The running configuration's version.";
    APPLIED: gauge "tulle_config_applied_timestamp_seconds", "When the running configuration was applied.";
    STARTED: gauge "tulle_start_timestamp_seconds", "When the data plane was started.";
    RELOADS: counter "tulle_config_reloads_total", "Configurations handed in after the first: applied or refused.";
    CERTIFICATE: gauge "tulle_certificate_expiry_timestamp_seconds", "When a certificate in use ends.";
    RESIDENT: gauge "process_resident_memory_bytes", "Resident memory.";
    VIRTUAL: gauge "process_virtual_memory_bytes", "Virtual memory.";
    THREADS: gauge "process_threads", "Threads of the whole process.";
    CPU: counter "process_cpu_seconds_total", "User and system time.";
    OPEN_FDS: gauge "process_open_fds", "Open file descriptors.";
    MAX_FDS: gauge "process_max_fds", "How many file descriptors may be open.";
    MEMORY_LIMIT: gauge "tulle_memory_limit_bytes", "The configured limit on resident memory.";
    MEMORY_PRESSURE: gauge "tulle_memory_pressure", "0: none. 1: no connections are accepted. 2: no requests either.";
}

/// Appends everything.
pub(super) fn render(out: &mut String, totals: &Totals, process: &ProcessFacts) {
    let mut text = Text(out);
    requests(&mut text, totals);
    connections(&mut text, totals);
    listeners(&mut text, totals);
    services(&mut text, totals);
    standings(&mut text, process);
    workers(&mut text, totals, process);
    configuration(&mut text, process);
    usage(&mut text, process);
}

fn requests(text: &mut Text<'_>, totals: &Totals) {
    text.family(REQUESTS);
    for (([listener, route, service], class), distribution) in &totals.requests {
        let labels = [("listener", &**listener), ("route", &**route), ("service", &**service)];
        text.sample(REQUESTS.name, &with(labels, "code_class", class), distribution.count());
    }
    text.family(DURATION);
    for (([listener, route, service], class), distribution) in &totals.requests {
        let labels = [("listener", &**listener), ("route", &**route), ("service", &**service)];
        text.histogram(DURATION, &with(labels, "code_class", class), distribution);
    }
    text.family(GRPC);
    for (([listener, route, service], status), count) in &totals.grpc {
        let labels = [("listener", &**listener), ("route", &**route), ("service", &**service)];
        let status = itoa::Buffer::new().format(*status).to_owned();
        text.sample(GRPC.name, &with(labels, "grpc_status", &status), *count);
    }
    text.family(REASONS);
    for (listener, total) in &totals.listeners {
        for (reason, count) in total.reasons() {
            text.sample(REASONS.name, &[("listener", listener), ("reason", reason.code())], count);
        }
    }
    text.family(BYTES);
    text.sample(BYTES.name, &[("direction", "in")], totals.bytes_in);
    text.sample(BYTES.name, &[("direction", "out")], totals.bytes_out);
}

fn connections(text: &mut Text<'_>, totals: &Totals) {
    text.family(FORWARDED);
    for ([listener, service, reason], total) in &totals.connections {
        let labels = [("listener", &**listener), ("service", &**service), ("reason", &**reason)];
        text.sample(FORWARDED.name, &labels, total.ended);
    }
    text.family(FORWARDED_BYTES);
    for ([listener, service, reason], total) in &totals.connections {
        let labels = [("listener", &**listener), ("service", &**service), ("reason", &**reason)];
        for (direction, bytes) in [("in", total.bytes_in), ("out", total.bytes_out)] {
            text.sample(FORWARDED_BYTES.name, &with(labels, "direction", direction), bytes);
        }
    }
    text.family(FORWARDED_SECONDS);
    for ([listener, service, reason], total) in &totals.connections {
        let labels = [("listener", &**listener), ("service", &**service), ("reason", &**reason)];
        text.sample(FORWARDED_SECONDS.name, &labels, Seconds(Duration::from_nanos(total.nanos)));
    }
}

fn with<'a>(
    labels: [(&'static str, &'a str); 3],
    name: &'static str,
    value: &'a str,
) -> [(&'static str, &'a str); 4] {
    let [a, b, c] = labels;
    [a, b, c, (name, value)]
}

fn listeners(text: &mut Text<'_>, totals: &Totals) {
    text.each(CONNECTIONS, "listener", &totals.listeners, |total| total.opened);
    text.each(CONNECTIONS_ACTIVE, "listener", &totals.listeners, super::fold::ListenerTotals::active);
    text.each(CONNECTIONS_REFUSED, "listener", &totals.listeners, |total| total.refused);
    text.family(HANDSHAKES);
    for (listener, total) in &totals.listeners {
        let results =
            [("full", total.tls_full), ("resumed", total.tls_resumed), ("failed", total.tls_failed)];
        for (result, count) in results {
            text.sample(HANDSHAKES.name, &[("listener", listener), ("result", result)], count);
        }
    }
}

fn services(text: &mut Text<'_>, totals: &Totals) {
    text.each(UPSTREAM, "service", &totals.services, |total| total.opened);
    text.each(UPSTREAM_ACTIVE, "service", &totals.services, super::fold::ServiceTotals::active);
    text.each(UPSTREAM_FAILED, "service", &totals.services, |total| total.failed);
    text.each(POOL_REUSE, "service", &totals.services, |total| total.pool_hits);
    text.each(POOL_MISSES, "service", &totals.services, |total| total.pool_misses);
    text.each(RETRIES, "service", &totals.services, |total| total.retries);
    text.family(EVENTS);
    for (service, total) in &totals.services {
        for (event, count) in total.events() {
            text.sample(EVENTS.name, &[("service", service), ("event", event.code())], count);
        }
    }
    text.family(AUTHORIZATION);
    for ([listener, policy, mode], (allowed, denied)) in &totals.decisions {
        for (decision, count) in [("allowed", *allowed), ("denied", *denied)] {
            let labels = [("listener", listener), ("policy", policy), ("mode", mode)]
                .map(|(name, value)| (name, value.as_ref()));
            text.sample(AUTHORIZATION.name, &with(labels, "decision", decision), count);
        }
    }
}

fn standings(text: &mut Text<'_>, process: &ProcessFacts) {
    text.family(WAITING);
    for service in &process.services {
        text.sample(WAITING.name, &[("service", &service.name)], service.waiting);
    }
    text.family(ENDPOINTS);
    for service in &process.services {
        for (state, count) in service.counts() {
            text.sample(ENDPOINTS.name, &[("service", &service.name), ("state", state)], count);
        }
    }
    text.family(SERVICE_PANIC);
    for service in &process.services {
        text.sample(SERVICE_PANIC.name, &[("service", &service.name)], u64::from(service.panics));
    }
}

fn workers(text: &mut Text<'_>, totals: &Totals, process: &ProcessFacts) {
    text.family(LOG_DROPPED);
    text.sample(LOG_DROPPED.name, &[("cause", "queue_full")], totals.log_dropped);
    text.sample(LOG_DROPPED.name, &[("cause", "write_failed")], process.log_lost);
    text.single(PANICS, Some(totals.panics));
    text.single(ACCEPT_PAUSES, Some(totals.accept_pauses));
    text.single(WORKERS, Some(process.workers));
}

fn configuration(text: &mut Text<'_>, process: &ProcessFacts) {
    text.family(VERSION);
    text.sample(VERSION.name, &[("version", &process.version)], 1);
    text.single(APPLIED, Some(Seconds(process.applied)));
    text.single(STARTED, Some(Seconds(process.started)));
    text.family(RELOADS);
    text.sample(RELOADS.name, &[("result", "applied")], process.reloads_applied);
    text.sample(RELOADS.name, &[("result", "refused")], process.reloads_refused);
    text.family(CERTIFICATE);
    for certificate in &process.certificates {
        let (kind, owner) = match &certificate.owner {
            CertificateOwner::Listener(name) => ("listener", name),
            CertificateOwner::Service(name) => ("service", name),
        };
        text.sample(CERTIFICATE.name, &[(kind, owner), ("file", &certificate.file)], certificate.not_after);
    }
}

fn usage(text: &mut Text<'_>, process: &ProcessFacts) {
    let usage = &process.usage;
    text.single(RESIDENT, usage.resident_bytes);
    text.single(VIRTUAL, usage.virtual_bytes);
    text.single(THREADS, usage.threads);
    text.single(CPU, usage.cpu_ms.map(|ms| Seconds(Duration::from_millis(ms))));
    text.single(OPEN_FDS, usage.open_fds);
    text.single(MAX_FDS, usage.max_fds);
    text.single(MEMORY_LIMIT, process.memory_limit);
    text.single(MEMORY_PRESSURE, Some(process.memory_pressure));
}

/// Writes samples. A `String` takes every write, so results are not looked at.
struct Text<'a>(&'a mut String);

impl Text<'_> {
    fn family(&mut self, family: Family) {
        let Family { name, kind, help } = family;
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            self.0.push(if i == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            escape(self.0, text);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family with one sample and no labels, or nothing where the value is not known.
    fn single(&mut self, family: Family, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(family);
            self.sample(family.name, &[], value);
        }
    }

    /// A family with one sample per name.
    fn each<'t, N: AsRef<str> + 't, T: 't>(
        &mut self,
        family: Family,
        label: &str,
        totals: impl IntoIterator<Item = (&'t N, &'t T)>,
        value: impl Fn(&T) -> u64,
    ) {
        self.family(family);
        for (name, total) in totals {
            self.sample(family.name, &[(label, name.as_ref())], value(total));
        }
    }

    fn histogram(&mut self, family: Family, labels: &[(&'static str, &str); 4], distribution: &Distribution) {
        let [a, b, c, d] = *labels;
        let bucket = format!("{}_bucket", family.name);
        for (bound, below) in distribution.cumulative() {
            let le = Seconds(Duration::from_nanos(bound)).to_string();
            self.sample(&bucket, &[a, b, c, d, ("le", &le)], below);
        }
        self.sample(&bucket, &[a, b, c, d, ("le", "+Inf")], distribution.count());
        let sum = Seconds(Duration::from_nanos(distribution.sum));
        self.sample(&format!("{}_sum", family.name), labels, sum);
        self.sample(&format!("{}_count", family.name), labels, distribution.count());
    }
}

/// Exact decimal seconds, without zeros at the end.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:09}", self.0.as_secs(), self.0.subsec_nanos());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A label's value as the format wants it.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        let cases = [
            (0, "0"),
            (500_000, "0.0005"),
            (2_500_000, "0.0025"),
            (60_000_000_000, "60"),
            (10_000_000_000, "10"),
        ];
        for (nanos, text) in cases.into_iter().chain([(u64::MAX, "18446744073.709551615")]) {
            assert_eq!(Seconds(Duration::from_nanos(nanos)).to_string(), text);
        }
    }

    #[test]
    fn each_family_is_declared_well_and_once() {
        for (i, family) in FAMILIES.iter().enumerate() {
            let Family { name, kind, help } = family;
            assert!(FAMILIES.iter().skip(i + 1).all(|other| other.name != *name), "{name} twice");
            assert_eq!(*kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(name.starts_with("tulle_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\\', '\n']), "{name}: {help}");
        }
    }
}
