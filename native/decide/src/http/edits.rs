//! A route's changes to headers, compiled once. In: the snapshot's lists; out: names to leave out and lines to write.

use super::FieldKind;
use super::bytes::{is_control, is_token, trim};
use super::kind::fold;
use tulle_snapshot::wire::{HeaderEdit, HeaderEdits};

/// Compiled changes: remove, set, add. The empty ones cost a branch per message.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// Folded names that are removed or replaced.
    remove: Vec<Box<[u8]>>,
    /// A bit per length (up to 63) of a name in `remove`, so that most fields are passed by one look.
    lengths: u64,
    /// The lines to write, each `name: value CRLF`.
    lines: Vec<u8>,
}

impl Edits {
    /// No changes.
    pub const NONE: &'static Self = &Self { remove: Vec::new(), lengths: 0, lines: Vec::new() };

    /// Compiles and checks. The error names the header and says what is wrong with it.
    pub fn new(edits: &HeaderEdits) -> Result<Self, String> {
        let mut compiled = Self::default();
        for name in &edits.remove {
            compiled.leave_out(name)?;
        }
        for edit in &edits.set {
            compiled.leave_out(&edit.name)?;
            compiled.write(edit)?;
        }
        for edit in &edits.add {
            compiled.write(edit)?;
        }
        Ok(compiled)
    }

    /// True for no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.lines.is_empty()
    }

    /// Whether a field of this name is left out. Separators are folded as backends fold them, so that `X_Internal` does
    /// not slip past the removal of `x-internal`.
    pub(super) fn leaves_out(&self, name: &[u8]) -> bool {
        let same =
            |known: &[u8]| known.len() == name.len() && name.iter().zip(known).all(|(&b, &k)| fold(b) == k);
        self.lengths & length_bit(name.len()) != 0 && self.remove.iter().any(|known| same(known))
    }

    /// The lines to write.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    fn leave_out(&mut self, name: &str) -> Result<(), String> {
        check_name(name)?;
        self.lengths |= length_bit(name.len());
        self.remove.push(name.bytes().map(fold).collect());
        Ok(())
    }

    fn write(&mut self, edit: &HeaderEdit) -> Result<(), String> {
        check_name(&edit.name)?;
        let value = edit.value.as_bytes();
        if value.iter().any(|&b| is_control(b)) {
            return Err(format!("header {}: the value has a control character", edit.name));
        }
        for part in [edit.name.as_bytes(), b": ", trim(value), b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
        Ok(())
    }
}

fn length_bit(len: usize) -> u64 {
    1 << len.min(63)
}

fn check_name(name: &str) -> Result<(), String> {
    if !is_token(name.as_bytes()) {
        return Err(format!("header {name:?}: not a field name"));
    }
    let kind = FieldKind::of(name.as_bytes());
    let why = match kind {
        FieldKind::Host => "the host is changed by a rewrite",
        FieldKind::Identity | FieldKind::Alias => {
            "it tells backends who calls, or passes for a header that we control"
        }
        FieldKind::Expect => "it decides how the body is sent",
        kind if kind.is_hop_by_hop() => "framing and connection headers are ours",
        _ => return Ok(()),
    };
    Err(format!("header {name}: cannot be changed: {why}"))
}
