//! Lines for HTTP/2, before they are compressed: which connection they go by, and with it what its tables hold, is known
//! only when a request is sent, and may change when it is sent again. In: lines; out: records in a buffer, and an
//! iterator over them.

use super::{Lines, Name};
use crate::hpack::Indexing;
use crate::http::{Edits, Field, FieldKind, Fields};

/// Bytes in front of each record: the representation, the name's length, the value's.
const PREFIX: usize = 7;
/// Values longer than this are not worth a place in a table.
const INDEXED_BYTES: usize = 128;

/// One line of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// In lower case; pseudo-header names with their colon.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// How it is best represented.
    pub indexing: Indexing,
}

/// The lines of a list, in order.
pub fn listed(mut records: &[u8]) -> impl Iterator<Item = Listed<'_>> {
    std::iter::from_fn(move || {
        let (&[how, n0, n1, v0, v1, v2, v3], rest) = records.split_first_chunk::<PREFIX>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([n0, n1])))?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([v0, v1, v2, v3]) as usize)?;
        records = rest;
        let indexing = match how {
            0 => Indexing::Incremental,
            1 => Indexing::Without,
            _ => Indexing::Never,
        };
        Some(Listed { name, value, indexing })
    })
}

/// Appends a line.
pub fn list_line(out: &mut Vec<u8>, indexing: Indexing, name: &[u8], value: &[u8]) {
    put(out, indexing, name, &[value]);
}

/// Appends the fields of an HTTP/1 answer that agreed to a tunnel, behind the 200 that HTTP/2 knows for it (RFC 8441
/// section 4): what was about its connection stays behind, and the answer to a key that the client never sent.
pub fn list_agreed(out: &mut Vec<u8>, head: &[u8], fields: &Fields) {
    put(out, Indexing::Incremental, b":status", &[b"200"]);
    let mut lines = List::new(out, head, false);
    for field in fields {
        let accept = field.name.of(head).eq_ignore_ascii_case(b"sec-websocket-accept");
        if !field.hop && !accept && !field.kind.is_hop_by_hop() {
            lines.keep(field);
        }
    }
}

/// Appends how a gRPC call ended: a status, 0 to 16, and a message of plain ASCII without `%`.
pub fn list_grpc_status(out: &mut Vec<u8>, status: u8, message: &str) {
    put(out, Indexing::Incremental, b"grpc-status", &[itoa::Buffer::new().format(status).as_bytes()]);
    put(out, Indexing::Incremental, b"grpc-message", &[message.as_bytes()]);
}

/// Appends trailers, given as `name: value CRLF` lines, as a list.
pub fn list_trailers(out: &mut Vec<u8>, lines: &[u8]) {
    for (name, value) in text_lines(lines) {
        put(out, Indexing::Without, name, &[value]);
    }
}

/// Appends records to a buffer.
pub(super) struct List<'a> {
    out: &'a mut Vec<u8>,
    head: &'a [u8],
    /// The head came by HTTP/2, whose sender has chosen the representations.
    chosen: bool,
}

impl<'a> List<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, head: &'a [u8], chosen: bool) -> Self {
        Self { out, head, chosen }
    }

    /// Writes a line as it is.
    pub(super) fn put(&mut self, indexing: Indexing, name: &[u8], value: &[&[u8]]) {
        put(self.out, indexing, name, value);
    }

    fn indexing(&self, field: &Field) -> Indexing {
        let own = indexing(field.kind, field.name.of(self.head), field.value.len());
        // One connection to an upstream carries requests of many clients: none of them may find out what another's
        // credentials are by how small its own guesses become.
        if self.chosen && own != Indexing::Never { field.indexing } else { own }
    }
}

