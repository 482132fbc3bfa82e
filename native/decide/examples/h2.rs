//! What HTTP/2 costs without the system: nanoseconds per unary gRPC call, and per KiB of a body, both ends together;
//! the best of several rounds, because other programs run, too.
//! `cargo run --release -p tulle-decide --example h2`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program prints, and reads the clock"
)]

#[path = "../tests/suite/h2_pair.rs"]
mod pair;

use pair::{calls, connected};
use std::time::Instant;
use tulle_decide::h2::Event;
use tulle_decide::hpack::Indexing;

const ROUNDS: usize = 20;
const CALLS: usize = 20_000;
const BODY: usize = 1 << 26;
const PIECE: [u8; 16_384] = [7; 16_384];

fn main() {
    for streams in [1, 8, 100] {
        let (mut client, mut server) = connected();
        let each = best(|| {
            let start = Instant::now();
            let done: usize = (0..CALLS / streams).map(|_| calls(&mut client, &mut server, 1, streams)).sum();
            start.elapsed().as_nanos() / done as u128
        });
        println!("{streams:3} calls at once: {each} ns each");
    }
    println!("a body: {} ns per KiB", best(upload));
}

fn best(round: impl FnMut() -> u128) -> u128 {
    std::iter::repeat_with(round).take(ROUNDS).min().unwrap_or(0)
}

/// One long body from client to server, both windows in use.
fn upload() -> u128 {
    let (mut client, mut server) = connected();
    let Some(stream) = client.conn.open(0) else { return 0 };
    client.conn.headers(stream, false, |lines| lines.line(b":method", b"PUT", Indexing::Incremental));
    let start = Instant::now();
    let mut sent = 0;
    while sent < BODY {
        while client.conn.room(stream) >= PIECE.len() {
            sent += client.conn.data(stream, &PIECE, false);
        }
        server.take_from(&mut client, 1, |conn, event| {
            if let Event::Data { stream, len, .. } = event {
                conn.forwarded(stream, u32::try_from(len).unwrap_or(0));
            }
        });
        client.take_from(&mut server, 1, |_, _| {});
    }
    start.elapsed().as_nanos() / (sent as u128 / 1024)
}
