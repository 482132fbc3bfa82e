//! What the workers count comes out as valid Prometheus text and JSON, and survives a change of configuration.

use crate::fixture::{Shape, record};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tulle_proxy::telemetry::{
    CertificateExpiry, CertificateOwner, EndpointFacts, EndpointState, FAMILIES, Flags, Metrics, NONE_16,
    NONE_32, ProcessFacts, Reason, ServiceEvent, ServiceFacts, Usage,
};

const SHAPE: Shape<'_> =
    Shape { listeners: &["web", "secure"], routes: &[("a", 2), ("b", 1)], services: &["api", "files"] };

type Labels = BTreeMap<String, String>;
/// A metric, its labels, its value.
type Case = (&'static str, &'static [(&'static str, &'static str)], f64);

/// A scrape, read strictly: whatever the format forbids panics.
struct Scrape {
    samples: BTreeMap<(String, Labels), f64>,
}

impl Scrape {
    fn of(metrics: &Metrics) -> Self {
        let mut text = String::new();
        metrics.render(&mut text, &process());
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line must end");
        let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut lines = text.lines().peekable();
        while let Some(help) = lines.next() {
            let (name, about) = help.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
            assert!(!about.is_empty() && families.insert(name.to_owned()), "{name} comes twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            let mut family = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (sample, labels, value) = sample(line);
                let suffix =
                    sample.strip_prefix(name).unwrap_or_else(|| panic!("{sample} among those of {name}"));
                assert!(if kind == "histogram" {
                    ["_bucket", "_sum", "_count"].contains(&suffix)
                } else {
                    suffix.is_empty()
                });
                family.push((sample.clone(), labels.clone(), value));
                assert!(samples.insert((sample, labels), value).is_none(), "twice: {line}");
            }
            if kind == "histogram" {
                check_histogram(name, &family);
            }
        }
        let declared: BTreeSet<_> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
        assert_eq!(families, declared);
        Self { samples }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    fn requests(&self, labels: [&str; 4]) -> Option<f64> {
        let [listener, route, service, class] = labels;
        let labels = [("listener", listener), ("route", route), ("service", service), ("code_class", class)];
        self.value("tulle_requests_total", &labels)
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':') && !name.is_empty(),
        "{line}"
    );
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(
                label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !label.is_empty(),
                "{line}"
            );
            let (value, after) = unescape(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
            let Some(next) = after.strip_prefix(',') else {
                rest = after.strip_prefix('}').unwrap();
                break;
            };
            rest = next;
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "no timestamps: {line}");
    (name.to_owned(), labels, value.parse().unwrap())
}

fn unescape(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                other => panic!("escape {other:?}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no end: {text}")
}

fn check_histogram(name: &str, family: &[(String, Labels, f64)]) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (_, labels, value) in family.iter().filter(|(sample, ..)| sample.ends_with("_bucket")) {
        let mut labels = labels.clone();
        let le = labels.remove("le").unwrap();
        buckets
            .entry(labels)
            .or_default()
            .push((if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() }, *value));
    }
    for (labels, buckets) in buckets {
        assert!(buckets.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "{labels:?}: {buckets:?}");
        let one = |suffix: &str| {
            let found =
                family.iter().find(|(sample, l, _)| *sample == format!("{name}{suffix}") && *l == labels);
            found.unwrap_or_else(|| panic!("no {suffix} for {labels:?}")).2
        };
        assert_eq!(buckets.last().copied(), Some((f64::INFINITY, one("_count"))));
        assert!(one("_sum") >= 0.0);
    }
}

