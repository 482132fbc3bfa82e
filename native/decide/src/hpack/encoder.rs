//! Lines → blocks.

use super::Indexing;

/// The sending side of one connection.
#[derive(Debug)]
pub struct Encoder {
    seed: u64,
}

impl Encoder {
    /// An encoder whose hashes are keyed by `seed`, which peers must not know. Allocates nothing until the first entry.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The peer's `SETTINGS_HEADER_TABLE_SIZE` in bytes. Ours is that or 4096, whichever is less; the change is
    /// told at the beginning of the next block (RFC 7541 section 4.2).
    pub const fn set_limit(&mut self, bytes: u32) {
        self.seed += bytes as u64;
    }

    /// Begins a block: writes the size updates that are due.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Writes one line.
    pub fn encode(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let _ = (name, value, indexing, out);
    }

    /// Writes `:status` with this code, 100 to 999.
    pub fn status(&mut self, code: u16, out: &mut Vec<u8>) {
        let _ = (code, out);
    }
}
