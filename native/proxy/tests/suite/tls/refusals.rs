//! Every look-alike is refused, by the server and by the client, with its reason.

use super::pki::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;
use tulle_proxy::tls::{ClientTls, TlsError};
use tulle_snapshot::wire::ServiceTls;

/// A certificate to show, made from the mesh's CA.
type Make = fn(&Ca) -> Leaf;

fn changed(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let mut params = svid_params(WEB);
    change(&mut params);
    ca.leaf(params)
}

fn names(ca: &Ca, names: Vec<SanType>) -> Leaf {
    changed(ca, |params| params.subject_alt_names = names)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn id(ca: &Ca, text: &str) -> Leaf {
    names(ca, vec![uri(text)])
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn below(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let mut params = ca_params("intermediate");
    change(&mut params);
    ca.intermediate(params).svid(WEB)
}

/// A leaf that signed itself.
fn self_signed() -> Leaf {
    let key = KeyPair::generate().unwrap();
    let chain = svid_params(WEB).self_signed(&key).unwrap().pem();
    Leaf { chain, key: key.serialize_pem(), serial: Vec::new() }
}

fn impostor() -> Ca {
    Ca::new("root")
}

/// A subject alternative name extension with these bytes.
fn raw_names(ca: &Ca, der: &[u8]) -> Leaf {
    changed(ca, |params| {
        params.subject_alt_names.clear();
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], der.to_vec())];
    })
}

