//! Why a block cannot be decoded. Comes out of the decoder; the connection ends with it.

use thiserror::Error;

/// A block that breaks RFC 7541. The tables of both ends are no longer the same: a connection error of type
/// `COMPRESSION_ERROR` (RFC 9113 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HpackError {
    /// The block ends within a line.
    #[error("the block ends within a line")]
    Truncated,
    /// An integer of more than four continuation bytes, or of 2^28 and above (RFC 7541 section 5.1).
    #[error("an integer is too large")]
    IntegerTooLarge,
    /// Index 0 (RFC 7541 section 6.1), or one beyond both tables (section 2.3.3).
    #[error("index {index} is in no table")]
    UnknownIndex {
        /// The index as received.
        index: u32,
    },
    /// A size update that is not at the block's beginning (RFC 7541 section 4.2).
    #[error("a table size update behind a line")]
    LateUpdate,
    /// A third size update in one block: two say all there is to say (RFC 7541 section 4.2).
    #[error("more than two table size updates")]
    TooManyUpdates,
    /// A size update above what we advertised (RFC 7541 section 6.3).
    #[error("a table size of {bytes} is above {limit}")]
    UpdateAboveLimit {
        /// The size asked for.
        bytes: u32,
        /// The largest allowed.
        limit: u32,
    },
    /// No size update although our settings, acknowledged by now, took the table's limit back (RFC 9113 section 4.3.1).
    #[error("a table size update is missing")]
    MissingUpdate,
    /// Huffman padding of more than 7 bits, or with a zero in it (RFC 7541 section 5.2).
    #[error("wrong padding behind a Huffman code")]
    BadPadding,
    /// The end-of-string symbol within a string (RFC 7541 section 5.2).
    #[error("the end-of-string symbol within a string")]
    EndOfString,
}
