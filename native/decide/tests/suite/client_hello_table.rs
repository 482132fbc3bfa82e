//! `ClientHello`s whole, in pieces, and broken.

use proptest::prelude::*;
use tulle_decide::client_hello::{ClientHello, MAX_HELLO, Peeked, peek};

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(value)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &long(&[&[0], &long(name)[..]].concat()))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    extension(16, &long(&names.iter().flat_map(|name| short(name)).collect::<Vec<_>>()))
}

/// The body of a hello; `extensions` none: it ends before them.
fn body(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body =
        [&[3, 3][..], &[7; 32], &short(&[9; 32]), &long(&[0x13, 1, 0x13, 2]), &short(&[0])].concat();
    body.extend(extensions.map(long).unwrap_or_default());
    body
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], body].concat()
}

/// Records of these many bytes of the message, the last one of the rest.
fn records(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = message;
    for size in sizes.iter().copied().chain([usize::MAX]) {
        let (part, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        if !part.is_empty() {
            out.extend([&[22, 3, 1], &long(part)[..]].concat());
        }
    }
    out
}

fn whole(extensions: &[u8]) -> Vec<u8> {
    records(&message(&body(Some(extensions))), &[])
}

fn named(bytes: &[u8]) -> Option<String> {
    match peek(bytes) {
        Peeked::Hello(hello) => hello.sni.map(Into::into),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_asked_for() {
    let longest = format!("{}.test", ["a".repeat(60).as_str(); 4].join("."));
    let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
        (sni(b"a.example.test"), Some("a.example.test")),
        (sni(b"A.Example.TEST."), Some("a.example.test")),
        (sni(b"localhost"), Some("localhost")),
        (sni(b"_x-1.test"), Some("_x-1.test")),
        (sni(b"192.0.2.1"), Some("192.0.2.1")),
        (sni(longest.as_bytes()), Some(longest.as_str())),
        ([extension(43, &[2, 3, 4]), sni(b"b.test"), extension(0x0a0a, b"")].concat(), Some("b.test")),
        (extension(0, &long(&[&[9], &long(b"other")[..], &[0], &long(b"c.test")].concat())), Some("c.test")),
        (extension(0, &long(&[&[9], &long(b"other")[..]].concat())), None),
        (extension(51, &[0; 1200]), None),
        (Vec::new(), None),
    ];
    for (extensions, name) in cases {
        assert_eq!(named(&whole(&extensions)).as_deref(), name);
    }
    assert_eq!(named(&records(&message(&body(None)), &[])), None);
    let both = peek(&whole(&[sni(b"a.test"), alpn(&[b"h2", b"http/1.1"])].concat()));
    let alpn = vec![b"h2"[..].into(), b"http/1.1"[..].into()];
    assert_eq!(both, Peeked::Hello(ClientHello { sni: Some("a.test".into()), alpn }));
}

#[test]
fn malformed_ones_are_refused() {
    let name = sni(b"a.test");
    let bad = |body: &[u8]| records(&message(body), &[]);
    let with = |extensions: &[u8]| bad(&body(Some(extensions)));
    let good = body(Some(&name));
    let mut grown = message(&good);
    grown[3] += 1;
    grown.push(0);
    let suites = |suites: &[u8]| [&[3, 3][..], &[7; 32], &short(&[]), &long(suites), &short(&[0])].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"GET / HTTP/1.1\r\n".to_vec(), "not_handshake"),
        (vec![0x17, 3, 3, 0, 1, 0], "not_handshake"),
        (vec![0x15, 3, 3, 0, 2, 1, 0], "not_handshake"),
        (vec![0x80], "not_handshake"),
        (vec![22, 2, 0, 0, 5], "record_version"),
        (vec![22, 3, 5, 0, 5], "record_version"),
        (vec![22, 3, 1, 0, 0], "record_length"),
        (vec![22, 3, 1, 0x40, 1], "record_length"),
        (vec![22, 3, 1, 0, 4, 2, 0, 0, 1], "not_client_hello"),
        (vec![22, 3, 1, 0, 4, 1, 1, 0, 0], "too_long"),
        ([&records(&message(&good)[..9], &[])[..], &[22, 3, 1, 0, 0]].concat(), "record_length"),
        ([&records(&message(&good)[..9], &[])[..], &[23, 3, 1, 0, 1, 1]].concat(), "not_handshake"),
        (bad(b""), "bad_hello"),
        (bad(&good[..33]), "bad_hello"),
        (bad(&good[..70]), "bad_hello"),
        (bad(&[&good[..], b"x"].concat()), "bad_hello"),
        (records(&grown, &[]), "bad_hello"),
        (bad(&suites(b"")), "bad_hello"),
        (bad(&suites(b"\x13")), "bad_hello"),
        (
            bad(&[&[3, 3][..], &[7; 32], &short(&[0; 33]), &long(&[0x13, 1]), &short(&[0])].concat()),
            "bad_hello",
        ),
        (bad(&[&[3, 3][..], &[7; 32], &short(&[]), &long(&[0x13, 1]), &short(&[])].concat()), "bad_hello"),
        (with(&[0]), "bad_extensions"),
        (with(&[0, 0, 0, 9, 1]), "bad_extensions"),
        (with(&[&name[..], &name].concat()), "repeated_extension"),
        (with(&[alpn(&[b"h2"]), alpn(&[b"h2"])].concat()), "repeated_extension"),
        (with(&extension(0, b"")), "bad_server_name"),
        (with(&extension(0, &long(b""))), "bad_server_name"),
        (
            with(&extension(0, &[&long(&[&[0], &long(b"a")[..]].concat())[..], b"x"].concat())),
            "bad_server_name",
        ),
        (with(&extension(0, &long(&[&[0], &long(b"a")[..], &[0], &long(b"b")].concat()))), "bad_server_name"),
        (with(&extension(0, &long(&[0, 0, 9, b'a']))), "bad_server_name"),
        (with(&sni(b"")), "bad_server_name"),
        (with(&sni(b".")), "bad_server_name"),
        (with(&sni(b"a..test")), "bad_server_name"),
        (with(&sni(b".test")), "bad_server_name"),
        (with(&sni(b"a.test\0.evil")), "bad_server_name"),
        (with(&sni(b"a test")), "bad_server_name"),
        (with(&sni(b"*.test")), "bad_server_name"),
        (with(&sni(b"[::1]")), "bad_server_name"),
        (with(&sni("ü.test".as_bytes())), "bad_server_name"),
        (with(&sni(b"\xff")), "bad_server_name"),
        (with(&sni(&[b'a'; 254])), "bad_server_name"),
        (with(&extension(16, b"")), "bad_alpn"),
        (with(&extension(16, &long(b""))), "bad_alpn"),
        (with(&extension(16, &long(&[0]))), "bad_alpn"),
        (with(&extension(16, &long(&[5, b'h']))), "bad_alpn"),
    ];
    for (bytes, code) in cases {
        assert_eq!(peek(&bytes), Peeked::Malformed(code), "{}", bytes.escape_ascii());
    }
}

