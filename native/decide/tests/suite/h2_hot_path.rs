//! The hot path's promise: a call over a connection in steady state allocates nothing on either side; and what an
//! idle connection holds.

use crate::counting::{allocations, bytes};
use crate::h2_pair::{calls, connected};
use tulle_decide::h2::Connection;

#[test]
fn calls_allocate_nothing() {
    let before_warm_up = allocations();
    let (mut client, mut server) = connected();
    for now in 0..10 {
        assert_eq!(calls(&mut client, &mut server, now, 100), 100);
    }
    assert!(allocations() > before_warm_up, "the counter counts");
    let before = allocations();
    let mut done = 0;
    for now in 10..1000 {
        done += calls(&mut client, &mut server, now, 8);
        done += calls(&mut client, &mut server, now, 100);
    }
    assert_eq!(done, 990 * 108);
    assert_eq!(allocations() - before, 0);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 1024, "{}", size_of::<Connection>());
    let before = bytes();
    let (mut client, mut server) = connected();
    assert_eq!(calls(&mut client, &mut server, 1, 1), 1);
    let mut buffers = [client.conn.reclaim(), server.conn.reclaim()];
    assert!(buffers.iter_mut().all(|buffer| buffer.take().is_some()));
    drop((std::mem::take(&mut client.scratch), std::mem::take(&mut server.scratch)));
    let held = bytes() - before;
    // Both ends, the tables of HPACK included.
    let both = held + 2 * size_of::<Connection>().cast_signed();
    assert!(both <= 2 * 4096, "{both}");
    for now in 2..100 {
        calls(&mut client, &mut server, now, 100);
    }
    client.conn.shrink();
    server.conn.shrink();
    (client.scratch, server.scratch) = (Vec::new(), Vec::new());
    let busy = bytes() - before;
    drop((client.conn.reclaim(), server.conn.reclaim()));
    assert!(busy <= held + 1024 + 2 * 4096, "{busy} after a busy time, {held} before");
    assert_eq!(calls(&mut client, &mut server, 101, 1), 1);
}
