//! The hot path's promise: a call over a connection in steady state allocates nothing on either side; and what an
//! idle connection holds.

#[cfg(test)]
#[path = "fixture/h2_pair.rs"]
mod pair;

use pair::{calls, connected};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tulle_decide::h2::Connection;

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
}