#[test]
fn there_is_an_end_to_waiting() {
    let body = body(Some(&[sni(b"a.test"), extension(21, &[0; 16_000])].concat()));
    assert!(body.len() > MAX_HELLO - 1000);
    assert_eq!(named(&records(&message(&body), &[])).as_deref(), Some("a.test"), "nearly the bound");
    let tiny = records(&message(&body), &vec![1; 16_000]);
    assert_eq!(peek(&tiny), Peeked::Malformed("too_long"), "record headers count");
    assert_eq!(peek(&tiny[..MAX_HELLO - 1]), Peeked::NeedMore);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(sizes in prop::collection::vec(1..60usize, 0..40), padding in 0..600usize) {
        let extensions = [extension(21, &vec![0; padding]), sni(b"a.test"), alpn(&[b"h2"])].concat();
        let message = message(&body(Some(&extensions)));
        let bytes = records(&message, &sizes);
        let expected = ClientHello { sni: Some("a.test".into()), alpn: vec![b"h2"[..].into()] };
        prop_assert_eq!(peek(&bytes), Peeked::Hello(expected));
        for cut in 0..bytes.len() {
            prop_assert_eq!(peek(&bytes[..cut]), Peeked::NeedMore, "{} bytes", cut);
        }
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(at in 0..200usize, to: u8, more in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = whole(&[sni(b"a.test"), alpn(&[b"h2"])].concat());
        let at = at.min(bytes.len() - 1);
        bytes[at] = to;
        let first = peek(&bytes);
        bytes.extend(more);
        if first != Peeked::NeedMore {
            prop_assert_eq!(first, peek(&bytes), "an answer stands whatever follows");
        }
    }
}
