//! The first bytes of a connection: an answer stands whatever follows, and comes within the bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::detect::{DETECT_BYTES, Detected, detect};

fuzz_target!(|data: &[u8]| {
    let whole = detect(data);
    let first = (0..=data.len().min(64)).map(|len| detect(&data[..len])).find(|d| *d != Detected::NeedMore);
    assert_eq!(first.unwrap_or(Detected::NeedMore), whole);
    assert!(data.len() < DETECT_BYTES || whole != Detected::NeedMore);
    match whole {
        Detected::Tls => assert!(data.starts_with(&[0x16, 3])),
        Detected::Http2Preface => assert!(data.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        Detected::Http1 => assert!(data.contains(&b' ')),
        Detected::Opaque | Detected::NeedMore => {}
    }
});
