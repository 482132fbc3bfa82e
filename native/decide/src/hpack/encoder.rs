//! Lines → blocks. In: lines one by one, and how they are to be represented; out: bytes behind the caller's. Before:
//! heads built from parsed fields; after: frames.

use super::lookup::{Key, Lookup};
use super::{DEFAULT_TABLE_BYTES, Indexing, huffman, integer, statics};

/// Only lines up to this part of the table are inserted: larger ones would evict nearly all the others.
const PART: (usize, usize) = (3, 4);
/// What an entry takes beside its strings (RFC 7541 section 4.1).
const ENTRY: usize = 32;

/// The sending side of one connection.
#[derive(Debug)]
pub struct Encoder {
    lookup: Lookup,
    /// What the peer's settings say, which may be more than we use.
    peer: u32,
    /// The lowest limit since the last block, if the next one has to tell sizes.
    lowest: Option<u32>,
}

impl Encoder {
    /// An encoder whose hashes are keyed by `seed`, which peers must not know. Allocates nothing until the first entry.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { lookup: Lookup::new(seed), peer: DEFAULT_TABLE_BYTES, lowest: None }
    }

    /// The peer's `SETTINGS_HEADER_TABLE_SIZE` in bytes. Our table holds that or 4096, whichever is less; a change is
    /// told at the beginning of the next block (RFC 7541 section 4.2). Not to be called within a block.
    pub fn set_limit(&mut self, bytes: u32) {
        let limit = bytes.min(DEFAULT_TABLE_BYTES);
        // A peer that takes something back may wait for an update even if it is more than we use.
        if bytes < self.peer || limit as usize != self.lookup.table.limit() {
            self.lowest = Some(self.lowest.unwrap_or(limit).min(limit));
            self.lookup.table.set_limit(limit);
        }
        self.peer = bytes;
    }

    /// Memory on the heap, in bytes.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.lookup.memory()
    }

    /// Begins a block: writes the size updates that are due.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        self.lookup.begin();
        let Some(lowest) = self.lowest.take() else { return };
        let last = self.lookup.table.limit();
        if (lowest as usize) < last {
            integer::encode(lowest as usize, 5, 0x20, out);
        }
        integer::encode(last, 5, 0x20, out);
    }

    /// Writes one line. A line that is in a table becomes its index, unless it is [`Indexing::Never`]. Only
    /// [`Indexing::Incremental`] lines are inserted, those of more than 3/4 of the table are not.
    #[inline]
    pub fn encode(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        if indexing == Indexing::Never {
            return self.encode_never(name, value, out);
        }
        match self.lookup.guess(name, value) {
            Some(age) => indexed(statics::LEN + 1 + age, out),
            None => self.encode_looked_up(name, value, indexing, out),
        }
    }

    fn encode_never(&self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let fixed = statics::find(name);
        let key = self.lookup.key(fixed, name, &[]);
        literal(self.name_index(fixed, key, name), 4, 0x10, (name, value), out);
    }

    /// A line that is not the one that came here before.
    fn encode_looked_up(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let fixed = statics::find(name);
        if let Some(index) = fixed.and_then(|first| statics::find_value(first, value)) {
            return indexed(index, out);
        }
        let key = self.lookup.key(fixed, name, value);
        if let Some(age) = self.lookup.find(key, name, value) {
            return indexed(statics::LEN + 1 + age, out);
        }
        let index = self.name_index(fixed, key, name);
        if indexing == Indexing::Incremental && self.is_worth_inserting(name, value) {
            literal(index, 6, 0x40, (name, value), out);
            self.lookup.insert(key, name, value);
        } else {
            literal(index, 4, 0, (name, value), out);
        }
    }

    /// Writes `:status` with this code. Codes above 999 have no meaning and are written as 999.
    pub fn status(&mut self, code: u16, out: &mut Vec<u8>) {
        let index = match code {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let code = code.min(999);
                let digits =
                    [code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + digit.to_le_bytes()[0]);
                return self.encode(b":status", &digits, Indexing::Incremental, out);
            }
        };
        indexed(index, out);
    }

    /// The index of an entry with this name, or 0.
    fn name_index(&self, fixed: Option<usize>, key: Key, name: &[u8]) -> usize {
        match fixed {
            Some(index) => index,
            None => self.lookup.find_name(key, name).map_or(0, |age| statics::LEN + 1 + age),
        }
    }

    fn is_worth_inserting(&self, name: &[u8], value: &[u8]) -> bool {
        let (part, whole) = PART;
        (name.len() + value.len() + ENTRY) * whole <= self.lookup.table.limit() * part
    }
}

/// Section 6.1 of RFC 7541.
#[inline]
fn indexed(index: usize, out: &mut Vec<u8>) {
    integer::encode(index, 7, 0x80, out);
}

/// Section 6.2 of RFC 7541: `flags` and `prefix` say which; a name without an index is written out.
fn literal(index: usize, prefix: u32, flags: u8, (name, value): (&[u8], &[u8]), out: &mut Vec<u8>) {
    integer::encode(index, prefix, flags, out);
    if index == 0 {
        string(name, out);
    }
    string(value, out);
}

/// Section 5.2 of RFC 7541, in whichever form is shorter.
fn string(plain: &[u8], out: &mut Vec<u8>) {
    let len = huffman::encoded_len(plain);
    if len < plain.len() {
        integer::encode(len, 7, 0x80, out);
        huffman::encode(plain, out);
    } else {
        integer::encode(plain.len(), 7, 0, out);
        out.extend_from_slice(plain);
    }
}

#[cfg(test)]
impl Encoder {
    /// The dynamic table, the newest first, and its size.
    pub(super) fn entries(&self) -> (Vec<super::tests::Pair>, usize) {
        (self.lookup.table.entries(), self.lookup.table.size())
    }
}
