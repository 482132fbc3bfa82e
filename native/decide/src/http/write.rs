//! Heads written anew from parsed fields, as HTTP/1.1 text or as a list of lines for HTTP/2. In: a parsed head and what we
//! decided; out: bytes appended to a buffer. Comes last: after balance, before the socket.

mod list;
mod local;
mod request;
mod response;
mod text;

pub use list::{Listed, list_agreed, list_grpc_status, list_line, list_trailers, listed};
pub use local::{Local, list_local, reason_phrase, write_local};
pub use request::{Forwarded, RequestParts, list_request, write_request};
pub use response::{
    ClientConnection, ResponseFraming, ResponseParts, list_response, write_agreed, write_response,
};

use super::{Edits, Field};

/// One way to write the lines of a head. What is decided of a line is decided by whoever calls; how it looks, here.
trait Lines {
    /// Writes a field as received.
    fn keep(&mut self, field: &Field);

    /// Writes a line whose value is these parts together; the name is that of `named`, or else `name`.
    fn line_of(&mut self, name: Name<'_>, value: [&[u8]; 4]);

    /// Writes what a route adds.
    fn edits(&mut self, edits: &Edits);

    /// Writes a line of our own.
    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.line_of(Name::Own(name), [value, b"", b"", b""]);
    }

    /// Writes the value of a field with an element appended to its list.
    fn append(&mut self, field: &Field, [first, second]: [&[u8]; 2]) {
        self.line_of(Name::Appended(*field), [first, second, b"", b""]);
    }

    /// Writes a `via` of our own.
    fn via(&mut self, version: &[u8], pseudonym: &[u8]) {
        self.line_of(Name::Own(b"via"), [version, pseudonym, b"", b""]);
    }

    fn number(&mut self, name: &[u8], value: u64) {
        self.line(name, itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Whose name a line has.
#[derive(Clone, Copy)]
enum Name<'a> {
    Own(&'a [u8]),
    /// The field's, and its value goes first, with a comma behind it unless it is empty.
    Appended(Field),
}
