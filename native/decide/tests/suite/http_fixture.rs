//! Heads as text, and the parts of heads that are sent on as they came: for the tests of HTTP/1.1 and of header lists.

use tulle_decide::http::{
    ClientConnection, Edits, Fields, Forwarded, RequestHead, RequestParts, ResponseHead, ResponseParts,
    Version,
};

/// The bytes of a text whose characters are Latin-1.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a Latin-1 character")).collect()
}

/// What goes upstream, without anything that a listener may add.
pub(crate) fn request_parts<'a>(
    head: &'a [u8],
    request: &'a RequestHead,
    fields: &'a Fields,
) -> RequestParts<'a> {
    RequestParts {
        head,
        request,
        fields,
        path: request.target.path(head),
        query: request.target.query(head),
        host: request.host.of(head),
        framing: request.framing,
        edits: Edits::NONE,
        forwarded: Forwarded { for_ip: b"", proto: b"", host: b"", trust: true, enabled: false },
        request_id: None,
        traceparent: None,
        via: None,
        identity: None,
        own_deadline: false,
        websocket_key: None,
        upgrade: true,
    }
}

/// What goes to a client of this version, without anything that a listener may add.
pub(crate) fn response_parts<'a>(
    head: &'a [u8],
    response: &'a ResponseHead,
    fields: &'a Fields,
    client: Version,
) -> ResponseParts<'a> {
    ResponseParts {
        head,
        response,
        fields,
        framing: response.framing_for(client),
        connection: ClientConnection::Implicit,
        edits: Edits::NONE,
        via: None,
        cookie: None,
        date: None,
    }
}
