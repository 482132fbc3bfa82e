//! The request head that goes upstream. In: the client's, and what we decided; out: one with our own framing, nothing
//! that was meant for one connection, and nothing that could pass for a verified identity.

use super::list::List;
use super::text::Text;
use super::{Lines, list};
use crate::hpack::Indexing;
use crate::http::trace::{client_request_id, client_traceparent};
use crate::http::{Edits, Field, FieldKind, Fields, Framing, RequestHead, Version};

/// The `x-forwarded-*` fields.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The client's address as text.
    pub for_ip: &'a [u8],
    /// `http` or `https`.
    pub proto: &'a [u8],
    /// The authority that the client asked for.
    pub host: &'a [u8],
    /// True: the client's own are believed and appended to. False: they are dropped.
    pub trust: bool,
    /// True: ours are written.
    pub enabled: bool,
}

/// A request as it goes upstream.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// The bytes that the spans are over.
    pub head: &'a [u8],
    /// The client's head.
    pub request: &'a RequestHead,
    /// Its fields.
    pub fields: &'a Fields,
    /// The path to ask for, normalized and rewritten; `*` and the authority of CONNECT come here too.
    pub path: &'a [u8],
    /// The query, without `?`.
    pub query: Option<&'a [u8]>,
    /// The Host to send.
    pub host: &'a [u8],
    /// The body's framing as we send it.
    pub framing: Framing,
    /// The route's changes; [`Edits::NONE`] for none.
    pub edits: &'a Edits,
    /// Who asked.
    pub forwarded: Forwarded<'a>,
    /// The `x-request-id` to use where the client's is missing or malformed; `None` passes the client's on as it is.
    pub request_id: Option<&'a [u8]>,
    /// The `traceparent` to begin where the client's is missing or malformed, which loses `tracestate` too; `None`
    /// passes both on as they are.
    pub traceparent: Option<&'a [u8]>,
    /// Our pseudonym for `via`.
    pub via: Option<&'a [u8]>,
    /// The value of `x-forwarded-client-cert`; the client's own identity fields are dropped either way.
    pub identity: Option<&'a [u8]>,
    /// True: `grpc-timeout` is left out; whoever sends the head says what is left of it.
    pub own_deadline: bool,
    /// The `Sec-WebSocket-Key` to send along with an upgrade to `websocket`, for a client that has none.
    pub websocket_key: Option<&'a [u8]>,
    /// True: an upgrade is tunnelled, so Upgrade goes along (where the head has a valid one).
    pub upgrade: bool,
}

/// Kinds that are copied unless they are nominated or edited.
const ORDINARY: u64 = FieldKind::Other.bit()
    | FieldKind::EndToEnd.bit()
    | FieldKind::Date.bit()
    | FieldKind::Server.bit()
    | FieldKind::IdempotencyKey.bit();

/// What is written in place of, or behind, the client's fields; decided before the first field.
struct Plan {
    /// Ours replaces whatever the client sent.
    request_id: bool,
    traceparent: bool,
    /// The last field of a list that we append to.
    last_for: Option<u32>,
    last_via: Option<u32>,
    has_host: bool,
}

/// Appends the head that goes upstream as HTTP/1.1 text to `out`.
pub fn write_request(out: &mut Vec<u8>, parts: &RequestParts<'_>) {
    let mut lines = Text::new(out, parts.head);
    lines.raw(&[parts.request.method_text.of(parts.head), b" ", parts.path]);
    if let Some(query) = parts.query {
        lines.raw(&[b"?", query]);
    }
    lines.raw(&[b" HTTP/1.1\r\n"]);
    let plan = plan(parts);
    if !plan.has_host {
        lines.line(b"Host", parts.host);
    }
    fields(&mut lines, parts, &plan, host_line);
    connection(&mut lines, parts);
    match parts.framing {
        Framing::None => {}
        Framing::Length(length) => lines.number(b"Content-Length", length),
        Framing::Chunked => lines.line(b"Transfer-Encoding", b"chunked"),
    }
    lines.edits(parts.edits);
    lines.raw(&[b"\r\n"]);
}