fn process() -> ProcessFacts {
    ProcessFacts {
        version: "sha256:ab\"c\\d\n".into(),
        started: Duration::from_secs(1_700_000_000),
        applied: Duration::from_millis(1_700_000_000_250),
        workers: 2,
        reloads_applied: 3,
        reloads_refused: 1,
        certificates: vec![
            CertificateExpiry {
                owner: CertificateOwner::Listener("web".into()),
                file: "/c/a.crt".into(),
                not_after: 1_800_000_000,
            },
            CertificateExpiry {
                owner: CertificateOwner::Service("api".into()),
                file: "/c/b.crt".into(),
                not_after: -1,
            },
        ],
        log_lost: 7,
        memory_limit: Some(1 << 28),
        memory_pressure: 1,
        services: vec![ServiceFacts {
            name: "api".into(),
            endpoints: [EndpointState::Usable, EndpointState::Usable, EndpointState::Ejected]
                .map(|state| EndpointFacts { address: String::new(), state, why: "" })
                .into(),
            panics: true,
            waiting: 4,
        }],
        usage: Usage {
            resident_bytes: Some(1),
            virtual_bytes: Some(2),
            threads: Some(3),
            cpu_ms: Some(4_567),
            open_fds: Some(5),
            max_fds: Some(6),
        },
    }
}

#[test]
fn whole_connections_are_counted_by_how_they_ended_and_are_no_requests() {
    let names = SHAPE.names(1);
    let (metrics, mut workers) = Metrics::new(&names, 2);
    let cases = [
        ((0, NONE_32, 0), Reason::Ok, "web", "api"),
        ((0, NONE_32, 0), Reason::ClientClosed, "web", "api"),
        ((1, NONE_32, NONE_16), Reason::SniUnknown, "secure", ""),
    ];
    for worker in &mut workers {
        for (ids, reason, ..) in cases {
            let mut connection = record(1, ids, 0, 1_500_000_000);
            connection.flags.insert(Flags::CONNECTION);
            connection.reason = reason;
            (connection.body_in, connection.body_out) = (10, 20);
            worker.observe(&connection);
        }
    }
    // Those of an earlier configuration count under the names that they had.
    let later = Shape { listeners: &["secure", "web"], ..SHAPE }.names(2);
    for worker in &mut workers {
        worker.rebind(std::sync::Arc::clone(&later));
        let mut connection = record(1, (0, NONE_32, 0), 0, 0);
        connection.flags.insert(Flags::CONNECTION);
        worker.observe(&connection);
    }
    let scrape = Scrape::of(&metrics);
    for (_, reason, listener, service) in cases {
        let labels = [("listener", listener), ("service", service), ("reason", reason.code())];
        let more = if reason == Reason::Ok { 2.0 } else { 0.0 };
        assert_eq!(scrape.value("tulle_forwarded_connections_total", &labels), Some(2.0 + more), "{reason}");
        assert_eq!(scrape.value("tulle_forwarded_connection_seconds_total", &labels), Some(3.0), "{reason}");
        for (direction, bytes) in [("in", 20.0), ("out", 40.0)] {
            let [a, b, c] = labels;
            let labels = [a, b, c, ("direction", direction)];
            assert_eq!(scrape.value("tulle_forwarded_bytes_total", &labels), Some(bytes), "{reason}");
        }
    }
    assert!(!scrape.samples.keys().any(|(name, _)| name == "tulle_requests_total"));
    let labels = [("listener", "secure"), ("reason", "sni_unknown")];
    assert_eq!(scrape.value("tulle_request_reasons_total", &labels), Some(2.0));
    let stats: serde_json::Value = serde_json::from_str(&metrics.stats_json(&process())).unwrap();
    let first = &stats["forwarded"][0];
    assert_eq!((first["listener"].as_str(), first["reason"].as_str()), (Some("secure"), Some("sni_unknown")));
    assert_eq!((first["connections"].as_u64(), first["bytes"]["out"].as_u64()), (Some(2), Some(40)));
}

