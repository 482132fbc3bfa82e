//! HPACK case by case: blocks that must be refused and for what, sizes at which entries are evicted, size updates.

use tulle_decide::hpack::{Decoder, Encoder, HpackError, Indexing, Line};
use tulle_decide::http::FieldKind;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Pairs, HpackError> {
    let mut lines = Vec::new();
    let each = |line: Line<'_>| {
        assert_eq!(line.kind, FieldKind::of(line.name));
        lines.push((line.name.to_vec(), line.value.to_vec()));
    };
    decoder.decode(block, &mut Vec::new(), each)?;
    Ok(lines)
}

/// What the dynamic table holds, the newest first, as its indices tell.
fn contents(decoder: &mut Decoder) -> Pairs {
    let mut all = Vec::new();
    for index in 62.. {
        let mut block = Vec::new();
        integer(index, 7, 0x80, &mut block);
        match decode(decoder, &block) {
            Ok(lines) => all.extend(lines),
            Err(error) => {
                assert_eq!(error, HpackError::UnknownIndex { index });
                break;
            }
        }
    }
    all
}

fn integer(value: u32, prefix: u32, flags: u8, out: &mut Vec<u8>) {
    let full = (1 << prefix) - 1;
    out.push(flags | u8::try_from(value.min(full)).unwrap());
    if let Some(mut left) = value.checked_sub(full) {
        while left > 127 {
            out.push(u8::try_from(left % 128).unwrap() | 0x80);
            left /= 128;
        }
        out.push(u8::try_from(left).unwrap());
    }
}

/// A literal that is inserted, with a name and a value of these lengths.
fn insert(name: usize, value: usize, byte: u8) -> Vec<u8> {
    let mut block = vec![0x40];
    for len in [name, value] {
        integer(u32::try_from(len).unwrap(), 7, 0, &mut block);
        block.extend(std::iter::repeat_n(byte, len));
    }
    block
}

fn update(bytes: u32) -> Vec<u8> {
    let mut block = Vec::new();
    integer(bytes, 5, 0x20, &mut block);
    block
}

#[test]
fn malformed_blocks() {
    use HpackError as E;
    let unknown = |index| E::UnknownIndex { index };
    let above = |bytes| E::UpdateAboveLimit { bytes, limit: 4096 };
    for (block, error) in [
        (&b"\x80"[..], unknown(0)),
        (b"\xbe", unknown(62)),
        (b"\xff\x00", unknown(127)),
        (b"\x7e\x01a", unknown(62)),
        (b"\x0f\x2f\x01a", unknown(62)),
        (b"\x1f\x2f\x01a", unknown(62)),
        (b"\xff\x80\xff\xff\x7f", unknown((1 << 28) - 1)),
        (b"\xff\x81\xff\xff\x7f", E::IntegerTooLarge),
        (b"\xff\xff\xff\xff\x7f", E::IntegerTooLarge),
        (b"\xff\x80\x80\x80\x80\x00", E::IntegerTooLarge),
        (b"\xff\xff\xff\xff\xff\x0f", E::IntegerTooLarge),
        (b"\x00\x7f\x80\x80\x80\x80\x01", E::IntegerTooLarge),
        (b"\x3f\xff\xff\xff\xff\x7f", E::IntegerTooLarge),
        (b"\xff", E::Truncated),
        (b"\xff\x80", E::Truncated),
        (b"\x40", E::Truncated),
        (b"\x40\x01", E::Truncated),
        (b"\x40\x01a", E::Truncated),
        (b"\x40\x01a\x02b", E::Truncated),
        (b"\x00\x7f\xff\xff\xff\x7e", E::Truncated),
        (b"\x04", E::Truncated),
        (b"\x10\x85\xff", E::Truncated),
        (b"\x3f", E::Truncated),
        (b"\x82\x20", E::LateUpdate),
        (b"\x40\x01a\x01b\x3f\xe1\x1f", E::LateUpdate),
        (b"\x20\x20\x20", E::TooManyUpdates),
        (b"\x20\x3f\xe1\x1f\x20\x82", E::TooManyUpdates),
        (b"\x3f\xe2\x1f", above(4097)),
        (b"\x20\x3f\xe2\x1f", above(4097)),
        (b"\x04\x81\xff", E::BadPadding),
        (b"\x04\x81\x06", E::BadPadding),
        (b"\x04\x82\x07\xff", E::BadPadding),
        (b"\x00\x81\x06\x01a", E::BadPadding),
        (b"\x04\x84\xff\xff\xff\xff", E::EndOfString),
        (b"\x00\x84\xff\xff\xff\xff\x01a", E::EndOfString),
    ] {
        assert_eq!(decode(&mut Decoder::new(4096), block), Err(error), "{}", block.escape_ascii());
        // Behind a good line, but for what depends on the beginning of the block.
        if block.first().is_none_or(|first| first & 0xe0 != 0x20) {
            let block = [b"\x87", block].concat();
            assert_eq!(decode(&mut Decoder::new(4096), &block), Err(error), "{}", block.escape_ascii());
        }
    }
}

