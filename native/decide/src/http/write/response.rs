//! The response head that goes to the client. In: the upstream's, and how we send it; out: one with our own framing and
//! nothing that was meant for the upstream connection.

use super::list::List;
use super::text::Text;
use super::{Lines, reason_phrase};
use crate::hpack::Indexing;
use crate::http::{Edits, Field, FieldKind, Fields, ResponseHead, Version};

/// How the body is delimited towards the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No framing line: there is no body (1xx, 204, 304 and HEAD without one announced, a tunnel).
    None,
    /// `Content-Length`; also what HEAD and 304 only announce.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// No framing line: closing ends the body, so `connection` must be `Close`.
    Close,
}

/// What the client's connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientConnection {
    /// Nothing: HTTP/1.1 goes on, and so it is for interim responses.
    Implicit,
    /// `Connection: close`.
    Close,
    /// `Connection: keep-alive`, which HTTP/1.0 clients need to hear.
    KeepAlive,
}

/// A response as it goes to the client.
#[derive(Debug, Clone, Copy)]
pub struct ResponseParts<'a> {
    /// The bytes that the spans are over.
    pub head: &'a [u8],
    /// The upstream's head.
    pub response: &'a ResponseHead,
    /// Its fields.
    pub fields: &'a Fields,
    /// The body's framing as we send it.
    pub framing: ResponseFraming,
    /// What becomes of the client's connection.
    pub connection: ClientConnection,
    /// The route's changes; [`Edits::NONE`] for none.
    pub edits: &'a Edits,
    /// Our pseudonym for `via`.
    pub via: Option<&'a [u8]>,
    /// A `Set-Cookie` of ours.
    pub cookie: Option<&'a [u8]>,
    /// The time as an IMF-fixdate, for a final response without Date (RFC 9110 section 6.6.1).
    pub date: Option<&'a [u8]>,
}

/// Kinds that are not simply copied: framing and connection fields, which are ours, and Via.
const HANDLED: u64 = FieldKind::Connection.bit()
    | FieldKind::KeepAlive.bit()
    | FieldKind::ProxyConnection.bit()
    | FieldKind::Te.bit()
    | FieldKind::Trailer.bit()
    | FieldKind::Upgrade.bit()
    | FieldKind::Http2Settings.bit()
    | FieldKind::TransferEncoding.bit()
    | FieldKind::ContentLength.bit()
    | FieldKind::ProxyAuthorization.bit()
    | FieldKind::ProxyAuthenticate.bit()
    | FieldKind::Via.bit();

/// Appends the head that goes to the client as HTTP/1.1 text to `out`.
pub fn write_response(out: &mut Vec<u8>, parts: &ResponseParts<'_>) {
    let mut lines = Text::new(out, parts.head);
    let phrase = match parts.response.version {
        Version::Http2 => reason_phrase(parts.response.status).as_bytes(),
        Version::Http10 | Version::Http11 => parts.response.reason.of(parts.head),
    };
    lines.raw(&[b"HTTP/1.1 ", &digits(parts.response.status), b" ", phrase, b"\r\n"]);
    fields(&mut lines, parts);
    match parts.framing {
        ResponseFraming::None | ResponseFraming::Close => {}
        ResponseFraming::Length(length) => lines.number(b"Content-Length", length),
        ResponseFraming::Chunked => lines.line(b"Transfer-Encoding", b"chunked"),
    }
    connection(&mut lines, parts);
    if parts.response.status >= 200 {
        lines.edits(parts.edits);
    }
    lines.raw(&[b"\r\n"]);
}

/// Appends the head that goes to the client as a list of lines for HTTP/2 (RFC 9113 section 8.3.2) to `out`.
pub fn list_response(out: &mut Vec<u8>, parts: &ResponseParts<'_>) {
    let mut lines = List::new(out, parts.head, parts.response.version == Version::Http2);
    lines.put(Indexing::Incremental, b":status", &[&digits(parts.response.status)]);
    fields(&mut lines, parts);
    if let ResponseFraming::Length(length) = parts.framing {
        lines.number(b"content-length", length);
    }
    if parts.response.status >= 200 {
        lines.edits(parts.edits);
    }
}

