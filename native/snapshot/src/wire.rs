//! The crossing types. Every field is present in the JSON (null where optional); unknown keys are refused.
//!
//! Names are strings only where an operator reads them; everything else refers by index into the snapshot's tables.
//! Durations are whole milliseconds (`…Ms`), sizes bytes.

use serde::{Deserialize, Serialize};

mod forward;
mod listener;
mod policy;
mod route;
mod service;

pub use forward::{Forwarding, ProxyAccept, ProxyVersion, SniRoute};
pub use listener::{
    Certificate, EscapePolicy, ForwardedHeaders, Limits, Listener, ListenerKind, ListenerTls, PathRules,
    TlsMode,
};
pub use policy::{Action, Mode, Policy, PolicyRule};
pub use route::{
    Backend, Fault, FaultAbort, FaultBandwidth, FaultDelay, HeaderEdit, HeaderEdits, HeaderMatch, Hedge,
    Match, Mirror, PathEdit, PathMatch, Priority, QueryMatch, RateLimit, Redirect, Retry, RetryBudget,
    RetryOn, Rewrite, Route, Rule,
};
pub use service::{
    AdaptiveLimit, Affinity, BalancingPolicy, CircuitLimits, Endpoint, EndpointAddress, HealthCheck,
    HealthProbe, LoadBalancing, OutlierDetection, PoolLimits, RequestKey, Service, ServiceProtocol,
    ServiceTls, Subset, SuccessRate,
};

/// One complete configuration of a proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// The format of this document: [`crate::FORMAT`].
    pub format: u32,
    /// What operators see as the running version: a digest of the content.
    pub version: String,
    /// Data-plane worker threads, 1 to 256.
    pub workers: u32,
    /// What is logged of each request, and where.
    pub access_log: AccessLog,
    /// How long a drain may take.
    pub drain_ms: u32,
    /// Resident memory of the process from which on nothing new is taken on, or null for no limit.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub memory_bytes: Option<u64>,
    /// The zone that the proxy is in, or null.
    pub zone: Option<String>,
    /// Listening addresses; names are unique.
    pub listeners: Vec<Listener>,
    /// Upstream services; names are unique.
    pub services: Vec<Service>,
    /// HTTP routes in the order of the file.
    pub routes: Vec<Route>,
    /// Authorization policies in the order of the file.
    pub authorization: Vec<Policy>,
}

/// Which requests are logged, and where the lines go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessLog {
    /// Which requests.
    pub requests: LoggedRequests,
    /// Absolute path of the file, or `-` for standard output.
    pub file: String,
}

/// Which requests the access log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum LoggedRequests {
    /// None.
    Off,
    /// Status 400 and above, and requests that ended without a complete answer.
    Errors,
    /// Every request.
    All,
}