#[test]
fn unusual_blocks_that_are_right() {
    for (block, name, value) in [
        (&b"\x40\x00\x00"[..], &b""[..], &b""[..]),
        (b"\x00\x80\x80", b"", b""),
        (b"\x44\x00", b":path", b""),
        // Continuation bytes that add nothing: allowed within four.
        (b"\x0f\x80\x80\x80\x00\x01a", b"accept-charset", b"a"),
        (b"\x20\x20\x82", b":method", b"GET"),
        (b"\x3f\xe1\x1f\x82", b":method", b"GET"),
        (b"\x40\x02\x00\r\x01\n", b"\x00\r", b"\n"),
    ] {
        let lines = decode(&mut Decoder::new(4096), block);
        assert_eq!(lines, Ok(vec![(name.to_vec(), value.to_vec())]), "{}", block.escape_ascii());
    }
    assert_eq!(decode(&mut Decoder::new(4096), b""), Ok(vec![]));
    assert_eq!(decode(&mut Decoder::new(4096), b"\x20"), Ok(vec![]));
}

#[test]
fn representations_are_told_apart() {
    use Indexing::{Incremental, Never, Without};
    let mut seen = Vec::new();
    let block = b"\x82\x40\x01a\x01b\xbe\x00\x01a\x01b\x10\x01a\x01b\x1f\x2f\x01c\x0f\x2f\x01c";
    let each = |line: Line<'_>| seen.push(line.indexing);
    Decoder::new(4096).decode(block, &mut Vec::new(), each).unwrap();
    assert_eq!(seen, [Incremental, Incremental, Incremental, Without, Never, Never, Without]);
}

