//! What HPACK costs: nanoseconds per line of typical blocks in steady state, decoded and encoded, and of literals.
//! `cargo run --release -p tulle-decide --example hpack`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program prints, and reads the clock"
)]

use std::hint::black_box;
use std::time::Instant;
use tulle_decide::hpack::{Decoder, Encoder, HpackError, Indexing, Line};

type Pair = (&'static [u8], &'static [u8], Indexing);

const GRPC: [Pair; 8] = [
    (b":method", b"POST", Indexing::Incremental),
    (b":scheme", b"http", Indexing::Incremental),
    (b":path", b"/helloworld.Greeter/SayHello", Indexing::Incremental),
    (b":authority", b"greeter.default.svc.cluster.local:8080", Indexing::Incremental),
    (b"te", b"trailers", Indexing::Incremental),
    (b"content-type", b"application/grpc", Indexing::Incremental),
    (b"user-agent", b"grpc-go/1.60.1", Indexing::Incremental),
    (b"grpc-timeout", b"4999868u", Indexing::Incremental),
];

/// Lines of the static table.
const STATIC: [Pair; 4] = [
    (b":method", b"GET", Indexing::Incremental),
    (b":scheme", b"https", Indexing::Incremental),
    (b":path", b"/", Indexing::Incremental),
    (b"accept-encoding", b"gzip, deflate", Indexing::Incremental),
];

const ANSWER: [Pair; 4] = [
    (b":status", b"200", Indexing::Incremental),
    (b"content-type", b"application/grpc", Indexing::Incremental),
    (b"grpc-status", b"0", Indexing::Incremental),
    (b"grpc-message", b"", Indexing::Incremental),
];

/// The shape of the first block, with values that go into the table each time.
const CHANGING: [Pair; 4] = [
    (b":path", b"/helloworld.Greeter/SayHello?id=91823741", Indexing::Incremental),
    (b"x-request-id", b"6f1c3a52-19d4-4c8e-9a37-0b7f5c2d8e41", Indexing::Incremental),
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Indexing::Incremental),
    (b"grpc-timeout", b"4999868u", Indexing::Incremental),
];

const ROUNDS: u32 = 200_000;

fn encode(encoder: &mut Encoder, lines: &[Pair], out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    for (name, value, indexing) in lines {
        encoder.encode(name, value, *indexing, out);
    }
}

/// Nanoseconds per line, the best of several runs.
fn best(lines: usize, mut run: impl FnMut()) -> f64 {
    let times = (0..7).map(|_| {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        begun.elapsed().as_secs_f64() * 1e9
    });
    times.fold(f64::MAX, f64::min) / f64::from(ROUNDS) / f64::from(u32::try_from(lines).unwrap_or(u32::MAX))
}

fn measure(name: &str, lines: &[Pair]) -> Result<(), HpackError> {
    let (mut encoder, mut decoder) = (Encoder::new(0x5eed), Decoder::new(4096));
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        encode(&mut encoder, lines, &mut out);
        decoder.decode(&out, &mut scratch, |_| {})?;
    }
    let bytes = out.len();
    let block = out.clone();
    let mut result = Ok(());
    let decoding = best(lines.len(), || {
        let each = |line: Line<'_>| {
            black_box(line);
        };
        result = result.and(decoder.decode(black_box(&block), &mut scratch, each));
    });
    let encoding = best(lines.len(), || encode(&mut encoder, black_box(lines), &mut out));
    let (d, e) = (decoder.memory(), encoder.memory());
    println!(
        "{name:<20} {bytes:>4} B  decode {decoding:>6.1} ns/line  encode {encoding:>6.1} ns/line  heap {d} + {e} B"
    );
    result
}

/// Four letters that come again after 26^4 turns.
fn fresh(turn: u32) -> [u8; 4] {
    [26 * 26 * 26, 26 * 26, 26, 1].map(|unit| b'a' + (turn / unit % 26).to_le_bytes()[0])
}

/// Writes a block in which each line has a value of this turn.
fn encode_turn(encoder: &mut Encoder, turn: u32, lines: &mut [(&[u8], Vec<u8>)], out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    for (name, value) in lines {
        if let Some(digits) = value.last_chunk_mut::<4>() {
            *digits = fresh(turn);
        }
        encoder.encode(name, value, Indexing::Incremental, out);
    }
}

/// Every round has values of its own: what inserting costs.
fn measure_inserting() -> Result<(), HpackError> {
    let (mut encoder, mut decoder) = (Encoder::new(0x5eed), Decoder::new(4096));
    let (mut out, mut scratch, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
    let mut values: Vec<(&[u8], Vec<u8>)> = CHANGING.iter().map(|(n, v, _)| (*n, v.to_vec())).collect();
    let mut turn = 0_u32;
    let encoding = best(values.len(), || {
        turn = turn.wrapping_add(1);
        encode_turn(&mut encoder, turn, &mut values, &mut out);
    });
    // Blocks for the decoder, from the beginning.
    let mut encoder = Encoder::new(0x5eed);
    for turn in 0..4096_u32 {
        encode_turn(&mut encoder, turn, &mut values, &mut out);
        blocks.push(out.clone());
    }
    let (mut at, mut result) = (0, Ok(()));
    let mut next = || {
        let each = |line: Line<'_>| {
            black_box(line);
        };
        if let Some(block) = blocks.get(at % 4096) {
            result = result.and(decoder.decode(block, &mut scratch, each));
        }
        at += 1;
    };
    let decoding = best(CHANGING.len(), &mut next);
    println!("inserting                    decode {decoding:>6.1} ns/line  encode {encoding:>6.1} ns/line");
    result
}

fn main() -> Result<(), HpackError> {
    let only = std::env::args().nth(1).unwrap_or_default();
    // The same, every value new to the peer and put into no table.
    let literals = CHANGING.map(|(name, value, _)| (name, value, Indexing::Without));
    for (name, lines) in
        [("gRPC request", &GRPC[..]), ("gRPC answer", &ANSWER), ("static", &STATIC), ("literals", &literals)]
    {
        if name.contains(&only) {
            measure(name, lines)?;
        }
    }
    if "inserting".contains(&only) {
        measure_inserting()?;
    }
    println!("a connection has {} + {} B of its own", size_of::<Decoder>(), size_of::<Encoder>());
    Ok(())
}
