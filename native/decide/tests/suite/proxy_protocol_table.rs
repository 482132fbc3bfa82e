//! PROXY headers of both versions: tables of what is taken and what is refused, and properties.

use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use tulle_decide::proxy_protocol::{Addresses, Header, MAX_HEADER, Parsed, parse, write_v1, write_v2};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[version_command, family], &length, body].concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x04, 0x00, 0x01, 0xbb];

/// A header with a checksum extension of this value in front of another extension.
fn with_checksum(value: u32) -> Vec<u8> {
    let extensions = [&[0x03, 0, 4][..], &value.to_be_bytes(), &[0x04, 0, 2, 9, 9]].concat();
    v2(0x21, 0x11, &[V4, &extensions].concat())
}

/// `CRC32c` by the book: one bit after the other.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
}

#[test]
fn the_checksum_is_the_standard_one() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "RFC 3720's polynomial, its check value");
    let good = with_checksum(crc32c(&with_checksum(0)));
    let expected =
        Header { len: good.len(), addresses: Some(addresses("192.0.2.1:1024", "198.51.100.2:443")) };
    assert_eq!(parse(&good), Parsed::Header(expected));
    // A changed type would make it an extension that is skipped.
    let kind = SIGNATURE.len() + 4 + V4.len();
    for bit in (0..good.len() * 8).filter(|bit| bit / 8 != kind) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(parse(&bad), Parsed::Header(expected), "bit {bit}");
    }
}

#[test]
fn headers_are_read() {
    let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[2], &[0, 80, 0, 81]].concat();
    let cases: Vec<(Vec<u8>, Option<Addresses>)> = vec![
        (
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1024 443\r\n".to_vec(),
            Some(addresses("192.0.2.1:1024", "198.51.100.2:443")),
        ),
        (
            b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".to_vec(),
            Some(addresses("0.0.0.0:0", "255.255.255.255:65535")),
        ),
        (b"PROXY TCP6 2001:db8::1 ::2 80 81\r\n".to_vec(), Some(addresses("[2001:db8::1]:80", "[::2]:81"))),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::2 80 81\r\n".to_vec(), Some(addresses("192.0.2.1:80", "[::2]:81"))),
        (
            longest.as_bytes().to_vec(),
            Some(addresses(
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            )),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 anything at all 99999\r\n".to_vec(), None),
        (v2(0x21, 0x11, V4), Some(addresses("192.0.2.1:1024", "198.51.100.2:443"))),
        (
            v2(0x21, 0x11, &[V4, &[0x04, 0, 3, 1, 2, 3], &[0xee, 0, 0]].concat()),
            Some(addresses("192.0.2.1:1024", "198.51.100.2:443")),
        ),
        (v2(0x21, 0x21, &v6), Some(addresses("[2001:db8::1]:80", "[::2]:81"))),
        (v2(0x21, 0x31, &[0; 216]), None),
        (v2(0x21, 0x00, b"whatever"), None),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, b"short"), None),
        (v2(0x20, 0xff, &[1; 4096]), None),
    ];
    for (bytes, addresses) in cases {
        let expected = Parsed::Header(Header { len: bytes.len(), addresses });
        assert_eq!(parse(&bytes), expected, "{}", bytes.escape_ascii());
        let behind = [&bytes[..], b"GET /"].concat();
        assert_eq!(parse(&behind), expected, "what follows is not looked at");
        for cut in 0..bytes.len() {
            assert!(
                matches!(parse(&bytes[..cut]), Parsed::NeedMore { .. }),
                "{cut} bytes of {}",
                bytes.escape_ascii()
            );
        }
        assert!(bytes.len() <= MAX_HEADER);
    }
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for bytes in [
        &b"GET / HTTP/1.1"[..],
        b"PROXYTCP4",
        b"PROXY\r\n",
        b"proxy TCP4",
        b"\r\n\r\nGET",
        b"\r\n\r\n\0\r\nQUIT\r\n",
        b"\x16\x03\x01",
        b"\0",
    ] {
        assert_eq!(parse(bytes), Parsed::Absent, "{}", bytes.escape_ascii());
    }
}

