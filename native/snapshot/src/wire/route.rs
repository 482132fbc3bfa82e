//! Routes: which request goes where, and what is changed on the way.

use super::service::RequestKey;
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
    /// The same for one attempt; 0: no limit.
    pub per_try_timeout_ms: u32,
    /// When and how often another attempt is made.
    pub retry: Retry,
    /// How many requests pass, or null for any number.
    pub rate_limit: Option<RateLimit>,
    /// What is done wrong on purpose, or null.
    pub fault: Option<Fault>,
    /// Where copies go, or null.
    pub mirror: Option<Mirror>,
    /// Who is turned away last when there is too much to do.
    pub priority: Priority,
    /// Requests with the same key go to the same backend; null: each is drawn anew.
    pub sticky: Option<RequestKey>,
    /// Where requests go, by weight.
    pub backends: Vec<Backend>,
}

/// A limit on the requests of a rule: GCRA, one bucket per key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// The rate per key, 1 to 1,000,000.
    pub requests_per_second: u32,
    /// How many pass at once from rest, at least 1.
    pub burst: u32,
    /// What has a bucket of its own; null: one for all.
    pub key: Option<RequestKey>,
    /// Keys that have a bucket of their own at a time; further ones share that of requests without a key.
    pub keys: u32,
}

/// Failures on purpose. Shares are parts per million of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only for requests with these headers; empty: for all.
    pub headers: Vec<HeaderMatch>,
    /// Waits before the request is sent on.
    pub delay: Option<FaultDelay>,
    /// Answers instead of sending the request on.
    pub abort: Option<FaultAbort>,
    /// Sends answers on slowly.
    pub bandwidth: Option<FaultBandwidth>,
}

/// A delay on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultDelay {
    /// The share, 0 to 1,000,000.
    pub per_million: u32,
    /// How long.
    pub duration_ms: u32,
}

/// A refusal on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultAbort {
    /// The share, 0 to 1,000,000.
    pub per_million: u32,
    /// The status, 400 to 599.
    pub status: u16,
    /// What gRPC calls get, 1 to 16; null: what the status stands for.
    pub grpc_status: Option<u8>,
}

/// A slow answer on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultBandwidth {
    /// The share, 0 to 1,000,000.
    pub per_million: u32,
    /// Bytes of the answer's body per second, at least 1.
    pub bytes_per_second: u32,
}

/// Where copies of requests go. Their answers are thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirror {
    /// Index into the snapshot's services.
    pub service: u32,
    /// Index into the service's subsets, or null for all endpoints.
    pub subset: Option<u32>,
    /// The share in parts per million, 0 to 1,000,000.
    pub per_million: u32,
}

/// Who is turned away last when there is too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// First to be turned away.
    Low,
    /// In between.
    Normal,
    /// Last.
    High,
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
    /// Exact values of cookies; names have a case.
    pub cookies: Vec<HeaderMatch>,
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
    /// After which statuses besides, 400 to 599.
    pub statuses: Vec<u16>,
    /// The longest wait before the first retry; each further one waits up to twice as long, with full jitter.
    pub backoff_base_ms: u32,
    /// The longest wait.
    pub backoff_max_ms: u32,
    /// How many retries there may be.
    pub budget: RetryBudget,
    /// Requests of any method are retried, even where they may have been seen.
    pub non_idempotent: bool,
    /// A second attempt beside a slow first one, or null for none.
    pub hedge: Option<Hedge>,
}

/// How many retries there may be, over ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryBudget {
    /// Of the requests, 0 to 100.
    pub percent: u32,
    /// Always allowed beside them.
    pub min_per_second: u32,
}

/// Hedging: an idempotent request that is slower than most is sent to a second endpoint, and the first answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hedge {
    /// Slower than this share of requests, 50 to 99.
    pub percentile: u32,
    /// How many requests more than without, 1 to 100 percent.
    pub max_percent: u32,
}

/// A failure after which another attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// No connection, or no handshake.
    ConnectFailure,
    /// Closed or reset before a response head.
    Reset,
    /// 502, 503 or 504.
    GatewayError,
    /// Any 5xx.
    #[serde(rename = "5xx")]
    ServerError,
    /// The attempt took longer than `per_try_timeout_ms`.
    PerTryTimeout,
    /// gRPC status 1 without a message before it.
    GrpcCancelled,
    /// gRPC status 4 without a message before it.
    GrpcDeadlineExceeded,
    /// gRPC status 8 without a message before it.
    GrpcResourceExhausted,
    /// gRPC status 13 without a message before it.
    GrpcInternal,
    /// gRPC status 14 without a message before it.
    GrpcUnavailable,
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
    /// Its share moves to the others while it has no usable endpoint.
    pub fallback: bool,
}