/// Appends the head that goes upstream as a list of lines for HTTP/2 (RFC 9113 section 8.3.1) to `out`; `scheme` is that
/// of the connection. An upgrade to a protocol becomes extended CONNECT (RFC 8441).
pub fn list_request(out: &mut Vec<u8>, parts: &RequestParts<'_>, scheme: &[u8]) {
    let chosen = parts.request.version == Version::Http2;
    let mut lines = List::new(out, parts.head, chosen);
    let upgrade = parts.request.upgrade.filter(|_| parts.upgrade);
    let method = if upgrade.is_some() { b"CONNECT" } else { parts.request.method_text.of(parts.head) };
    lines.put(Indexing::Incremental, b":method", &[method]);
    if let Some(protocol) = upgrade {
        lines.put(Indexing::Incremental, b":protocol", &[protocol.of(parts.head)]);
    }
    if method != b"CONNECT" || upgrade.is_some() {
        lines.put(Indexing::Incremental, b":scheme", &[scheme]);
        let (mark, query): (&[u8], _) = parts.query.map_or((b"", &b""[..]), |query| (b"?", query));
        let own = if query.is_empty() {
            list::indexing(FieldKind::Other, b"", parts.path.len())
        } else {
            Indexing::Without
        };
        let indexing = if chosen { parts.request.path_indexing } else { own };
        lines.put(indexing, b":path", &[parts.path, mark, query]);
    }
    lines.put(Indexing::Incremental, b":authority", &[parts.host]);
    fields(&mut lines, parts, &plan(parts), |_, _, _| {});
    if parts.request.te_trailers {
        lines.line(b"te", b"trailers");
    }
    if let Framing::Length(length) = parts.framing {
        lines.number(b"content-length", length);
    }
    lines.edits(parts.edits);
}

