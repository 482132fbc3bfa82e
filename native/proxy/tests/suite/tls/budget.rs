//! What a TLS connection costs: allocations per request, memory per idle connection, size of the session itself.

use super::pki::*;
use crate::counting::{self, bytes};
use std::sync::Arc;
use tulle_proxy::tls::{ClientTls, ServerTls, Session};

/// Allocations made by `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = counting::allocations();
    work();
    counting::allocations() - before
}

/// What one end allocates to take in `request` and to send `parts`, once its buffers have their size.
fn per_request(receiver: &mut Session, sender: &mut Session, parts: &[&[u8]], reply: &[&[u8]]) -> u64 {
    let mut counts = Vec::with_capacity(8);
    let (mut plain, mut out, mut wire, mut back) =
        (Vec::with_capacity(65_536), Vec::with_capacity(65_536), Vec::new(), Vec::new());
    for _ in 0..8 {
        wire.clear();
        sender.send(parts, &mut wire).unwrap();
        counts.push(allocations(|| {
            plain.clear();
            out.clear();
            let taken = receiver.receive(&mut wire, &mut plain, &mut out).unwrap();
            assert_eq!(taken.consumed, wire.len());
            receiver.send(reply, &mut out).unwrap();
        }));
        assert_eq!(plain, parts.concat());
        back.clear();
        sender.receive(&mut out, &mut back, &mut Vec::new()).unwrap();
        assert_eq!(back, reply.concat());
    }
    *counts[3..].iter().max().unwrap()
}

#[test]
fn a_request_and_its_answer_take_two_allocations() {
    let world = Modes::new();
    for (service, listener) in [&world.simple, &world.mesh] {
        let mut pair = Pair::between(service, listener);
        pair.handshake().unwrap();
        let request: &[&[u8]] = &[b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"];
        let answer: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n", &[b'x'; 1024]];
        let (client, server) = (&mut pair.client.session, &mut pair.server.session);
        let at_server = per_request(server, client, request, answer);
        let at_client = per_request(client, server, answer, request);
        println!("allocations per request and answer: server {at_server}, client {at_client}");
        assert!(at_server <= 2 && at_client <= 2, "server {at_server}, client {at_client}");
    }
}

#[test]
fn an_idle_connection_is_small() {
    const CONNECTIONS: usize = 50;
    let world = Modes::new();
    for (name, (service, listener)) in [("simple", &world.simple), ("mutual", &world.mesh)] {
        // Buffers that grow for good (thread-locals, tables) have grown before the count begins.
        drop(established(service, listener));
        let mut clients = Vec::with_capacity(CONNECTIONS);
        let mut servers = Vec::with_capacity(CONNECTIONS);
        let (mut of_clients, mut of_servers) = (0, 0);
        for _ in 0..CONNECTIONS {
            let before = bytes();
            let (client, server) = established(service, listener);
            let both = bytes();
            drop(client);
            let server_only = bytes();
            of_servers += server_only - before;
            of_clients += both - server_only;
            servers.push(server);
            let (client, server) = established(service, listener);
            drop(server);
            clients.push(client);
        }
        let inline = std::mem::size_of::<Session>();
        let per_server = inline + usize::try_from(of_servers).unwrap() / CONNECTIONS;
        let per_client = inline + usize::try_from(of_clients).unwrap() / CONNECTIONS;
        println!(
            "{name}: server {per_server} B, client {per_client} B, of which the session itself {inline} B"
        );
        assert!(per_server <= 8 * 1024, "{name}: {per_server} B");
        assert!(per_client <= 8 * 1024, "{name}: {per_client} B");
    }
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// What the operating system sees, the C side of the cryptography included.
#[test]
fn idle_connections_stay_small_in_resident_memory() {
    const CONNECTIONS: usize = 400;
    let world = Modes::new();
    let (service, listener) = &world.mesh;
    for _ in 0..20 {
        drop(established(service, listener));
    }
    let mut servers = Vec::with_capacity(CONNECTIONS);
    let before = resident();
    for _ in 0..CONNECTIONS {
        servers.push(established(service, listener).1);
    }
    let each = resident().saturating_sub(before) / CONNECTIONS;
    println!("resident memory per idle mutual-TLS connection: {each} B");
    assert!(each <= 16 * 1024, "{each} B");
    assert!(servers.iter().all(|server| server.peer().is_some()));
}

/// Both ends of a connection that served a request and is idle now.
fn established(service: &ClientTls, listener: &ServerTls) -> (Session, Session) {
    let mut pair = Pair::between(service, listener);
    pair.handshake().unwrap();
    pair.say_as_client(&[b"question"]);
    pair.say_as_server(&[b"answer"]);
    pair.settle(usize::MAX).unwrap();
    (pair.client.session, pair.server.session)
}

#[test]
fn configurations_are_shared_not_copied() {
    let world = Modes::new();
    let (_, listener) = &world.simple;
    let before = Arc::strong_count(listener.config());
    let sessions: Vec<Session> = (0..10).map(|_| listener.session().unwrap()).collect();
    assert!(Arc::strong_count(listener.config()) >= before + 10);
    drop(sessions);
    assert_eq!(Arc::strong_count(listener.config()), before);
}
