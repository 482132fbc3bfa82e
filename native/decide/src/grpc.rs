//! What gRPC adds to HTTP/2 (gRPC over HTTP2, the protocol's own document): a media type, a deadline that travels as what
//! is left of it, and a status in the trailers. In: values of fields; out: what they mean, and the same written anew.

use std::time::Duration;

/// Digits that `grpc-timeout` has at most.
const DIGITS: usize = 8;

/// Whether a Content-Type says gRPC: `application/grpc`, with `+codec` or parameters behind it or without. gRPC-Web, which
/// keeps its trailers in the body, is not it.
#[must_use]
pub fn is_grpc(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let Some((name, rest)) = content_type.split_at_checked(NAME.len()) else { return false };
    name.eq_ignore_ascii_case(NAME) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The value of `grpc-timeout`: one to eight digits and a unit. None for anything else, which is as if it were not there.
#[must_use]
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Writes a `grpc-timeout` of this length or a little less, never more, in the finest unit that it fits.
pub fn write_timeout(left: Duration, out: &mut Vec<u8>) {
    const LARGEST: u128 = 99_999_999;
    let units = [
        (left.as_nanos(), b'n'),
        (left.as_micros(), b'u'),
        (left.as_millis(), b'm'),
        (u128::from(left.as_secs()), b'S'),
        (u128::from(left.as_secs() / 60), b'M'),
    ];
    let hours = (u128::from(left.as_secs() / 3600).min(LARGEST), b'H');
    let (count, unit) = units.into_iter().find(|(count, _)| *count <= LARGEST).unwrap_or(hours);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.push(unit);
}

/// The value of `grpc-status`: 0 to 16; what is none is 2, UNKNOWN.
#[must_use]
pub fn status(value: &[u8]) -> u8 {
    match value {
        [digit @ b'0'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'6'] => 10 + digit - b'0',
        _ => 2,
    }
}

/// What an HTTP status stands for where a call has no status of its own: doc/http-grpc-status-mapping.md of gRPC, but for
/// 429, which is `RESOURCE_EXHAUSTED` as for our own rate limits.
#[must_use]
pub const fn of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 => 8,
        502..=504 => 14,
        _ => 2,
    }
}

/// The status in trailers, given as `name: value CRLF` lines; none: they have none.
#[must_use]
pub fn status_in(trailers: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"grpc-status: ";
    let mut lines = trailers.split(|&b| b == b'\n');
    let line =
        lines.find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    Some(status(line.get(NAME.len()..)?.trim_ascii_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for yes in
            ["application/grpc", "application/grpc+proto", "Application/gRPC; x=y", "application/grpc ;a"]
        {
            assert!(is_grpc(yes.as_bytes()), "{yes}");
        }
        for no in ["", "application/grp", "application/grpc-web", "application/grpcx", "text/plain"] {
            assert!(!is_grpc(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn http_statuses_stand_for_others() {
        let cases = [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (418, 2),
            (429, 8),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 14),
        ];
        for (http, expected) in cases {
            assert_eq!(of_http(http), expected, "{http}");
        }
    }

    #[test]
    fn timeouts_are_read() {
        let cases = [
            ("1n", Some(Duration::from_nanos(1))),
            ("20u", Some(Duration::from_micros(20))),
            ("300m", Some(Duration::from_millis(300))),
            ("4S", Some(Duration::from_secs(4))),
            ("5M", Some(Duration::from_secs(300))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("0S", Some(Duration::ZERO)),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("1.5S", None),
            (" 5S", None),
        ];
        for (text, expected) in cases {
            assert_eq!(timeout(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn timeouts_are_written_never_longer_than_they_are() {
        let cases = [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_019), "1666666M"),
            (Duration::MAX, "99999999H"),
        ];
        for (left, expected) in cases {
            let mut out = Vec::new();
            write_timeout(left, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
            assert!(timeout(&out).unwrap() <= left);
        }
    }

    #[test]
    fn statuses() {
        for (text, expected) in
            [("0", 0), ("9", 9), ("10", 10), ("16", 16), ("17", 2), ("", 2), ("x", 2), ("01", 2)]
        {
            assert_eq!(status(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(status_in(b"a: b\r\nGrpc-Status: 14\r\ngrpc-message: no\r\n"), Some(14));
        assert_eq!(status_in(b"a: b\r\n"), None);
    }
}