#[test]
fn requests_of_all_workers_add_up_by_name() {
    let names = SHAPE.names(1);
    let (metrics, mut workers) = Metrics::new(&names, 2);
    let cases = [
        ((0, 0, 0), 200, 400_000, ["web", "a", "api", "2xx"]),
        ((0, 1, 0), 204, 700_000, ["web", "a", "api", "2xx"]),
        ((0, 2, 1), 503, 61_000_000_000, ["web", "b", "files", "5xx"]),
        ((1, 2, 1), 301, 5, ["secure", "b", "files", "3xx"]),
        ((1, NONE_32, NONE_16), 404, 5, ["secure", "", "", "4xx"]),
        ((1, NONE_32, NONE_16), 0, 5, ["secure", "", "", "none"]),
        ((9, 99, 9), 101, 5, ["", "", "", "1xx"]),
    ];
    let mut expected: BTreeMap<[&str; 4], f64> = BTreeMap::new();
    for (i, (ids, status, nanos, labels)) in cases.into_iter().enumerate() {
        for worker in &mut workers {
            for _ in 0..=i {
                worker.observe(&record(1, ids, status, nanos));
                *expected.entry(labels).or_default() += 1.0;
            }
        }
    }
    let scrape = Scrape::of(&metrics);
    for (labels, count) in &expected {
        assert_eq!(scrape.requests(*labels), Some(*count), "{labels:?}");
    }
    let counted = scrape.samples.keys().filter(|(name, _)| name == "tulle_requests_total").count();
    assert_eq!(counted, expected.len(), "and no others");
    let labels = [("listener", "web"), ("route", "a"), ("service", "api"), ("code_class", "2xx")];
    let bucket =
        |le| scrape.value("tulle_request_duration_seconds_bucket", &[&labels[..], &[("le", le)]].concat());
    assert_eq!((bucket("0.0005"), bucket("0.001"), bucket("+Inf")), (Some(2.0), Some(6.0), Some(6.0)));
    assert_eq!(scrape.value("tulle_request_duration_seconds_sum", &labels), Some(0.0036));
}

#[test]
fn events_and_facts_have_their_metrics() {
    let names = SHAPE.names(1);
    let (metrics, workers) = Metrics::new(&names, 2);
    let worker = &workers[1];
    let (secure, api) = (worker.listener(1).unwrap(), worker.service(0).unwrap());
    for _ in 0..3 {
        secure.connection_opened();
        api.connection_opened();
        api.pool_hit();
    }
    // Another worker's events count as well.
    let others = (workers[0].listener(1).unwrap(), workers[0].service(0).unwrap());
    others.0.connection_opened();
    others.0.connection_closed();
    others.1.connection_opened();
    others.1.connection_closed();
    secure.connection_closed();
    api.connection_closed();
    secure.connection_refused();
    secure.tls_done(false);
    secure.tls_done(true);
    secure.tls_done(true);
    secure.tls_failed();
    api.connection_failed();
    api.pool_miss();
    worker.panicked();
    worker.accept_paused();
    assert!(worker.listener(99).is_none() && worker.service(99).is_none());
    let scrape = Scrape::of(&metrics);
    let cases: [Case; 23] = [
        ("tulle_connections_total", &[("listener", "secure")], 4.0),
        ("tulle_connections_active", &[("listener", "secure")], 2.0),
        ("tulle_connections_active", &[("listener", "web")], 0.0),
        ("tulle_connections_refused_total", &[("listener", "secure")], 1.0),
        ("tulle_tls_handshakes_total", &[("listener", "secure"), ("result", "full")], 1.0),
        ("tulle_tls_handshakes_total", &[("listener", "secure"), ("result", "resumed")], 2.0),
        ("tulle_tls_handshakes_total", &[("listener", "secure"), ("result", "failed")], 1.0),
        ("tulle_upstream_connections_total", &[("service", "api")], 4.0),
        ("tulle_upstream_connections_active", &[("service", "api")], 2.0),
        ("tulle_upstream_connections_failed_total", &[("service", "api")], 1.0),
        ("tulle_pool_reuse_total", &[("service", "api")], 3.0),
        ("tulle_pool_misses_total", &[("service", "api")], 1.0),
        ("tulle_requests_waiting", &[("service", "api")], 4.0),
        ("tulle_panics_total", &[], 1.0),
        ("tulle_accept_pauses_total", &[], 1.0),
        ("tulle_config_version_info", &[("version", "sha256:ab\"c\\d\n")], 1.0),
        ("tulle_config_applied_timestamp_seconds", &[], 1_700_000_000.25),
        ("tulle_config_reloads_total", &[("result", "refused")], 1.0),
        (
            "tulle_certificate_expiry_timestamp_seconds",
            &[("listener", "web"), ("file", "/c/a.crt")],
            1_800_000_000.0,
        ),
        ("tulle_certificate_expiry_timestamp_seconds", &[("service", "api"), ("file", "/c/b.crt")], -1.0),
        ("tulle_access_log_dropped_total", &[("cause", "write_failed")], 7.0),
        ("process_cpu_seconds_total", &[], 4.567),
        ("process_resident_memory_bytes", &[], 1.0),
    ];
    for (name, labels, value) in cases {
        assert_eq!(scrape.value(name, labels), Some(value), "{name} {labels:?}");
    }
}