impl Lines for List<'_> {
    fn keep(&mut self, field: &Field) {
        let indexing = self.indexing(field);
        put(self.out, indexing, field.name.of(self.head), &[field.value.of(self.head)]);
    }

    fn line_of(&mut self, name: Name<'_>, [a, b, c, d]: [&[u8]; 4]) {
        match name {
            Name::Own(name) => {
                let indexing = indexing(FieldKind::of(name), name, a.len());
                put(self.out, indexing, name, &[a, b, c, d]);
            }
            Name::Appended(field) => {
                let value = field.value.of(self.head);
                let comma: &[u8] = if value.is_empty() { b"" } else { b", " };
                put(self.out, Indexing::Without, field.name.of(self.head), &[value, comma, a, b, c, d]);
            }
        }
    }

    fn edits(&mut self, edits: &Edits) {
        for (name, value) in text_lines(edits.lines()) {
            put(self.out, indexing(FieldKind::of(name), name, value.len()), name, &[value]);
        }
    }
}

/// How a line of ours, or of an HTTP/1 peer, is represented: what differs from message to message does not push out what
/// stays, and credentials stay out of tables (RFC 7541 section 7.1.3).
pub(super) fn indexing(kind: FieldKind, name: &[u8], value_len: usize) -> Indexing {
    match kind {
        FieldKind::ContentLength
        | FieldKind::RequestId
        | FieldKind::Traceparent
        | FieldKind::Tracestate
        | FieldKind::ForwardedFor
        | FieldKind::IdempotencyKey => Indexing::Without,
        FieldKind::EndToEnd
            if [&b"authorization"[..], b"cookie", b"set-cookie"]
                .iter()
                .any(|secret| secret.eq_ignore_ascii_case(name)) =>
        {
            Indexing::Never
        }
        _ if value_len > INDEXED_BYTES => Indexing::Without,
        _ => Indexing::Incremental,
    }
}

fn put(out: &mut Vec<u8>, indexing: Indexing, name: &[u8], value: &[&[u8]]) {
    let how = match indexing {
        Indexing::Incremental => 0,
        Indexing::Without => 1,
        Indexing::Never => 2,
    };
    let len: usize = value.iter().map(|part| part.len()).sum();
    // A head is far below these bounds; what is not, is left out rather than cut.
    let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u32::try_from(len)) else { return };
    let ([n0, n1], [v0, v1, v2, v3]) = (name_len.to_le_bytes(), value_len.to_le_bytes());
    out.extend_from_slice(&[how, n0, n1, v0, v1, v2, v3]);
    let start = out.len();
    out.extend_from_slice(name);
    out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
    for part in value {
        out.extend_from_slice(part);
    }
}

/// Lines that we wrote, apart again.
fn text_lines(mut lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let colon = memchr::memchr(b':', lines)?;
        let end = memchr::memchr(b'\r', lines)?;
        let line = (lines.get(..colon)?, lines.get(colon + 2..end)?);
        lines = lines.get(end + 2..)?;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let mut out = Vec::new();
        put(&mut out, Indexing::Never, b"Authorization", &[b"a", b"", b"bc"]);
        put(&mut out, Indexing::Without, b"x", &[]);
        list_trailers(&mut out, b"Grpc-Status: 0\r\ngrpc-message: \r\n");
        let found: Vec<_> = listed(&out).map(|line| (line.name, line.value, line.indexing)).collect();
        let expected: [(&[u8], &[u8], _); 4] = [
            (b"authorization", b"abc", Indexing::Never),
            (b"x", b"", Indexing::Without),
            (b"grpc-status", b"0", Indexing::Without),
            (b"grpc-message", b"", Indexing::Without),
        ];
        assert_eq!(found, expected);
        assert_eq!(listed(&out[..9]).count(), 0, "half a record is none");
    }

    #[test]
    fn secrets_are_never_indexed_and_what_differs_is_not() {
        let of = |name: &[u8]| indexing(FieldKind::of(name), name, 10);
        assert_eq!(of(b"Authorization"), Indexing::Never);
        assert_eq!(of(b"Set-Cookie"), Indexing::Never);
        assert_eq!(of(b"traceparent"), Indexing::Without);
        assert_eq!(of(b"content-type"), Indexing::Incremental);
        assert_eq!(indexing(FieldKind::Other, b"x", 129), Indexing::Without);
    }
}
