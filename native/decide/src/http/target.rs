//! The request target (RFC 9112 section 3.2). In: its bytes and the method; out: one of the four forms as spans.

use super::host::{is_authority, is_host_and_port};
use super::{Method, Reject, Span, reason};
use memchr::memchr2;

/// The scheme of an absolute target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`, in any letter case.
    Http,
    /// `https`, in any letter case.
    Https,
}

/// What the request line asks for, as spans over the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`.
    Origin {
        /// Begins with `/`.
        path: Span,
        /// Without the `?`; may be empty.
        query: Option<Span>,
    },
    /// `http://authority/path?query`.
    Absolute {
        /// As in the target.
        scheme: Scheme,
        /// Checked; what counts instead of Host.
        authority: Span,
        /// Begins with `/`, or is empty and means `/`.
        path: Span,
        /// Without the `?`; may be empty.
        query: Option<Span>,
    },
    /// `host:port` of CONNECT.
    Authority(Span),
    /// `*` of OPTIONS; also what `OPTIONS http://host` means to the last proxy (RFC 9112 section 3.2.4).
    Asterisk,
}

impl Target {
    /// The path to normalize and match: `/` where an absolute target has none, `*` and the authority as they are.
    #[must_use]
    pub fn path(self, head: &[u8]) -> &[u8] {
        match self {
            Self::Absolute { path, .. } if path.is_empty() => b"/",
            Self::Origin { path, .. } | Self::Absolute { path, .. } => path.of(head),
            Self::Authority(authority) => authority.of(head),
            Self::Asterisk => b"*",
        }
    }

    /// The query without its `?`, if there is a `?`.
    #[must_use]
    pub fn query(self, head: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Origin { query, .. } | Self::Absolute { query, .. } => query.map(|span| span.of(head)),
            Self::Authority(_) | Self::Asterisk => None,
        }
    }
}

/// The target of an HTTP/2 request (RFC 9113 section 8.3.1): `:path` as it is, all of it checked here.
pub(super) fn of_path(head: &[u8], span: Span, method: Method) -> Result<Target, Reject> {
    let text = span.of(head);
    if !text.iter().all(|&b| super::bytes::is_target_byte(b)) {
        return Err(if text.contains(&b'#') { reason::FRAGMENT_IN_TARGET } else { reason::BAD_TARGET });
    }
    match text {
        [b'/', ..] => {
            let (path, query) = split_query(text, span.start);
            Ok(Target::Origin { path, query })
        }
        b"*" if method == Method::Options => Ok(Target::Asterisk),
        _ => Err(reason::BAD_TARGET),
    }
}

/// Parses `head[start..end]`, all of it target characters. The second part is the authority that overrides Host.
pub(super) fn parse(head: &[u8], span: Span, method: Method) -> Result<(Target, Option<Span>), Reject> {
    let text = span.of(head);
    if method == Method::Connect {
        return if is_host_and_port(text) {
            Ok((Target::Authority(span), Some(span)))
        } else {
            Err(reason::BAD_TARGET)
        };
    }
    match text {
        [b'/', ..] => {
            let (path, query) = split_query(text, span.start);
            Ok((Target::Origin { path, query }, None))
        }
        b"*" if method == Method::Options => Ok((Target::Asterisk, None)),
        _ => absolute(text, span.start, method),
    }
}

fn absolute(text: &[u8], base: u32, method: Method) -> Result<(Target, Option<Span>), Reject> {
    let (scheme, skip) = match (text.get(..7), text.get(..8)) {
        (Some(start), _) if start.eq_ignore_ascii_case(b"http://") => (Scheme::Http, 7),
        (_, Some(start)) if start.eq_ignore_ascii_case(b"https://") => (Scheme::Https, 8),
        _ => return Err(reason::BAD_TARGET),
    };
    let rest = text.get(skip..).unwrap_or_default();
    let start = base as usize + skip;
    let name_len = memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (name, rest) = rest.split_at_checked(name_len).unwrap_or((rest, &[]));
    if !is_authority(name) {
        return Err(reason::BAD_HOST);
    }
    let authority = Span::new(start, start + name_len);
    if rest.is_empty() && method == Method::Options {
        return Ok((Target::Asterisk, Some(authority)));
    }
    let (path, query) = split_query(rest, authority.end);
    Ok((Target::Absolute { scheme, authority, path, query }, Some(authority)))
}

fn split_query(text: &[u8], base: u32) -> (Span, Option<Span>) {
    let base = base as usize;
    let end = base + text.len();
    match memchr::memchr(b'?', text) {
        Some(mark) => (Span::new(base, base + mark), Some(Span::new(base + mark + 1, end))),
        None => (Span::new(base, end), None),
    }
}
