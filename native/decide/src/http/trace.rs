//! Request ids and W3C trace context. In: a parsed head; out: the client's own value where it is well-formed, so that
//! the caller draws random bytes only when it is not.

use super::bytes::hex;
use super::{FieldKind, Fields};

/// The client's `x-request-id`: one field, 1 to 128 visible characters.
#[must_use]
pub fn client_request_id<'a>(head: &'a [u8], fields: &Fields) -> Option<&'a [u8]> {
    let value = fields.only(FieldKind::RequestId)?.value.of(head);
    let fits = (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    fits.then_some(value)
}

/// The client's `traceparent`: one field that W3C Trace Context level 1 section 3.2 allows.
#[must_use]
pub fn client_traceparent<'a>(head: &'a [u8], fields: &Fields) -> Option<&'a [u8]> {
    let value = fields.only(FieldKind::Traceparent)?.value.of(head);
    is_traceparent(value).then_some(value)
}

/// `version-traceid-parentid-flags`; later versions may append `-` and more.
fn is_traceparent(value: &[u8]) -> bool {
    let Some((known, more)) = value.split_at_checked(55) else {
        return false;
    };
    let mut parts = known.split(|&b| b == b'-');
    let mut part = |len: usize| {
        let text = parts.next().unwrap_or_default();
        let lower = |&b: &u8| hex(b).is_some() && !b.is_ascii_uppercase();
        (text.len() == len && text.iter().all(lower)).then_some(text)
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    let some = |id: &[u8]| id.iter().any(|&b| b != b'0');
    let length_fits = match version {
        b"00" => more.is_empty(),
        b"ff" => false,
        _ => more.is_empty() || more.first() == Some(&b'-'),
    };
    length_fits && some(trace) && some(parent)
}
