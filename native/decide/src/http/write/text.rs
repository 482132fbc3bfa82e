//! Lines as HTTP/1.1 writes them (RFC 9112 section 5). In: lines; out: `name: value CRLF`, appended.

use super::{Lines, Name};
use crate::http::{Edits, Field};

/// Appends lines to a buffer; neighbouring lines that read in the head as we would write them go in one copy.
pub(super) struct Text<'a> {
    out: &'a mut Vec<u8>,
    head: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Text<'a> {
    /// Room for the head and for what we usually add to it, so that the buffer grows at most once.
    const ADDED: usize = 512;

    pub(super) fn new(out: &'a mut Vec<u8>, head: &'a [u8]) -> Self {
        out.reserve(head.len() + Self::ADDED);
        Self { out, head, start: 0, end: 0 }
    }

    /// Writes bytes that are no line.
    pub(super) fn raw(&mut self, parts: &[&[u8]]) {
        self.flush();
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

impl Lines for Text<'_> {
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
            let (name, value) = (field.name.of(self.head), field.value.of(self.head));
            self.raw(&[name, b": ", value, b"\r\n"]);
        }
    }

    fn line_of(&mut self, name: Name<'_>, [a, b, c, d]: [&[u8]; 4]) {
        match name {
            Name::Own(name) => self.raw(&[name, b": ", a, b, c, d, b"\r\n"]),
            Name::Appended(field) => {
                let value = field.value.of(self.head);
                let comma: &[u8] = if value.is_empty() { b"" } else { b", " };
                self.raw(&[field.name.of(self.head), b": ", value, comma, a, b, c, d, b"\r\n"]);
            }
        }
    }

    fn edits(&mut self, edits: &Edits) {
        self.raw(&[edits.lines()]);
    }
}