#[test]
fn reasons_bytes_retries_and_decisions_are_read_from_the_record() {
    let names = SHAPE.names(1);
    let (metrics, mut workers) = Metrics::new(&names, 1);
    let mut ok = record(1, (0, 0, 0), 200, 1_000);
    (ok.head_in, ok.body_in, ok.head_out, ok.body_out) = (100, 1_000, 50, 70_000);
    (ok.policy, ok.shadow_policy) = (0, 1);
    workers[0].service(0).unwrap().retried();
    workers[0].service(0).unwrap().retried();
    workers[0].service(0).unwrap().happened(ServiceEvent::Hedged);
    workers[0].observe(&ok);
    ok.flags.insert(Flags::SHADOW_DENIED);
    workers[0].observe(&ok);
    let mut denied = record(1, (0, 0, NONE_16), 403, 1_000);
    denied.reason = Reason::Denied;
    workers[0].observe(&denied);
    denied.policy = 0;
    workers[0].observe(&denied);
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value("tulle_bytes_total", &[("direction", "in")]), Some(2_200.0));
    assert_eq!(scrape.value("tulle_bytes_total", &[("direction", "out")]), Some(140_100.0));
    assert_eq!(scrape.value("tulle_retries_total", &[("service", "api")]), Some(2.0));
    let event = |event| scrape.value("tulle_service_events_total", &[("service", "api"), ("event", event)]);
    assert_eq!((event("hedged"), event("ejected")), (Some(1.0), None));
    let reason = |code| scrape.value("tulle_request_reasons_total", &[("listener", "web"), ("reason", code)]);
    assert_eq!((reason("denied"), reason("ok")), (Some(2.0), None));
    let decision = |policy, mode, decision| {
        let labels = [("listener", "web"), ("policy", policy), ("mode", mode), ("decision", decision)];
        scrape.value("tulle_authorization_total", &labels)
    };
    assert_eq!(
        (decision("guard", "enforce", "allowed"), decision("guard", "enforce", "denied")),
        (Some(2.0), Some(1.0))
    );
    assert_eq!(
        (decision("trial", "shadow", "allowed"), decision("trial", "shadow", "denied")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        (decision("", "enforce", "allowed"), decision("", "enforce", "denied")),
        (Some(0.0), Some(1.0))
    );
}

