//! HTTP/1.1 messages as bytes (RFC 9110, RFC 9112): heads are parsed strictly into spans over the caller's buffer,
//! checked, and written anew. No I/O, no clock; nothing here allocates once its buffers have grown.
//!
//! Comes after: detection of the protocol. Before: policy and route, which read the parsed head; upstream, which
//! sends what [`write_request`] rebuilt.

mod block;
mod bytes;
mod chunked;
mod connection;
mod cookie;
mod edits;
mod fault;
mod field;
mod framing;
mod head;
mod host;
mod kind;
mod path;
mod request;
mod response;
mod target;
mod trace;
mod trailer;
mod write;

pub use block::{Block, request_of, response_of, trailers_of};
pub use chunked::{Chunked, Decoded, write_chunk_prefix};
pub use cookie::cookie_in;
pub use edits::Edits;
pub use fault::{BadResponse, ChunkError, REASONS, Reject, reason};
pub use field::{Field, Fields, Span};
pub use framing::Framing;
pub use head::{HeadLimits, find_head_end, head_too_large};
pub use host::{HOST_KEY_BYTES, host_key, is_authority};
pub use kind::FieldKind;
pub use path::{Normalized, normalize};
pub use request::{Method, RequestHead, Version, parse_request};
pub use response::{BodyFraming, ResponseHead, parse_response};
pub use target::{Scheme, Target};
pub use trace::{client_request_id, client_traceparent};
pub use write::{
    ClientConnection, Forwarded, Listed, Local, RequestParts, ResponseFraming, ResponseParts, list_agreed,
    list_grpc_status, list_line, list_local, list_request, list_response, list_trailers, listed,
    reason_phrase, write_agreed, write_local, write_request, write_response,
};
