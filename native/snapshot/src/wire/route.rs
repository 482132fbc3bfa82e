//! Routes: which request goes where, and what is changed on the way.

use serde::{Deserialize, Serialize};

/// A named group of rules for some hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The operator's name for it.
    pub name: String,
    /// Indices of the listeners it applies to, ascending.
    pub listeners: Vec<u32>,
    /// Lower-case host names, `*.` in front for a wildcard; empty: any host.
    pub hostnames: Vec<String>,
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

/// What is done with a request that one of `matches` fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Alternatives; empty: every request.
    pub matches: Vec<Match>,
    /// Changes to the request's headers.
    pub request_headers: HeaderEdits,
    /// Changes to the response's headers.
    pub response_headers: HeaderEdits,
    /// Changes to what is asked for.
    pub rewrite: Option<Rewrite>,
    /// Answers with a redirect instead of forwarding; `backends` is empty then.
    pub redirect: Option<Redirect>,
    /// From the request's last byte to the response's head, over all attempts; 0: no limit.
    pub request_timeout_ms: u32,
    /// Bodies, streams and tunnels without a byte either way end after this; 0: no limit.
    pub stream_idle_timeout_ms: u32,
    /// When and how often another attempt is made.
    pub retry: Retry,
    /// Where requests go, by weight.
    pub backends: Vec<Backend>,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// On the normalized path, without the query; null: any.
    pub path: Option<PathMatch>,
    /// The method, as sent (case-sensitive); null: any.
    pub method: Option<String>,
    /// Exact values; names lower-case.
    pub headers: Vec<HeaderMatch>,
    /// Exact values of query parameters.
    pub query: Vec<QueryMatch>,
}

/// How a path is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PathMatch {
    /// The whole path.
    Exact {
        /// Begins with `/`.
        value: String,
    },
    /// Whole segments; `/v1` and `/v1/` mean the same.
    Prefix {
        /// Begins with `/`.
        value: String,
    },
    /// The whole path, in linear time.
    Regex {
        /// Syntax of the `regex` crate, at most 1024 bytes.
        value: String,
    },
}

/// A header that must be there with exactly this value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// Lower-case.
    pub name: String,
    /// Compared byte by byte.
    pub value: String,
}

/// A query parameter that must be there with exactly this value, after decoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueryMatch {
    /// Decoded.
    pub name: String,
    /// Decoded.
    pub value: String,
}

/// Changes to a message's headers, done in the order remove, set, add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderEdits {
    /// Names taken out, lower-case.
    pub remove: Vec<String>,
    /// Fields that replace all of that name.
    pub set: Vec<HeaderEdit>,
    /// Fields added beside what is there.
    pub add: Vec<HeaderEdit>,
}

/// One header to write. Framing, hop-by-hop and identity headers are refused here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderEdit {
    /// As written to the wire.
    pub name: String,
    /// As written to the wire.
    pub value: String,
}

/// Changes to what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rewrite {
    /// The new path, or null to keep it.
    pub path: Option<PathEdit>,
    /// The new Host, or null to keep it.
    pub host: Option<String>,
}

/// What becomes of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PathEdit {
    /// The whole path is replaced; the query stays.
    Full {
        /// Begins with `/`.
        value: String,
    },
    /// The matched prefix is replaced (the whole path, where an exact path or a regex was matched).
    ReplacePrefix {
        /// Begins with `/`.
        value: String,
    },
}

/// A redirect (RFC 9110 section 15.4). What is null is kept from the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The new host, without a port.
    pub host: Option<String>,
    /// The new port.
    pub port: Option<u16>,
    /// The new path.
    pub path: Option<PathEdit>,
}

/// When and how often another attempt is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Attempts after the first, 0 to 10.
    pub attempts: u32,
    /// After which failures.
    pub on: Vec<RetryOn>,
}

/// A failure after which another attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// No connection, or no handshake.
    ConnectFailure,
    /// Closed or reset before a response head.
    Reset,
}

/// Where some of a rule's requests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// Index into the snapshot's services.
    pub service: u32,
    /// Index into the service's subsets, or null for all endpoints.
    pub subset: Option<u32>,
    /// Relative share, 0 to 1,000,000; the sum over a rule is above 0.
    pub weight: u32,
}
