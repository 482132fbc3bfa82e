//! What a service's endpoints are asked. In: its settings. Out: a question that can be put to any of them.

use std::net::{IpAddr, Ipv6Addr};
use tulle_snapshot::wire::{HealthProbe, Service, ServiceProtocol};

/// What the question is put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing: a connection is the answer.
    Connection,
    /// HTTP/1.1.
    Text,
    /// HTTP/2.
    Streams,
}

/// What is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub(super) probe: HealthProbe,
    way: Way,
}

impl Question {
    /// The question of a service; none, where its endpoints are not asked. HTTP goes the way that requests go; gRPC knows
    /// only one.
    #[must_use]
    pub fn new(service: &Service) -> Option<Self> {
        let probe = service.health_check.as_ref()?.probe.clone();
        let way = match (&probe, service.protocol) {
            (HealthProbe::Tcp, _) => Way::Connection,
            (HealthProbe::Http { .. }, ServiceProtocol::Http | ServiceProtocol::Tcp) => Way::Text,
            (HealthProbe::Http { .. } | HealthProbe::Grpc { .. }, _) => Way::Streams,
        };
        Some(Self { probe, way })
    }

    /// What it is put into.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }
}

/// An endpoint's own Host: its DNS name or IP address, with the port unless that is the scheme's. A Unix socket, which
/// has neither, is `localhost`.
#[must_use]
pub fn authority(host: Option<&str>, port: Option<u16>, secure: bool) -> String {
    let host = host.unwrap_or("localhost");
    let host = match host.parse::<Ipv6Addr>().map(IpAddr::V6) {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    };
    let usual = if secure { 443 } else { 80 };
    match port.filter(|port| *port != usual) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
