//! What later steps need to know of a request's head. Before: http. After: policy.
//!
//! In: a head. Out: fields of its exchange and of its record.

use super::body::Body;
use super::exchange::Exchange;
use super::ids::unhex;
use crate::clock::Nanos;
use crate::telemetry::{Flags, RequestId, Text};
use tulle_decide::deadline;
use tulle_decide::grpc;
use tulle_decide::http::{
    FieldKind, Fields, Framing, Method, RequestHead, Version, client_request_id, client_traceparent,
};

impl Exchange {
    /// Whether more of a body came than the listener allows.
    pub(super) fn has_too_much_body(&self) -> bool {
        self.listener.limits.body_bytes.is_some_and(|most| self.request.bytes > most)
    }

    /// Keeps what later steps need to know of the head.
    pub(super) fn note(&mut self, head: &[u8], request: &RequestHead, fields: &Fields) {
        self.method = request.method;
        self.version = request.version;
        self.keep_alive = request.keep_alive && !self.closing;
        self.request = match (self.version, request.framing) {
            (Version::Http2, Framing::Length(length)) => Body::of_stream(Some(length), request.ended),
            (Version::Http2, _) => Body::of_stream(None, request.ended),
            (_, framing) => Body::of_request(framing),
        };
        self.idempotency_key = fields.has(FieldKind::IdempotencyKey);
        self.upgrade =
            self.listener.upgrade && request.upgrade.is_some_and(|upgrade| is_tunnelled(upgrade.of(head)));
        self.connect = request.method == Method::Connect;
        if self.upgrade && request.upgrade.is_some_and(|upgrade| is_websocket(upgrade.of(head))) {
            let key = fields.values(head, b"sec-websocket-key").next();
            self.websocket_key = key.filter(|_| self.request.is_done()).and_then(|key| key.try_into().ok());
        }
        if request.version == Version::Http2 {
            self.record.flags.insert(Flags::H2);
            self.grpc = fields.values(head, b"content-type").any(grpc::is_grpc);
            let timeout = fields.only(FieldKind::GrpcTimeout).filter(|_| self.grpc);
            let timeout = timeout.and_then(|field| grpc::timeout(field.value.of(head)));
            self.call_ends = timeout.map(|timeout| Nanos(self.record.at.head).after(timeout));
        }
        if let Some(left) = fields.values(head, deadline::HEADER.as_bytes()).next().and_then(deadline::parse)
        {
            let ends = Nanos(self.record.at.head.saturating_add(left));
            self.call_ends = Some(self.call_ends.map_or(ends, |call| call.min(ends)));
        }
        let record = &mut self.record;
        record.head_in = request.len;
        record.method = Text::new(request.method_text.of(head));
        record.path = Text::new(request.target.path(head));
        if let Some(id) = client_request_id(head, fields) {
            record.request_id = RequestId::Client(Text::new(id));
        }
        if let Some(parent) = client_traceparent(head, fields) {
            unhex(parent.get(3..35).unwrap_or_default(), &mut record.trace_id);
            unhex(parent.get(36..52).unwrap_or_default(), &mut record.span_id);
        }
    }
}

/// HTTP/2 in clear text is no tunnel: it would carry requests past every decision that is made here.
fn is_tunnelled(upgrade: &[u8]) -> bool {
    let mut protocols = upgrade.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    !upgrade.is_empty()
        && protocols.all(|name| !name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"h2c")))
}

fn is_websocket(upgrade: &[u8]) -> bool {
    upgrade.eq_ignore_ascii_case(b"websocket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_http2_is_not_tunnelled() {
        let cases: [(&[u8], bool); 5] = [
            (b"websocket", true),
            (b"h2c", false),
            (b"websocket, H2C", false),
            (b"h2c-14", false),
            (b"", false),
        ];
        for (upgrade, tunnelled) in cases {
            assert_eq!(is_tunnelled(upgrade), tunnelled, "{upgrade:?}");
        }
    }
}
