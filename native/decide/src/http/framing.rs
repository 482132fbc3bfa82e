//! How long a body is (RFC 9112 section 6). In: the fields of a head; out: one unambiguous framing, or a refusal.

use super::bytes::{decimal, list};
use super::{FieldKind, Fields, Reject, reason};

/// The framing that a head announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Neither Content-Length nor Transfer-Encoding.
    None,
    /// Content-Length, at most 2^63 - 1.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

const FRAMING: u64 = FieldKind::ContentLength.bit() | FieldKind::TransferEncoding.bit();

/// Reads both framing fields strictly: one of them, once. `minor` is the HTTP/1 minor version.
pub(super) fn announced(head: &[u8], fields: &Fields, minor: u8) -> Result<Framing, Reject> {
    if !fields.has_any(FRAMING) {
        return Ok(Framing::None);
    }
    if let Some(field) = fields.get(FieldKind::TransferEncoding) {
        if minor == 0 {
            return Err(reason::TRANSFER_ENCODING_IN_HTTP10);
        }
        if fields.has(FieldKind::ContentLength) {
            return Err(reason::LENGTH_AND_TRANSFER_ENCODING);
        }
        if fields.only(FieldKind::TransferEncoding).is_none() {
            return Err(reason::DUPLICATE_TRANSFER_ENCODING);
        }
        return transfer_encoding(field.value.of(head));
    }
    Ok(content_length(head, fields)?.map_or(Framing::None, Framing::Length))
}

/// Content-Length, if there is one; at most once.
pub(super) fn content_length(head: &[u8], fields: &Fields) -> Result<Option<u64>, Reject> {
    if !fields.has(FieldKind::ContentLength) {
        return Ok(None);
    }
    let Some(field) = fields.only(FieldKind::ContentLength) else {
        return Err(reason::DUPLICATE_CONTENT_LENGTH);
    };
    let value = field.value.of(head);
    match decimal(value) {
        Some(length) => Ok(Some(length)),
        None if value.contains(&b',') => Err(reason::DUPLICATE_CONTENT_LENGTH),
        None => Err(reason::BAD_CONTENT_LENGTH),
    }
}

fn transfer_encoding(value: &[u8]) -> Result<Framing, Reject> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let chunked = list(value).filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    let last = list(value).last().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let tokens = value.split(|&b| b == b',').all(|coding| super::bytes::is_token(super::bytes::trim(coding)));
    // A known coding in the wrong place, or no list of codings, is an attack; a coding we lack is not.
    if tokens && (chunked == 0 || (chunked == 1 && last)) {
        Err(reason::UNKNOWN_TRANSFER_ENCODING)
    } else {
        Err(reason::BAD_TRANSFER_ENCODING)
    }
}
