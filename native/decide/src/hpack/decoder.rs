//! Blocks → lines. In: a whole block of fields and the connection's table; out: a call per line. Before: frames put
//! together; after: the caller's list of fields, which has a bound of its own.

use super::table::{MAX_BYTES, Slot, Table};
use super::{DEFAULT_TABLE_BYTES, HpackError, Indexing, Line, huffman, integer, statics};
use crate::http::FieldKind;

/// How many size updates a block may begin with: the lowest size since the last block, and the last.
const UPDATES: u32 = 2;

/// The receiving side of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table<FieldKind>,
    /// What our settings say.
    advertised: u32,
    /// What a size update may say: before the peer knows our settings, the default too.
    bound: u32,
    /// The next block has to begin with a size update.
    awaits_update: bool,
}

/// A string literal as it stands in the block (RFC 7541 section 5.2).
struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl<'a> Text<'a> {
    /// Reads one off the front of `input`.
    #[inline]
    fn read(input: &'a [u8]) -> Result<(Self, &'a [u8]), HpackError> {
        let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
        let (len, rest) = integer::decode(input, 7)?;
        let (bytes, rest) = rest.split_at_checked(len as usize).ok_or(HpackError::Truncated)?;
        Ok((Self { bytes, huffman }, rest))
    }

    /// What `plain` needs of `out`.
    fn room(&self) -> usize {
        if self.huffman { huffman::room(self.bytes.len()) } else { 0 }
    }

    /// The string itself, decoded into `out` if it was encoded.
    #[inline]
    fn plain<'b>(&self, out: &'b mut [u8]) -> Result<&'b [u8], HpackError>
    where
        'a: 'b,
    {
        if !self.huffman {
            return Ok(self.bytes);
        }
        let len = huffman::decode(self.bytes, out)?;
        Ok(out.get(..len).unwrap_or_default())
    }
}

