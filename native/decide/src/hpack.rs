//! HPACK (RFC 7541): field lines of HTTP/2 as compressed blocks. In: a whole block → lines, one by one; out: lines →
//! bytes behind what the caller has written. No I/O, no clock; nothing here allocates once its buffers have grown.
//!
//! Comes after: frames put together to blocks. Before: the lists of fields that requests and answers are made of. The
//! [`FieldKind`] of a name is kept with table entries, so that it is found once.

mod decoder;
mod encoder;
mod error;
mod huffman;
mod integer;
mod lookup;
mod statics;
mod table;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::HpackError;

use crate::http::FieldKind;

/// What every dynamic table may hold before settings say otherwise (RFC 9113 section 6.5.2), in bytes as counted by
/// RFC 7541 section 4.1.
pub const DEFAULT_TABLE_BYTES: u32 = 4096;

/// How a field was, or is to be, represented (RFC 7541 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Indexing {
    /// From a table, or put into the dynamic one (sections 6.1 and 6.2.1).
    Incremental,
    /// A literal that leaves the table alone (section 6.2.2).
    Without,
    /// A literal that nobody on the way may put into a table (section 6.2.3).
    Never,
}

/// One field line. Neither name nor value is checked: any bytes may be in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The name as received, pseudo-header names with their colon.
    pub name: &'a [u8],
    /// The value as received.
    pub value: &'a [u8],
    /// `FieldKind::of(name)`, remembered where the name comes from a table.
    pub kind: FieldKind,
    /// How it was represented; an indexed line is [`Indexing::Incremental`].
    pub indexing: Indexing,
}
