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
    /// Relative share, 1 to 1,000,000.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "policy", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LoadBalancing {
    /// Smooth weighted round-robin.
    RoundRobin,
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
