//! Version 2: binary, with extensions (TLVs), of which the checksum is the one that is looked at.

use super::{Addresses, Header, Parsed, one_family};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length of the rest.
pub(super) const PREFIX: usize = 16;
/// Addresses and extensions.
pub(super) const MAX_BODY: usize = 4096;
/// Section 2.2.4: `CRC32c` over the header, with zeros in its own place.
const TYPE_CRC32C: u8 = 0x03;

/// `bytes` begin with [`SIGNATURE`].
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let Some([version_command, family, high, low]) = bytes.get(SIGNATURE.len()..PREFIX) else {
        return Parsed::NeedMore { signed: true };
    };
    let len = PREFIX + usize::from(u16::from_be_bytes([*high, *low]));
    if len > PREFIX + MAX_BODY {
        return Parsed::Malformed("v2_too_long");
    }
    let is_local = match version_command {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Parsed::Malformed("v2_command"),
        _ => return Parsed::Malformed("v2_version"),
    };
    let Some(header) = bytes.get(..len) else { return Parsed::NeedMore { signed: true } };
    // Section 2.2: of a local connection everything is skipped.
    let addresses = if is_local { Ok(None) } else { proxied(*family, header) };
    match addresses {
        Ok(addresses) => Parsed::Header(Header { len, addresses }),
        Err(code) => Parsed::Malformed(code),
    }
}

fn proxied(family: u8, header: &[u8]) -> Result<Option<Addresses>, &'static str> {
    let body = header.get(PREFIX..).unwrap_or_default();
    let length = match family {
        // Nothing is said of what follows.
        0x00 => return Ok(None),
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Err("v2_family"),
    };
    let (addresses, extensions) = body.split_at_checked(length).ok_or("v2_addresses")?;
    check_extensions(header, extensions)?;
    Ok(match length {
        12 => Some(ipv4(addresses).ok_or("v2_addresses")?),
        36 => Some(ipv6(addresses).ok_or("v2_addresses")?),
        _ => None,
    })
}

fn ipv4(body: &[u8]) -> Option<Addresses> {
    let (source, rest) = body.split_first_chunk::<4>()?;
    let (destination, ports) = rest.split_first_chunk::<4>()?;
    let ends = [IpAddr::V4(Ipv4Addr::from(*source)), IpAddr::V4(Ipv4Addr::from(*destination))];
    with_ports(ends, ports)
}

fn ipv6(body: &[u8]) -> Option<Addresses> {
    let (source, rest) = body.split_first_chunk::<16>()?;
    let (destination, ports) = rest.split_first_chunk::<16>()?;
    let ends = [IpAddr::V6(Ipv6Addr::from(*source)), IpAddr::V6(Ipv6Addr::from(*destination))];
    with_ports(ends, ports)
}

fn with_ports([source, destination]: [IpAddr; 2], ports: &[u8]) -> Option<Addresses> {
    let [a, b, c, d] = ports else { return None };
    Some(Addresses {
        source: SocketAddr::new(source.to_canonical(), u16::from_be_bytes([*a, *b])),
        destination: SocketAddr::new(destination.to_canonical(), u16::from_be_bytes([*c, *d])),
    })
}

/// Extensions are skipped, but each must be whole, and a checksum must hold.
fn check_extensions(header: &[u8], extensions: &[u8]) -> Result<(), &'static str> {
    let mut rest = extensions;
    let mut checked = false;
    while !rest.is_empty() {
        let ([kind, high, low], behind) = rest.split_first_chunk().ok_or("v2_extension")?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = behind.split_at_checked(length).ok_or("v2_extension")?;
        if *kind == TYPE_CRC32C {
            let expected: [u8; 4] = value.try_into().map_err(|_| "v2_checksum")?;
            let place = header.len() - behind.len();
            if checked || checksum(header, place) != u32::from_be_bytes(expected) {
                return Err("v2_checksum");
            }
            checked = true;
        }
        rest = next;
    }
    Ok(())
}

/// `CRC32c` (RFC 3720 section 12.1) of the header, the four bytes at `place` taken as zeros.
fn checksum(header: &[u8], place: usize) -> u32 {
    let mut crc = u32::MAX;
    for (at, byte) in header.iter().enumerate() {
        let byte = if (place..place + 4).contains(&at) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

/// Appends the header; without addresses that of a local connection.
pub fn write(out: &mut Vec<u8>, addresses: Option<Addresses>) {
    out.extend_from_slice(SIGNATURE);
    let Some(addresses) = addresses else {
        out.extend_from_slice(&[0x20, 0x00, 0, 0]);
        return;
    };
    let Addresses { source, destination } = one_family(addresses);
    out.extend_from_slice(if source.is_ipv4() { &[0x21, 0x11, 0, 12] } else { &[0x21, 0x21, 0, 36] });
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}
