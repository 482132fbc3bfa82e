//! What requests and responses share: where a head ends, and its field lines. In: bytes; out: the length of a head,
//! then [`Fields`]. The first line is parsed by `request` and `response`.

use super::bytes::{line_break_pair, token_len, value_end};
use super::{Field, FieldKind, Fields, Reject, Span, reason};
use crate::hpack::Indexing;
use memchr::{memchr, memmem};

/// Bounds on one head; trailers have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes, the blank line included.
    pub bytes: u32,
    /// Field lines.
    pub fields: u32,
}

/// Empty lines tolerated before a request line (RFC 9112 section 2.2 asks for at least one).
const LEADING_LINES: usize = 2;

/// Where the first line starts: behind at most two empty lines.
pub(super) fn skip_empty_lines(buf: &[u8]) -> usize {
    let mut at = 0;
    while at < 2 * LEADING_LINES && buf.get(at..).unwrap_or_default().starts_with(b"\r\n") {
        at += 2;
    }
    at
}

/// The index behind the blank line that ends a head, or `None`: read on. `from` is how much of `buf` an earlier call
/// has seen already (0 the first time), so that a slow head costs linear time.
///
/// Returns an index too when the head can no longer become a legal one (a line ended by LF alone, a control character, a
/// first line without a version), so that parsing it refuses it at once instead of at the header timeout.
#[must_use]
pub fn find_head_end(buf: &[u8], from: usize) -> Option<usize> {
    let start = skip_empty_lines(buf);
    if from <= start + 2 {
        match buf.get(start..)? {
            [b'\n', ..] => return Some(start + 1),
            [b'\r', b'\n', ..] => return Some(start + 2),
            _ => {}
        }
    }
    let resume = from.saturating_sub(3).max(start);
    if let Some(lf) = line_break_pair(buf, resume) {
        match (buf.get(lf + 1), buf.get(lf + 2)) {
            (Some(b'\r'), Some(b'\n')) => return Some(lf + 3),
            (Some(b'\r'), None) => {}
            _ => return Some(lf + 2),
        }
    }
    hopeless(buf, start, resume)
}

/// Looks through an unfinished head for what no continuation can repair.
fn hopeless(buf: &[u8], start: usize, resume: usize) -> Option<usize> {
    let mut at = value_end(buf, resume);
    while let Some(&b) = buf.get(at) {
        match (b, buf.get(at + 1)) {
            (b'\r', None) => break,
            (b'\r', Some(b'\n')) => at = value_end(buf, at + 2),
            // An LF here is the second half of a line end when `resume` fell between the two.
            (b'\n', _) if at == resume && at > start && buf.get(at - 1) == Some(&b'\r') => {
                at = value_end(buf, at + 1);
            }
            _ => return Some(at + 1),
        }
    }
    without_version(buf, start)
}

fn without_version(buf: &[u8], start: usize) -> Option<usize> {
    let rest = buf.get(start..)?;
    let line = rest.get(..=memchr(b'\n', rest)?)?;
    if memmem::find(line, b"HTTP/").is_none() { Some(start + line.len()) } else { None }
}

/// The answer to a head that has no end within the limit: 414 where its first line alone is over it, else 431.
#[must_use]
pub fn head_too_large(buf: &[u8], limits: HeadLimits) -> Reject {
    let start = skip_empty_lines(buf);
    let within = buf.get(..limits.bytes as usize).unwrap_or(buf);
    match within.get(start..).and_then(|rest| memchr(b'\n', rest)) {
        Some(_) => reason::HEAD_TOO_LARGE,
        None => reason::TARGET_TOO_LONG,
    }
}

/// Whether the line ends at `at` with CRLF.
pub(super) fn line_end(head: &[u8], at: usize) -> Result<usize, Reject> {
    match (head.get(at), head.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(at + 2),
        (Some(b'\r'), _) => Err(reason::BARE_CR),
        (Some(b'\n'), _) => Err(reason::BARE_LF),
        (Some(_), _) => Err(reason::BAD_FIELD_VALUE),
        (None, _) => Err(reason::INCOMPLETE_HEAD),
    }
}

/// Parses one field line at `at`; returns it and where the next line starts.
pub(super) fn field_line(head: &[u8], at: usize) -> Result<(Field, usize), Reject> {
    let colon = at + token_len(head, at);
    match head.get(colon) {
        Some(b':') if colon > at => {}
        Some(b' ' | b'\t') if colon == at => return Err(reason::OBS_FOLD),
        Some(b' ' | b'\t') => return Err(reason::SPACE_BEFORE_COLON),
        Some(b'\n') => return Err(reason::BARE_LF),
        Some(_) => return Err(reason::BAD_FIELD_NAME),
        None => return Err(reason::INCOMPLETE_HEAD),
    }
    let mut start = colon + 1;
    while let Some(b' ' | b'\t') = head.get(start) {
        start += 1;
    }
    let stop = value_end(head, start);
    let next = line_end(head, stop)?;
    let mut end = stop;
    while end > start && matches!(head.get(end - 1), Some(b' ' | b'\t')) {
        end -= 1;
    }
    let name = Span::new(at, colon);
    let field = Field {
        name,
        value: Span::new(start, end),
        kind: FieldKind::of(name.of(head)),
        hop: false,
        indexing: Indexing::Without,
        plain: start == colon + 2 && end == stop && head.get(colon + 1) == Some(&b' '),
    };
    Ok((field, next))
}

/// Parses the field lines from `at` up to the blank line that must end `head`.
pub(super) fn field_lines(
    head: &[u8],
    mut at: usize,
    limits: HeadLimits,
    fields: &mut Fields,
) -> Result<(), Reject> {
    loop {
        if head.get(at) == Some(&b'\r') {
            let end = line_end(head, at)?;
            return if end == head.len() { Ok(()) } else { Err(reason::INCOMPLETE_HEAD) };
        }
        let (field, next) = field_line(head, at)?;
        if fields.len() >= limits.fields as usize {
            return Err(reason::TOO_MANY_FIELDS);
        }
        fields.push(field);
        at = next;
    }
}

/// `HTTP/1.x`: the minor digit. Another major version is refused as such.
pub(super) fn version(text: &[u8], malformed: Reject) -> Result<u8, Reject> {
    match text {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => Ok(minor - b'0'),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(reason::UNSUPPORTED_VERSION),
        _ => Err(malformed),
    }
}

/// Why a first line stops at this byte.
pub(super) fn first_line_fault(head: &[u8], at: usize, otherwise: Reject) -> Reject {
    match (head.get(at), head.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => otherwise,
        (Some(b'\r'), _) => reason::BARE_CR,
        (Some(b'\n'), _) => reason::BARE_LF,
        (Some(b'#'), _) => reason::FRAGMENT_IN_TARGET,
        _ => otherwise,
    }
}