#[test]
fn series_survive_a_swap_that_moves_every_id() {
    let (metrics, mut workers) = Metrics::new(&SHAPE.names(1), 1);
    let worker = &mut workers[0];
    worker.observe(&record(1, (0, 2, 1), 200, 1));
    let open = worker.listener(0).cloned().unwrap();
    open.connection_opened();
    let moved =
        Shape { listeners: &["new", "secure", "web"], routes: &[("b", 1), ("a", 2)], services: &["files"] };
    worker.rebind(moved.names(2));
    worker.observe(&record(2, (2, 0, 0), 200, 1));
    worker.observe(&record(1, (0, 2, 1), 200, 1));
    open.connection_closed();
    for generation in 3..=9 {
        worker.rebind(moved.names(generation));
    }
    worker.observe(&record(2, (2, 0, 0), 200, 1));
    worker.observe(&record(1, (0, 2, 1), 200, 1));
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.requests(["web", "b", "files", "2xx"]), Some(4.0));
    assert_eq!(scrape.requests(["", "", "", "2xx"]), Some(1.0), "older than the generations kept");
    assert_eq!(scrape.value("tulle_connections_active", &[("listener", "web")]), Some(0.0));
    assert_eq!(scrape.value("tulle_connections_total", &[("listener", "web")]), Some(1.0));
}

