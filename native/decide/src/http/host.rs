//! The grammar of `host[:port]`. In: an authority; out: whether it is one, and the key that routes are looked up by.

use super::bytes::{decimal, is_host_byte};
use std::net::Ipv6Addr;

/// Room that [`host_key`] needs: the longest name, or an IPv6 address in brackets.
pub const HOST_KEY_BYTES: usize = 256;

/// The longest name we take (RFC 1035: 253, and a final dot).
const NAME_BYTES: usize = 254;

/// Splits at the colon of the port; the port is empty where there is none.
fn split(authority: &[u8]) -> (&[u8], &[u8]) {
    let name_len = match authority {
        [b'[', ..] => memchr::memchr(b']', authority).map_or(authority.len(), |i| i + 1),
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    authority.split_at_checked(name_len).unwrap_or((authority, &[]))
}

/// Whether these bytes are `name`, `IPv4` or `[IPv6]` with an optional `:port`. Userinfo, escapes, empty labels, zones
/// and ports above 65535 are refused; an empty port is legal (RFC 3986 section 3.2.3).
#[must_use]
pub fn is_authority(authority: &[u8]) -> bool {
    let (name, port) = split(authority);
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    port_fits && if name.first() == Some(&b'[') { is_ipv6(name) } else { is_name(name) }
}

/// Whether these bytes are a host with a port, as CONNECT needs it.
pub(super) fn is_host_and_port(authority: &[u8]) -> bool {
    let (_, port) = split(authority);
    port.len() > 1 && is_authority(authority)
}

fn is_port(digits: &[u8]) -> bool {
    digits.is_empty() || (digits.len() <= 5 && decimal(digits).is_some_and(|port| port <= 0xffff))
}

fn is_ipv6(name: &[u8]) -> bool {
    let [b'[', address @ .., b']'] = name else {
        return false;
    };
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_name(name: &[u8]) -> bool {
    let mut previous = b'.';
    for &b in name {
        if !is_host_byte(b) || (b == b'.' && previous == b'.') {
            return false;
        }
        previous = b;
    }
    !name.is_empty() && name.len() <= NAME_BYTES
}

/// The name in an authority as routes and certificates compare it: lower-case, without port and final dot. Empty for what
/// [`is_authority`] refuses because of its length.
#[must_use]
pub fn host_key<'a>(authority: &[u8], out: &'a mut [u8; HOST_KEY_BYTES]) -> &'a [u8] {
    let (name, _) = split(authority);
    let name = name.strip_suffix(b".").unwrap_or(name);
    match out.get_mut(..name.len()) {
        Some(key) => {
            key.copy_from_slice(name);
            key.make_ascii_lowercase();
            key
        }
        None => &[],
    }
}
