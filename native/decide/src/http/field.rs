//! Fields as spans over the head they were parsed from. In: what the parser found; out: lookups by kind or name.

use super::FieldKind;
use crate::hpack::Indexing;

/// A range of bytes in a head, `start..end`. A head is below 4 GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl Span {
    /// The span over `start..end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    /// Its bytes in the head it was made from; empty where it does not fit.
    #[must_use]
    pub fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// How many bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// True for no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// As received.
    pub name: Span,
    /// Without the spaces and tabs around it; may be empty.
    pub value: Span,
    /// What it means to a proxy.
    pub kind: FieldKind,
    /// True: nominated by Connection, so not sent on.
    pub hop: bool,
    /// How an HTTP/2 peer represented it; [`Indexing::Without`] in HTTP/1.
    pub indexing: Indexing,
    /// True: the line reads `name: value CRLF` in the head, byte by byte as we would write it.
    pub plain: bool,
}

/// The fields of one head, in order. Reused from message to message: clearing keeps the capacity.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    list: Vec<Field>,
    /// One bit per [`FieldKind`] that occurs.
    seen: u64,
}

impl Fields {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new(), seen: 0 }
    }

    /// Forgets all fields, keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.seen = 0;
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True for no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All fields, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.list.iter()
    }

    /// Whether a field of this kind is there.
    #[must_use]
    pub fn has(&self, kind: FieldKind) -> bool {
        self.seen & kind.bit() != 0
    }

    /// Whether a field of any of these kinds is there; a mask of [`FieldKind::bit`].
    pub(super) fn has_any(&self, mask: u64) -> bool {
        self.seen & mask != 0
    }

    /// The first field of a kind.
    #[must_use]
    pub fn get(&self, kind: FieldKind) -> Option<&Field> {
        self.all(kind).next()
    }

    /// The field of a kind if there is exactly one.
    #[must_use]
    pub fn only(&self, kind: FieldKind) -> Option<&Field> {
        let mut all = self.all(kind);
        let first = all.next();
        if all.next().is_some() { None } else { first }
    }

    /// All fields of a kind, in order.
    pub fn all(&self, kind: FieldKind) -> impl Iterator<Item = &Field> {
        let list = if self.has(kind) { self.list.as_slice() } else { &[] };
        list.iter().filter(move |field| field.kind == kind)
    }

    /// The values of all fields of this name, compared without case.
    pub fn values<'a>(&'a self, head: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let same = move |field: &&Field| {
            field.name.len() == name.len() && field.name.of(head).eq_ignore_ascii_case(name)
        };
        self.list.iter().filter(same).map(move |field| field.value.of(head))
    }

    /// Keeps the fields that `keep` says so of, which may change them.
    pub(super) fn retain_mut(&mut self, keep: impl FnMut(&mut Field) -> bool) {
        self.list.retain_mut(keep);
    }

    pub(super) fn push(&mut self, field: Field) {
        self.seen |= field.kind.bit();
        self.list.push(field);
    }

    /// Marks all fields of this name as nominated by Connection.
    pub(super) fn nominate(&mut self, head: &[u8], name: &[u8]) {
        for field in &mut self.list {
            if field.name.len() == name.len()
                && !field.kind.is_end_to_end()
                && field.name.of(head).eq_ignore_ascii_case(name)
            {
                field.hop = true;
            }
        }
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
