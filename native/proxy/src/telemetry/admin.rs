//! The answers of admin and probes listeners: a pure function from a request to a page.
//!
//! In: the listener's kind, method, Host and path of a parsed request, and the facts to show. Out: a complete answer.
//! Nothing is changed by any request. An admin page is served to loopback Hosts alone, so that a web page whose name was
//! rebound to 127.0.0.1 cannot read it; no answer allows another origin to read it either.

mod config;
mod endpoints;
mod host;

use super::exposition::METRICS_CONTENT_TYPE;
use super::reason::Reason;
pub use config::config_page;
pub use endpoints::endpoints_page;
use std::fmt::Write;
use tulle_snapshot::wire::ListenerKind;

/// Whether new requests are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// A configuration is applied, and we are not about to end.
    Ready,
    /// No configuration is applied yet.
    Starting,
    /// We are about to end.
    Draining,
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// As sent.
    pub method: &'a [u8],
    /// The effective host: of the request's target, or the Host field; empty: none.
    pub host: &'a [u8],
    /// The path, with or without a query.
    pub path: &'a [u8],
}

/// What pages show. The texts are made only when they are asked for.
pub trait Facts {
    /// Whether new requests are welcome.
    fn readiness(&self) -> Readiness;
    /// Prometheus text: [`super::Metrics::render`].
    fn metrics(&self) -> String;
    /// The running configuration as JSON: [`config_page`].
    fn config(&self) -> String;
    /// How each endpoint stands, as JSON: [`endpoints_page`].
    fn endpoints(&self) -> String;
}

/// A complete answer, but for `date` and `connection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// For the record: [`Reason::Ok`], or why the page was refused.
    pub reason: Reason,
    /// The `content-type`.
    pub content_type: &'static str,
    /// The body. For HEAD it is not sent, and `content-length` is still its length.
    pub body: Vec<u8>,
    /// True for HEAD.
    pub head_only: bool,
    /// True: the connection is to be closed behind it.
    pub close: bool,
}

struct Page {
    path: &'static str,
    admin_only: bool,
    about: &'static str,
    content_type: &'static str,
    make: fn(&dyn Facts) -> (u16, String),
}

const TEXT: &str = "text/plain; charset=utf-8";

const PAGES: &[Page] = &[
    Page {
        path: "/healthz",
        admin_only: false,
        about: "200 while the process lives",
        content_type: TEXT,
        make: |_| (200, "ok\n".into()),
    },
    Page {
        path: "/readyz",
        admin_only: false,
        about: "200 while new requests are welcome, else 503",
        content_type: TEXT,
        make: |facts| readiness(facts.readiness()),
    },
    Page {
        path: "/metrics",
        admin_only: false,
        about: "Prometheus text",
        content_type: METRICS_CONTENT_TYPE,
        make: |facts| (200, facts.metrics()),
    },
    Page {
        path: "/config",
        admin_only: true,
        about: "what is running, as JSON, without secrets",
        content_type: "application/json",
        make: |facts| (200, facts.config()),
    },
    Page {
        path: "/endpoints",
        admin_only: true,
        about: "how each endpoint stands, as JSON",
        content_type: "application/json",
        make: |facts| (200, facts.endpoints()),
    },
];

fn readiness(readiness: Readiness) -> (u16, String) {
    match readiness {
        Readiness::Ready => (200, "ready\n".into()),
        Readiness::Starting => (503, "not ready: no configuration is applied\n".into()),
        Readiness::Draining => (503, "not ready: draining\n".into()),
    }
}

/// Answers a question put to a listener of this kind. Listeners of kind `http` have no pages: 404.
#[must_use]
pub fn answer(kind: ListenerKind, question: &Question<'_>, facts: &dyn Facts) -> Answer {
    let head_only = question.method == b"HEAD";
    if kind == ListenerKind::Admin && !host::is_loopback(question.host) {
        return refusal(
            Reason::HostNotAllowed,
            "host_not_allowed: use localhost, 127.0.0.1 or [::1]\n",
            head_only,
        );
    }
    if question.method != b"GET" && !head_only {
        // Its body was not read.
        let refused = refusal(Reason::MethodNotAllowed, "method_not_allowed: GET and HEAD only\n", false);
        return Answer { close: true, ..refused };
    }
    let path = question.path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let Some(page) = pages(kind).find(|page| page.path.as_bytes() == path) else {
        return refusal(Reason::NoRoute, &list(kind), head_only);
    };
    let (status, body) = (page.make)(facts);
    let content_type = page.content_type;
    Answer { status, reason: Reason::Ok, content_type, body: body.into_bytes(), head_only, close: false }
}

fn pages(kind: ListenerKind) -> impl Iterator<Item = &'static Page> {
    PAGES.iter().filter(move |page| match kind {
        ListenerKind::Admin => true,
        ListenerKind::Probes => !page.admin_only,
        ListenerKind::Http | ListenerKind::Tcp | ListenerKind::TlsPassthrough | ListenerKind::Auto => false,
    })
}

fn refusal(reason: Reason, text: &str, head_only: bool) -> Answer {
    Answer { status: reason.status(), reason, content_type: TEXT, body: text.into(), head_only, close: false }
}

fn list(kind: ListenerKind) -> String {
    let mut text = String::from("no such page; there are:\n");
    for page in pages(kind) {
        // A `String` takes every write.
        let _ = writeln!(text, "{:<9} {}", page.path, page.about);
    }
    text
}

impl Answer {
    /// Every header field but `date` and `connection`.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let always = [
            ("content-type", self.content_type.to_owned()),
            ("content-length", self.body.len().to_string()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        let allow = (self.status == 405).then(|| ("allow", "GET, HEAD".to_owned()));
        always.into_iter().chain(allow)
    }

    /// What is sent behind the head: nothing for HEAD.
    #[must_use]
    pub fn sent_body(&self) -> &[u8] {
        if self.head_only { &[] } else { &self.body }
    }
}
