//! The pages of admin and probes listeners.

use crate::fixture::{Shape, record};
use std::cell::Cell;
use std::time::Duration;
use tulle_proxy::telemetry::admin::{self, Answer, Facts, Question, Readiness};
use tulle_proxy::telemetry::{EndpointFacts, EndpointState, Metrics, ProcessFacts, Reason, ServiceFacts};
use tulle_snapshot::wire::ListenerKind::{self, Admin, Http, Probes};

const SHAPE: Shape<'_> = Shape { listeners: &["web"], routes: &[("a", 1)], services: &["api"] };

struct Running {
    readiness: Readiness,
    asked: Cell<u32>,
}

impl Facts for Running {
    fn readiness(&self) -> Readiness {
        self.readiness
    }

    fn metrics(&self) -> String {
        self.asked.set(self.asked.get() + 1);
        let (metrics, mut workers) = Metrics::new(&SHAPE.names(1), 1);
        workers[0].observe(&record(1, (0, 0, 0), 200, 1));
        let mut text = String::new();
        metrics.render(&mut text, &ProcessFacts::default());
        text
    }

    fn config(&self) -> String {
        self.asked.set(self.asked.get() + 1);
        let times = |seconds| Duration::from_secs(seconds);
        admin::config_page(
            &SHAPE.snapshot(),
            &ProcessFacts { started: times(1), applied: times(2), ..ProcessFacts::default() },
        )
    }

    fn endpoints(&self) -> String {
        self.asked.set(self.asked.get() + 1);
        let endpoint = |state, why| EndpointFacts { address: "127.0.0.1:1".into(), state, why };
        let endpoints =
            vec![endpoint(EndpointState::Usable, ""), endpoint(EndpointState::Unhealthy, "refused")];
        admin::endpoints_page(&[ServiceFacts { name: "api".into(), endpoints, panics: true, waiting: 0 }])
    }
}

#[test]
fn the_page_of_endpoints_says_how_each_stands() {
    let page = ask(Admin, "GET", "localhost", "/endpoints");
    let found: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    let expected = serde_json::json!({ "services": [{ "name": "api", "panic": true, "endpoints": [
        { "address": "127.0.0.1:1", "state": "usable" },
        { "address": "127.0.0.1:1", "state": "unhealthy", "why": "refused" },
    ] }] });
    assert_eq!(found, expected);
    assert_eq!(ask(Probes, "GET", "localhost", "/endpoints").status, 404, "not for everybody");
}

fn ask(kind: ListenerKind, method: &str, host: &str, path: &str) -> Answer {
    ask_when(Readiness::Ready, kind, [method, host, path])
}

