//! What a client is told of a limit.
//!
//! `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` of draft-ietf-httpapi-ratelimit-headers, as up to its
//! version 07: the single structured field of later versions is not final, and these are what clients read today.
//! `Retry-After` is that of RFC 9110 section 10.2.3.

use super::Verdict;

const SECOND: u64 = 1_000_000_000;

/// Gives `put` each field's name and value: three for what passed, and `Retry-After` besides for what did not. Seconds
/// are rounded up, so that who waits as long as told is not too early. Allocates nothing.
pub fn each_field(verdict: &Verdict, mut put: impl FnMut(&[u8], &[u8])) {
    let (limit, remaining, reset_ns, retry_after_ns) = match *verdict {
        Verdict::Pass { limit, remaining, reset_ns } => (limit, remaining, reset_ns, None),
        Verdict::Refuse { limit, reset_ns, retry_after_ns } => (limit, 0, reset_ns, Some(retry_after_ns)),
    };
    let mut number = |name: &[u8], value: u64| put(name, itoa::Buffer::new().format(value).as_bytes());
    number(b"RateLimit-Limit", u64::from(limit));
    number(b"RateLimit-Remaining", u64::from(remaining));
    number(b"RateLimit-Reset", reset_ns.div_ceil(SECOND));
    if let Some(wait) = retry_after_ns {
        number(b"Retry-After", wait.div_ceil(SECOND));
    }
}

/// Appends the fields as lines of HTTP/1; at most 128 bytes.
pub fn write_fields(out: &mut Vec<u8>, verdict: &Verdict) {
    each_field(verdict, |name, value| {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    });
}
