//! A header list as a request (RFC 9113 section 8.3.1). In: a block; out: a checked head, as from the parser of HTTP/1.

use super::{Block, Pseudo};
use crate::http::framing::content_length;
use crate::http::host::{is_authority, is_host_and_port};
use crate::http::request::{expectation, max_forwards, te_trailers};
use crate::http::{
    FieldKind, Framing, Method, Reject, RequestHead, Span, Target, Version, bytes, reason, target,
};

/// The longest method we look at, as in HTTP/1.
const METHOD_BYTES: usize = crate::http::request::METHOD_BYTES;

/// The request in a block; `end`: no body follows. Status 431 is an answer, anything else a malformed request.
///
/// An extended CONNECT (RFC 8441) is a GET that asks for an upgrade to its `:protocol`, as it would be in HTTP/1; its body
/// is the other protocol and has no framing.
pub fn request_of(block: &mut Block, end: bool) -> Result<RequestHead, Reject> {
    if let Some(fault) = block.fault {
        return Err(fault);
    }
    if block.has_pseudo(&[Pseudo::Status]) {
        return Err(reason::BAD_PSEUDO_FIELD);
    }
    block.join_cookies();
    let method_text = block.pseudo(Pseudo::Method).ok_or(reason::BAD_PSEUDO_FIELD)?;
    if !bytes::is_token(method_text.of(&block.bytes)) {
        return Err(reason::BAD_PSEUDO_FIELD);
    }
    if method_text.len() > METHOD_BYTES {
        return Err(reason::METHOD_TOO_LONG);
    }
    let method = Method::of(method_text.of(&block.bytes));
    let upgrade = block.pseudo(Pseudo::Protocol);
    let host = host(block)?;
    let target = match (method, upgrade) {
        (Method::Connect, None) => authority_form(block, host)?,
        (Method::Connect, Some(protocol)) if bytes::is_token(protocol.of(&block.bytes)) => {
            path(block, Method::Get)?
        }
        (_, Some(_)) => return Err(reason::BAD_PSEUDO_FIELD),
        (_, None) => path(block, method)?,
    };
    let method_text = if upgrade.is_some() { super::append(&mut block.bytes, b"GET") } else { method_text };
    let (head, fields) = (&block.bytes, &block.fields);
    let framing = if upgrade.is_some() { Framing::None } else { framing(block, method, end)? };
    let method = if upgrade.is_some() { Method::Get } else { method };
    Ok(RequestHead {
        method,
        method_text,
        target,
        version: Version::Http2,
        host,
        framing,
        keep_alive: true,
        ended: end,
        expect_continue: expectation(head, fields)?,
        upgrade,
        te_trailers: te_trailers(head, fields),
        max_forwards: max_forwards(head, fields, method)?,
        path_indexing: block.path_indexing,
        len: u32::try_from(block.size).unwrap_or(u32::MAX),
    })
}

/// `:authority`, or Host where there is none; both must say the same.
fn host(block: &Block) -> Result<Span, Reject> {
    let (head, fields) = (&block.bytes, &block.fields);
    let authority = block.pseudo(Pseudo::Authority);
    let field = match fields.only(FieldKind::Host) {
        None if fields.has(FieldKind::Host) => return Err(reason::DUPLICATE_HOST),
        field => field.map(|field| field.value),
    };
    let host = match (authority, field) {
        (Some(authority), Some(field)) if !same(authority.of(head), field.of(head)) => {
            return Err(reason::HOST_AGAINST_AUTHORITY);
        }
        (Some(authority), _) => authority,
        (None, Some(field)) => field,
        (None, None) => return Err(reason::MISSING_HOST),
    };
    match host.of(head) {
        [] => Err(reason::EMPTY_HOST),
        text if is_authority(text) => Ok(host),
        _ => Err(reason::BAD_HOST),
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// RFC 9113 section 8.5: neither scheme nor path, and a port.
fn authority_form(block: &Block, host: Span) -> Result<Target, Reject> {
    let extra = block.has_pseudo(&[Pseudo::Scheme, Pseudo::Path]);
    if extra || !block.has_pseudo(&[Pseudo::Authority]) || !is_host_and_port(host.of(&block.bytes)) {
        return Err(reason::BAD_PSEUDO_FIELD);
    }
    Ok(Target::Authority(host))
}

fn path(block: &Block, method: Method) -> Result<Target, Reject> {
    let scheme = block.pseudo(Pseudo::Scheme).ok_or(reason::BAD_PSEUDO_FIELD)?.of(&block.bytes);
    let path = block.pseudo(Pseudo::Path).filter(|path| !path.is_empty()).ok_or(reason::BAD_PSEUDO_FIELD)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(reason::BAD_PSEUDO_FIELD);
    }
    target::of_path(&block.bytes, path, method)
}

/// How the body goes on: by its length where one is announced, in chunks otherwise.
fn framing(block: &Block, method: Method, end: bool) -> Result<Framing, Reject> {
    let announced = content_length(&block.bytes, &block.fields)?;
    if method == Method::Connect {
        return if announced.is_none() { Ok(Framing::None) } else { Err(reason::UNEXPECTED_BODY) };
    }
    if method == Method::Trace && !(end && announced.is_none_or(|length| length == 0)) {
        return Err(reason::UNEXPECTED_BODY);
    }
    match (announced, end) {
        (Some(length), true) if length != 0 => Err(reason::LENGTH_AGAINST_BODY),
        (Some(length), _) => Ok(Framing::Length(length)),
        // RFC 9110 section 8.6: what usually has a body says so when it has none.
        (None, true) if matches!(method, Method::Post | Method::Put | Method::Patch) => {
            Ok(Framing::Length(0))
        }
        (None, true) => Ok(Framing::None),
        (None, false) => Ok(Framing::Chunked),
    }
}
