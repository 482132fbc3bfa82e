//! New paths and locations, written into a buffer of the caller's. What is written holds no byte that could end a line.

use std::net::Ipv6Addr;
use tulle_snapshot::wire::{PathEdit, Redirect};

/// Appends what `edit` makes of a normalized path. `prefix_len` is [`super::Matched::prefix_len`].
///
/// A replaced prefix and what followed it are joined by one `/`: with `replacePrefix: /`, `/v1/a` becomes `/a` and
/// `/v1` becomes `/`. Without a matched prefix, the whole path is replaced. What is appended begins with exactly one `/`.
pub fn rewrite_path(edit: &PathEdit, path: &[u8], prefix_len: Option<usize>, out: &mut Vec<u8>) {
    edited(edit, path, prefix_len, |part| {
        push_escaped(part, is_line_safe, out);
    });
}

/// Gives the parts of the new path to `push`, in order.
fn edited(edit: &PathEdit, path: &[u8], prefix_len: Option<usize>, mut push: impl FnMut(&[u8])) {
    let (value, rest) = match edit {
        PathEdit::Full { value } => (value.as_bytes(), None),
        PathEdit::ReplacePrefix { value } => (value.as_bytes(), prefix_len.and_then(|len| path.get(len..))),
    };
    let value = trim_slashes(value);
    push(b"/");
    let Some(rest) = rest else { return push(value) };
    let value = value.strip_suffix(b"/").unwrap_or(value);
    push(value);
    // `/v1` becomes `/new`, `/v1/` becomes `/new/`.
    if !value.is_empty() && !rest.is_empty() {
        push(b"/");
    }
    push(trim_slashes(rest));
}

fn trim_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/") {
        path = rest;
    }
    path
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text; port 80.
    Http,
    /// TLS; port 443.
    Https,
}

impl Scheme {
    fn parse(name: &str) -> Self {
        if name == "https" { Self::Https } else { Self::Http }
    }

    fn text(self) -> &'static [u8] {
        match self {
            Self::Http => b"http",
            Self::Https => b"https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The request that is redirected.
#[derive(Debug, Clone, Copy)]
pub struct RedirectFrom<'a> {
    /// How it came.
    pub scheme: Scheme,
    /// Its Host, with the port if there was one.
    pub authority: &'a [u8],
    /// Its normalized path.
    pub path: &'a [u8],
    /// What followed the `?`.
    pub query: Option<&'a [u8]>,
    /// [`super::Matched::prefix_len`].
    pub prefix_len: Option<usize>,
}

/// Appends the value of `Location`, an absolute URI. What `redirect` leaves open is kept from the request, but for the
/// port when the scheme changes: that is the new scheme's then. Default ports are left out, the query is kept.
pub fn redirect_location(redirect: &Redirect, from: &RedirectFrom<'_>, out: &mut Vec<u8>) {
    let scheme = redirect.scheme.as_deref().map_or(from.scheme, Scheme::parse);
    let (host, port) = split_port(from.authority);
    let port = if scheme == from.scheme { port } else { None };
    out.extend_from_slice(scheme.text());
    out.extend_from_slice(b"://");
    match &redirect.host {
        Some(host) if host.parse::<Ipv6Addr>().is_ok() => {
            out.push(b'[');
            push_uri(host.as_bytes(), out);
            out.push(b']');
        }
        Some(host) => push_uri(host.as_bytes(), out),
        None => push_uri(host, out),
    }
    if let Some(port) = redirect.port.or(port)
        && port != scheme.default_port()
    {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    if let Some(edit) = &redirect.path {
        edited(edit, from.path, from.prefix_len, |part| push_uri(part, out));
    } else {
        out.push(b'/');
        push_uri(trim_slashes(from.path), out);
    }
    if let Some(query) = from.query {
        out.push(b'?');
        push_uri(query, out);
    }
}

/// The host and the port of an authority; a port that is none is dropped.
fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let name_end = memchr::memrchr(b']', authority).map_or(0, |bracket| bracket + 1);
    let after = authority.get(name_end..).unwrap_or_default();
    let Some(colon) = memchr::memchr(b':', after) else {
        return (authority, None);
    };
    let host = authority.get(..name_end + colon).unwrap_or_default();
    let port = after.get(colon + 1..).and_then(|digits| std::str::from_utf8(digits).ok());
    (host, port.filter(|p| p.bytes().all(|b| b.is_ascii_digit())).and_then(|p| p.parse().ok()))
}

/// Appends the bytes that are `safe` as they are, and the others escaped.
fn push_escaped(bytes: &[u8], safe: fn(u8) -> bool, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    for byte in bytes {
        if safe(*byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// What can be in a request line: what was normalized and seen by policy stays as it is.
fn is_line_safe(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// What RFC 3986 has a place for, in a host, path or query; `%` too, as it begins an escape.
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn push_uri(bytes: &[u8], out: &mut Vec<u8>) {
    push_escaped(bytes, is_uri_byte, out);
}
