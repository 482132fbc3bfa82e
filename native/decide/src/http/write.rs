//! Heads written anew from parsed fields. In: a parsed head and what we decided; out: bytes appended to a buffer.
//! Comes last: after balance, before the socket.

mod local;
mod request;
mod response;

pub use local::{Local, reason_phrase, write_local};
pub use request::{Forwarded, RequestParts, write_request};
pub use response::{ClientConnection, ResponseFraming, ResponseParts, write_response};

use super::Field;

/// Appends lines to a buffer; neighbouring lines that read in the head as we would write them go in one copy.
struct Lines<'a> {
    out: &'a mut Vec<u8>,
    head: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Lines<'a> {
    /// Room for the head and for what we usually add to it, so that the buffer grows at most once.
    const ADDED: usize = 512;

    fn new(out: &'a mut Vec<u8>, head: &'a [u8]) -> Self {
        out.reserve(head.len() + Self::ADDED);
        Self { out, head, start: 0, end: 0 }
    }

    /// Writes a field as received: name, colon, space, value.
    fn keep(&mut self, field: &Field) {
        if field.plain {
            let start = field.name.start as usize;
            if start != self.end {
                self.flush();
                self.start = start;
            }
            // A plain field's line ends with CRLF right behind its value.
            self.end = field.value.end as usize + 2;
        } else {
            self.line(field.name.of(self.head), field.value.of(self.head));
        }
    }

    /// Writes a line of our own.
    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.flush();
        self.put(&[name, b": ", value, b"\r\n"]);
    }

    /// Writes the value of a field with an element appended to its list.
    fn append(&mut self, field: &Field, parts: [&[u8]; 2]) {
        self.flush();
        let value = field.value.of(self.head);
        let comma: &[u8] = if value.is_empty() { b"" } else { b", " };
        let [first, second] = parts;
        self.put(&[field.name.of(self.head), b": ", value, comma, first, second, b"\r\n"]);
    }

    /// Writes a `via` of our own.
    fn raw_via(&mut self, version: &[u8], pseudonym: &[u8]) {
        self.flush();
        self.put(&[b"via: ", version, pseudonym, b"\r\n"]);
    }

    fn number(&mut self, name: &[u8], value: u64) {
        self.line(name, itoa::Buffer::new().format(value).as_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.flush();
        self.out.extend_from_slice(bytes);
    }

    fn put(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn flush(&mut self) {
        if self.end > self.start {
            self.out.extend_from_slice(self.head.get(self.start..self.end).unwrap_or_default());
        }
        self.start = 0;
        self.end = 0;
    }
}
