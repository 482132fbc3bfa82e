//! Networks of IP addresses: which sources are believed.
//!
//! In: `ADDRESS/BITS` from the snapshot. Out: whether an address is inside. Before: listen.

use crate::policy::BuildError;
use std::net::IpAddr;

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Box<[Network]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    v4: bool,
    /// The address's bits, left-aligned.
    bits: u128,
    mask: u128,
}

impl Networks {
    /// Reads the texts; an error names the one that is no network.
    pub fn new(texts: &[String], at: &str) -> Result<Self, BuildError> {
        let parse = |(i, text): (usize, &String)| {
            network(text)
                .ok_or_else(|| BuildError::new(format!("{at}[{i}]"), format!("{text:?} is not a network")))
        };
        texts.iter().enumerate().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the address is in one of them. An IPv4 address written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (v4, bits) = left_aligned(ip.to_canonical());
        self.0.iter().any(|network| network.v4 == v4 && (network.bits ^ bits) & network.mask == 0)
    }
}

fn left_aligned(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(v4) => (true, u128::from(v4.to_bits()) << 96),
        IpAddr::V6(v6) => (false, v6.to_bits()),
    }
}

fn network(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/')?;
    let (v4, bits) = left_aligned(address.parse().ok()?);
    let length: u32 = length.parse().ok()?;
    if length > if v4 { 32 } else { 128 } {
        return None;
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Some(Network { v4, bits, mask })
}
