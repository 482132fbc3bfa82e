//! Listeners: where connections come in, and what is asked of them before a route is looked for.

use super::forward::{Forwarding, ProxyAccept};
use serde::{Deserialize, Serialize};

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// The operator's name for it.
    pub name: String,
    /// `ip:port`, IPv6 in brackets; port 0 takes a free one.
    pub address: String,
    /// What it serves.
    pub kind: ListenerKind,
    /// True: another process may hold the address too (`SO_REUSEPORT`). False: that is an error at start.
    pub shared: bool,
    /// TLS termination, or null for plain text.
    pub tls: Option<ListenerTls>,
    /// True: `x-forwarded-client-cert` is set from the verified peer certificate.
    pub forward_identity: bool,
    /// `x-forwarded-*`, request id, trace and via.
    pub forwarded: ForwardedHeaders,
    /// How escapes in paths are treated before matching and policy.
    pub paths: PathRules,
    /// Whether HTTP/1 is served. False: HTTP/2 only, by ALPN or, without TLS, by its preface.
    pub http1: bool,
    /// Whether requests may ask for another protocol (`Upgrade: websocket`, …).
    pub upgrade: bool,
    /// Whether `CONNECT host:port` is tunnelled to the route's backend. False: 405.
    pub connect: bool,
    /// Bounds on what a client may use.
    pub limits: Limits,
    /// Where connections go below HTTP: of `tcp`, `tls-passthrough` and `auto`, null for the others.
    pub forward: Option<Forwarding>,
    /// Whose PROXY header is believed, or null: nobody's.
    pub proxy_protocol: Option<ProxyAccept>,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum ListenerKind {
    /// Traffic, by the routes.
    Http,
    /// Bytes both ways, to the backends of `forward`.
    Tcp,
    /// TLS that is not opened, to the backends of `forward` by SNI.
    TlsPassthrough,
    /// What the first bytes look like: one of the three above.
    Auto,
    /// `/healthz /readyz /metrics /config`, loopback only, Host checked.
    Admin,
    /// `/healthz /readyz /metrics`, any address.
    Probes,
}

impl ListenerKind {
    /// Whether it carries traffic; the others say how the proxy is.
    #[must_use]
    pub const fn is_traffic(self) -> bool {
        !matches!(self, Self::Admin | Self::Probes)
    }
}

/// TLS at a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// Whether clients must prove who they are.
    pub mode: TlsMode,
    /// Chosen by SNI against the certificates' DNS names, the first is the default. Mutual: exactly one, the identity.
    pub certificates: Vec<Certificate>,
    /// Mutual: the PEM file of roots that clients are checked against.
    pub trust_bundle: Option<String>,
    /// Mutual: the trust domain that clients must belong to; null: that of our own certificate.
    pub trust_domain: Option<String>,
    /// Mutual: a PEM file of revoked certificates.
    pub crl: Option<String>,
    /// ALPN names offered, best first.
    pub alpn: Vec<String>,
    /// False: TLS 1.3 only. Mutual is always 1.3.
    pub tls12: bool,
}

/// Whether the peer has to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Only the server shows one.
    Simple,
    /// Both sides do, with SPIFFE IDs.
    Mutual,
}

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// Absolute path of the chain, leaf first.
    pub cert: String,
    /// Absolute path of the private key (PKCS#8, SEC1 or PKCS#1).
    pub key: String,
}

/// Which headers we add to what goes upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardedHeaders {
    /// True: `x-forwarded-for`, `-proto` and `-host` are sent.
    pub forwarded_for: bool,
    /// True: the client's own `x-forwarded-*` are believed and appended to. False: they are dropped first.
    pub trust: bool,
    /// True: `x-request-id` is passed on if well-formed, or made.
    pub request_id: bool,
    /// True: `traceparent` is passed on if well-formed, or begun; B3 is passed on as it is.
    pub trace: bool,
    /// True: `x-tulle-deadline` says how many milliseconds are left for the request, where there is a limit.
    pub deadline: bool,
    /// The pseudonym for `via` (RFC 9110 section 7.6.3), or null for none.
    pub via: Option<String>,
}

/// What to do with the escapes of a path that may mean two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathRules {
    /// `%2F`.
    pub encoded_slash: EscapePolicy,
    /// `;` and `%3B`.
    pub path_parameters: EscapePolicy,
}

/// Keep it, or answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum EscapePolicy {
    /// Pass it on as it is.
    Keep,
    /// 400.
    Reject,
}

/// Bounds per listener; numbers are per process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Open connections; further ones are closed at once.
    pub connections: u32,
    /// Requests under way on one connection of HTTP/2, 1 to 32,767.
    pub streams: u32,
    /// Bytes of a request head.
    pub header_bytes: u32,
    /// Fields of a request head.
    pub header_fields: u32,
    /// From a connection's first byte (or the previous answer) to the head's last; also the TLS handshake.
    pub header_timeout_ms: u32,
    /// A request body slower than this many bytes per second, over 10 s, is cut; 0: never.
    pub body_bytes_per_second: u32,
    /// A connection without a request is closed after this.
    pub idle_timeout_ms: u32,
    /// Bytes of a request body, or null for any.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub body_bytes: Option<u64>,
}
