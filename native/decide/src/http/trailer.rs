//! Trailer lines of a chunked body. In: bytes as they arrive; out: the lines that may be sent on, rebuilt.

use super::bytes::trim;
use super::head::field_line;
use super::kind::fold;
use super::{FieldKind, HeadLimits, Reject, reason};
use memchr::memchr;

/// Trailers as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Trailers {
    /// The line being received.
    line: Vec<u8>,
    /// Those to send on.
    lines: Vec<u8>,
    bytes: u32,
    fields: u32,
}

/// Ordinary names that change how a message is routed, understood or cached, so that they come too late at its end.
const TOO_LATE: [&[u8]; 16] = [
    b"age",
    b"allow",
    b"authentication-info",
    b"expires",
    b"last-modified",
    b"location",
    b"origin",
    b"pragma",
    b"range",
    b"referer",
    b"retry-after",
    b"vary",
    b"warning",
    b"x-http-method-override",
    b"x-original-url",
    b"x-rewrite-url",
];

/// Families of such names.
const TOO_LATE_FAMILIES: [&[u8]; 5] = [b"accept", b"if-", b"proxy-", b"sec-", b"access-control-"];

impl Trailers {
    /// Takes bytes up to the end of a line; returns how many, and whether the line is complete.
    pub(super) fn take(&mut self, rest: &[u8], limits: HeadLimits) -> Result<(usize, bool), Reject> {
        let lf = memchr(b'\n', rest);
        let part = lf.and_then(|i| rest.get(..=i)).unwrap_or(rest);
        self.bytes = u32::try_from(part.len()).map_or(u32::MAX, |len| self.bytes.saturating_add(len));
        if self.bytes > limits.bytes {
            return Err(reason::TRAILERS_TOO_LARGE);
        }
        self.line.extend_from_slice(part);
        if lf.is_some() {
            self.fields += 1;
            if self.fields > limits.fields {
                return Err(reason::TRAILERS_TOO_LARGE);
            }
            self.finish_line()?;
        }
        Ok((part.len(), lf.is_some()))
    }

    /// The lines to send on, each `name: value CRLF`.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    fn finish_line(&mut self) -> Result<(), Reject> {
        let (field, _) = field_line(&self.line, 0)?;
        let (name, value) = (field.name.of(&self.line), trim(field.value.of(&self.line)));
        write_trailer(&mut self.lines, field.kind, name, value);
        self.line.clear();
        Ok(())
    }
}

/// Appends a trailer that came by itself as a `name: value CRLF` line, if it may be sent on.
pub(super) fn write_trailer(out: &mut Vec<u8>, kind: FieldKind, name: &[u8], value: &[u8]) {
    if kind == FieldKind::Other && !is_too_late(name) {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

fn is_too_late(name: &[u8]) -> bool {
    let folds_to = |text: &[u8]| name.iter().zip(text).all(|(&b, &t)| fold(b) == t);
    TOO_LATE.iter().any(|known| known.len() == name.len() && folds_to(known))
        || TOO_LATE_FAMILIES.iter().any(|family| family.len() <= name.len() && folds_to(family))
}
