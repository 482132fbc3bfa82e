//! A peer's address in 18 bytes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An IP address and port; IPv4 is kept mapped into IPv6. A Unix socket has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    ip: [u8; 16],
    port: u16,
}

impl Address {
    /// Not known, or not an IP address.
    pub const UNKNOWN: Self = Self { ip: [0; 16], port: 0 };

    /// The address, IPv4 as IPv4; none where it is not known.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        if *self == Self::UNKNOWN {
            return None;
        }
        Some(SocketAddr::new(Ipv6Addr::from(self.ip).to_canonical(), self.port))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { ip: ip.octets(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for text in ["127.0.0.1:80", "[::1]:443", "[2001:db8::7]:65535", "0.0.0.0:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::from(address).socket(), Some(address));
        }
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:5".parse().unwrap();
        assert_eq!(Address::from(mapped).socket(), Some("10.0.0.1:5".parse().unwrap()));
        assert_eq!(Address::UNKNOWN.socket(), None);
    }
}
