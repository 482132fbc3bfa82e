//! A `ClientHello`: an answer stands whatever follows, comes within the bound, and names only what can be a host.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::client_hello::{MAX_HELLO, Peeked, peek};

fuzz_target!(|data: &[u8]| {
    let whole = peek(data);
    let step = data.len() / 64 + 1;
    let mut pieces = (0..data.len()).step_by(step).map(|len| peek(&data[..len]));
    if let Some(first) = pieces.find(|peeked| *peeked != Peeked::NeedMore) {
        assert_eq!(first, whole);
    }
    assert!(data.len() < MAX_HELLO || whole != Peeked::NeedMore);
    let Peeked::Hello(hello) = whole else { return };
    if let Some(name) = hello.sni {
        assert!(!name.is_empty() && name.len() <= 253 && !name.ends_with('.'));
        assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')));
    }
    assert!(hello.alpn.iter().all(|name| !name.is_empty()));
});
