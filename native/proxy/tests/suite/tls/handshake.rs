//! What a sound connection does.

use super::pki::*;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, SupportedCipherSuite};
use std::sync::Arc;
use tulle_proxy::tls::{ClientTls, ServerTls, Session, TlsError};

impl World {
    fn edge(&self) -> ServerTls {
        let leaf = self.ca.leaf(dns_params(&["localhost", "*.example.test"]));
        server(&simple_listener(vec![self.dir.pair("edge", &leaf)]), &self.time)
    }

    fn simple(&self) -> ClientTls {
        client(&simple_service(&self.bundle, "localhost"), &self.time)
    }

    fn mesh(&self) -> (ClientTls, ServerTls) {
        let web = self.dir.pair("web", &self.ca.svid(WEB));
        let reviews = self.dir.pair("reviews", &self.ca.svid(REVIEWS));
        let service = mutual_service(web, self.bundle.clone(), &[REVIEWS]);
        (client(&service, &self.time), server(&mutual_listener(reviews, self.bundle.clone()), &self.time))
    }

    /// A plain rustls client that trusts this world, with TLS 1.2 only if `tls12`.
    fn raw_client(&self, tls12: bool) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(self.ca.pem.as_bytes()).unwrap();
        roots.add(der).unwrap();
        let version = if tls12 { &rustls::version::TLS12 } else { &rustls::version::TLS13 };
        ClientConfig::builder_with_details(
            Arc::new(aws_lc_rs::default_provider()),
            Arc::new(self.time.clock()),
        )
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

#[test]
fn tls13_handshake_and_data() {
    let world = World::new();
    let mut pair = Pair::between(&world.simple(), &world.edge());
    assert!(pair.client.session.is_handshaking());
    pair.handshake().unwrap();
    for session in [&pair.client.session, &pair.server.session] {
        assert!(!session.is_handshaking());
        assert_eq!(session.version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(session.alpn(), Some(b"http/1.1".as_slice()));
        assert_eq!(session.key_exchange(), Some(NamedGroup::X25519MLKEM768));
        assert!(!session.resumed());
        assert!(session.peer().is_none());
    }
    assert_eq!(pair.server.session.sni(), Some("localhost"));
    pair.say_as_client(&[b"GET / HTTP/1.1\r\n", b"", b"\r\n"]);
    pair.say_as_server(&[b"HTTP/1.1 200 OK\r\n\r\n", b"body"]);
    pair.settle(usize::MAX).unwrap();
    assert_eq!(pair.server.plain, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(pair.client.plain, b"HTTP/1.1 200 OK\r\n\r\nbody");
}

#[test]
fn tls12_handshake_and_data() {
    let world = World::new();
    let mut config = world.raw_client(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let session = Session::client(Arc::new(config), localhost()).unwrap();
    let mut pair = Pair::new(session, world.edge().session().unwrap());
    pair.handshake().unwrap();
    assert_eq!(pair.server.session.version(), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(pair.server.session.sni(), Some("localhost"));
    pair.say_as_client(&[b"question"]);
    pair.say_as_server(&[b"ans", b"wer"]);
    pair.settle(3).unwrap();
    assert_eq!(
        (pair.server.plain.as_slice(), pair.client.plain.as_slice()),
        (&b"question"[..], &b"answer"[..])
    );
}

#[test]
fn tls12_can_be_turned_off() {
    let world = World::new();
    let leaf = world.ca.leaf(dns_params(&["localhost"]));
    let mut listener = simple_listener(vec![world.dir.pair("edge", &leaf)]);
    listener.tls12 = false;
    let session = Session::client(Arc::new(world.raw_client(true)), localhost()).unwrap();
    let mut pair = Pair::new(session, server(&listener, &world.time).session().unwrap());
    let Err(Failure::Server(error)) = pair.handshake() else { panic!("TLS 1.2 was taken") };
    assert_eq!(error.reason(), "incompatible");
}

#[test]
fn mutual_never_takes_tls12() {
    let world = World::new();
    let (_, listener) = world.mesh();
    let session = Session::client(Arc::new(world.raw_client(true)), localhost()).unwrap();
    let mut pair = Pair::new(session, listener.session().unwrap());
    let Err(Failure::Server(error)) = pair.handshake() else { panic!("TLS 1.2 was taken") };
    assert_eq!(error.reason(), "incompatible");
}

#[test]
fn mutual_handshake_names_both_peers() {
    let world = World::new();
    let (service, listener) = world.mesh();
    assert_eq!(listener.trust_domain().unwrap().as_str(), "example.test");
    let mut pair = Pair::between(&service, &listener);
    pair.handshake().unwrap();
    let peer = pair.server.session.peer().unwrap();
    assert_eq!(peer.spiffe.as_str(), WEB);
    assert_eq!(peer.not_after, i64::try_from(T0 + DAY).unwrap());
    assert!(peer.serial.starts_with("112233445566"), "{}", peer.serial);
    assert_eq!(peer.subject, "");
    let der = &pair.server.session.peer_certificates()[0];
    let digest = aws_lc_rs_digest(der);
    assert_eq!(peer.fingerprint_hex(), digest);
    assert_eq!(pair.client.session.peer().unwrap().spiffe.as_str(), REVIEWS);
    assert_eq!(pair.client.session.key_exchange(), Some(NamedGroup::X25519MLKEM768));
    assert!(listener.still_trusted(&pair.server.session));
    assert!(service.still_trusted(&pair.client.session, None));
}

fn aws_lc_rs_digest(bytes: &[u8]) -> String {
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn subjects_are_safe_to_quote() {
    let world = World::new();
    let reviews = world.dir.pair("reviews", &world.ca.svid(REVIEWS));
    let listener = server(&mutual_listener(reviews, world.bundle.clone()), &world.time);
    let mut params = svid_params(WEB);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Shop, \"Inc\"; é\r\nx: y");
    params.distinguished_name.push(rcgen::DnType::CommonName, "#web\\ ");
    let web = world.dir.pair("web", &world.ca.leaf(params));
    let service = client(&mutual_service(web, world.bundle.clone(), &[REVIEWS]), &world.time);
    let mut pair = Pair::between(&service, &listener);
    pair.handshake().unwrap();
    let subject = &pair.server.session.peer().unwrap().subject;
    assert_eq!(subject, r#"CN=\23web\\\20,O=Shop\, \"Inc\"\; \c3\a9\0d\0ax: y"#);
}

#[test]
fn tickets_resume_on_their_listener_only() {
    let world = World::new();
    let (one, other) = (world.edge(), world.edge());
    for tls12 in [false, true] {
        let config = Arc::new(world.raw_client(tls12));
        let connect = |listener: &ServerTls| {
            let session = Session::client(config.clone(), localhost()).unwrap();
            let mut pair = Pair::new(session, listener.session().unwrap());
            pair.handshake().unwrap();
            pair.say_as_client(&[b"x"]);
            pair.settle(usize::MAX).unwrap();
            assert_eq!(pair.server.plain, b"x");
            assert_eq!(pair.server.session.resumed(), pair.client.session.resumed());
            assert_eq!(pair.server.session.sni(), Some("localhost"));
            pair.server.session.resumed()
        };
        assert!(!connect(&one));
        assert!(connect(&one), "tls12 {tls12}");
        assert!(!connect(&other), "a ticket of another listener was taken, tls12 {tls12}");
    }
}

#[test]
fn tickets_end_with_their_lifetime() {
    let world = World::new();
    let leaf = {
        let mut params = dns_params(&["localhost"]);
        params.not_after = at(T0 + 100 * DAY);
        world.ca.leaf(params)
    };
    let listener = server(&simple_listener(vec![world.dir.pair("edge", &leaf)]), &world.time);
    let config = Arc::new(world.raw_client(false));
    let connect = || {
        let session = Session::client(config.clone(), localhost()).unwrap();
        let mut pair = Pair::new(session, listener.session().unwrap());
        pair.handshake().unwrap();
        pair.server.session.resumed()
    };
    assert!(!connect());
    world.time.set(T0 + 3600);
    assert!(connect());
    world.time.set(T0 + 30 * DAY);
    assert!(!connect());
}

#[test]
fn mutual_never_resumes() {
    let world = World::new();
    let (service, listener) = world.mesh();
    for _ in 0..3 {
        let mut pair = Pair::between(&service, &listener);
        pair.handshake().unwrap();
        assert!(!pair.server.session.resumed());
        assert!(pair.server.session.peer().is_some());
    }
}

#[test]
fn bytes_may_arrive_in_any_pieces() {
    let world = World::new();
    let (service, listener) = world.mesh();
    for chunk in [1, 2, 5, 7, 64, 1000, 1460, 16_384] {
        let mut pair = Pair::between(&service, &listener);
        let mut out = Vec::new();
        pair.client.session.start(&mut out).unwrap();
        pair.server.incoming.extend(out);
        pair.settle(chunk).unwrap();
        let body: Vec<u8> = (0..40_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        pair.say_as_client(&[b"head", &body, b"tail"]);
        pair.settle(chunk).unwrap();
        assert_eq!(pair.server.plain, [b"head", body.as_slice(), b"tail"].concat(), "chunk {chunk}");
    }
}

/// Lengths of the records in `wire`.
fn records(mut wire: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = wire {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        wire = &rest[length..];
    }
    assert!(wire.is_empty());
    lengths
}

#[test]
fn parts_share_records() {
    let world = World::new();
    let mut pair = Pair::between(&world.simple(), &world.edge());
    pair.handshake().unwrap();
    let big = vec![7_u8; 100_000];
    let cases: [(&[&[u8]], usize); 9] = [
        (&[], 0),
        (&[b"", b""], 0),
        (&[b"one"], 1),
        (&[b"head", b"body"], 1),
        (&[b"", b"head", b"", b"body", b""], 1),
        (&[b"head", &big[..16_380]], 1),
        (&[b"head", &big[..16_381]], 2),
        (&[&big[..16_384], b"x"], 2),
        (&[b"head", &big, b"tail"], 7),
    ];
    for (parts, expected) in cases {
        let mut out = vec![0xaa; 3];
        pair.client.session.send(parts, &mut out).unwrap();
        assert_eq!(out[..3], [0xaa; 3]);
        let lengths = records(&out[3..]);
        assert_eq!(lengths.len(), expected);
        assert!(lengths.iter().all(|length| *length <= 16_384 + 17));
        pair.server.plain.clear();
        pair.server.incoming.extend(&out[3..]);
        pair.settle(usize::MAX).unwrap();
        assert_eq!(pair.server.plain, parts.concat());
    }
}

#[test]
fn close_notify_ends_one_direction() {
    let world = World::new();
    let mut pair = Pair::between(&world.simple(), &world.edge());
    pair.handshake().unwrap();
    pair.say_as_client(&[b"last words"]);
    let mut out = Vec::new();
    pair.client.session.close(&mut out);
    pair.client.session.close(&mut out);
    assert_eq!(records(&out).len(), 1, "close_notify is sent once");
    assert!(matches!(pair.client.session.send(&[b"more"], &mut out), Err(TlsError::Closed)));
    pair.server.incoming.extend(out);
    pair.server.incoming.extend(b"bytes after close_notify");
    pair.settle(usize::MAX).unwrap();
    assert!(pair.server.peer_closed);
    assert_eq!(pair.server.plain, b"last words");
    assert_eq!(pair.server.incoming, b"");
    pair.say_as_server(&[b"answer"]);
    let mut out = Vec::new();
    pair.server.session.close(&mut out);
    pair.client.incoming.extend(out);
    pair.settle(usize::MAX).unwrap();
    assert_eq!(pair.client.plain, b"answer");
    assert!(pair.client.peer_closed);
}

#[test]
fn nothing_is_sent_too_early_or_too_late() {
    let world = World::new();
    let mut pair = Pair::between(&world.simple(), &world.edge());
    let mut out = Vec::new();
    assert!(matches!(pair.server.session.send(&[b"x"], &mut out), Err(TlsError::Handshaking)));
    pair.server.session.close(&mut out);
    assert_eq!(out, b"");
    let garbage = &mut *b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let error = pair.server.session.receive(garbage, &mut Vec::new(), &mut out).unwrap_err();
    assert_eq!(error.reason(), "not_tls");
    assert_eq!(records(&out), [2], "an alert in the clear");
    out.clear();
    let again = pair.server.session.receive(garbage, &mut Vec::new(), &mut out);
    assert!(matches!(again, Err(TlsError::Closed)));
    assert!(matches!(pair.server.session.send(&[b"x"], &mut out), Err(TlsError::Closed)));
    assert_eq!(out, b"");
}

#[test]
fn the_tail_has_to_be_kept() {
    let world = World::new();
    let mut pair = Pair::between(&world.simple(), &world.edge());
    let mut hello = Vec::new();
    pair.client.session.start(&mut hello).unwrap();
    let mut out = Vec::new();
    let received = pair.server.session.receive(&mut hello[..100], &mut Vec::new(), &mut out).unwrap();
    assert_eq!((received.consumed, received.handshaking), (0, true));
    let shorter = pair.server.session.receive(&mut hello[..50], &mut Vec::new(), &mut out);
    assert!(matches!(shorter, Err(TlsError::TailMissing)));
}

#[test]
fn an_endless_handshake_message_is_cut() {
    let world = World::new();
    let mut session = world.edge().session().unwrap();
    // A ClientHello that says it is 60,000 bytes long, in records of 1,000.
    let mut wire = Vec::new();
    let mut message = vec![1, 0, 0xea, 0x60];
    message.resize(60_004, 0);
    for part in message.chunks(1000) {
        wire.extend([22, 3, 1]);
        wire.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        wire.extend(part);
    }
    let mut held = Vec::new();
    let mut result = Ok(());
    for part in wire.chunks(500) {
        held.extend_from_slice(part);
        match session.receive(&mut held, &mut Vec::new(), &mut Vec::new()) {
            Ok(received) => drop(held.drain(..received.consumed)),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    assert!(matches!(result, Err(TlsError::TooLong)), "{result:?}");
    assert!(held.len() <= session.max_tail() + 500);
}

#[test]
fn sending_goes_on_while_a_handshake_message_is_in_parts() {
    let world = World::new();
    let mut config = world.edge().config().as_ref().clone();
    config.max_fragment_size = Some(64);
    let server = Session::server(Arc::new(config)).unwrap();
    let session = Session::client(Arc::new(world.raw_client(false)), localhost()).unwrap();
    let mut pair = Pair::new(session, server);
    let mut out = Vec::new();
    pair.client.session.start(&mut out).unwrap();
    let mut to_server = out;
    // By hand, so that the tickets (after the handshake, in records of 64 bytes) arrive at the client byte by byte.
    let (mut sent, mut held) = (0, Vec::new());
    for _ in 0..3 {
        let mut to_client = Vec::new();
        pair.server.incoming.append(&mut to_server);
        pair.server.take_in(usize::MAX, &mut to_client).unwrap();
        for byte in to_client {
            held.push(byte);
            let received =
                pair.client.session.receive(&mut held, &mut pair.client.plain, &mut to_server).unwrap();
            held.drain(..received.consumed);
            if !received.handshaking {
                pair.client.session.send(&[b"x"], &mut to_server).unwrap();
                sent += 1;
            }
        }
    }
    assert!(sent > 100, "tickets came: {sent}");
    assert_eq!(held, b"");
    pair.server.incoming.append(&mut to_server);
    pair.settle(usize::MAX).unwrap();
    assert_eq!(pair.server.plain.len(), sent);
}

#[test]
fn keys_are_updated_before_they_wear_out() {
    let world = World::new();
    // TLS_AES_128_GCM_SHA256 that may encrypt 8 records with a key.
    let mut provider = aws_lc_rs::default_provider();
    let SupportedCipherSuite::Tls13(real) = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256 else {
        panic!()
    };
    let weak = rustls::Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: real.common.suite,
            hash_provider: real.common.hash_provider,
            confidentiality_limit: 8,
        },
        hkdf_provider: real.hkdf_provider,
        aead_alg: real.aead_alg,
        quic: None,
    };
    provider.cipher_suites = vec![SupportedCipherSuite::Tls13(Box::leak(Box::new(weak)))];
    let roots = {
        let mut roots = rustls::RootCertStore::empty();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(world.ca.pem.as_bytes()).unwrap();
        roots.add(der).unwrap();
        roots
    };
    let config = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(world.time.clock()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = Session::client(Arc::new(config), localhost()).unwrap();
    let mut pair = Pair::new(session, world.edge().session().unwrap());
    pair.handshake().unwrap();
    let mut sent = Vec::new();
    let mut extra = 0;
    for i in 0..50_u8 {
        let mut out = Vec::new();
        let parts: [&[u8]; 2] = [&[i; 3], &[i; 5]];
        pair.client.session.send(&parts, &mut out).unwrap();
        extra += records(&out).len() - 1;
        pair.server.incoming.extend(out);
        sent.extend(parts.concat());
        pair.say_as_server(&[&[i]]);
        pair.settle(usize::MAX).unwrap();
    }
    assert!(extra >= 5, "key updates went out: {extra}");
    assert_eq!(pair.server.plain, sent);
    assert_eq!(pair.client.plain.len(), 50);
}

#[test]
fn a_session_may_move_between_threads() {
    let world = World::new();
    let mut pair = Pair::between(&world.simple(), &world.edge());
    pair.handshake().unwrap();
    let mut session = pair.client.session;
    let sent = std::thread::spawn(move || {
        let mut out = Vec::new();
        session.send(&[b"from elsewhere"], &mut out).map(|()| out)
    });
    pair.server.incoming = sent.join().unwrap().unwrap();
    pair.server.take_in(usize::MAX, &mut Vec::new()).unwrap();
    assert_eq!(pair.server.plain, b"from elsewhere");
}
