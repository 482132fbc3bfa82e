//! Bytes that nobody should send: a session answers each with a result, never with a panic or an endless loop.

use super::pki::*;
use proptest::prelude::*;
use std::sync::OnceLock;
use tulle_proxy::tls::{ClientTls, ServerTls, Session};

/// Built once: making keys is the slow part.
fn world() -> &'static Modes {
    static WORLD: OnceLock<Modes> = OnceLock::new();
    WORLD.get_or_init(Modes::new)
}

/// Presents `wire` in pieces of `chunk` until it is used up or refused. What must hold at every step is checked.
fn feed(session: &mut Session, wire: &[u8], chunk: usize) -> bool {
    let (mut held, mut plain, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for part in wire.chunks(chunk.max(1)) {
        held.extend_from_slice(part);
        if let Ok(received) = session.receive(&mut held, &mut plain, &mut out) {
            assert!(received.consumed <= held.len());
            held.drain(..received.consumed);
            assert!(held.len() <= session.max_tail());
            assert_eq!(received.handshaking, session.is_handshaking());
            if !received.handshaking {
                session.send(&[b"x", b"y"], &mut out).unwrap();
            }
        } else {
            assert!(session.receive(&mut held, &mut plain, &mut out).is_err());
            assert!(session.send(&[b"x"], &mut out).is_err());
            return false;
        }
    }
    true
}

fn hello(client: &ClientTls) -> Vec<u8> {
    let mut out = Vec::new();
    client.session(Some("localhost")).unwrap().start(&mut out).unwrap();
    out
}

fn pick(mesh: bool) -> &'static (ClientTls, ServerTls) {
    if mesh { &world().mesh } else { &world().simple }
}

/// A record with any type and version, and a length that is mostly right.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let types = prop_oneof![4 => 20..25_u8, 1 => any::<u8>()];
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    (types, 0..5_u8, body, proptest::option::weighted(0.1, any::<u16>())).prop_map(
        |(kind, minor, body, length)| {
            let length = length.unwrap_or(u16::try_from(body.len()).unwrap());
            let mut wire = vec![kind, 3, minor];
            wire.extend(length.to_be_bytes());
            wire.extend(body);
            wire
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(mesh in any::<bool>(), wire in proptest::collection::vec(any::<u8>(), 0..3000), chunk in 1..3000_usize) {
        let (client, server) = pick(mesh);
        feed(&mut server.session().unwrap(), &wire, chunk);
        let mut session = client.session(Some("localhost")).unwrap();
        session.start(&mut Vec::new()).unwrap();
        feed(&mut session, &wire, chunk);
    }

    #[test]
    fn any_records(mesh in any::<bool>(), records in proptest::collection::vec(record(), 1..20), chunk in 1..3000_usize) {
        let (client, server) = pick(mesh);
        let wire = records.concat();
        feed(&mut server.session().unwrap(), &wire, chunk);
        let mut session = client.session(Some("localhost")).unwrap();
        session.start(&mut Vec::new()).unwrap();
        feed(&mut session, &wire, chunk);
    }

    #[test]
    fn a_changed_hello(
        mesh in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        chunk in 1..3000_usize,
    ) {
        let (client, server) = pick(mesh);
        let mut wire = hello(client);
        for (index, byte) in edits {
            let at = index.index(wire.len());
            wire[at] = byte;
        }
        feed(&mut server.session().unwrap(), &wire, chunk);
        wire.truncate(cut.index(wire.len()));
        feed(&mut server.session().unwrap(), &wire, chunk);
    }

    /// The server's answer is changed on its way: the client never gets through, but for bytes that do not matter.
    #[test]
    fn a_changed_answer(
        mesh in any::<bool>(),
        index in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        chunk in 1..3000_usize,
    ) {
        let (client, server) = pick(mesh);
        let mut session = client.session(Some("localhost")).unwrap();
        let (mut wire, mut answer) = (Vec::new(), Vec::new());
        session.start(&mut wire).unwrap();
        let mut other = server.session().unwrap();
        other.receive(&mut wire, &mut Vec::new(), &mut answer).unwrap();
        let at = index.index(answer.len());
        answer[at] ^= flip;
        feed(&mut session, &answer, chunk);
        // Record headers' minor version and the compatibility message are not authenticated (RFC 8446 section 5.1).
        let finished = !session.is_handshaking();
        let ignored = header_version(&answer, at);
        prop_assert!(!finished || ignored, "byte {at} of the answer did not matter");
    }

    /// Application data changed, dropped, repeated or cut: nothing but what was sent ever comes out.
    #[test]
    fn changed_data(
        mesh in any::<bool>(),
        sizes in proptest::collection::vec(1..600_usize, 1..6),
        index in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        chunk in 1..3000_usize,
    ) {
        let (client, server) = pick(mesh);
        let mut pair = Pair::between(client, server);
        pair.handshake().unwrap();
        let sent: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, size)| vec![u8::try_from(i).unwrap(); *size]).collect();
        let mut wire = Vec::new();
        for message in &sent {
            pair.client.session.send(&[message], &mut wire).unwrap();
        }
        let at = index.index(wire.len());
        // The outer type of a protected record is fixed (RFC 8446 section 5.2), and rustls does not look at it again.
        let ignored = header_version(&wire, at) || begins_record(&wire, at);
        wire[at] ^= flip;
        pair.server.incoming = wire;
        let mut out = Vec::new();
        let result = pair.server.take_in(chunk, &mut out);
        prop_assert!(sent.concat().starts_with(&pair.server.plain));
        prop_assert!(ignored || result.is_err() || pair.server.plain.len() < sent.concat().len());
        if result.is_err() {
            prop_assert!(!out.is_empty(), "an alert says so");
        }
    }
}

/// Whether byte `at` is the first of a record.
fn begins_record(wire: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Some([_, _, _, high, low]) = wire.get(start..start + 5) {
        if start == at {
            return true;
        }
        start += 5 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    false
}

/// Whether byte `at` is the version of a record's header, or inside a `change_cipher_spec` record.
fn header_version(wire: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Some([kind, _, _, high, low]) =
        wire.get(start..start + 5).map(|h| [h[0], h[1], h[2], h[3], h[4]])
    {
        let end = start + 5 + usize::from(u16::from_be_bytes([high, low]));
        if (start..end).contains(&at) {
            return at == start + 2 || kind == 20 && at < start + 3;
        }
        start = end;
    }
    false
}

#[test]
fn a_replayed_record_is_refused() {
    let (client, server) = &world().mesh;
    let mut pair = Pair::between(client, server);
    pair.handshake().unwrap();
    let mut record = Vec::new();
    pair.client.session.send(&[b"pay 10"], &mut record).unwrap();
    pair.server.incoming = [record.clone(), record].concat();
    let error = pair.server.take_in(usize::MAX, &mut Vec::new()).unwrap_err();
    assert_eq!((pair.server.plain.as_slice(), error.reason()), (b"pay 10".as_slice(), "decrypt"));
}

#[test]
fn a_flood_of_empty_records_is_cut() {
    let (client, server) = &world().simple;
    let mut session = server.session().unwrap();
    let mut wire = hello(client);
    for _ in 0..5000 {
        wire.extend([20, 3, 3, 0, 1, 1]);
    }
    assert!(!feed(&mut session, &wire, usize::MAX));
}