/// Appends the head that agrees to a client's WebSocket (RFC 6455 section 4.2.2) to `out`; `fields` are those of an HTTP/2
/// answer that agreed to it, and `accept` proves that the client's key was seen.
pub fn write_agreed(out: &mut Vec<u8>, accept: &[u8], head: &[u8], fields: &Fields) {
    let mut lines = Text::new(out, head);
    lines.raw(&[b"HTTP/1.1 101 Switching Protocols\r\n"]);
    lines.line(b"Upgrade", b"websocket");
    lines.line(b"Connection", b"upgrade");
    lines.line(b"Sec-WebSocket-Accept", accept);
    for field in fields.iter().filter(|field| !field.hop && !field.kind.is_hop_by_hop()) {
        if !field.name.of(head).eq_ignore_ascii_case(b"sec-websocket-accept") {
            lines.keep(field);
        }
    }
    lines.raw(&[b"\r\n"]);
}

fn digits(status: u16) -> [u8; 3] {
    itoa::Buffer::new().format(status).as_bytes().first_chunk::<3>().copied().unwrap_or(*b"502")
}

/// The upstream's fields as they go on, and ours.
fn fields(lines: &mut impl Lines, parts: &ResponseParts<'_>) {
    let plain = parts.edits.is_empty();
    let last_via = parts.via.and_then(|_| parts.fields.all(FieldKind::Via).last());
    for field in parts.fields {
        if field.hop || (!plain && parts.edits.leaves_out(field.name.of(parts.head))) {
            continue;
        }
        if HANDLED & field.kind.bit() == 0 {
            lines.keep(field);
        } else if field.kind == FieldKind::Via && last_via.is_some_and(|last| last.name == field.name) {
            via_line(lines, parts, Some(field));
        } else if field.kind == FieldKind::Via
            || (field.kind == FieldKind::Trailer && parts.framing == ResponseFraming::Chunked)
        {
            lines.keep(field);
        }
    }
    if last_via.is_none() && !parts.edits.leaves_out(b"via") {
        via_line(lines, parts, None);
    }
    if let Some(cookie) = parts.cookie {
        lines.line(b"Set-Cookie", cookie);
    }
    date(lines, parts);
}

fn date(lines: &mut impl Lines, parts: &ResponseParts<'_>) {
    let missing = parts.response.status >= 200 && !parts.fields.has(FieldKind::Date);
    if let Some(date) = parts.date.filter(|_| missing && !parts.edits.leaves_out(b"date")) {
        lines.line(b"Date", date);
    }
}

fn via_line(lines: &mut impl Lines, parts: &ResponseParts<'_>, existing: Option<&Field>) {
    let Some(pseudonym) = parts.via else { return };
    let version = parts.response.version.via();
    match existing {
        Some(field) => lines.append(field, [version, pseudonym]),
        None => lines.via(version, pseudonym),
    }
}

/// Connection, with Upgrade where a 101 switches or a 426 asks for it.
fn connection(lines: &mut Text<'_>, parts: &ResponseParts<'_>) {
    if let Some(protocol) = parts.response.upgrade {
        lines.line(b"Upgrade", protocol.of(parts.head));
    }
    match (parts.response.upgrade.is_some(), parts.connection) {
        (true, ClientConnection::Close) => lines.line(b"Connection", b"close, upgrade"),
        (true, ClientConnection::KeepAlive) => lines.line(b"Connection", b"keep-alive, upgrade"),
        (true, ClientConnection::Implicit) => lines.line(b"Connection", b"upgrade"),
        (false, ClientConnection::Close) => lines.line(b"Connection", b"close"),
        (false, ClientConnection::KeepAlive) => lines.line(b"Connection", b"keep-alive"),
        (false, ClientConnection::Implicit) => {}
    }
}
