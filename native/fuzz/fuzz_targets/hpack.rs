//! Blocks of HPACK, each behind a byte for its length: decoding ends within a bound, and what decodes encodes to a
//! block that decodes to the same list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::hpack::{Decoder, Encoder, Indexing, Line};
use tulle_decide::http::FieldKind;

type Owned = (Vec<u8>, Vec<u8>, Indexing);

/// What a line that was decoded from so few bytes can be at most: one entry of the table.
const LARGEST: usize = 4096;

fn decode(decoder: &mut Decoder, scratch: &mut Vec<u8>, block: &[u8]) -> Option<Vec<Owned>> {
    let mut lines = Vec::new();
    let each = |line: Line<'_>| {
        assert_eq!(line.kind, FieldKind::of(line.name));
        lines.push((line.name.to_vec(), line.value.to_vec(), line.indexing));
    };
    let result = decoder.decode(block, scratch, each);
    assert!(lines.len() <= block.len());
    assert!(lines.iter().all(|(name, value, _)| name.len() + value.len() <= LARGEST + 2 * block.len()));
    assert!(scratch.len() <= LARGEST + 2 * 256 + 16);
    assert!(decoder.memory() <= 6 * 1024);
    result.ok().map(|()| lines)
}

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(4096);
    let (mut encoder, mut second) = (Encoder::new(0), Decoder::new(4096));
    let (mut scratch, mut out) = (Vec::new(), Vec::new());
    let mut rest = data;
    while let Some((&len, behind)) = rest.split_first() {
        let (block, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        let Some(lines) = decode(&mut decoder, &mut scratch, block) else { return };
        out.clear();
        encoder.set_limit(u32::from(len) * 20);
        encoder.begin(&mut out);
        for (name, value, indexing) in &lines {
            encoder.encode(name, value, *indexing, &mut out);
        }
        assert!(encoder.memory() <= 6 * 1024);
        let mut at = 0;
        let each = |line: Line<'_>| {
            let (name, value, indexing) = &lines[at];
            assert_eq!((line.name, line.value), (&name[..], &value[..]));
            assert_eq!(line.indexing == Indexing::Never, *indexing == Indexing::Never);
            at += 1;
        };
        second.decode(&out, &mut Vec::new(), each).expect("a block of our own");
        assert_eq!(at, lines.len());
    }
});
