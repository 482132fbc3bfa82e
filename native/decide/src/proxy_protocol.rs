//! The PROXY protocol, versions 1 and 2: who a connection really comes from, as a proxy in front of us says.
//!
//! In: the first bytes of a connection from a source that is believed, or the addresses to announce. Out: the header, or
//! why it is none. Source: "The PROXY protocol", sections 2.1 and 2.2. Before: listen. After: TLS or detect.

mod v1;
mod v2;

pub use v1::write as write_v1;
pub use v2::write as write_v2;

use std::net::SocketAddr;

/// The longest header that is read, of either version.
pub const MAX_HEADER: usize = v2::PREFIX + v2::MAX_BODY;

/// The two ends of the connection that the header is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its length in bytes; what follows is the connection's own.
    pub len: usize,
    /// None: the connection is the sender's own (`LOCAL`), or of a kind without IP addresses (`UNKNOWN`, `UNSPEC`, Unix).
    pub addresses: Option<Addresses>,
}

/// What the first bytes of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// They may become a header.
    NeedMore {
        /// They begin as only a header does.
        signed: bool,
    },
    /// They do not begin as a header does.
    Absent,
    /// They begin as a header does, and are none. A stable code in `snake_case`.
    Malformed(&'static str),
    /// A header.
    Header(Header),
}

/// Looks for a header at the front of `bytes`, which are all that came so far.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    if bytes.starts_with(v1::SIGNATURE) {
        return v1::parse(bytes);
    }
    if bytes.starts_with(v2::SIGNATURE) {
        return v2::parse(bytes);
    }
    if v1::SIGNATURE.starts_with(bytes) || v2::SIGNATURE.starts_with(bytes) {
        return Parsed::NeedMore { signed: false };
    }
    Parsed::Absent
}

/// Both addresses in one family: IPv4 where both are, otherwise IPv6.
fn one_family(addresses: Addresses) -> Addresses {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (canonical(addresses.source), canonical(addresses.destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return Addresses { source, destination };
    }
    let wide = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(v6) => SocketAddr::V6(v6),
    };
    Addresses { source: wide(source), destination: wide(destination) }
}
