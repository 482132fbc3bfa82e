//! Services: what requests are sent to.

use super::forward::ProxyVersion;
use super::listener::Certificate;
use serde::{Deserialize, Serialize};

/// One upstream service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// The operator's name for it.
    pub name: String,
    /// What its endpoints speak.
    pub protocol: ServiceProtocol,
    /// The PROXY header that each connection to it begins with, or null for none.
    pub send_proxy_protocol: Option<ProxyVersion>,
    /// In the order of the file.
    pub endpoints: Vec<Endpoint>,
    /// Named parts of the service.
    pub subsets: Vec<Subset>,
    /// How an endpoint is picked.
    pub load_balancing: LoadBalancing,
    /// TLS towards the endpoints, or null for plain text.
    pub tls: Option<ServiceTls>,
    /// A connection attempt, TLS included, may take this long.
    pub connect_timeout_ms: u32,
    /// Bounds on what we keep open.
    pub pool: PoolLimits,
    /// Bounds on what is under way.
    pub circuit: CircuitLimits,
    /// How endpoints are asked whether they are well, or null for not at all.
    pub health_check: Option<HealthCheck>,
    /// When an endpoint that fails is left out for a while, or null for never.
    pub outlier_detection: Option<OutlierDetection>,
}

/// What the endpoints of a service speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum ServiceProtocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC, over HTTP/2.
    Grpc,
    /// Anything: bytes are forwarded as they are.
    Tcp,
}

/// One place to send to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Relative share, 0 to 1,000,000; 0: only for clients whose affinity cookie names it.
    pub weight: u32,
    /// The zone it is in, or null.
    pub zone: Option<String>,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EndpointAddress {
    /// An address that needs no look-up.
    Tcp {
        /// `ip:port`, IPv6 in brackets.
        address: String,
    },
    /// A Unix socket.
    Unix {
        /// Absolute path.
        path: String,
    },
    /// A name, resolved outside and handed in by `Engine::resolve`; until then it has no address.
    Dns {
        /// Host name.
        name: String,
        /// Port.
        port: u16,
    },
}

/// A named part of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// Indices into the service's endpoints, ascending; may be empty.
    pub endpoints: Vec<u32>,
}

/// How an endpoint is picked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancing {
    /// The algorithm.
    pub policy: BalancingPolicy,
    /// What ring-hash and maglev look at; null for the others.
    pub key: Option<RequestKey>,
    /// Endpoints of the proxy's own zone are preferred, as long as they can carry their share.
    pub prefer_zone: bool,
    /// An endpoint that is new or came back gets its full share after this; 0: at once.
    pub slow_start_ms: u32,
    /// The cookie that names the endpoint which a client stays with, or null for none.
    pub affinity: Option<Affinity>,
}

/// The algorithm that picks an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum BalancingPolicy {
    /// Smooth weighted round-robin.
    RoundRobin,
    /// By chance and weight.
    Random,
    /// Of two chosen by chance, the one with fewer requests under way.
    LeastRequest,
    /// Of two chosen by chance, the one whose latency and load are lower.
    PeakEwma,
    /// By a key of the request, on a ring of hashes.
    RingHash,
    /// By a key of the request, by Maglev's table.
    Maglev,
}

/// Session affinity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Affinity {
    /// The cookie's name.
    pub cookie: String,
    /// `Max-Age` of the cookie; 0: until the browser ends.
    pub max_age_s: u32,
}

/// What a request is told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RequestKey {
    /// The first value of a header.
    Header {
        /// Lower-case.
        name: String,
    },
    /// The value of a cookie.
    Cookie {
        /// Its name; it has a case.
        name: String,
    },
    /// The client's IP address.
    Source,
    /// The normalized path, without the query.
    Path,
    /// The caller's SPIFFE ID.
    Identity,
}

