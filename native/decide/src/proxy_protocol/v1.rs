//! Version 1: one line of text, such as `PROXY TCP4 192.0.2.1 198.51.100.1 1024 443`.

use super::{Addresses, Header, Parsed, one_family};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// With its line end: section 2.1.
const MAX_LINE: usize = 107;

/// `bytes` begin with [`SIGNATURE`].
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = window.iter().position(|b| *b == b'\n') else {
        let too_long = window.len() == MAX_LINE;
        return if too_long { Parsed::Malformed("v1_too_long") } else { Parsed::NeedMore { signed: true } };
    };
    let Some(line) = window.get(..end).and_then(|line| line.strip_suffix(b"\r")) else {
        return Parsed::Malformed("v1_line_end");
    };
    match line_of(line.get(SIGNATURE.len()..).unwrap_or_default()) {
        Ok(addresses) => Parsed::Header(Header { len: end + 1, addresses }),
        Err(code) => Parsed::Malformed(code),
    }
}

fn line_of(rest: &[u8]) -> Result<Option<Addresses>, &'static str> {
    if rest.contains(&b'\r') {
        return Err("v1_line_end");
    }
    let text = std::str::from_utf8(rest).map_err(|_| "v1_text")?;
    let mut parts = text.split(' ');
    let family = match parts.next() {
        // Section 2.1: whatever stands behind it is skipped.
        Some("UNKNOWN") => return Ok(None),
        Some(family @ ("TCP4" | "TCP6")) => family,
        _ => return Err("v1_family"),
    };
    let mut next = || parts.next().ok_or("v1_fields");
    let (source, destination, source_port, destination_port) = (next()?, next()?, next()?, next()?);
    if parts.next().is_some() {
        return Err("v1_fields");
    }
    let ip = |text: &str| -> Result<IpAddr, &'static str> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| "v1_address"),
            _ => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| "v1_address"),
        }
    };
    let [source, destination] = [ip(source)?.to_canonical(), ip(destination)?.to_canonical()];
    Ok(Some(Addresses {
        source: SocketAddr::new(source, number(source_port)?),
        destination: SocketAddr::new(destination, number(destination_port)?),
    }))
}

/// A port: digits without a zero in front.
fn number(text: &str) -> Result<u16, &'static str> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or("v1_port")
}

/// Appends the line; without addresses `PROXY UNKNOWN`.
pub fn write(out: &mut Vec<u8>, addresses: Option<Addresses>) {
    let Some(addresses) = addresses else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let Addresses { source, destination } = one_family(addresses);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    // A `Vec` takes every write.
    let _ = write!(out, "PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
}