/// What is wrong with a certificate, the certificate, and why it is refused.
const REFUSED: &[(&str, Make, &str)] = &[
    ("no URI name", |ca| names(ca, vec![dns("web.shop")]), "bad_identity"),
    ("no names at all", |ca| names(ca, vec![]), "bad_identity"),
    ("two URI names", |ca| names(ca, vec![uri(WEB), uri(REVIEWS)]), "bad_identity"),
    ("the same URI name twice", |ca| names(ca, vec![uri(WEB), uri(WEB)]), "bad_identity"),
    (
        "a second URI name that is no SPIFFE ID",
        |ca| names(ca, vec![uri(WEB), uri("https://x.test/")]),
        "bad_identity",
    ),
    ("a SPIFFE ID as DNS name", |ca| names(ca, vec![dns("spiffe.example.test"), dns(WEB)]), "bad_identity"),
    (
        "a SPIFFE ID as e-mail address",
        |ca| names(ca, vec![SanType::Rfc822Name(WEB.try_into().unwrap())]),
        "bad_identity",
    ),
    (
        "a SPIFFE ID as common name",
        |ca| {
            changed(ca, |params| {
                params.subject_alt_names = vec![dns("web.shop")];
                params.distinguished_name.push(DnType::CommonName, WEB);
            })
        },
        "bad_identity",
    ),
    ("another trust domain", |ca| id(ca, "spiffe://example.org/ns/shop/sa/web"), "wrong_trust_domain"),
    ("a longer trust domain", |ca| id(ca, "spiffe://example.test.evil/ns/shop/sa/web"), "wrong_trust_domain"),
    ("a shorter trust domain", |ca| id(ca, "spiffe://example.tes/ns/shop/sa/web"), "wrong_trust_domain"),
    ("a subdomain", |ca| id(ca, "spiffe://a.example.test/ns/shop/sa/web"), "wrong_trust_domain"),
    ("a final dot", |ca| id(ca, "spiffe://example.test./ns/shop/sa/web"), "wrong_trust_domain"),
    ("an upper-case scheme", |ca| id(ca, "SPIFFE://example.test/ns/shop/sa/web"), "bad_identity"),
    ("an upper-case trust domain", |ca| id(ca, "spiffe://EXAMPLE.test/ns/shop/sa/web"), "bad_identity"),
    ("another scheme", |ca| id(ca, "https://example.test/ns/shop/sa/web"), "bad_identity"),
    ("one slash", |ca| id(ca, "spiffe:/example.test/ns/shop/sa/web"), "bad_identity"),
    ("a port", |ca| id(ca, "spiffe://example.test:443/ns/shop/sa/web"), "bad_identity"),
    ("a user", |ca| id(ca, "spiffe://web@example.test/ns/shop/sa/web"), "bad_identity"),
    ("a query", |ca| id(ca, "spiffe://example.test/ns/shop/sa/web?x"), "bad_identity"),
    ("a fragment", |ca| id(ca, "spiffe://example.test/ns/shop/sa/web#x"), "bad_identity"),
    ("a final slash", |ca| id(ca, "spiffe://example.test/ns/shop/sa/web/"), "bad_identity"),
    ("no path", |ca| id(ca, "spiffe://example.test"), "bad_identity"),
    ("an empty path", |ca| id(ca, "spiffe://example.test/"), "bad_identity"),
    ("an empty segment", |ca| id(ca, "spiffe://example.test/ns//sa/web"), "bad_identity"),
    ("a dot segment", |ca| id(ca, "spiffe://example.test/ns/x/../shop/sa/web"), "bad_identity"),
    ("an escape", |ca| id(ca, "spiffe://example.test/ns/shop/sa/w%65b"), "bad_identity"),
    ("a space behind", |ca| id(ca, "spiffe://example.test/ns/shop/sa/web "), "bad_identity"),
    ("a NUL in the URI name", |ca| raw_names(ca, b"\x30\x0e\x86\x0cspiffe://a\0b"), "bad_identity"),
    ("a URI name that is not text", |ca| raw_names(ca, b"\x30\x05\x86\x03\xff\xfe\xfd"), "bad_identity"),
    ("expired", |ca| changed(ca, |p| p.not_after = at(T0 - 1)), "expired"),
    ("not yet valid", |ca| changed(ca, |p| p.not_before = at(T0 + 60)), "not_yet_valid"),
    ("validity upside down", |ca| changed(ca, |p| p.not_before = at(T0 + 2 * DAY)), "bad_certificate"),
    ("no extended key usage", |ca| changed(ca, |p| p.extended_key_usages.clear()), "wrong_usage"),
    (
        "extended key usage for signing code",
        |ca| changed(ca, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        "wrong_usage",
    ),
    (
        "any extended key usage",
        |ca| changed(ca, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        "wrong_usage",
    ),
    (
        "a CA as leaf",
        |ca| changed(ca, |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        "wrong_usage",
    ),
    (
        "a leaf that may sign certificates",
        |ca| changed(ca, |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        "wrong_usage",
    ),
    (
        "a leaf that may sign revocation lists",
        |ca| changed(ca, |p| p.key_usages.push(KeyUsagePurpose::CrlSign)),
        "wrong_usage",
    ),
    (
        "a key that may not sign",
        |ca| changed(ca, |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        "wrong_usage",
    ),
    ("self-signed", |_| self_signed(), "unknown_issuer"),
    ("a root of the same name", |_| impostor().svid(WEB), "bad_certificate"),
    ("another root", |_| Ca::new("other").svid(WEB), "unknown_issuer"),
    (
        "the intermediate left out",
        |ca| {
            let mut leaf = ca.intermediate(ca_params("intermediate")).svid(WEB);
            let end = leaf.chain.find("-----END CERTIFICATE-----").unwrap() + 25;
            leaf.chain.truncate(end);
            leaf
        },
        "unknown_issuer",
    ),
    ("an expired intermediate", |ca| below(ca, |p| p.not_after = at(T0 - 1)), "expired"),
    ("an intermediate that is no CA", |ca| below(ca, |p| p.is_ca = IsCa::ExplicitNoCa), "bad_chain"),
    (
        "an intermediate whose key may not sign certificates",
        |ca| below(ca, |p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
        "bad_chain",
    ),
    (
        "an intermediate for other uses",
        |ca| below(ca, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection]),
        "wrong_usage",
    ),
    (
        "below a chain that may not grow",
        |ca| {
            let mut params = ca_params("intermediate");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            ca.intermediate(params).intermediate(ca_params("another")).svid(WEB)
        },
        "bad_chain",
    ),
    (
        "outside the names an intermediate is held to",
        |ca| {
            let leaf = |ca: &Ca| names(ca, vec![uri(WEB), dns("web.evil.test")]);
            let mut params = ca_params("intermediate");
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.test".into())],
                excluded_subtrees: Vec::new(),
            });
            leaf(&ca.intermediate(params))
        },
        "bad_chain",
    ),
];

/// Certificates that differ from the plain one and are sound.
const TAKEN: &[(&str, Make)] = &[
    ("plain", |ca| ca.svid(WEB)),
    ("DNS names beside the URI name", |ca| {
        names(ca, vec![dns("localhost"), uri(WEB), dns("*.example.test")])
    }),
    ("a subject", |ca| changed(ca, |p| p.distinguished_name.push(DnType::CommonName, "web"))),
    ("CA:FALSE in words", |ca| changed(ca, |p| p.is_ca = IsCa::ExplicitNoCa)),
    ("no key usage", |ca| changed(ca, |p| p.key_usages.clear())),
    ("key encipherment too", |ca| changed(ca, |p| p.key_usages.push(KeyUsagePurpose::KeyEncipherment))),
    ("below an intermediate", |ca| below(ca, |_| {})),
    ("below two", |ca| ca.intermediate(ca_params("a")).intermediate(ca_params("b")).svid(WEB)),
    ("valid for one more second", |ca| changed(ca, |p| p.not_after = at(T0))),
];

impl World {
    /// A client that shows `leaf` whatever it is, to a listener of this mesh.
    fn as_client(&self, leaf: &Leaf, crl: Option<String>) -> Result<(), TlsError> {
        let mut listener =
            mutual_listener(self.dir.pair("reviews", &self.ca.svid(REVIEWS)), self.bundle.clone());
        listener.crl = crl;
        let listener = server(&listener, &self.time);
        let mut service = simple_service(&self.bundle, "localhost");
        if let ServiceTls::Simple { identity, .. } = &mut service.tls {
            *identity = Some(self.dir.pair("shown", leaf));
        }
        // The client looks at the listener's identity, not at its name: a client of ours with the leaf's identity
        // would refuse to start with most of these.
        let config = trusting(&client(&service, &self.time));
        let session = tulle_proxy::tls::Session::client(config, "localhost".try_into().unwrap()).unwrap();
        let mut pair = Pair::new(session, listener.session().unwrap());
        let result = pair.handshake();
        if let Ok(()) = result {
            assert_eq!(pair.server.session.peer().unwrap().spiffe.as_str(), WEB);
            assert!(listener.still_trusted(&pair.server.session));
        } else {
            assert!(pair.server.session.peer().is_none());
        }
        judge_server(result)
    }

    /// A server that shows `leaf` whatever it is, to a client of this mesh that expects WEB.
    fn as_server(&self, leaf: &Leaf, crl: Option<String>) -> Result<(), TlsError> {
        let listener = server(&simple_listener(vec![self.dir.pair("shown", leaf)]), &self.time);
        let mut service =
            mutual_service(self.dir.pair("reviews", &self.ca.svid(REVIEWS)), self.bundle.clone(), &[WEB]);
        if let ServiceTls::Mutual { crl: file, .. } = &mut service.tls {
            *file = crl;
        }
        let service = client(&service, &self.time);
        let mut pair = Pair::between(&service, &listener);
        match pair.handshake() {
            Ok(()) => {
                assert_eq!(pair.client.session.peer().unwrap().spiffe.as_str(), WEB);
                assert!(service.still_trusted(&pair.client.session, None));
                Ok(())
            }
            Err(Failure::Client(error)) => {
                assert!(pair.client.session.peer().is_none());
                Err(error)
            }
            Err(Failure::Server(error)) => panic!("the server noticed: {error}"),
        }
    }
}

fn judge_server(result: Result<(), Failure>) -> Result<(), TlsError> {
    match result {
        Ok(()) => Ok(()),
        Err(Failure::Server(error)) => Err(error),
        Err(Failure::Client(error)) => panic!("the client noticed: {error}"),
    }
}

/// The same client, taking any server: the test is about the other direction.
pub(crate) fn trusting(client: &ClientTls) -> Arc<ClientConfig> {
    trusting_with(client, aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes())
}

/// As above, offering to check these signatures only.
pub(crate) fn trusting_with(client: &ClientTls, schemes: Vec<SignatureScheme>) -> Arc<ClientConfig> {
    let mut config = client.config().as_ref().clone();
    config.dangerous().set_certificate_verifier(Arc::new(Anyone(schemes)));
    Arc::new(config)
}

#[derive(Debug)]
struct Anyone(Vec<SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[test]
fn look_alikes_are_refused_by_servers() {
    let world = World::new();
    for (name, make, reason) in REFUSED {
        let error = world.as_client(&make(&world.ca), None).expect_err(name);
        assert_eq!(error.reason(), *reason, "{name}: {error}");
    }
}

#[test]
fn look_alikes_are_refused_by_clients() {
    let world = World::new();
    for (name, make, reason) in REFUSED {
        let error = world.as_server(&make(&world.ca), None).expect_err(name);
        assert_eq!(error.reason(), *reason, "{name}: {error}");
    }
}

#[test]
fn sound_ones_are_taken_by_both() {
    let world = World::new();
    for (name, make) in TAKEN {
        let leaf = make(&world.ca);
        world.as_client(&leaf, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        world.as_server(&leaf, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn usage_has_to_fit_the_end() {
    let world = World::new();
    let only = |usage| changed(&world.ca, |params| params.extended_key_usages = vec![usage]);
    let for_servers = only(ExtendedKeyUsagePurpose::ServerAuth);
    let for_clients = only(ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(world.as_client(&for_servers, None).unwrap_err().reason(), "wrong_usage");
    assert_eq!(world.as_server(&for_clients, None).unwrap_err().reason(), "wrong_usage");
    world.as_client(&for_clients, None).unwrap();
    world.as_server(&for_servers, None).unwrap();
}

#[test]
fn a_peer_nobody_expects_is_refused_by_clients_only() {
    let world = World::new();
    for other in ["spiffe://example.test/ns/shop/sa/we", "spiffe://example.test/ns/shop/sa/webx", REVIEWS] {
        let error = world.as_server(&world.ca.svid(other), None).unwrap_err();
        assert_eq!(error.reason(), "unexpected_identity", "{other}");
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let world = World::new();
    let listener = mutual_listener(world.dir.pair("reviews", &world.ca.svid(REVIEWS)), world.bundle.clone());
    let listener = server(&listener, &world.time);
    let config = trusting(&client(&simple_service(&world.bundle, "localhost"), &world.time));
    let session = tulle_proxy::tls::Session::client(config, "localhost".try_into().unwrap()).unwrap();
    let mut pair = Pair::new(session, listener.session().unwrap());
    let error = judge_server(pair.handshake()).unwrap_err();
    assert_eq!(error.reason(), "no_certificate");
}

#[test]
fn refusals_reach_the_peer_as_alerts() {
    let world = World::new();
    let listener = mutual_listener(world.dir.pair("reviews", &world.ca.svid(REVIEWS)), world.bundle.clone());
    let listener = server(&listener, &world.time);
    let web = world.dir.pair("web", &changed(&world.ca, |p| p.not_after = at(T0 + 5)));
    let service = client(&mutual_service(web, world.bundle.clone(), &[REVIEWS]), &world.time);
    world.time.set(T0 + 6);
    let mut pair = Pair::between(&service, &listener);
    // TLS 1.3: the client is done before the server has looked at its certificate, and hears afterwards.
    let mut out = Vec::new();
    pair.client.session.start(&mut out).unwrap();
    pair.server.incoming = std::mem::take(&mut out);
    pair.server.take_in(usize::MAX, &mut out).unwrap();
    pair.client.incoming = std::mem::take(&mut out);
    pair.client.take_in(usize::MAX, &mut out).unwrap();
    assert!(!pair.client.session.is_handshaking());
    pair.server.incoming = std::mem::take(&mut out);
    assert_eq!(pair.server.take_in(usize::MAX, &mut out).unwrap_err().reason(), "expired");
    pair.client.incoming = std::mem::take(&mut out);
    assert_eq!(pair.client.take_in(usize::MAX, &mut out).unwrap_err().reason(), "peer_says_expired");
}

#[test]
fn an_expired_root_is_no_root() {
    let world = World::new();
    let mut params = ca_params("short-lived");
    params.not_after = at(T0 + 10);
    let ca = Ca::from_params(params);
    let short = World { bundle: world.dir.write("short.crt", &ca.pem), ca, ..world };
    let leaf = short.ca.svid(WEB);
    short.as_client(&leaf, None).unwrap();
    short.time.set(T0 + 11);
    assert_eq!(short.as_client(&leaf, None).unwrap_err().reason(), "expired");
    assert_eq!(short.as_server(&leaf, None).unwrap_err().reason(), "expired");
}

#[test]
fn revocation_lists_count() {
    let world = World::new();
    let (leaf, other) = (world.ca.svid(WEB), world.ca.svid(WEB));
    let stranger = Ca::new("stranger");
    let cases: [(&str, String, bool); 7] = [
        ("an empty file", String::new(), true),
        ("white space", "\n\n".into(), true),
        ("an empty list", world.ca.crl(&[], T0 + DAY), true),
        ("a list of others", world.ca.crl(&[&other.serial], T0 + DAY), true),
        ("a list of this one", world.ca.crl(&[&other.serial, &leaf.serial], T0 + DAY), false),
        ("a late list of this one", world.ca.crl(&[&leaf.serial], T0 - 60), false),
        ("a list of another CA", stranger.crl(&[&leaf.serial], T0 + DAY), true),
    ];
    for (name, content, taken) in cases {
        let crl = world.dir.write("crl.pem", content);
        for result in [world.as_client(&leaf, Some(crl.clone())), world.as_server(&leaf, Some(crl.clone()))] {
            match result {
                Ok(()) => assert!(taken, "{name}"),
                Err(error) => assert!(!taken && error.reason() == "revoked", "{name}: {error}"),
            }
        }
    }
}

#[test]
fn a_revoked_intermediate_takes_its_leaves_along() {
    let world = World::new();
    let mut params = ca_params("intermediate");
    params.serial_number = Some(rcgen::SerialNumber::from(vec![9; 8]));
    let leaf = world.ca.intermediate(params).svid(WEB);
    world.as_client(&leaf, None).unwrap();
    let crl = world.dir.write("crl.pem", world.ca.crl(&[&[9; 8]], T0 + DAY));
    assert_eq!(world.as_client(&leaf, Some(crl)).unwrap_err().reason(), "revoked");
}

#[test]
fn another_trust_domain_can_be_asked_for() {
    let world = World::new();
    let partner = world.ca.svid("spiffe://partner.test/app");
    let mut listener =
        mutual_listener(world.dir.pair("reviews", &world.ca.svid(REVIEWS)), world.bundle.clone());
    listener.trust_domain = Some("partner.test".into());
    let listener = server(&listener, &world.time);
    let connect = |leaf: &Leaf| {
        let own = world.dir.pair("own", leaf);
        let mut service = mutual_service(own, world.bundle.clone(), &[REVIEWS]);
        if let ServiceTls::Mutual { trust_domain, .. } = &mut service.tls {
            *trust_domain = Some("example.test".into());
        }
        judge_server(Pair::between(&client(&service, &world.time), &listener).handshake())
    };
    connect(&partner).unwrap();
    assert_eq!(connect(&world.ca.svid(WEB)).unwrap_err().reason(), "wrong_trust_domain");
}

#[test]
fn simple_services_check_the_name() {
    let world = World::new();
    let listener = server(
        &simple_listener(vec![world.dir.pair("edge", &world.ca.leaf(dns_params(&["a.test", "*.b.test"])))]),
        &world.time,
    );
    let cases =
        [("a.test", true), ("x.b.test", true), ("b.test", false), ("x.y.b.test", false), ("c.test", false)];
    for (name, taken) in cases {
        let service = client(&simple_service(&world.bundle, name), &world.time);
        let mut pair = Pair::between(&service, &listener);
        match pair.handshake() {
            Ok(()) => assert!(taken, "{name}"),
            Err(Failure::Client(error)) => {
                assert!(!taken && error.reason() == "wrong_name", "{name}: {error}");
            }
            Err(Failure::Server(error)) => panic!("{name}: {error}"),
        }
    }
}
