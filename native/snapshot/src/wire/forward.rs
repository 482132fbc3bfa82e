//! What is forwarded below HTTP: where connections go, by which name, and what is believed of their source.

use super::route::Backend;
use serde::{Deserialize, Serialize};

/// Where a listener sends connections that it does not read as HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Forwarding {
    /// By weight; empty: what no SNI route takes is refused.
    pub backends: Vec<Backend>,
    /// TLS that is passed through unopened, by the name it asks for.
    pub sni: Vec<SniRoute>,
    /// True: the port is of a protocol whose server speaks first, and `auto` looks at nothing.
    pub server_first: bool,
    /// A connection without a byte either way ends after this; 0: no limit.
    pub stream_idle_timeout_ms: u32,
}

/// Where TLS for some names goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SniRoute {
    /// Lower-case host names, `*.` in front for a wildcard; not empty.
    pub hostnames: Vec<String>,
    /// By weight; not empty.
    pub backends: Vec<Backend>,
}

/// Whose PROXY header is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyAccept {
    /// Networks, `ADDRESS/BITS`; not empty.
    pub accept: Vec<String>,
    /// True: connections from elsewhere, and those without a header, are taken as they are. False: they are closed.
    pub optional: bool,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
