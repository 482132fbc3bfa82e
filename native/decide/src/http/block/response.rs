//! A header list as a response (RFC 9113 section 8.3.2). In: a block; out: a checked head, as from the parser of HTTP/1.

use super::{Block, Pseudo};
use crate::http::framing::content_length;
use crate::http::{BadResponse, BodyFraming, Framing, Method, Reject, ResponseHead, Span, Version, reason};

/// The response in a block to a request of `for_method`; `end`: no body follows.
pub fn response_of(block: &Block, for_method: Method, end: bool) -> Result<ResponseHead, BadResponse> {
    if let Some(fault) = block.fault {
        return Err(fault.into());
    }
    let request = [Pseudo::Method, Pseudo::Scheme, Pseudo::Authority, Pseudo::Path, Pseudo::Protocol];
    if block.has_pseudo(&request) {
        return Err(reason::BAD_PSEUDO_FIELD.into());
    }
    let status = status(block)?;
    let announced = content_length(&block.bytes, &block.fields)?;
    let tunnel = for_method == Method::Connect && (200..300).contains(&status);
    let bodiless = tunnel || for_method == Method::Head || matches!(status, 100..=199 | 204 | 304);
    if status < 200 && end {
        return Err(reason::BAD_STATUS.into());
    }
    let framing = match announced {
        _ if bodiless => BodyFraming::None,
        Some(length) if end && length != 0 => return Err(reason::LENGTH_AGAINST_BODY.into()),
        _ if end => BodyFraming::Length(0),
        announced => BodyFraming::Stream(announced),
    };
    Ok(ResponseHead {
        version: Version::Http2,
        status,
        reason: Span::default(),
        framing,
        announced: announced.filter(|_| !tunnel).map_or(Framing::None, Framing::Length),
        keep_alive: true,
        upgrade: None,
        len: u32::try_from(block.size).unwrap_or(u32::MAX),
    })
}

/// Three digits, 100 to 599. HTTP/2 has no 101 (RFC 9113 section 8.6).
fn status(block: &Block) -> Result<u16, Reject> {
    let text = block.pseudo(Pseudo::Status).ok_or(reason::BAD_PSEUDO_FIELD)?;
    let &[a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = text.of(&block.bytes) else {
        return Err(reason::BAD_STATUS);
    };
    let status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    if status == 101 { Err(reason::BAD_STATUS) } else { Ok(status) }
}