/// The client's fields as they go on, and ours.
fn fields<L: Lines>(
    lines: &mut L,
    parts: &RequestParts<'_>,
    plan: &Plan,
    host: fn(&mut L, &RequestParts<'_>, &Field),
) {
    let unedited = parts.edits.is_empty();
    for field in parts.fields {
        if unedited && !field.hop && ORDINARY & field.kind.bit() != 0 {
            lines.keep(field);
        } else if field.kind == FieldKind::Host {
            host(lines, parts, field);
        } else {
            field_line(lines, parts, plan, field);
        }
    }
    own_fields(lines, parts, plan);
}

fn plan(parts: &RequestParts<'_>) -> Plan {
    let (head, fields) = (parts.head, parts.fields);
    let last = |kind, wanted: bool| {
        if wanted { fields.all(kind).last().map(|field| field.name.start) } else { None }
    };
    Plan {
        request_id: parts.request_id.is_some() && client_request_id(head, fields).is_none(),
        traceparent: parts.traceparent.is_some() && client_traceparent(head, fields).is_none(),
        last_for: last(FieldKind::ForwardedFor, parts.forwarded.trust && parts.forwarded.enabled),
        last_via: last(FieldKind::Via, parts.via.is_some()),
        has_host: fields.has(FieldKind::Host),
    }
}

/// Writes, changes or leaves out one of the client's fields that is not simply copied.
fn field_line(lines: &mut impl Lines, parts: &RequestParts<'_>, plan: &Plan, field: &Field) {
    use FieldKind as K;
    if field.hop || parts.edits.leaves_out(field.name.of(parts.head)) {
        return;
    }
    let here = Some(field.name.start);
    match field.kind {
        K::ForwardedFor | K::ForwardedProto | K::ForwardedHost | K::ForwardedOther | K::Forwarded
            if !parts.forwarded.trust => {}
        K::ForwardedFor if here == plan.last_for => lines.append(field, [parts.forwarded.for_ip, b""]),
        K::Via if here == plan.last_via => via_line(lines, parts, Some(field)),
        K::GrpcTimeout if parts.own_deadline => {}
        K::RequestId if plan.request_id => {}
        K::Traceparent | K::Tracestate if plan.traceparent => {}
        K::Trailer if parts.framing == Framing::Chunked => lines.keep(field),
        K::Expect if parts.request.expect_continue => lines.keep(field),
        K::MaxForwards if parts.request.max_forwards.is_some() => {
            let left = parts.request.max_forwards.unwrap_or(0);
            lines.number(field.name.of(parts.head), left.saturating_sub(1));
        }
        K::Expect | K::Identity | K::Alias | K::Own | K::Host => {}
        kind if kind.is_hop_by_hop() => {}
        _ => lines.keep(field),
    }
}

/// No edit takes it away and no nomination: it is what was asked for.
fn host_line(lines: &mut Text<'_>, parts: &RequestParts<'_>, field: &Field) {
    if field.value.of(parts.head) == parts.host {
        lines.keep(field);
    } else {
        lines.line(field.name.of(parts.head), parts.host);
    }
}

/// Our fields that have no place among the client's.
fn own_fields(lines: &mut impl Lines, parts: &RequestParts<'_>, plan: &Plan) {
    let mut own = |name: &[u8], value: &[u8]| {
        if !parts.edits.leaves_out(name) {
            lines.line(name, value);
        }
    };
    let forwarded = &parts.forwarded;
    if forwarded.enabled {
        let believed = |kind| forwarded.trust && parts.fields.has(kind);
        if plan.last_for.is_none() {
            own(b"x-forwarded-for", forwarded.for_ip);
        }
        if !believed(FieldKind::ForwardedProto) {
            own(b"x-forwarded-proto", forwarded.proto);
        }
        if !believed(FieldKind::ForwardedHost) {
            own(b"x-forwarded-host", forwarded.host);
        }
    }
    if let Some(id) = parts.request_id.filter(|_| plan.request_id) {
        own(b"x-request-id", id);
    }
    if let Some(traceparent) = parts.traceparent.filter(|_| plan.traceparent) {
        own(b"traceparent", traceparent);
    }
    if let Some(identity) = parts.identity {
        own(b"x-forwarded-client-cert", identity);
    }
    if plan.last_via.is_none() && !parts.edits.leaves_out(b"via") {
        via_line(lines, parts, None);
    }
}

/// `via: 1.1 name` (RFC 9110 section 7.6.3): the version is the one that we received.
fn via_line(lines: &mut impl Lines, parts: &RequestParts<'_>, existing: Option<&Field>) {
    let Some(pseudonym) = parts.via else { return };
    let version = parts.request.version.via();
    match existing {
        Some(field) => lines.append(field, [version, pseudonym]),
        None => lines.via(version, pseudonym),
    }
}

/// What the hop to the upstream itself needs: an upgrade, and whether trailers are welcome.
fn connection(lines: &mut Text<'_>, parts: &RequestParts<'_>) {
    let upgrade = parts.request.upgrade.filter(|_| parts.upgrade);
    let te = parts.request.te_trailers;
    if te {
        lines.line(b"TE", b"trailers");
    }
    if let Some(protocol) = upgrade {
        let protocol = protocol.of(parts.head);
        lines.line(b"Upgrade", protocol);
        if let Some(key) = parts.websocket_key.filter(|_| protocol.eq_ignore_ascii_case(b"websocket")) {
            lines.line(b"Sec-WebSocket-Key", key);
        }
    }
    match (upgrade.is_some(), te) {
        (true, true) => lines.line(b"Connection", b"upgrade, TE"),
        (true, false) => lines.line(b"Connection", b"upgrade"),
        (false, true) => lines.line(b"Connection", b"TE"),
        (false, false) => {}
    }
}