#[test]
fn entries_are_evicted_at_exact_sizes() {
    let mut decoder = Decoder::new(4096);
    // 32 + 10 + 990 = 1032; three of them and one of 1000 are 4096.
    for byte in *b"abc" {
        decode(&mut decoder, &insert(10, 990, byte)).unwrap();
    }
    decode(&mut decoder, &insert(8, 960, b'd')).unwrap();
    assert_eq!(contents(&mut decoder).len(), 4, "a full table");
    decode(&mut decoder, &insert(0, 1000, b'e')).unwrap();
    let names: Vec<_> = contents(&mut decoder).into_iter().map(|(_, value)| value[0]).collect();
    assert_eq!(names, *b"edcb", "as large as the one that goes");
    decode(&mut decoder, &insert(1, 1000, b'f')).unwrap();
    let names: Vec<_> = contents(&mut decoder).into_iter().map(|(_, value)| value[0]).collect();
    assert_eq!(names, *b"fed", "one byte more takes two");
    decode(&mut decoder, &insert(64, 4000, b'g')).unwrap();
    assert_eq!(contents(&mut decoder), [(vec![b'g'; 64], vec![b'g'; 4000])], "exactly the table");
    decode(&mut decoder, &insert(64, 4001, b'h')).unwrap();
    assert_eq!(contents(&mut decoder), [], "one more empties it, without an error");
    decode(&mut decoder, &insert(1, 1, b'i')).unwrap();
    assert_eq!(contents(&mut decoder).len(), 1);
    // Nothing but overhead: 128 entries.
    for _ in 0..200 {
        decode(&mut decoder, &insert(0, 0, b'-')).unwrap();
    }
    assert_eq!(contents(&mut decoder).len(), 128);
    // An entry may be named by one that it evicts itself.
    decode(&mut decoder, &insert(1000, 2000, b'j')).unwrap();
    let mut block = vec![0x7e];
    integer(2500, 7, 0, &mut block);
    block.extend([b'k'; 2500]);
    decode(&mut decoder, &block).unwrap();
    assert_eq!(contents(&mut decoder), [(vec![b'j'; 1000], vec![b'k'; 2500])]);
}

#[test]
fn size_updates_evict_and_bind() {
    let mut decoder = Decoder::new(4096);
    for byte in *b"abcd" {
        decode(&mut decoder, &insert(4, 64, byte)).unwrap();
    }
    for (bytes, left) in [(400, 4), (399, 3), (4096, 3), (300, 3), (299, 2), (100, 1), (99, 0), (4096, 0)] {
        decode(&mut decoder, &update(bytes)).unwrap();
        assert_eq!(contents(&mut decoder).len(), left, "{bytes}");
    }
    decode(&mut decoder, &[update(100), insert(4, 64, b'e')].concat()).unwrap();
    assert_eq!(contents(&mut decoder).len(), 1);
    decode(&mut decoder, &insert(4, 65, b'f')).unwrap();
    assert_eq!(contents(&mut decoder).len(), 0);
    assert_eq!(
        decode(&mut decoder, &[update(0), update(4096), insert(4, 65, b'g')].concat()).unwrap().len(),
        1
    );
    assert_eq!(contents(&mut decoder).len(), 1);
}

#[test]
fn what_we_advertise_binds_once_it_is_acknowledged() {
    // Less than the default: the peer may use the default until it knows.
    let mut decoder = Decoder::new(100);
    decode(&mut decoder, &insert(10, 1000, b'a')).unwrap();
    assert_eq!(contents(&mut decoder).len(), 1);
    decoder.acknowledged();
    assert_eq!(decode(&mut decoder, b"\x82"), Err(HpackError::MissingUpdate));
    let error = HpackError::UpdateAboveLimit { bytes: 101, limit: 100 };
    assert_eq!(decode(&mut decoder, &update(101)), Err(error));
    assert_eq!(decode(&mut decoder, &[update(100), b"\x82".to_vec()].concat()).unwrap().len(), 1);
    assert_eq!(decode(&mut decoder, b"\x82").unwrap().len(), 1);
    assert_eq!(contents(&mut decoder).len(), 0);
    // Told before the acknowledgement.
    let mut decoder = Decoder::new(0);
    decode(&mut decoder, &update(0)).unwrap();
    decoder.acknowledged();
    decode(&mut decoder, &insert(1, 1, b'a')).unwrap();
    assert_eq!(contents(&mut decoder).len(), 0);
    assert_eq!(decoder.memory(), 0);
    // More than the default: used only when the peer says so.
    let mut decoder = Decoder::new(65_536);
    decoder.acknowledged();
    decode(&mut decoder, &insert(10, 4055, b'a')).unwrap();
    assert_eq!(contents(&mut decoder).len(), 0);
    decode(&mut decoder, &[update(65_536), insert(4, 65_500, b'b')].concat()).unwrap();
    assert_eq!(contents(&mut decoder), [(vec![b'b'; 4], vec![b'b'; 65_500])]);
    for _ in 0..3000 {
        decode(&mut decoder, &insert(0, 0, b'-')).unwrap();
    }
    assert_eq!(contents(&mut decoder).len(), 2048);
    let error = HpackError::UpdateAboveLimit { bytes: 65_537, limit: 65_536 };
    assert_eq!(decode(&mut Decoder::new(u32::MAX), &update(65_537)), Err(error));
}

