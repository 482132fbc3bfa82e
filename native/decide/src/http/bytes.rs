//! Byte classes and the scans over them. In: a slice; out: how far a class reaches, or a comparison. Used by every
//! parser of this module.

const fn table(kind: u8) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0_usize;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "i is below 256")]
        let b = i as u8;
        #[expect(clippy::indexing_slicing, reason = "i is below 256, and this runs at compile time")]
        {
            table[i] = match kind {
                0 => token(b),
                1 => target(b),
                _ => host(b),
            };
        }
        i += 1;
    }
    table
}

/// `tchar` of RFC 9110 section 5.6.2.
const fn token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What we take in a request target: visible ASCII without the characters that every user agent escapes. Wider than
/// RFC 3986 by `{|}^[]\` and the backtick, which browsers do send in queries; none of them changes what is meant.
const fn target(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'#' | b'"' | b'<' | b'>')
}

/// Name characters of a host: `unreserved` of RFC 3986. Its `sub-delims` and escapes are left out: no resolver takes
/// them, and `a,b` is what two joined Host fields look like.
const fn host(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

static TOKEN: [bool; 256] = table(0);
static TARGET: [bool; 256] = table(1);
static HOST: [bool; 256] = table(2);

fn within(table: &[bool; 256], b: u8) -> bool {
    table.get(usize::from(b)).copied().unwrap_or(false)
}

pub(super) fn is_token_byte(b: u8) -> bool {
    within(&TOKEN, b)
}

pub(super) fn is_target_byte(b: u8) -> bool {
    within(&TARGET, b)
}

pub(super) fn is_host_byte(b: u8) -> bool {
    within(&HOST, b)
}

/// A byte that ends a field value: every control character but the tab (RFC 9110 section 5.5).
pub(super) fn is_control(b: u8) -> bool {
    (b < 0x20 && b != b'\t') || b == 0x7f
}

/// How many bytes from `at` on are token characters.
pub(super) fn token_len(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|&b| !is_token_byte(b)).unwrap_or(rest.len())
}

/// True for one or more token characters and nothing else.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

/// The index of the first control character from `at` on, or the length.
///
/// Eight bytes at a time: a borrow may mark bytes above the first one that is really below 0x20, never below it, so the
/// lowest mark is exact. Tabs are marked too and looked at again.
pub(super) fn value_end(bytes: &[u8], at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = at.min(bytes.len());
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let delete = word ^ (0x7f * ONES);
        let marks = (word.wrapping_sub(0x20 * ONES) & !word | delete.wrapping_sub(ONES) & !delete) & HIGH;
        if marks == 0 {
            at += 8;
            continue;
        }
        at += (marks.trailing_zeros() / 8) as usize;
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| is_control(b)).unwrap_or(rest.len())
}

/// The index of the first LF from `at` on that a CR or LF follows: where a blank line may begin. 32 bytes at a time, in
/// a form that compilers turn into vector instructions.
pub(super) fn line_break_pair(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(window) = bytes.get(at..).and_then(|rest| rest.first_chunk::<33>()) {
        let (firsts, seconds) = (window.first_chunk::<32>()?, window.last_chunk::<32>()?);
        let mut found = 0_u8;
        for (&first, &second) in firsts.iter().zip(seconds) {
            found |= u8::from(first == b'\n') & (u8::from(second == b'\r') | u8::from(second == b'\n'));
        }
        if found != 0 {
            break;
        }
        at += 32;
    }
    let rest = bytes.get(at..)?;
    rest.windows(2).position(|pair| matches!(pair, [b'\n', b'\r' | b'\n'])).map(|i| at + i)
}

/// Without spaces and tabs at both ends (OWS of RFC 9110 section 5.6.3).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed; empty ones are left out (RFC 9110 section 5.6.1.2).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim).filter(|element| !element.is_empty())
}

/// 1*DIGIT up to 2^63 - 1, leading zeros allowed.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for &b in digits {
        if !b.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
        if value > i64::MAX as u64 {
            return None;
        }
    }
    Some(value)
}

/// The value of a hexadecimal digit.
pub(super) fn hex(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}