/// Where the name of a literal comes from.
enum Name<'a> {
    New(Text<'a>),
    Static(&'static statics::Static),
    Dynamic(Slot<FieldKind>),
}

impl Decoder {
    /// A decoder for a connection that advertises this `SETTINGS_HEADER_TABLE_SIZE`, in bytes; 65,536 is the most that
    /// may be advertised. Allocates nothing until the first entry, and then what the entries need.
    #[must_use]
    pub const fn new(table_bytes: u32) -> Self {
        let advertised = if table_bytes < MAX_BYTES { table_bytes } else { MAX_BYTES };
        let bound = if advertised > DEFAULT_TABLE_BYTES { advertised } else { DEFAULT_TABLE_BYTES };
        Self { table: Table::new(DEFAULT_TABLE_BYTES), advertised, bound, awaits_update: false }
    }

    /// The peer has acknowledged our first settings: its table is now bound by them. If they are below the default of
    /// 4096, its next block has to begin with a size update (RFC 9113 section 4.3.1).
    pub const fn acknowledged(&mut self) {
        self.bound = self.advertised;
        self.awaits_update = self.table.limit() > self.advertised as usize;
    }

    /// Memory on the heap, in bytes.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.table.memory()
    }

    /// Decodes one whole block and calls `each` per line, in order. Takes time in proportion to the block and to the
    /// lines handed out, whose number and size are for the caller to bound. `scratch` holds decoded strings for the
    /// length of a call: it is only grown, to 1.6 times the block and the length of one table entry, and may be shared
    /// by all connections of a thread.
    ///
    /// After an error the tables of both ends differ: the connection is over.
    pub fn decode(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        mut each: impl FnMut(Line<'_>),
    ) -> Result<(), HpackError> {
        let mut rest = self.updates(block)?;
        while let Some(&first) = rest.first() {
            rest = if first & 0x80 != 0 {
                let (index, rest) = integer::decode(rest, 7)?;
                self.indexed(index, scratch, &mut each)?;
                rest
            } else if first & 0x40 != 0 {
                self.literal(rest, Indexing::Incremental, scratch, &mut each)?
            } else if first & 0x20 != 0 {
                return Err(HpackError::LateUpdate);
            } else if first & 0x10 != 0 {
                self.literal(rest, Indexing::Never, scratch, &mut each)?
            } else {
                self.literal(rest, Indexing::Without, scratch, &mut each)?
            };
        }
        Ok(())
    }

    /// The size updates at a block's beginning (RFC 7541 sections 4.2 and 6.3); what is behind them.
    fn updates<'a>(&mut self, mut rest: &'a [u8]) -> Result<&'a [u8], HpackError> {
        let mut count = 0;
        while let Some(0x20..=0x3f) = rest.first() {
            if count == UPDATES {
                return Err(HpackError::TooManyUpdates);
            }
            let (bytes, behind) = integer::decode(rest, 5)?;
            if bytes > self.bound {
                return Err(HpackError::UpdateAboveLimit { bytes, limit: self.bound });
            }
            self.table.set_limit(bytes);
            self.awaits_update = false;
            rest = behind;
            count += 1;
        }
        if self.awaits_update { Err(HpackError::MissingUpdate) } else { Ok(rest) }
    }

    /// Section 6.1 of RFC 7541.
    #[inline]
    fn indexed(
        &self,
        index: u32,
        scratch: &mut Vec<u8>,
        each: &mut impl FnMut(Line<'_>),
    ) -> Result<(), HpackError> {
        let indexing = Indexing::Incremental;
        if let Some(entry) = statics::get(index as usize) {
            each(Line { name: entry.name, value: entry.value, kind: entry.kind, indexing });
            return Ok(());
        }
        let slot = self.dynamic(index)?;
        let kind = slot.extra;
        let (name, value) = match self.table.text(&slot) {
            Some(text) => text,
            None => self.joined(slot, scratch),
        };
        each(Line { name, value, kind, indexing });
        Ok(())
    }

    fn dynamic(&self, index: u32) -> Result<Slot<FieldKind>, HpackError> {
        // Index 0 wraps to an age that no entry has.
        let age = (index as usize).wrapping_sub(statics::LEN + 1);
        self.table.get(age).copied().ok_or(HpackError::UnknownIndex { index })
    }

    /// Name and value of an entry across the ring's end, put together in `scratch`.
    #[cold]
    fn joined<'a>(&self, slot: Slot<FieldKind>, scratch: &'a mut Vec<u8>) -> (&'a [u8], &'a [u8]) {
        let to = room(scratch, slot.len());
        copy_joined(self.table.parts(&slot), to);
        to.split_at_checked(slot.name_len()).unwrap_or_default()
    }

    /// Section 6.2 of RFC 7541; what is behind the line.
    fn literal<'a>(
        &mut self,
        input: &'a [u8],
        indexing: Indexing,
        scratch: &mut Vec<u8>,
        each: &mut impl FnMut(Line<'_>),
    ) -> Result<&'a [u8], HpackError> {
        let prefix = if indexing == Indexing::Incremental { 6 } else { 4 };
        let (index, rest) = integer::decode(input, prefix)?;
        let (source, rest) = self.name(index, rest)?;
        let (value, rest) = Text::read(rest)?;
        let name_room = match &source {
            Name::New(text) => text.room(),
            Name::Static(_) => 0,
            Name::Dynamic(slot) => slot.name_len(),
        };
        let (left, right) =
            room(scratch, name_room + value.room()).split_at_mut_checked(name_room).unwrap_or_default();
        let value = value.plain(right)?;
        let (name, kind): (&[u8], _) = match source {
            Name::New(text) => {
                let name = text.plain(left)?;
                (name, FieldKind::of(name))
            }
            Name::Static(entry) => (entry.name, entry.kind),
            // Copied, because inserting may evict, or move, the entry that it comes from.
            Name::Dynamic(slot) => (self.copied(slot, left), slot.extra),
        };
        each(Line { name, value, kind, indexing });
        if indexing == Indexing::Incremental {
            self.table.insert(name, value, kind);
        }
        Ok(rest)
    }

    /// The name of a literal whose name index was read.
    #[inline]
    fn name<'a>(&self, index: u32, rest: &'a [u8]) -> Result<(Name<'a>, &'a [u8]), HpackError> {
        if index == 0 {
            let (text, rest) = Text::read(rest)?;
            return Ok((Name::New(text), rest));
        }
        let name = match statics::get(index as usize) {
            Some(entry) => Name::Static(entry),
            None => Name::Dynamic(self.dynamic(index)?),
        };
        Ok((name, rest))
    }

    fn copied<'a>(&self, slot: Slot<FieldKind>, to: &'a mut [u8]) -> &'a [u8] {
        let to = to.get_mut(..slot.name_len()).unwrap_or_default();
        copy_joined(self.table.parts(&slot), to);
        to
    }
}

/// Fills `to`, as long as both parts or shorter.
fn copy_joined((before, behind): (&[u8], &[u8]), to: &mut [u8]) {
    let (left, right) = to.split_at_mut(before.len().min(to.len()));
    for (to, from) in [(left, before), (right, behind)] {
        if let Some(from) = from.get(..to.len()) {
            to.copy_from_slice(from);
        }
    }
}

/// `len` bytes of scratch, whatever is in them.
#[inline]
fn room(scratch: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    scratch.get_mut(..len).unwrap_or_default()
}

#[cfg(test)]
impl Decoder {
    /// The dynamic table, the newest first, and its size.
    pub(super) fn entries(&self) -> (Vec<super::tests::Pair>, usize) {
        (self.table.entries(), self.table.size())
    }
}