#[test]
fn a_connection_counts_under_the_name_that_it_began_under() {
    let (metrics, mut workers) = Metrics::new(&SHAPE.names(1), 1);
    let worker = &mut workers[0];
    let (web, api) = (worker.listener(0).cloned().unwrap(), worker.service(0).cloned().unwrap());
    web.connection_opened();
    api.connection_opened();
    // Their ids now belong to other names, and one of them is gone.
    let moved = Shape { listeners: &["new", "web"], routes: &[("a", 1)], services: &["files"] };
    worker.rebind(moved.names(2));
    web.tls_done(false);
    web.tls_done(true);
    web.tls_failed();
    web.connection_refused();
    api.pool_hit();
    api.pool_miss();
    api.connection_failed();
    api.connection_closed();
    // The next connection to the listener counts in the same place.
    let again = worker.listener(1).unwrap();
    assert!(std::sync::Arc::ptr_eq(again, &web));
    again.connection_opened();
    let scrape = Scrape::of(&metrics);
    let of = |name, label, values: [&str; 3], result: Option<&str>| {
        values.map(|value| match result {
            Some(result) => scrape.value(name, &[(label, value), ("result", result)]),
            None => scrape.value(name, &[(label, value)]),
        })
    };
    let listeners = |name, result| of(name, "listener", ["web", "new", "secure"], result);
    let (two, one) = ([Some(2.0), Some(0.0), Some(0.0)], [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(listeners("tulle_connections_total", None), two);
    assert_eq!(listeners("tulle_connections_active", None), two);
    assert_eq!(listeners("tulle_connections_refused_total", None), one);
    for result in ["full", "resumed", "failed"] {
        assert_eq!(listeners("tulle_tls_handshakes_total", Some(result)), one, "{result}");
    }
    for (name, api) in [
        ("tulle_upstream_connections_total", 1.0),
        ("tulle_upstream_connections_active", 0.0),
        ("tulle_upstream_connections_failed_total", 1.0),
        ("tulle_pool_reuse_total", 1.0),
        ("tulle_pool_misses_total", 1.0),
    ] {
        let both = ["api", "files"].map(|service| scrape.value(name, &[("service", service)]));
        assert_eq!(both, [Some(api), Some(0.0)], "{name}");
    }
}

#[test]
fn names_beyond_the_bound_share_one_series_on_every_worker() {
    let routes: Vec<String> = (0..50).map(|i| format!("route-{i:02}")).collect();
    let routes: Vec<_> = routes.iter().map(|name| (name.as_str(), 1)).collect();
    let shape = Shape { listeners: &["web"], routes: &routes, services: &["api"] };
    let (metrics, mut workers) = Metrics::bounded(&shape.names(1), 2, 10);
    for rule in 0..50 {
        workers[0].observe(&record(1, (0, rule, 0), 200, 1));
    }
    for rule in (0..50).rev() {
        workers[1].observe(&record(1, (0, rule, 0), 200, 1));
    }
    workers[0].rebind(shape.names(2));
    workers[0].observe(&record(2, (0, 49, 0), 200, 1));
    let scrape = Scrape::of(&metrics);
    for i in 0..50 {
        let own = scrape.requests(["web", &format!("route-{i:02}"), "api", "2xx"]);
        assert_eq!(own, (i < 10).then_some(2.0), "{i}");
    }
    assert_eq!(scrape.requests(["web", "other", "other", "2xx"]), Some(81.0));
}

#[test]
fn hostile_names_stay_inside_their_labels() {
    let hostile = ["a\"} 1\n# HELP x y", "back\\slash\\", "new\nline", "ü\u{2028}{}=,"];
    for name in hostile {
        let shape = Shape { listeners: &[name], routes: &[(name, 1)], services: &[name] };
        let (metrics, mut workers) = Metrics::new(&shape.names(1), 1);
        workers[0].observe(&record(1, (0, 0, 0), 200, 1));
        assert_eq!(Scrape::of(&metrics).requests([name, name, name, "2xx"]), Some(1.0), "{name:?}");
    }
}

#[test]
fn stats_say_the_same_as_the_metrics() {
    let (metrics, mut workers) = Metrics::new(&SHAPE.names(1), 1);
    let mut gone = record(1, (0, 0, 0), 0, 3_000_000);
    gone.reason = Reason::ClientClosed;
    workers[0].observe(&gone);
    workers[0].listener(0).unwrap().connection_opened();
    let stats: serde_json::Value = serde_json::from_str(&metrics.stats_json(&process())).unwrap();
    let request = &stats["requests"][0];
    assert_eq!(request["listener"], "web");
    assert_eq!((&request["codeClass"], &request["count"]), (&"none".into(), &1.into()));
    assert_eq!(request["durationMs"]["sum"], 3.0);
    assert_eq!(request["durationMs"]["atMost"][3], serde_json::json!([5.0, 1]));
    let web = stats["listeners"].as_array().unwrap().iter().find(|l| l["name"] == "web").unwrap();
    assert_eq!((&web["connections"]["active"], &web["reasons"]["client_closed"]), (&1.into(), &1.into()));
    assert_eq!(stats["appliedMs"], 1_700_000_000_250u64);
    assert_eq!(stats["certificates"][1]["service"], "api");
}

#[test]
fn a_reader_never_sees_counts_go_back() {
    let (metrics, workers) = Metrics::new(&SHAPE.names(1), 2);
    let threads: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            std::thread::spawn(move || {
                for i in 0..20_000u32 {
                    worker.observe(&record(1, (0, i % 3, 0), 200 + 100 * (i % 4) as u16, u64::from(i)));
                }
            })
        })
        .collect();
    let total = |scrape: &Scrape| -> f64 {
        scrape
            .samples
            .iter()
            .filter(|((name, _), _)| name == "tulle_requests_total")
            .map(|(_, value)| value)
            .sum()
    };
    let mut last = 0.0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        let now = total(&Scrape::of(&metrics));
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(format!("{}", total(&Scrape::of(&metrics))), "40000");
}

#[test]
fn the_same_ids_mean_other_names_after_a_swap() {
    let (metrics, mut workers) = Metrics::new(&SHAPE.names(1), 1);
    let judged = |generation| {
        let mut record = record(generation, (0, 0, 0), 200, 1);
        record.policy = 0;
        record
    };
    workers[0].observe(&judged(1));
    let moved = Shape { listeners: &["new", "web"], routes: &[("b", 1), ("a", 2)], services: &["files"] };
    workers[0].rebind(moved.names(2));
    workers[0].observe(&judged(2));
    workers[0].observe(&judged(2));
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.requests(["web", "a", "api", "2xx"]), Some(1.0));
    assert_eq!(scrape.requests(["new", "b", "files", "2xx"]), Some(2.0));
    let allowed = |listener| {
        let labels =
            [("listener", listener), ("policy", "guard"), ("mode", "enforce"), ("decision", "allowed")];
        scrape.value("tulle_authorization_total", &labels)
    };
    assert_eq!((allowed("web"), allowed("new")), (Some(1.0), Some(2.0)));
}
