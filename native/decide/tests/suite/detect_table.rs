//! What a client speaks, by its first bytes: a table, and properties over arbitrary bytes.

use proptest::prelude::*;
use tulle_decide::detect::{DETECT_BYTES, Detected, detect};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[test]
fn first_bytes_tell() {
    use Detected::{Http1, Http2Preface, NeedMore, Opaque, Tls};
    let cases: &[(&[u8], Detected)] = &[
        (b"", NeedMore),
        (b"G", NeedMore),
        (b"GET", NeedMore),
        (b"GET ", NeedMore),
        (b"GET /", Http1),
        (b"GET h", NeedMore),
        (b"GET http://", Http1),
        (b"GET https:/x", Opaque),
        (b"GET key\r\n", Opaque),
        (b"GET  /", Opaque),
        (b"get /", Opaque),
        (b"GE /", Opaque),
        (b"OPTIONS *", NeedMore),
        (b"OPTIONS * HTTP/1.1", Http1),
        (b"KEYS *\r\n", Opaque),
        (b"VERSION-CONTROL https://", Http1),
        (b"ABCDEFGHIJKLMNOP /", Opaque),
        (b"CONNECT a:1 HTTP/1.1", Http1),
        (b"CONNECT [::1]:1", Http1),
        (b"CONNECT {\"verbose\":false}", Opaque),
        (b"CONNECT\n", Opaque),
        (b"PING\r\n", Opaque),
        (b"*1\r\n$4\r\nPING\r\n", Opaque),
        (b"\r\nGET / HTTP/1.1", Opaque),
        (b" GET /", Opaque),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Opaque),
        (b"SSH-2.0-OpenSSH_9.2", Opaque),
        (b"P", NeedMore),
        (b"PRI * HTTP/2.0", NeedMore),
        (PREFACE, Http2Preface),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", Http2Preface),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", Http1),
        (b"PRI * HTTP/1.1\r\n", Http1),
        (b"\x16", NeedMore),
        (b"\x16\x03\x01\x02", NeedMore),
        (b"\x16\x03\x01\x02\x00\x01", Tls),
        (b"\x16\x03\x03\x00\x01\x01", Tls),
        (b"\x16\x03\x05", Opaque),
        (b"\x16\x02", Opaque),
        (b"\x16\x03\x01\x00\x00\x01", Opaque),
        (b"\x16\x03\x01\x02\x00\x02", Opaque),
        (b"\x80\x2e\x01\x00\x02", Opaque),
    ];
    for (bytes, expected) in cases {
        assert_eq!(detect(bytes), *expected, "{}", bytes.escape_ascii());
    }
}

fn begins_well() -> impl Strategy<Value = Vec<u8>> {
    let starts: Vec<&[u8]> =
        vec![PREFACE, b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"CONNECT a:1", b""];
    (prop::sample::select(starts), 0..30usize, prop::collection::vec(any::<u8>(), 0..30)).prop_map(
        |(start, kept, more)| {
            let mut bytes = start[..kept.min(start.len())].to_vec();
            bytes.extend(more);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn an_answer_stands_whatever_follows(bytes in begins_well(), more in prop::collection::vec(any::<u8>(), 0..30)) {
        let first = detect(&bytes);
        let whole = [bytes.clone(), more].concat();
        if first == Detected::NeedMore {
            prop_assert!(bytes.len() < DETECT_BYTES);
        } else {
            prop_assert_eq!(first, detect(&whole));
        }
    }
}