/// TLS towards the endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "mode", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ServiceTls {
    /// The server shows a certificate for `server_name`.
    Simple {
        /// The DNS name or IP address asked for (SNI) and verified; null: the endpoint's own host.
        server_name: Option<String>,
        /// PEM file of roots; null: the system's.
        trust_bundle: Option<String>,
        /// A client certificate, where the server wants one.
        identity: Option<Certificate>,
    },
    /// Both show X.509-SVIDs; TLS 1.3 only.
    Mutual {
        /// Ours.
        identity: Certificate,
        /// PEM file of roots.
        trust_bundle: String,
        /// SPIFFE IDs, one of which the peer must have; not empty.
        expect: Vec<String>,
        /// The trust domain the peer must belong to; null: that of our own certificate.
        trust_domain: Option<String>,
        /// A PEM file of revoked certificates.
        crl: Option<String>,
    },
}

/// Bounds per service; numbers are per process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolLimits {
    /// Open connections to the service.
    pub connections: u32,
    /// Idle connections kept to each endpoint.
    pub idle_per_endpoint: u32,
    /// An idle connection is closed after this; keep it below the server's own.
    pub idle_timeout_ms: u32,
    /// Requests on one connection before it is closed, or null for any.
    pub requests_per_connection: Option<u32>,
    /// Requests that wait for a connection when all are busy.
    pub pending: u32,
    /// How long they wait.
    pub queue_timeout_ms: u32,
}

/// Bounds on what is under way, per process. Tunnels and health checks do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CircuitLimits {
    /// Requests to the service, or null for any number; further ones wait as for a connection.
    pub requests: Option<u32>,
    /// Retries to the service, or null for any number; a further one is not made.
    pub retries: Option<u32>,
    /// Open connections to one endpoint, or null for any number.
    pub endpoint_connections: Option<u32>,
    /// Requests to one endpoint, or null for any number.
    pub endpoint_requests: Option<u32>,
    /// A limit on requests that follows the latency, or null for none.
    pub adaptive: Option<AdaptiveLimit>,
}

/// Adaptive concurrency: how low and how high the limit may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdaptiveLimit {
    /// The limit never falls below this, at least 1.
    pub min: u32,
    /// Requests at most.
    pub max: u32,
}

/// How the endpoints of a service are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: HealthProbe,
    /// Between two questions to an endpoint, give or take 15 %.
    pub interval_ms: u32,
    /// The same while the service has no traffic.
    pub idle_interval_ms: u32,
    /// A later answer counts as a failure.
    pub timeout_ms: u32,
    /// Failures in a row until an endpoint is left out, at least 1.
    pub unhealthy_after: u32,
    /// Successes in a row until it is used again, at least 1.
    pub healthy_after: u32,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HealthProbe {
    /// `GET` this path; 2xx is well.
    Http {
        /// Begins with `/`.
        path: String,
        /// The Host, or null for the endpoint's own.
        host: Option<String>,
    },
    /// `grpc.health.v1.Health/Check`; SERVING is well.
    Grpc {
        /// The gRPC service that is asked about; empty: the server as a whole.
        service: String,
    },
    /// A connection, its handshake included, is well.
    Tcp,
}

/// When an endpoint that fails is left out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutlierDetection {
    /// Errors in a row until an endpoint is ejected; 0: never for that.
    pub consecutive_errors: u32,
    /// The share of successes below which it is ejected, or null: never for that.
    pub success_rate: Option<SuccessRate>,
    /// How long the first ejection lasts; each further one twice as long.
    pub base_ejection_ms: u32,
    /// The longest that an ejection lasts.
    pub max_ejection_ms: u32,
    /// Of the service, 0 to 100; beyond it, ejected endpoints are used again.
    pub max_ejected_percent: u32,
}

/// A share of successes over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuccessRate {
    /// Below this an endpoint is ejected, 1 to 100.
    pub percent: u32,
    /// The window.
    pub window_ms: u32,
    /// Fewer requests in the window say nothing, at least 1.
    pub min_requests: u32,
}
