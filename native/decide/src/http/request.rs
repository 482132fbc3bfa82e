//! Request heads. In: the bytes up to the blank line; out: a checked [`RequestHead`] and its fields, or why not.

use crate::hpack::Indexing;

use super::bytes::{decimal, is_target_byte, list, token_len};
use super::head::{field_lines, first_line_fault, line_end, skip_empty_lines, version};
use super::host::is_authority;
use super::{
    FieldKind, Fields, Framing, HeadLimits, Reject, Span, Target, connection, framing, reason, target,
};

/// A method, compared with case (RFC 9110 section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`.
    Options,
    /// `PATCH`.
    Patch,
    /// `TRACE`.
    Trace,
    /// `CONNECT`.
    Connect,
    /// Any other token of at most 32 bytes; its text is in the head.
    Other,
}

impl Method {
    /// The method of this text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Changes nothing at the server (RFC 9110 section 9.2.1).
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Twice is like once (RFC 9110 section 9.2.2): may be retried after it may have been seen.
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// The version of a message. A later minor version is treated as 1.1 (RFC 9110 section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    pub(super) fn of_minor(minor: u8) -> Self {
        if minor == 0 { Self::Http10 } else { Self::Http11 }
    }

    /// What `via` says of it, and the space behind (RFC 9110 section 7.6.3).
    pub(super) fn via(self) -> &'static [u8] {
        match self {
            Self::Http10 => b"1.0 ",
            Self::Http11 => b"1.1 ",
            Self::Http2 => b"2 ",
        }
    }
}

/// A request whose framing, target and host are beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Its text.
    pub method_text: Span,
    /// What is asked for.
    pub target: Target,
    /// The client's version.
    pub version: Version,
    /// The effective authority: that of the target, else Host. Empty only for HTTP/1.0 without Host.
    pub host: Span,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client wants to send another request.
    pub keep_alive: bool,
    /// HTTP/2: nothing follows the head on its stream.
    pub ended: bool,
    /// Whether the client waits for a 100 before its body.
    pub expect_continue: bool,
    /// The value of Upgrade, where Connection nominates it and we may tunnel it.
    pub upgrade: Option<Span>,
    /// Whether the client takes trailers (`TE: trailers`).
    pub te_trailers: bool,
    /// Max-Forwards of OPTIONS and TRACE; at 0 the caller answers itself (RFC 9110 section 7.6.2). Written one lower.
    pub max_forwards: Option<u64>,
    /// How an HTTP/2 client represented the path; [`Indexing::Without`] in HTTP/1.
    pub path_indexing: Indexing,
    /// Bytes of the head, empty lines before it included.
    pub len: u32,
}

/// The longest method we look at.
pub(super) const METHOD_BYTES: usize = 32;

struct Line {
    method: Method,
    method_text: Span,
    target: Span,
    minor: u8,
    next: usize,
}

/// Parses one request head: `head` is exactly what [`find_head_end`](super::find_head_end) delimited. `fields` is cleared
/// first; its spans and those of the result are over `head`.
pub fn parse_request(head: &[u8], limits: HeadLimits, fields: &mut Fields) -> Result<RequestHead, Reject> {
    fields.clear();
    let Some(len) = u32::try_from(head.len()).ok().filter(|&len| len <= limits.bytes) else {
        return Err(super::head_too_large(head, limits));
    };
    let line = request_line(head)?;
    let (target, authority) = target::parse(head, line.target, line.method)?;
    field_lines(head, line.next, limits, fields)?;
    let options = connection::options(head, fields)?;
    let framing = framing::announced(head, fields, line.minor)?;
    if matches!(line.method, Method::Connect | Method::Trace)
        && !matches!(framing, Framing::None | Framing::Length(0))
    {
        return Err(reason::UNEXPECTED_BODY);
    }
    Ok(RequestHead {
        method: line.method,
        method_text: line.method_text,
        target,
        version: Version::of_minor(line.minor),
        host: host(head, fields, authority, line.minor)?,
        framing,
        keep_alive: options.persistent(line.minor),
        ended: false,
        expect_continue: expectation(head, fields)? && line.minor > 0,
        upgrade: options.upgrade(head, fields, line.minor),
        te_trailers: te_trailers(head, fields),
        max_forwards: max_forwards(head, fields, line.method)?,
        path_indexing: Indexing::Without,
        len,
    })
}

fn request_line(head: &[u8]) -> Result<Line, Reject> {
    let start = skip_empty_lines(head);
    let method_end = start + token_len(head, start);
    if method_end == start || head.get(method_end) != Some(&b' ') {
        return Err(first_line_fault(head, method_end, reason::BAD_REQUEST_LINE));
    }
    let target_start = method_end + 1;
    let rest = head.get(target_start..).unwrap_or_default();
    let target_end = target_start + rest.iter().position(|&b| !is_target_byte(b)).unwrap_or(rest.len());
    if target_end == target_start || head.get(target_end) != Some(&b' ') {
        return Err(first_line_fault(head, target_end, reason::BAD_REQUEST_LINE));
    }
    let version_start = target_end + 1;
    let rest = head.get(version_start..).unwrap_or_default();
    let version_len = rest.iter().position(|&b| !b.is_ascii_graphic()).unwrap_or(rest.len());
    let version_end = version_start + version_len;
    let next = match head.get(version_end) {
        Some(b'\r' | b'\n') => line_end(head, version_end)?,
        _ => return Err(reason::BAD_REQUEST_LINE),
    };
    let minor = version(rest.get(..version_len).unwrap_or_default(), reason::BAD_REQUEST_LINE)?;
    if method_end - start > METHOD_BYTES {
        return Err(reason::METHOD_TOO_LONG);
    }
    let method_text = Span::new(start, method_end);
    let method = Method::of(method_text.of(head));
    Ok(Line { method, method_text, target: Span::new(target_start, target_end), minor, next })
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one before, well-formed even where the target overrides it.
fn host(head: &[u8], fields: &Fields, authority: Option<Span>, minor: u8) -> Result<Span, Reject> {
    let Some(field) = fields.get(FieldKind::Host) else {
        return if minor == 0 { Ok(authority.unwrap_or_default()) } else { Err(reason::MISSING_HOST) };
    };
    if fields.only(FieldKind::Host).is_none() {
        return Err(reason::DUPLICATE_HOST);
    }
    if field.value.is_empty() {
        return Err(reason::EMPTY_HOST);
    }
    if !is_authority(field.value.of(head)) {
        return Err(reason::BAD_HOST);
    }
    Ok(authority.unwrap_or(field.value))
}

pub(super) fn expectation(head: &[u8], fields: &Fields) -> Result<bool, Reject> {
    if !fields.has(FieldKind::Expect) {
        return Ok(false);
    }
    match fields.only(FieldKind::Expect) {
        Some(field) if field.value.of(head).eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(reason::UNKNOWN_EXPECTATION),
    }
}

pub(super) fn te_trailers(head: &[u8], fields: &Fields) -> bool {
    fields
        .all(FieldKind::Te)
        .any(|field| list(field.value.of(head)).any(|te| te.eq_ignore_ascii_case(b"trailers")))
}

pub(super) fn max_forwards(head: &[u8], fields: &Fields, method: Method) -> Result<Option<u64>, Reject> {
    if !matches!(method, Method::Options | Method::Trace) || !fields.has(FieldKind::MaxForwards) {
        return Ok(None);
    }
    let field = fields.only(FieldKind::MaxForwards).ok_or(reason::BAD_MAX_FORWARDS)?;
    decimal(field.value.of(head)).map(Some).ok_or(reason::BAD_MAX_FORWARDS)
}
