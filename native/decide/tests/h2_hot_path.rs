//! The hot path's promise: a call over a connection in steady state allocates nothing on either side; and what an
//! idle connection holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tulle_decide::h2::{Config, Connection, Event, Lines, Millis, Role, StreamId};
use tulle_decide::hpack::{Indexing, Line};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(held: isize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    HELD.set(HELD.get() + held);
}

// SAFETY: every call is passed to the system's allocator unchanged; counting touches only thread-local integers
// without destructors, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const SERVER: Config = Config {
    role: Role::Server,
    stream_window: 65_535,
    connection_window: 1 << 20,
    max_streams: 100,
    header_bytes: 60 * 1024,
    connect_protocol: false,
    seed: 7,
};

const REQUEST: [(&[u8], &[u8]); 8] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/shop.Catalogue/List"),
    (b":authority", b"catalogue.shop:8080"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-go/1.70.0"),
    (b"grpc-timeout", b"1S"),
];

#[derive(Default)]
struct Count(usize);

impl Lines for Count {
    fn begin(&mut self) {}
    fn line(&mut self, line: Line<'_>) {
        self.0 += line.name.len();
    }
}

struct End {
    conn: Connection,
    scratch: Vec<u8>,
    lines: Count,
}

impl End {
    fn new(config: &Config) -> Self {
        Self { conn: Connection::new(config), scratch: Vec::new(), lines: Count(0) }
    }

    /// Feeds what the other end has to send, and acts on each event.
    fn take_from(&mut self, other: &mut Self, now: u64, mut act: impl FnMut(&mut Connection, Event)) {
        let mut at = 0;
        let input = other.conn.output();
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let taken = self.conn.receive(rest, Millis(now), &mut self.scratch, &mut self.lines);
            let Ok(taken) = taken else { return };
            at += taken.consumed;
            let Some(event) = taken.event else { break };
            act(&mut self.conn, event);
        }
        let len = input.len();
        assert_eq!(at, len);
        other.conn.sent(len);
    }
}

fn serve(conn: &mut Connection, event: Event) {
    match event {
        Event::Data { stream, len, end: false, .. } => {
            conn.forwarded(stream, u32::try_from(len).unwrap_or(0));
        }
        Event::Data { stream, end: true, .. } => {
            conn.headers(stream, false, |lines| {
                lines.status(200);
                lines.line(b"content-type", b"application/grpc", Indexing::Incremental);
            });
            conn.data(stream, b"\0\0\0\0\x07message", false);
            conn.headers(stream, true, |lines| {
                lines.line(b"grpc-status", b"0", Indexing::Incremental);
                lines.line(b"grpc-message", b"", Indexing::Incremental);
            });
            conn.finish(stream);
        }
        _ => {}
    }
}

/// So many calls at once; the client is told of `done` ends.
fn calls(client: &mut End, server: &mut End, now: u64, streams: usize) -> usize {
    for _ in 0..streams {
        let Some(stream) = client.conn.open(1) else { return 0 };
        client.conn.headers(stream, false, |lines| {
            for (name, value) in REQUEST {
                lines.line(name, value, Indexing::Incremental);
            }
        });
        client.conn.data(stream, b"\0\0\0\0\x05hello", true);
    }
    server.take_from(client, now, serve);
    let mut done = 0;
    client.take_from(server, now, |conn, event| {
        if let Event::Headers { stream, end: true, .. } = event {
            done += 1;
            conn.finish(stream);
        }
    });
    // What the other side has to say about windows.
    server.take_from(client, now, |_, _| {});
    done
}

fn connected() -> (End, End) {
    let (mut client, mut server) = (End::new(&Config { role: Role::Client, ..SERVER }), End::new(&SERVER));
    server.take_from(&mut client, 0, |_, _| {});
    client.take_from(&mut server, 0, |_, _| {});
    server.take_from(&mut client, 0, |_, _| {});
    (client, server)
}

#[test]
fn calls_allocate_nothing() {
    let before_warm_up = ALLOCATIONS.get();
    let (mut client, mut server) = connected();
    for now in 0..10 {
        assert_eq!(calls(&mut client, &mut server, now, 100), 100);
    }
    assert!(ALLOCATIONS.get() > before_warm_up, "the counter counts");
    let before = ALLOCATIONS.get();
    let mut done = 0;
    for now in 10..1000 {
        done += calls(&mut client, &mut server, now, 8);
        done += calls(&mut client, &mut server, now, 100);
    }
    assert_eq!(done, 990 * 108);
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 1024, "{}", size_of::<Connection>());
    let before = HELD.get();
    let (mut client, mut server) = connected();
    assert_eq!(calls(&mut client, &mut server, 1, 1), 1);
    let mut buffers = [client.conn.reclaim(), server.conn.reclaim()];
    assert!(buffers.iter_mut().all(|buffer| buffer.take().is_some()));
    drop((std::mem::take(&mut client.scratch), std::mem::take(&mut server.scratch)));
    let held = HELD.get() - before;
    // Both ends, the tables of HPACK included.
    let both = held + 2 * size_of::<Connection>().cast_signed();
    assert!(both <= 2 * 4096, "{both}");
    for now in 2..100 {
        calls(&mut client, &mut server, now, 100);
    }
    client.conn.shrink();
    server.conn.shrink();
    (client.scratch, server.scratch) = (Vec::new(), Vec::new());
    let busy = HELD.get() - before;
    drop((client.conn.reclaim(), server.conn.reclaim()));
    assert!(busy <= held + 1024 + 2 * 4096, "{busy} after a busy time, {held} before");
    assert_eq!(calls(&mut client, &mut server, 101, 1), 1);
    assert!(StreamId::new(0).is_none());
}
