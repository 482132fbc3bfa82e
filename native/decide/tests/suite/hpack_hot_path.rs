//! The hot path's promise for HPACK: in steady state, decoding and encoding allocate nothing, whether lines come from a
//! table, go into it, or are written out; and an unused connection holds no memory.

use crate::counting::allocations;
use tulle_decide::hpack::{Decoder, Encoder, Indexing, Line};

/// A request whose `turn` is in a value that is inserted, in one that is not, and in one that nobody may keep.
fn exchange(
    encoder: &mut Encoder,
    decoder: &mut Decoder,
    turn: u32,
    block: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> usize {
    let changing = [1000, 100, 10, 1].map(|unit| b"0123456789"[turn as usize / unit % 10]);
    block.clear();
    encoder.begin(block);
    for (name, value, indexing) in [
        (&b":method"[..], &b"POST"[..], Indexing::Incremental),
        (b":path", b"/pkg.Service/Method", Indexing::Incremental),
        (b"content-type", b"application/grpc", Indexing::Incremental),
        (b"x-request-id", &changing, Indexing::Incremental),
        (b"x-trace", &changing, Indexing::Without),
        (b"authorization", &changing, Indexing::Never),
    ] {
        encoder.encode(name, value, indexing, block);
    }
    encoder.status(503, block);
    let mut bytes = 0;
    decoder.decode(block, scratch, |line: Line<'_>| bytes += line.name.len() + line.value.len()).unwrap();
    bytes
}

#[test]
fn steady_state_allocates_nothing() {
    let (mut encoder, mut decoder) = (Encoder::new(3), Decoder::new(4096));
    let (mut block, mut scratch) = (Vec::new(), Vec::new());
    for turn in 0..500 {
        exchange(&mut encoder, &mut decoder, turn, &mut block, &mut scratch);
    }
    let before = allocations();
    let mut bytes = 0;
    for turn in 500..2500 {
        bytes += exchange(&mut encoder, &mut decoder, turn, &mut block, &mut scratch);
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(bytes, 2000 * (11 + 24 + 28 + 16 + 11 + 17 + 10));
}

#[test]
fn an_unused_connection_holds_nothing() {
    let before = allocations();
    let (mut encoder, mut decoder) = (Encoder::new(3), Decoder::new(65_536));
    decoder.acknowledged();
    encoder.set_limit(100);
    decoder.decode(&[0x20, 0x82, 0x86], &mut Vec::new(), |_| {}).unwrap();
    assert_eq!(allocations() - before, 0);
    assert_eq!((encoder.memory(), decoder.memory()), (0, 0));
    assert!(size_of::<Encoder>() <= 160 && size_of::<Decoder>() <= 112);
}

/// Fills both tables in many ways; what they ever hold.
fn most(sizes: &[(usize, usize)], rounds: usize) -> (usize, usize) {
    let (mut encoder, mut decoder) = (Encoder::new(3), Decoder::new(4096));
    let (mut block, mut scratch) = (Vec::new(), Vec::new());
    for &(from, to) in sizes {
        for i in 0..rounds {
            block.clear();
            let value = format!("{i:0width$}", width = from + i % (to - from + 1));
            encoder.encode(b"", value.as_bytes(), Indexing::Incremental, &mut block);
            decoder.decode(&block, &mut scratch, |_| {}).unwrap();
        }
    }
    (encoder.memory(), decoder.memory())
}

#[test]
fn memory_is_bound_by_what_was_used() {
    let (encoder, decoder) = most(&[(2, 2)], 15);
    assert!(encoder <= 1024 && decoder <= 1024, "{encoder} {decoder}");
    let (encoder, decoder) = most(&[(1, 4), (3000, 3040), (200, 900), (1, 4)], 500);
    assert!(encoder <= 6 * 1024 && decoder <= 6 * 1024, "{encoder} {decoder}");
}
