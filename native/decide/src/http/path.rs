//! Path normalization. In: the path of a target; out: the one spelling that routes and policies match and that is sent
//! on. Comes after parsing, before policy.

use super::bytes::{hex, is_target_byte};
use super::{Reject, reason};
use tulle_snapshot::wire::{EscapePolicy, PathRules};

/// Which bytes are the normal path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalized {
    /// The given ones; those in `out` mean nothing.
    Unchanged,
    /// Those in `out`.
    Rewritten,
}

/// Normalizes an absolute path without query: unreserved characters are decoded, other escapes written in upper case,
/// repeated slashes merged, dot segments resolved (RFC 3986 section 6.2.2). Paths that a backend might read in another
/// way are refused. Normalizing twice is normalizing once.
pub fn normalize(path: &[u8], out: &mut Vec<u8>, rules: PathRules) -> Result<Normalized, Reject> {
    if is_normal(path, rules) {
        return Ok(Normalized::Unchanged);
    }
    let Some((b'/', mut rest)) = path.split_first() else {
        return Err(reason::BAD_PATH);
    };
    out.clear();
    out.push(b'/');
    let mut segment = 1;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        match b {
            b'/' => segment = end_segment(out, segment, true)?,
            b'%' => rest = escape(rest, out, rules)?,
            b'\\' => return Err(reason::BACKSLASH_IN_PATH),
            b';' if rules.path_parameters == EscapePolicy::Reject => return Err(reason::PATH_PARAMETERS),
            b'?' => return Err(reason::BAD_PATH),
            _ if is_target_byte(b) => out.push(b),
            _ => return Err(reason::BAD_PATH),
        }
    }
    end_segment(out, segment, false)?;
    Ok(if out.as_slice() == path { Normalized::Unchanged } else { Normalized::Rewritten })
}

/// The common case in one look: nothing that normalizing could change or refuse.
fn is_normal(path: &[u8], rules: PathRules) -> bool {
    let mut previous = 0;
    for &b in path {
        let special = match b {
            b'%' | b'\\' | b'?' => true,
            b'/' | b'.' => previous == b'/',
            b';' => rules.path_parameters == EscapePolicy::Reject,
            _ => !is_target_byte(b),
        };
        if special {
            return false;
        }
        previous = b;
    }
    path.first() == Some(&b'/')
}

/// Ends the segment that began at `segment` in `out`; returns where the next one begins.
fn end_segment(out: &mut Vec<u8>, segment: usize, slash: bool) -> Result<usize, Reject> {
    match out.get(segment..).unwrap_or_default() {
        b"" => Ok(segment),
        b"." => {
            out.truncate(segment);
            Ok(segment)
        }
        b".." => {
            let parents = out.get(..segment - 1).unwrap_or_default();
            let parent = parents.iter().rposition(|&b| b == b'/').ok_or(reason::PATH_ABOVE_ROOT)? + 1;
            out.truncate(parent);
            Ok(parent)
        }
        _ => {
            if slash {
                out.push(b'/');
            }
            Ok(out.len())
        }
    }
}

/// Takes the two digits behind a `%` and writes what they mean; returns what follows them.
fn escape<'a>(rest: &'a [u8], out: &mut Vec<u8>, rules: PathRules) -> Result<&'a [u8], Reject> {
    let [high, low, after @ ..] = rest else {
        return Err(reason::BAD_ESCAPE);
    };
    let (Some(h), Some(l)) = (hex(*high), hex(*low)) else {
        return Err(reason::BAD_ESCAPE);
    };
    match h << 4 | l {
        0 => return Err(reason::NUL_IN_PATH),
        b'\\' => return Err(reason::BACKSLASH_IN_PATH),
        b'/' if rules.encoded_slash == EscapePolicy::Reject => return Err(reason::ENCODED_SLASH),
        b';' if rules.path_parameters == EscapePolicy::Reject => return Err(reason::PATH_PARAMETERS),
        b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') => out.push(b),
        _ => out.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
    }
    Ok(after)
}
