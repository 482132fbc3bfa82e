//! Header lists of HTTP/2 as heads (RFC 9113 section 8): the lines of a block are put together in one buffer, checked, and
//! seen through the same spans as an HTTP/1 head. In: decoded lines; out: a [`RequestHead`], a [`ResponseHead`] or
//! trailers, as strict as for HTTP/1, so that nothing can be smuggled on the way from one to the other.
//!
//! Comes after: the connection's frames. Before: what comes after the parser of HTTP/1.

mod request;
mod response;

use super::bytes::{is_control, is_token_byte};
use super::trailer::write_trailer;
use super::{Field, FieldKind, Fields, HeadLimits, Reject, Span, reason};
use crate::hpack::{Indexing, Line};

pub use request::request_of;
pub use response::response_of;

/// What RFC 9113 section 6.5.2 counts for each line beside its name and value.
const LINE_BYTES: usize = 32;

/// A pseudo-header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
}

const PSEUDO: usize = 6;

impl Pseudo {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b":method" => Some(Self::Method),
            b":scheme" => Some(Self::Scheme),
            b":authority" => Some(Self::Authority),
            b":path" => Some(Self::Path),
            b":protocol" => Some(Self::Protocol),
            b":status" => Some(Self::Status),
            _ => None,
        }
    }
}

/// One header list. Reused from message to message: clearing keeps the memory.
#[derive(Debug, Clone)]
pub struct Block {
    limits: HeadLimits,
    bytes: Vec<u8>,
    fields: Fields,
    pseudo: [Option<Span>; PSEUDO],
    path_indexing: Indexing,
    /// As RFC 9113 section 6.5.2 counts it, whether it is kept or not.
    size: usize,
    /// The first thing found wrong; what comes behind it is not kept.
    fault: Option<Reject>,
    cookies: u32,
}

impl Block {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            limits: HeadLimits { bytes: 0, fields: 0 },
            bytes: Vec::new(),
            fields: Fields::new(),
            pseudo: [None; PSEUDO],
            path_indexing: Indexing::Without,
            size: 0,
            fault: None,
            cookies: 0,
        }
    }

    /// Forgets everything and bounds what is kept next: bytes as RFC 9113 section 6.5.2 counts them, and lines.
    pub fn clear(&mut self, limits: HeadLimits) {
        self.limits = limits;
        self.bytes.clear();
        self.fields.clear();
        self.pseudo = [None; PSEUDO];
        self.path_indexing = Indexing::Without;
        self.size = 0;
        self.fault = None;
        self.cookies = 0;
    }

    /// The bytes that spans are over: what a head is in HTTP/1.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.bytes
    }

    /// The fields, pseudo-header fields left out.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Adds a line, unless something was wrong before.
    pub fn push(&mut self, line: Line<'_>) {
        self.size = self.size.saturating_add(line.name.len() + line.value.len() + LINE_BYTES);
        if self.size > self.limits.bytes as usize {
            // A list that is too large is that, whatever else is wrong with what was cut off.
            self.fault.get_or_insert(reason::HEAD_TOO_LARGE);
        }
        if self.fault.is_none()
            && let Err(fault) = self.add(line)
        {
            self.fault = Some(fault);
        }
    }

    fn add(&mut self, line: Line<'_>) -> Result<(), Reject> {
        check_value(line.value)?;
        if line.name.first() == Some(&b':') {
            let pseudo = Pseudo::of(line.name).ok_or(reason::BAD_PSEUDO_FIELD)?;
            let slot = self.pseudo.get_mut(pseudo as usize).ok_or(reason::BAD_PSEUDO_FIELD)?;
            if slot.is_some() || !self.fields.is_empty() {
                return Err(reason::BAD_PSEUDO_FIELD);
            }
            *slot = Some(append(&mut self.bytes, line.value));
            if pseudo == Pseudo::Path {
                self.path_indexing = line.indexing;
            }
            return Ok(());
        }
        check_name(line.name)?;
        check_kind(line.kind, line.value)?;
        if self.fields.len() >= self.limits.fields as usize {
            return Err(reason::TOO_MANY_FIELDS);
        }
        self.cookies += u32::from(line.kind == FieldKind::EndToEnd && line.name == b"cookie");
        let name = append(&mut self.bytes, line.name);
        let value = append(&mut self.bytes, line.value);
        let (kind, indexing) = (line.kind, line.indexing);
        self.fields.push(Field { name, value, kind, hop: false, indexing, plain: false });
        Ok(())
    }

    fn pseudo(&self, which: Pseudo) -> Option<Span> {
        self.pseudo.get(which as usize).copied().flatten()
    }

    fn has_pseudo(&self, which: &[Pseudo]) -> bool {
        which.iter().any(|which| self.pseudo(*which).is_some())
    }

    /// Puts a cookie that came in pieces together (RFC 9113 section 8.2.3), where its first piece stood.
    fn join_cookies(&mut self) {
        if self.cookies < 2 {
            return;
        }
        let is_cookie = |bytes: &[u8], field: &Field| {
            field.kind == FieldKind::EndToEnd && field.name.of(bytes) == b"cookie"
        };
        let start = self.bytes.len();
        for field in &self.fields {
            if is_cookie(&self.bytes, field) {
                if self.bytes.len() > start {
                    self.bytes.extend_from_slice(b"; ");
                }
                let (from, to) = (field.value.start as usize, field.value.end as usize);
                self.bytes.extend_from_within(from..to);
            }
        }
        let joined = Span::new(start, self.bytes.len());
        let mut first = true;
        let bytes = &self.bytes;
        self.fields.retain_mut(|field| {
            if !is_cookie(bytes, field) {
                return true;
            }
            field.value = joined;
            std::mem::take(&mut first)
        });
    }
}

