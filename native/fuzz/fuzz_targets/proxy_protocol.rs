//! A PROXY header: an answer stands whatever follows, and what is read is written so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::proxy_protocol::{Header, MAX_HEADER, Parsed, parse, write_v1, write_v2};

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    let first =
        (0..=data.len()).map(|len| parse(&data[..len])).find(|p| !matches!(p, Parsed::NeedMore { .. }));
    assert_eq!(first.unwrap_or(whole), whole);
    if data.len() >= MAX_HEADER {
        assert!(!matches!(whole, Parsed::NeedMore { .. }));
    }
    let Parsed::Header(Header { len, addresses }) = whole else { return };
    assert!(len <= data.len());
    for write in [write_v1, write_v2] {
        let mut out = Vec::new();
        write(&mut out, addresses);
        let Parsed::Header(again) = parse(&out) else { panic!("what we write is a header") };
        assert_eq!(again.len, out.len());
        let ports = |header: Header| header.addresses.map(|a| (a.source, a.destination));
        assert_eq!(ports(again), addresses.map(|a| (a.source, a.destination)));
    }
});