/// What `begin` writes after these settings.
fn updates(limits: &[u32]) -> Vec<u8> {
    let mut encoder = Encoder::new(5);
    for limit in limits {
        encoder.set_limit(*limit);
    }
    let mut out = Vec::new();
    encoder.begin(&mut out);
    let told = out.len();
    encoder.begin(&mut out);
    assert_eq!(out.len(), told, "told once");
    out
}

#[test]
fn the_encoder_tells_the_lowest_and_the_last_size() {
    let none: Vec<u8> = Vec::new();
    assert_eq!(updates(&[]), none);
    assert_eq!(updates(&[4096]), none);
    assert_eq!(updates(&[65_536]), none);
    assert_eq!(updates(&[0]), update(0));
    assert_eq!(updates(&[4095]), update(4095));
    assert_eq!(updates(&[0, 4096]), [update(0), update(4096)].concat());
    assert_eq!(updates(&[100, 50, 2000]), [update(50), update(2000)].concat());
    assert_eq!(updates(&[100, 2000, 50]), update(50));
    assert_eq!(updates(&[65_536, 8192]), update(4096), "taken back, if not below what we use");
}

#[test]
fn the_encoder_follows_its_limit() {
    let (mut encoder, mut decoder) = (Encoder::new(5), Decoder::new(4096));
    let mut send = |encoder: &mut Encoder, value: &[u8], indexing| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.encode(b"name", value, indexing, &mut out);
        assert_eq!(decode(&mut decoder, &out), Ok(vec![(b"name".to_vec(), value.to_vec())]));
        (out.len(), contents(&mut decoder).len())
    };
    // 3/4 of 4096 are 3072: 32 of overhead, 4 of name and 3036 of value.
    assert_eq!(send(&mut encoder, &[0; 3037], Indexing::Incremental).1, 0);
    assert_eq!(send(&mut encoder, &[0; 3036], Indexing::Incremental).1, 1);
    assert_eq!(send(&mut encoder, &[0; 3036], Indexing::Without), (1, 1), "a full match is used");
    let (never, _) = send(&mut encoder, &[0; 3036], Indexing::Never);
    assert!(never > 3036, "but not for a secret");
    assert_eq!(send(&mut encoder, b"a", Indexing::Without).1, 1);
    assert_eq!(send(&mut encoder, b"a", Indexing::Incremental).1, 2);
    assert_eq!(send(&mut encoder, b"a", Indexing::Incremental), (1, 2));
    encoder.set_limit(0);
    assert_eq!(send(&mut encoder, b"a", Indexing::Incremental).1, 0);
    encoder.set_limit(1000);
    assert_eq!(send(&mut encoder, b"a", Indexing::Incremental).1, 1);
    assert_eq!(send(&mut encoder, b"a", Indexing::Incremental), (1, 1));
}

#[test]
fn every_status_is_written() {
    let (mut encoder, mut decoder) = (Encoder::new(5), Decoder::new(4096));
    for code in 100..=1001 {
        let mut out = Vec::new();
        encoder.status(code, &mut out);
        let digits = code.min(999).to_string().into_bytes();
        assert_eq!(decode(&mut decoder, &out), Ok(vec![(b":status".to_vec(), digits)]));
        let fixed = [200, 204, 206, 304, 400, 404, 500].contains(&code);
        assert_eq!(out.len() == 1, fixed || code > 999, "{code}");
    }
}