fn ask_when(readiness: Readiness, kind: ListenerKind, question: [&str; 3]) -> Answer {
    let [method, host, path] = question.map(str::as_bytes);
    admin::answer(kind, &Question { method, host, path }, &Running { readiness, asked: Cell::new(0) })
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn pages_by_kind_method_and_host() {
    let cases = [
        (Admin, "GET", "localhost:18900", "/healthz", 200, "ok\n"),
        (Admin, "GET", "127.0.0.1", "/readyz", 200, "ready\n"),
        (Admin, "GET", "[::1]:1", "/metrics", 200, "# HELP tulle_requests_total"),
        (Admin, "GET", "localhost", "/metrics?x=1", 200, "# HELP"),
        (Admin, "GET", "localhost", "/config", 200, "{"),
        (Admin, "GET", "evil.test", "/healthz", 403, "host_not_allowed"),
        (Admin, "GET", "", "/healthz", 403, "host_not_allowed"),
        (Admin, "POST", "evil.test", "/nothing", 403, "host_not_allowed"),
        (Admin, "POST", "localhost", "/config", 405, "method_not_allowed"),
        (Admin, "get", "localhost", "/config", 405, "method_not_allowed"),
        (Admin, "OPTIONS", "localhost", "/metrics", 405, "method_not_allowed"),
        (Admin, "DELETE", "localhost", "/nothing", 405, "method_not_allowed"),
        (Admin, "GET", "localhost", "/", 404, "no such page"),
        (Admin, "GET", "localhost", "/configs", 404, "no such page"),
        (Admin, "GET", "localhost", "/Healthz", 404, "no such page"),
        (Admin, "GET", "localhost", "/config/", 404, "no such page"),
        (Admin, "GET", "localhost", "//config", 404, "no such page"),
        (Probes, "GET", "10.1.2.3:18910", "/healthz", 200, "ok\n"),
        (Probes, "GET", "", "/readyz", 200, "ready\n"),
        (Probes, "GET", "evil.test", "/metrics", 200, "# HELP"),
        (Probes, "GET", "localhost", "/config", 404, "no such page"),
        (Probes, "PUT", "x", "/healthz", 405, "method_not_allowed"),
        (Http, "GET", "localhost", "/healthz", 404, "no such page"),
    ];
    for (kind, method, host, path, status, begins) in cases {
        let answer = ask(kind, method, host, path);
        assert_eq!(answer.status, status, "{kind:?} {method} {host:?} {path}");
        assert!(text(&answer).starts_with(begins), "{kind:?} {method} {host:?} {path}: {}", text(&answer));
        assert_eq!(answer.reason == Reason::Ok, status == 200);
        assert_eq!(answer.close, status == 405, "an unread body");
    }
}

#[test]
fn readiness_follows_the_state_and_health_does_not() {
    let cases = [
        (Readiness::Ready, 200, "ready\n"),
        (Readiness::Starting, 503, "no configuration"),
        (Readiness::Draining, 503, "draining"),
    ];
    for kind in [Admin, Probes] {
        for (state, status, says) in cases {
            let answer = ask_when(state, kind, ["GET", "localhost", "/readyz"]);
            assert_eq!(answer.status, status);
            assert!(text(&answer).contains(says), "{}", text(&answer));
            assert_eq!(ask_when(state, kind, ["GET", "localhost", "/healthz"]).status, 200);
        }
    }
}

#[test]
fn the_list_of_pages_names_only_those_served() {
    let (admin, probes) = (ask(Admin, "GET", "localhost", "/x"), ask(Probes, "GET", "x", "/x"));
    for page in ["/healthz", "/readyz", "/metrics"] {
        assert!(text(&admin).contains(page) && text(&probes).contains(page), "{page}");
    }
    assert!(text(&admin).contains("/config") && !text(&probes).contains("/config"));
}

#[test]
fn no_answer_may_be_cached_sniffed_or_read_across_origins() {
    for (kind, host) in [(Admin, "localhost"), (Admin, "evil.test"), (Probes, "evil.test")] {
        for (method, path) in
            [("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/config"), ("POST", "/x"), ("HEAD", "/x")]
        {
            let answer = ask(kind, method, host, path);
            let fields: Vec<_> = answer.fields().collect();
            let field = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
            assert_eq!(field("cache-control"), Some("no-store"));
            assert_eq!(field("x-content-type-options"), Some("nosniff"));
            assert_eq!(field("content-length"), Some(answer.body.len().to_string().as_str()));
            assert!(field("content-type").is_some());
            assert_eq!(field("allow"), (answer.status == 405).then_some("GET, HEAD"));
            assert!(fields.iter().all(|(name, _)| !name.starts_with("access-control")));
        }
    }
}

#[test]
fn head_says_the_length_and_sends_nothing() {
    let (get, head) = (ask(Admin, "GET", "localhost", "/config"), ask(Admin, "HEAD", "localhost", "/config"));
    assert_eq!((head.sent_body(), head.body.len(), head.status), (&[][..], get.body.len(), 200));
    assert_eq!(get.sent_body(), get.body);
    assert_eq!(ask(Admin, "HEAD", "localhost", "/x").sent_body(), b"");
}

#[test]
fn a_refused_question_makes_no_page() {
    let facts = Running { readiness: Readiness::Ready, asked: Cell::new(0) };
    for (method, host, path) in
        [("GET", "evil.test", "/config"), ("POST", "localhost", "/config"), ("GET", "localhost", "/healthz")]
    {
        let question = Question { method: method.as_bytes(), host: host.as_bytes(), path: path.as_bytes() };
        let _ = admin::answer(Admin, &question, &facts);
    }
    assert_eq!(facts.asked.get(), 0);
}

#[test]
fn the_configuration_is_shown_without_credentials() {
    let answer = ask(Admin, "GET", "localhost", "/config");
    assert!(!text(&answer).contains("hunter2"), "{}", text(&answer));
    let page: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&page["version"], &page["startedMs"], &page["appliedMs"]),
        (&"v1".into(), &1_000.into(), &2_000.into())
    );
    let rule = &page["snapshot"]["routes"][0]["rules"][0];
    assert_eq!(rule["matches"][0]["headers"][0]["value"], "(hidden)");
    assert_eq!(rule["matches"][0]["query"][1]["value"], "7");
    assert_eq!(rule["requestHeaders"]["set"][0]["name"], "x-api-key");
    assert_eq!(rule["responseHeaders"]["add"][0]["value"], "tulle");
}
