//! Response heads. In: the bytes up to the blank line and the method asked with; out: a checked [`ResponseHead`], as
//! strict as for requests, because an upstream may be hostile too.

use super::bytes::value_end;
use super::head::{field_lines, line_end, version};
use super::{
    BadResponse, FieldKind, Fields, Framing, HeadLimits, Method, Reject, ResponseFraming, Span, Version,
    connection, framing, reason,
};

/// Where a response's body ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none, whatever the fields say.
    None,
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// When the upstream closes.
    UntilClose,
    /// When the HTTP/2 stream ends; so many bytes were announced, if any were.
    Stream(Option<u64>),
}

/// A response whose framing is beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead {
    /// The upstream's version.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: Span,
    /// How the body is delimited.
    pub framing: BodyFraming,
    /// What the fields announce, also where there is no body (HEAD, 304).
    pub announced: Framing,
    /// Whether the connection may serve another request after this response.
    pub keep_alive: bool,
    /// The value of Upgrade: always there with 101, perhaps with 426, else `None`.
    pub upgrade: Option<Span>,
    /// Bytes of the head.
    pub len: u32,
}

impl ResponseHead {
    /// A 1xx that another response follows. A 101 is not one: the caller tunnels after it, or, where no upgrade was
    /// asked for, answers 502.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The framing to send to a client of this version: chunks only where it knows them, no end by close where
    /// chunks can carry one (so that a truncated body stays visibly truncated).
    #[must_use]
    pub fn framing_for(&self, client: Version) -> ResponseFraming {
        let modern = client != Version::Http10;
        match (self.framing, self.announced) {
            (BodyFraming::None, Framing::Length(length)) if self.may_announce() => {
                ResponseFraming::Length(length)
            }
            (BodyFraming::None, Framing::Chunked) if self.may_announce() && modern => {
                ResponseFraming::Chunked
            }
            (BodyFraming::None, _) => ResponseFraming::None,
            (BodyFraming::Length(length) | BodyFraming::Stream(Some(length)), _) => {
                ResponseFraming::Length(length)
            }
            (BodyFraming::Chunked | BodyFraming::UntilClose | BodyFraming::Stream(None), _) if modern => {
                ResponseFraming::Chunked
            }
            (BodyFraming::Chunked | BodyFraming::UntilClose | BodyFraming::Stream(None), _) => {
                ResponseFraming::Close
            }
        }
    }

    /// Whether a length without a body means anything: to HEAD and in a 304, not in a 1xx or 204
    /// (RFC 9110 section 8.6), nor in a tunnel.
    fn may_announce(&self) -> bool {
        self.status >= 200 && self.status != 204
    }
}

/// Parses one response head. `fields` is cleared first; its spans and those of the result are over `head`.
pub fn parse_response(
    head: &[u8],
    limits: HeadLimits,
    for_method: Method,
    fields: &mut Fields,
) -> Result<ResponseHead, BadResponse> {
    fields.clear();
    let Some(len) = u32::try_from(head.len()).ok().filter(|&len| len <= limits.bytes) else {
        return Err(reason::HEAD_TOO_LARGE.into());
    };
    let (minor, status, text, next) = status_line(head)?;
    field_lines(head, next, limits, fields)?;
    let options = connection::options(head, fields)?;
    let mut announced = framing::announced(head, fields, minor)?;
    let tunnel = for_method == Method::Connect && (200..300).contains(&status);
    if tunnel {
        announced = Framing::None;
    }
    let bodiless = tunnel || for_method == Method::Head || matches!(status, 100..=199 | 204 | 304);
    let upgrade = upgrade(head, fields, status, options.wants_upgrade())?;
    // A 1xx or 204 that announces a body cannot be trusted to end where it must.
    let lies = matches!(status, 100..=199 | 204) && !matches!(announced, Framing::None | Framing::Length(0));
    let body = match announced {
        _ if bodiless => BodyFraming::None,
        Framing::Length(length) => BodyFraming::Length(length),
        Framing::Chunked => BodyFraming::Chunked,
        Framing::None => BodyFraming::UntilClose,
    };
    Ok(ResponseHead {
        version: Version::of_minor(minor),
        status,
        reason: text,
        framing: body,
        announced,
        keep_alive: options.persistent(minor) && !lies && body != BodyFraming::UntilClose && !tunnel,
        upgrade,
        len,
    })
}

fn status_line(head: &[u8]) -> Result<(u8, u16, Span, usize), Reject> {
    let bad = reason::BAD_STATUS_LINE;
    let minor = version(head.get(..8).unwrap_or_default(), bad)?;
    let Some(&[b' ', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) = head.get(8..12) else {
        return Err(bad);
    };
    let status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    let start = match head.get(12) {
        Some(b' ') => 13,
        // Many servers leave out the space before an empty reason.
        Some(b'\r' | b'\n') => 12,
        _ => return Err(bad),
    };
    let end = value_end(head, start);
    let next = line_end(head, end)?;
    if !(100..600).contains(&status) {
        return Err(reason::BAD_STATUS);
    }
    Ok((minor, status, Span::new(start, end), next))
}

/// The upgrade that a 101 switches to (RFC 9110 section 7.8 wants both fields), or that a 426 asks for.
fn upgrade(head: &[u8], fields: &Fields, status: u16, nominated: bool) -> Result<Option<Span>, Reject> {
    let value =
        fields.only(FieldKind::Upgrade).map(|field| field.value).filter(|span| !span.of(head).is_empty());
    match status {
        101 if value.is_none() || !nominated => Err(reason::BAD_UPGRADE),
        101 | 426 => Ok(value),
        _ => Ok(None),
    }
}
