//! Integers with a prefix (RFC 7541 section 5.1). In: what is left of a block → a number and the rest; a number →
//! bytes. Used for indices, lengths and table sizes.

use super::HpackError;

/// One above the largest number we take: more than any block, table or index here can be.
const BOUND: u32 = 1 << 28;
/// How many continuation bytes may carry it, leading zeros included.
const CONTINUATION: usize = 4;

/// A number whose first byte has `prefix` (1 to 7) bits of it, and what is behind.
#[inline]
pub(super) fn decode(input: &[u8], prefix: u32) -> Result<(u32, &[u8]), HpackError> {
    let [first, rest @ ..] = input else { return Err(HpackError::Truncated) };
    let full = (1 << prefix) - 1;
    let value = u32::from(*first) & full;
    if value < full { Ok((value, rest)) } else { continued(full, rest) }
}

fn continued(prefix: u32, mut rest: &[u8]) -> Result<(u32, &[u8]), HpackError> {
    let mut value = prefix;
    for i in 0..CONTINUATION {
        let [byte, behind @ ..] = rest else { return Err(HpackError::Truncated) };
        rest = behind;
        value += u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return if value < BOUND { Ok((value, rest)) } else { Err(HpackError::IntegerTooLarge) };
        }
    }
    Err(HpackError::IntegerTooLarge)
}

/// Appends a number; the bits above the prefix are those of `flags`.
#[inline]
pub(super) fn encode(value: usize, prefix: u32, flags: u8, out: &mut Vec<u8>) {
    let full = (1_usize << prefix) - 1;
    if value < full {
        out.push(flags | low(value));
        return;
    }
    out.push(flags | low(full));
    let mut left = value - full;
    while left >= 0x80 {
        out.push(0x80 | low(left & 0x7f));
        left >>= 7;
    }
    out.push(low(left));
}

#[expect(clippy::cast_possible_truncation, reason = "callers pass less than 256")]
const fn low(value: usize) -> u8 {
    value as u8
}
