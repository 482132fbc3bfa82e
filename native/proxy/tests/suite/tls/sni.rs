//! Which certificate a client is shown.

use super::pki::*;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use tulle_proxy::tls::Session;

/// What each certificate is for, in the order of the file.
const FILE: &[&[&str]] = &[
    &["default.test"],
    &["a.test", "www.a.test"],
    &["*.a.test"],
    &["*.deep.a.test"],
    &["UPPER.Test", "dot.test."],
    &["a.test", "second.test"],
    &["*.test"],
];

/// The name asked for, and the index of the certificate shown.
const CHOICES: &[(&str, usize)] = &[
    ("default.test", 0),
    ("a.test", 1),
    ("www.a.test", 1),
    ("x.a.test", 2),
    ("x.y.a.test", 2),
    ("deep.a.test", 2),
    ("x.deep.a.test", 3),
    ("x.y.deep.a.test", 3),
    ("X.Deep.A.TEST", 3),
    ("upper.test", 4),
    ("dot.test", 4),
    ("second.test", 5),
    ("b.test", 6),
    ("test", 0),
    ("xa.test", 6),
    ("unknown.example", 0),
    ("a.test.example", 0),
    // An address is not sent as SNI.
    ("127.0.0.1", 0),
    ("::1", 0),
];

#[test]
fn certificates_are_chosen_by_name() {
    let (dir, ca, time) = (Dir::new(), Ca::new("root"), Time::new());
    let bundle = dir.write("ca.crt", &ca.pem);
    let leaves: Vec<Leaf> = FILE.iter().map(|names| ca.leaf(dns_params(names))).collect();
    let pairs = leaves.iter().enumerate().map(|(i, leaf)| dir.pair(&i.to_string(), leaf)).collect();
    let listener = server(&simple_listener(pairs), &time);
    let service = client(&simple_service(&bundle, "localhost"), &time);
    for (name, expected) in CHOICES {
        let session =
            Session::client(service.config().clone(), (*name).to_owned().try_into().unwrap()).unwrap();
        let mut pair = Pair::new(session, listener.session().unwrap());
        let mut out = Vec::new();
        pair.client.session.start(&mut out).unwrap();
        pair.server.incoming = std::mem::take(&mut out);
        pair.server.take_in(usize::MAX, &mut out).unwrap();
        pair.client.incoming = out;
        // The client may not like what it is shown: which it is shows all the same.
        let _ = pair.client.take_in(usize::MAX, &mut Vec::new());
        let shown = pair.client.session.peer_certificates().first().map(|der| der.to_vec());
        let shown = shown.or_else(|| refused_leaf(&service, &listener, name));
        let index = leaves.iter().position(|leaf| Some(der(leaf)) == shown);
        assert_eq!(index, Some(*expected), "{name}");
        let sni = (!name.contains(':') && *name != "127.0.0.1").then(|| name.to_ascii_lowercase());
        assert_eq!(pair.server.session.sni(), sni.as_deref());
    }
}

fn der(leaf: &Leaf) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap().to_vec()
}

/// The leaf shown to a client that takes anything, for names that no certificate covers.
fn refused_leaf(
    service: &tulle_proxy::tls::ClientTls,
    listener: &tulle_proxy::tls::ServerTls,
    name: &str,
) -> Option<Vec<u8>> {
    let config = super::refusals::trusting(service);
    let session = Session::client(config, name.to_owned().try_into().unwrap()).unwrap();
    let mut pair = Pair::new(session, listener.session().unwrap());
    pair.handshake().unwrap();
    pair.client.session.peer_certificates().first().map(|der| der.to_vec())
}

#[test]
fn of_two_for_a_name_the_one_the_client_can_check_is_shown() {
    let (dir, ca, time) = (Dir::new(), Ca::new("root"), Time::new());
    let bundle = dir.write("ca.crt", &ca.pem);
    let mut rsa = ca.leaf(dns_params(&["a.test"]));
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let params = dns_params(&["a.test"]);
    rsa.chain = params.signed_by(&key, &ca.issuer).unwrap().pem();
    rsa.key = key.serialize_pem();
    let ecdsa = ca.leaf(dns_params(&["a.test"]));
    let service = client(&simple_service(&bundle, "a.test"), &time);
    let shown = |first: &Leaf, second: &Leaf, only: Option<rustls::SignatureScheme>| {
        let listener =
            server(&simple_listener(vec![dir.pair("first", first), dir.pair("second", second)]), &time);
        let config = only.map_or_else(
            || service.config().clone(),
            |scheme| super::refusals::trusting_with(&service, vec![scheme]),
        );
        let session = Session::client(config, "a.test".try_into().unwrap()).unwrap();
        let mut pair = Pair::new(session, listener.session().unwrap());
        pair.handshake().unwrap();
        pair.client.session.peer_certificates()[0].to_vec()
    };
    assert_eq!(shown(&rsa, &ecdsa, None), der(&rsa));
    assert_eq!(shown(&ecdsa, &rsa, None), der(&ecdsa));
    let scheme = rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
    assert_eq!(shown(&rsa, &ecdsa, Some(scheme)), der(&ecdsa));
    let scheme = rustls::SignatureScheme::RSA_PSS_SHA256;
    assert_eq!(shown(&ecdsa, &rsa, Some(scheme)), der(&rsa));
}