#[test]
fn malformed_headers_are_refused() {
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (line("TCP5 192.0.2.1 198.51.100.2 1 2"), "v1_family"),
        (line("UDP4 192.0.2.1 198.51.100.2 1 2"), "v1_family"),
        (line("tcp4 192.0.2.1 198.51.100.2 1 2"), "v1_family"),
        (line(""), "v1_family"),
        (line(" TCP4 192.0.2.1 198.51.100.2 1 2"), "v1_family"),
        (line("UNKNOWNX"), "v1_family"),
        (line("TCP4"), "v1_fields"),
        (line("TCP4 192.0.2.1 198.51.100.2 1"), "v1_fields"),
        (line("TCP4 192.0.2.1 198.51.100.2 1 2 3"), "v1_fields"),
        (line("TCP4 192.0.2.1 198.51.100.2 1 2 "), "v1_fields"),
        (line("TCP4  192.0.2.1 198.51.100.2 1 2"), "v1_fields"),
        (line("TCP4 192.0.2.256 198.51.100.2 1 2"), "v1_address"),
        (line("TCP4 192.0.02.1 198.51.100.2 1 2"), "v1_address"),
        (line("TCP4 0xc0.0.2.1 198.51.100.2 1 2"), "v1_address"),
        (line("TCP4 192.0.2 198.51.100.2 1 2"), "v1_address"),
        (line("TCP4 ::1 ::2 1 2"), "v1_address"),
        (line("TCP6 192.0.2.1 198.51.100.2 1 2"), "v1_address"),
        (line("TCP6 [::1] ::2 1 2"), "v1_address"),
        (line("TCP6 fe80::1%eth0 ::2 1 2"), "v1_address"),
        (line("TCP6 :::1 ::2 1 2"), "v1_address"),
        (line("TCP4 192.0.2.1 localhost 1 2"), "v1_address"),
        (line("TCP4 192.0.2.1 198.51.100.2 01 2"), "v1_port"),
        (line("TCP4 192.0.2.1 198.51.100.2 +1 2"), "v1_port"),
        (line("TCP4 192.0.2.1 198.51.100.2 -1 2"), "v1_port"),
        (line("TCP4 192.0.2.1 198.51.100.2 65536 2"), "v1_port"),
        (line("TCP4 192.0.2.1 198.51.100.2 1 http"), "v1_port"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n".to_vec(), "v1_line_end"),
        (b"PROXY TCP4 192.0.2.1\r 198.51.100.2 1 2\r\n".to_vec(), "v1_line_end"),
        (b"PROXY UNKNOWN \r \r\n".to_vec(), "v1_line_end"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 \xff\r\n".to_vec(), "v1_text"),
        (b"PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n".to_vec(), "v1_address"),
        (line(&format!("UNKNOWN {}", "x".repeat(100))), "v1_too_long"),
        ([&b"PROXY "[..], &[b'x'; 101]].concat(), "v1_too_long"),
        (v2(0x11, 0x11, V4), "v2_version"),
        (v2(0x01, 0x11, V4), "v2_version"),
        (v2(0x31, 0x11, V4), "v2_version"),
        (v2(0x22, 0x11, V4), "v2_command"),
        (v2(0x2f, 0x11, V4), "v2_command"),
        (v2(0x21, 0x12, V4), "v2_family"),
        (v2(0x21, 0x41, V4), "v2_family"),
        (v2(0x21, 0x10, V4), "v2_family"),
        (v2(0x21, 0x01, V4), "v2_family"),
        (v2(0x21, 0x13, V4), "v2_family"),
        (v2(0x21, 0x11, &V4[..11]), "v2_addresses"),
        (v2(0x21, 0x11, b""), "v2_addresses"),
        (v2(0x21, 0x21, &[0; 35]), "v2_addresses"),
        (v2(0x21, 0x31, &[0; 215]), "v2_addresses"),
        (v2(0x21, 0x11, &[V4, &[0x04]].concat()), "v2_extension"),
        (v2(0x21, 0x11, &[V4, &[0x04, 0]].concat()), "v2_extension"),
        (v2(0x21, 0x11, &[V4, &[0x04, 0, 9, 1]].concat()), "v2_extension"),
        (v2(0x21, 0x31, &[&[0; 216][..], &[0x04, 1, 0]].concat()), "v2_extension"),
        (with_checksum(1), "v2_checksum"),
        (v2(0x21, 0x11, &[V4, &[0x03, 0, 3, 1, 2, 3]].concat()), "v2_checksum"),
        (v2(0x21, 0x11, &[V4, &[0x03, 0, 0]].concat()), "v2_checksum"),
        (v2(0x21, 0x11, &[0; 4097]), "v2_too_long"),
        ([SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(), "v2_too_long"),
    ];
    for (bytes, code) in cases {
        assert_eq!(parse(&bytes), Parsed::Malformed(code), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_signature_is_known_as_soon_as_it_is_whole() {
    for (bytes, signed) in [
        (&b""[..], false),
        (b"PROXY", false),
        (b"PROXY ", true),
        (&SIGNATURE[..11], false),
        (SIGNATURE, true),
    ] {
        assert_eq!(parse(bytes), Parsed::NeedMore { signed });
    }
}

#[test]
fn families_are_made_one() {
    let mixed = addresses("192.0.2.1:1", "[2001:db8::1]:2");
    let mut line = Vec::new();
    write_v1(&mut line, Some(mixed));
    assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n");
    for write in [write_v1, write_v2] {
        let mut out = Vec::new();
        write(&mut out, None);
        assert_eq!(parse(&out), Parsed::Header(Header { len: out.len(), addresses: None }));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(source: (IpAddr, u16), destination: (IpAddr, u16), behind in prop::collection::vec(any::<u8>(), 0..20)) {
        let canonical = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip.to_canonical(), port);
        let sent = Addresses { source: source.into(), destination: destination.into() };
        let expected = Addresses { source: canonical(source), destination: canonical(destination) };
        for write in [write_v1, write_v2] {
            let mut out = Vec::new();
            write(&mut out, Some(sent));
            let len = out.len();
            out.extend_from_slice(&behind);
            prop_assert_eq!(parse(&out), Parsed::Header(Header { len, addresses: Some(expected) }));
        }
    }

    #[test]
    fn an_answer_stands_whatever_follows(
        start in prop::sample::select(vec![&b"PROXY "[..], SIGNATURE, b"PROXY TCP4 1.2.3.4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", b""]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0..220usize,
    ) {
        let whole = [start, &bytes].concat();
        let part = &whole[..cut.min(whole.len())];
        let first = parse(part);
        if !matches!(first, Parsed::NeedMore { .. }) {
            prop_assert_eq!(first, parse(&whole));
        }
        if let Parsed::Header(header) = parse(&whole) {
            prop_assert!(header.len <= whole.len() && header.len <= MAX_HEADER);
        }
    }
}
