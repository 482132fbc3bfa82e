//! What a request costs in steady state: no allocation over plain HTTP/1.1.
#![expect(unsafe_code, reason = "a counting allocator can be written in no other way")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

#[path = "../../decide/tests/suite/h2_pair.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/2 itself, which use all of it")]
mod pair;

use pair::{End, SERVER, ask, serve};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tulle_decide::h2::{Config, Connection, Event, Role};
use tulle_proxy::Engine;

thread_local! {
    /// Threads of the test itself are not counted.
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !EXEMPT.try_with(Cell::get).unwrap_or(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 06:43:47 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
const REQUEST: &[u8] = b"GET /a/path?with=query HTTP/1.1\r\nHost: a.example.test\r\nUser-Agent: test\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n";
const POST: &[u8] = b"POST /a/path HTTP/1.1\r\nHost: a.example.test\r\nContent-Length: 11\r\n\r\nhello world";

/// Answers every head that comes, on as many connections as come.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        EXEMPT.set(true);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                EXEMPT.set(true);
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    stream.write_all(ANSWER).unwrap();
                }
            });
        }
    });
    address
}

/// Sends what one end has to say, reads, and acts on each event.
fn turn(
    end: &mut End,
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    act: impl FnMut(&mut Connection, Event),
) -> bool {
    let len = end.conn.output().len();
    stream.write_all(end.conn.output()).unwrap();
    end.conn.sent(len);
    let mut buffer = [0; 16 * 1024];
    let Ok(count @ 1..) = stream.read(&mut buffer) else { return false };
    input.extend_from_slice(&buffer[..count]);
    end.take(input, 0, act);
    true
}

/// Answers every gRPC call by HTTP/2.
fn grpc_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        EXEMPT.set(true);
        let (mut end, mut input) = (End::new(&SERVER), Vec::new());
        let (mut stream, _) = listener.accept().unwrap();
        while turn(&mut end, &mut stream, &mut input, serve) {}
    });
    address
}

/// The edge example, with one plain listener and one upstream.
fn snapshot(upstream: SocketAddr, protocol: &str) -> String {
    let text = include_str!("../../../test/golden/edge.snapshot.json");
    let mut snapshot: serde_json::Value = serde_json::from_str(text).unwrap();
    snapshot["workers"] = 1.into();
    snapshot["accessLog"]["requests"] = "off".into();
    snapshot["listeners"].as_array_mut().unwrap().truncate(1);
    snapshot["listeners"][0]["address"] = "127.0.0.1:0".into();
    for route in snapshot["routes"].as_array_mut().unwrap() {
        route["listeners"] = serde_json::json!([0]);
    }
    for endpoint in snapshot["services"][0]["endpoints"].as_array_mut().unwrap() {
        endpoint["address"]["address"] = upstream.to_string().into();
    }
    snapshot["services"][0]["protocol"] = protocol.into();
    snapshot.to_string()
}

fn exchange(client: &mut TcpStream, request: &[u8]) {
    client.write_all(request).unwrap();
    let mut buffer = [0; 4096];
    let mut count = 0;
    while !buffer[..count].ends_with(b"hello") {
        let read = client.read(&mut buffer[count..]).unwrap();
        assert!(read > 0, "the proxy closed");
        count += read;
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&buffer[..count]));
}

/// One after the other, or a test would count what another one's proxy allocates.
#[test]
fn steady_state_allocates_nothing() {
    EXEMPT.set(true);
    a_request_allocates_nothing();
    a_grpc_call_allocates_nothing();
}

fn a_grpc_call_allocates_nothing() {
    let engine = Engine::start(snapshot(grpc_upstream(), "grpc").as_bytes()).unwrap();
    let (_, address) = engine.addresses().into_iter().next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let (mut client, mut input) = (End::new(&Config { role: Role::Client, ..SERVER }), Vec::new());
    let mut call = || {
        ask(&mut client.conn);
        let mut ended = false;
        while !ended {
            let open = turn(&mut client, &mut stream, &mut input, |conn, event| match event {
                Event::Headers { stream, end: true, .. } => {
                    conn.finish(stream);
                    ended = true;
                }
                Event::Reset { .. } => panic!("{event:?}"),
                _ => {}
            });
            assert!(open, "the proxy closed");
        }
    };
    (0..300).for_each(|_| call());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..1_000).for_each(|_| call());
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(allocated <= 10, "{allocated} allocations in 1,000 calls");
}

fn a_request_allocates_nothing() {
    let engine = Engine::start(snapshot(upstream(), "http").as_bytes()).unwrap();
    let (_, address) = engine.addresses().into_iter().next().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    for request in [REQUEST, POST] {
        for _ in 0..100 {
            exchange(&mut client, request);
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..1_000 {
            exchange(&mut client, request);
        }
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        // The keeper looks at its list of files once a second; it is the same process.
        assert!(allocated <= 10, "{allocated} allocations in 1,000 requests");
    }
}