impl crate::h2::Lines for Block {
    /// Forgets the last list; the bounds stay.
    fn begin(&mut self) {
        self.clear(self.limits);
    }

    fn line(&mut self, line: Line<'_>) {
        self.push(line);
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends the trailers in a block as `name: value CRLF` lines, without those that may not be sent on.
pub fn trailers_of(block: &Block, out: &mut Vec<u8>) -> Result<(), Reject> {
    if let Some(fault) = block.fault {
        return Err(if fault.status == 431 { reason::TRAILERS_TOO_LARGE } else { fault });
    }
    if block.pseudo.iter().any(Option::is_some) {
        return Err(reason::BAD_PSEUDO_FIELD);
    }
    for field in &block.fields {
        write_trailer(out, field.kind, field.name.of(&block.bytes), field.value.of(&block.bytes));
    }
    Ok(())
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(part);
    Span::new(start, bytes.len())
}

/// RFC 9113 section 8.2.1, and no more than HTTP/1 would carry.
fn check_name(name: &[u8]) -> Result<(), Reject> {
    if name.is_empty() || !name.iter().all(|&b| is_token_byte(b)) {
        return Err(reason::BAD_FIELD_NAME);
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(reason::UPPER_CASE_FIELD_NAME);
    }
    Ok(())
}

fn check_value(value: &[u8]) -> Result<(), Reject> {
    let space = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    if value.iter().any(|&b| is_control(b)) || space(value.first()) || space(value.last()) {
        return Err(reason::BAD_FIELD_VALUE);
    }
    Ok(())
}

/// Fields that HTTP/2 has no place for (RFC 9113 section 8.2.2).
fn check_kind(kind: FieldKind, value: &[u8]) -> Result<(), Reject> {
    match kind {
        FieldKind::Connection
        | FieldKind::KeepAlive
        | FieldKind::ProxyConnection
        | FieldKind::TransferEncoding
        | FieldKind::Upgrade
        | FieldKind::Http2Settings => Err(reason::CONNECTION_FIELD),
        FieldKind::Te if !value.eq_ignore_ascii_case(b"trailers") => Err(reason::CONNECTION_FIELD),
        _ => Ok(()),
    }
}
