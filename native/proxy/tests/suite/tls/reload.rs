//! Files change while connections live; files that cannot be used are refused with a line.

use super::pki::*;
use proptest::prelude::*;
use tulle_proxy::tls::{ClientTls, Fingerprints, Loaded, Material, Renewal, ServerTls, Source};
use tulle_snapshot::wire::{Certificate, ListenerTls, ServiceTls};

impl World {
    fn edge_files(&self) -> Certificate {
        self.dir.pair("edge", &self.ca.leaf(dns_params(&["localhost"])))
    }

    fn web(&self) -> ClientTls {
        let web = self.dir.pair("web", &self.ca.svid(WEB));
        client(&mutual_service(web, self.bundle.clone(), &[REVIEWS]), &self.time)
    }

    fn shown(&self, listener: &ServerTls) -> Vec<u8> {
        let mut pair =
            Pair::between(&client(&simple_service(&self.bundle, "localhost"), &self.time), listener);
        pair.handshake().unwrap();
        pair.client.session.peer_certificates()[0].to_vec()
    }
}

/// What `loaded` becomes when its files are looked at; panics when that is nothing new.
fn rebuilt<S: Source + Clone>(loaded: &Loaded<S>) -> Loaded<S> {
    match loaded.renew() {
        Renewal::Rebuilt(fresh) => fresh,
        Renewal::Unchanged => panic!("not noticed"),
        Renewal::Failed(error) => panic!("not taken up: {error}"),
    }
}

/// What stands against a new build.
fn failed<S: Source + Clone>(loaded: &Loaded<S>) -> String {
    match loaded.renew() {
        Renewal::Failed(error) => error.to_string(),
        Renewal::Unchanged => panic!("not noticed"),
        Renewal::Rebuilt(_) => panic!("taken up"),
    }
}

fn unchanged<S: Source + Clone>(loaded: &Loaded<S>) -> bool {
    matches!(loaded.renew(), Renewal::Unchanged)
}

#[test]
fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let world = World::new();
    let first = Loaded::load(simple_listener(vec![world.edge_files()]), world.time.clock()).unwrap();
    assert!(unchanged(&first));
    let old = world.shown(&first.built);

    let renewed = world.ca.leaf(dns_params(&["localhost"]));
    // The certificate alone, then its key: in between they do not belong together.
    world.dir.write("edge.crt", &renewed.chain);
    let torn = format!(
        "{}: the private key does not belong to the certificate in {}",
        world.dir.path("edge.key"),
        world.dir.path("edge.crt")
    );
    assert_eq!(failed(&first), torn);
    assert_eq!(world.shown(&first.built), old);
    world.dir.write("edge.key", &renewed.key);
    let second = rebuilt(&first);
    assert_ne!(world.shown(&second.built), old);
    assert_eq!(world.shown(&first.built), old);
    assert!(unchanged(&second));

    // A broken one stays broken, and is seen to be so at each look.
    world.dir.write("edge.key", "nothing of use");
    let line = format!("{}: there is no private key in it (expected PEM)", world.dir.path("edge.key"));
    assert_eq!([failed(&second), failed(&second)], [line.clone(), line]);
    assert_ne!(world.shown(&second.built), old);

    // What is in use is there again: nothing to do. Then a third one, from where the second stands.
    world.dir.write("edge.key", &renewed.key);
    assert!(unchanged(&second));
    world.edge_files();
    let third = rebuilt(&second);
    assert_ne!(world.shown(&third.built), world.shown(&second.built));
    assert!(first.serial > 0 && second.serial > first.serial && third.serial > second.serial);
}

#[test]
fn files_that_cannot_be_used_at_first_are_not_loaded() {
    let world = World::new();
    let listener = simple_listener(vec![world.edge_files()]);
    world.dir.write("edge.key", "nothing of use");
    let error = Loaded::load(listener, world.time.clock()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: there is no private key in it (expected PEM)", world.dir.path("edge.key"))
    );
}

#[test]
fn a_build_is_current_for_its_settings_and_files_only() {
    let world = World::new();
    let listener = simple_listener(vec![world.edge_files()]);
    let loaded = Loaded::load(listener.clone(), world.time.clock()).unwrap();
    assert!(loaded.is_current(&listener));
    assert!(!loaded.is_current(&ListenerTls { tls12: false, ..listener.clone() }));
    let key = std::fs::read(world.dir.path("edge.key")).unwrap();
    world.dir.write("edge.key", "nothing of use");
    assert!(!loaded.is_current(&listener));
    world.dir.write("edge.key", key);
    assert!(loaded.is_current(&listener));
    world.edge_files();
    assert!(!loaded.is_current(&listener));
    assert!(rebuilt(&loaded).is_current(&listener));
}

#[test]
fn a_renewed_build_is_judged_by_the_same_clock() {
    let world = World::new();
    let loaded = Loaded::load(simple_listener(vec![world.edge_files()]), world.time.clock()).unwrap();
    assert_eq!(loaded.built.warnings(), [] as [&str; 0]);
    world.time.set(T0 + 4 * DAY);
    assert!(unchanged(&loaded), "time alone changes no file");
    world.edge_files();
    let line = format!("{}: the certificate expired 3 days ago", world.dir.path("edge.crt"));
    assert_eq!(rebuilt(&loaded).built.warnings(), [line]);
}

#[test]
fn a_services_files_are_looked_at_too() {
    let world = World::new();
    let web = world.dir.pair("web", &world.ca.svid(WEB));
    let service = mutual_service(web, world.bundle.clone(), &[REVIEWS]);
    let first = Loaded::load(service.clone(), world.time.clock()).unwrap();
    let reviews = world.dir.pair("reviews", &world.ca.svid(REVIEWS));
    let listener = server(&mutual_listener(reviews, world.bundle.clone()), &world.time);
    let mut pair = Pair::between(&first.built, &listener);
    pair.handshake().unwrap();
    assert!(first.built.still_trusted(&pair.client.session, None));

    world.dir.write("ca.crt", Ca::new("other").pem);
    let distrusting = rebuilt(&first);
    assert!(distrusting.is_current(&service) && !first.is_current(&service));
    assert!(!distrusting.built.still_trusted(&pair.client.session, None));
    std::fs::remove_file(world.dir.path("ca.crt")).unwrap();
    assert_eq!(failed(&distrusting), format!("{}: does not exist", world.dir.path("ca.crt")));
}

#[test]
fn revocation_and_distrust_reach_living_connections() {
    let world = World::new();
    let leaf = world.ca.svid(WEB);
    let web = world.dir.pair("web", &leaf);
    let service = client(&mutual_service(web, world.bundle.clone(), &[REVIEWS]), &world.time);
    let mut listener =
        mutual_listener(world.dir.pair("reviews", &world.ca.svid(REVIEWS)), world.bundle.clone());
    listener.crl = Some(world.dir.write("crl.pem", ""));
    let first = Loaded::load(listener, world.time.clock()).unwrap();
    let mut pair = Pair::between(&service, &first.built);
    assert!(first.built.still_trusted(&pair.server.session), "a handshake decides by itself");
    pair.handshake().unwrap();
    assert!(first.built.still_trusted(&pair.server.session));

    world.dir.write("crl.pem", world.ca.crl(&[&leaf.serial], T0 + DAY));
    let revoking = rebuilt(&first);
    assert!(!revoking.built.still_trusted(&pair.server.session));
    let mut again = Pair::between(&service, &revoking.built);
    assert!(matches!(again.handshake(), Err(Failure::Server(error)) if error.reason() == "revoked"));

    // Another root instead.
    world.dir.write("crl.pem", "");
    world.dir.write("ca.crt", Ca::new("other").pem);
    let distrusting = rebuilt(&revoking);
    assert!(!distrusting.built.still_trusted(&pair.server.session));

    // Both roots, as during a rotation.
    world.dir.write("ca.crt", format!("{}{}", Ca::new("other").pem, world.ca.pem));
    let both = rebuilt(&distrusting);
    assert!(both.built.still_trusted(&pair.server.session));
    world.time.set(T0 + DAY + 1);
    assert!(!both.built.still_trusted(&pair.server.session), "no connection outlives its peer's certificate");
}

#[test]
fn clients_look_again_too() {
    let world = World::new();
    let reviews = world.dir.pair("reviews", &world.ca.svid(REVIEWS));
    let mut pair =
        Pair::between(&world.web(), &server(&mutual_listener(reviews, world.bundle.clone()), &world.time));
    pair.handshake().unwrap();
    assert!(world.web().still_trusted(&pair.client.session, None));
    world.time.set(T0 + DAY + 1);
    assert!(!world.web().still_trusted(&pair.client.session, None));

    world.time.set(T0);
    let edge = server(&simple_listener(vec![world.edge_files()]), &world.time);
    let mut pair = Pair::between(&client(&simple_service(&world.bundle, "localhost"), &world.time), &edge);
    pair.handshake().unwrap();
    let by_name = |name: &str, bundle: &str| {
        client(&simple_service(bundle, name), &world.time).still_trusted(&pair.client.session, None)
    };
    assert!(by_name("localhost", &world.bundle));
    assert!(!by_name("other.test", &world.bundle));
    assert!(!by_name("localhost", &world.dir.write("other.crt", Ca::new("other").pem)));
}

#[test]
fn only_content_counts_as_change() {
    let dir = Dir::new();
    let path = dir.write("a", "one");
    let missing = dir.path("b");
    let seen = Material::read([&path, &missing]).fingerprints();
    let changed = |fingerprints: &Fingerprints| fingerprints.changed();
    assert!(!changed(&seen));
    dir.write("a", "one");
    assert!(!changed(&seen));
    dir.write("a", "two");
    assert!(changed(&seen));
    dir.write("a", "one");
    assert!(!changed(&seen));
    dir.write("b", "");
    assert!(changed(&seen));
    std::fs::remove_file(&missing).unwrap();
    assert!(!changed(&seen));
    std::fs::remove_file(&path).unwrap();
    assert!(changed(&seen));
}

#[test]
fn expiry_is_told_and_warned_about() {
    let world = World::new();
    let listener = simple_listener(vec![world.edge_files()]);
    let built = server(&listener, &world.time);
    assert_eq!(built.expiries()[0].file, world.dir.path("edge.crt"));
    assert_eq!(built.expiries()[0].not_after, i64::try_from(T0 + DAY).unwrap());
    assert_eq!(built.warnings(), [] as [&str; 0]);
    world.time.set(T0 + 4 * DAY);
    let edge = world.dir.path("edge.crt");
    assert_eq!(
        server(&listener, &world.time).warnings(),
        [format!("{edge}: the certificate expired 3 days ago")]
    );
    world.time.set(T0 - 4 * DAY);
    let line = format!("{edge}: the certificate is not valid before 3 days from now");
    assert_eq!(server(&listener, &world.time).warnings(), [line]);

    world.time.set(T0);
    let mut listener =
        mutual_listener(world.dir.pair("reviews", &world.ca.svid(REVIEWS)), world.bundle.clone());
    listener.crl = Some(world.dir.write("crl.pem", world.ca.crl(&[], T0 - 60)));
    let line = format!("{}: a revocation list expired 0 days ago", world.dir.path("crl.pem"));
    assert_eq!(server(&listener, &world.time).warnings(), [line]);
    assert_eq!(world.web().expiries()[0].file, world.dir.path("web.crt"));
}

type Break = fn(&World);

/// What is done to the files of a mutual listener, the file that is blamed, and what is said of it.
const BROKEN: &[(Break, &str, &str)] = &[
    (|w| remove(w, "own.crt"), "own.crt", "does not exist"),
    (|w| remove(w, "own.key"), "own.key", "does not exist"),
    (|w| remove(w, "ca.crt"), "ca.crt", "does not exist"),
    (|w| remove(w, "crl.pem"), "crl.pem", "does not exist"),
    (|w| directory(w, "own.crt"), "own.crt", "is not a file"),
    (|w| put(w, "own.crt", ""), "own.crt", "there is no certificate in it (expected PEM)"),
    (|w| put(w, "own.crt", &w.ca.svid(WEB).key), "own.crt", "there is no certificate in it (expected PEM)"),
    (|w| put(w, "own.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n"), "own.crt", "is not valid PEM"),
    (|w| put(w, "own.crt", &pem("CERTIFICATE", "AAAA")), "own.crt", "a certificate in it does not parse"),
    (|w| put(w, "own.key", ""), "own.key", "there is no private key in it (expected PEM)"),
    (|w| put(w, "own.key", &w.ca.pem), "own.key", "there is no private key in it (expected PEM)"),
    (
        |w| put(w, "own.key", &pem("PRIVATE KEY", "AAAA")),
        "own.key",
        "the private key is of a kind that is not supported",
    ),
    (
        |w| put(w, "own.key", &pem("ENCRYPTED PRIVATE KEY", "AAAA")),
        "own.key",
        "the private key is encrypted: a passphrase cannot be given, decrypt it",
    ),
    (
        |w| put(w, "own.key", &w.ca.svid(WEB).key),
        "own.key",
        "the private key does not belong to the certificate in {own.crt}",
    ),
    (|w| own(w, |p| p.subject_alt_names.clear()), "own.crt", "the certificate has no SPIFFE ID"),
    (
        |w| own(w, |p| p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]),
        "own.crt",
        "the certificate's extended key usage lacks serverAuth or clientAuth",
    ),
    (|w| put(w, "ca.crt", "hello"), "ca.crt", "there is no certificate in it (expected PEM)"),
    (|w| put(w, "ca.crt", &w.ca.svid(WEB).chain), "ca.crt", "a certificate in it is not that of a CA"),
    (|w| put(w, "crl.pem", "hello"), "crl.pem", "there is no revocation list in it (expected PEM)"),
    (|w| put(w, "crl.pem", &pem("X509 CRL", "AAAA")), "crl.pem", "a revocation list in it does not parse"),
    (
        |w| put(w, "crl.pem", &Ca::new("root").crl(&[], T0 + DAY)),
        "crl.pem",
        "a revocation list in it is not signed by its root in {ca.crt}",
    ),
];

fn remove(world: &World, name: &str) {
    std::fs::remove_file(world.dir.path(name)).unwrap();
}

fn directory(world: &World, name: &str) {
    remove(world, name);
    std::fs::create_dir(world.dir.path(name)).unwrap();
}

fn put(world: &World, name: &str, content: &str) {
    world.dir.write(name, content);
}

fn own(world: &World, change: impl FnOnce(&mut rcgen::CertificateParams)) {
    let mut params = svid_params(REVIEWS);
    change(&mut params);
    world.dir.pair("own", &world.ca.leaf(params));
}

fn pem(kind: &str, content: &str) -> String {
    format!("-----BEGIN {kind}-----\n{content}\n-----END {kind}-----\n")
}

#[test]
fn each_unusable_file_gets_one_line() {
    for (break_it, file, said) in BROKEN {
        let world = World::new();
        own(&world, |_| {});
        let identity = Certificate { cert: world.dir.path("own.crt"), key: world.dir.path("own.key") };
        let mut listener = mutual_listener(identity.clone(), world.bundle.clone());
        listener.crl = Some(world.dir.write("crl.pem", world.ca.crl(&[], T0 + DAY)));
        build(&listener, &world.time).unwrap();
        break_it(&world);
        let said = said
            .replace("{own.crt}", &world.dir.path("own.crt"))
            .replace("{ca.crt}", &world.dir.path("ca.crt"));
        let line = build(&listener, &world.time).expect_err(&said).to_string();
        assert_eq!(line, format!("{}: {said}", world.dir.path(file)));
        if !said.contains("serverAuth") {
            // The service's side reads the same files and says the same of them.
            let mut service = mutual_service(identity, world.bundle.clone(), &[WEB]);
            if let ServiceTls::Mutual { crl, .. } = &mut service.tls {
                crl.clone_from(&listener.crl);
            }
            assert_eq!(build(&service, &world.time).expect_err(&said).to_string(), line);
        }
    }
}

#[test]
fn unreadable_files_are_named() {
    let world = World::new();
    let edge = world.edge_files();
    std::fs::set_permissions(&edge.key, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let result = build(&simple_listener(vec![edge.clone()]), &world.time);
    // The superuser reads everything.
    if std::fs::read(&edge.key).is_err() {
        assert_eq!(result.unwrap_err().to_string(), format!("{}: may not be read by this user", edge.key));
    } else {
        result.unwrap();
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let world = World::new();
    let web = world.dir.pair("web", &world.ca.svid(WEB));
    let said = |service| build(&service, &world.time).unwrap_err().to_string();
    assert_eq!(
        said(mutual_service(web.clone(), world.bundle.clone(), &["spiffe://example.test/a/"])),
        "expect: \"spiffe://example.test/a/\" has an empty path segment"
    );
    assert_eq!(
        said(simple_service(&world.bundle, "a b")),
        "serverName: \"a b\" is not a host name or IP address"
    );
    let mut listener = mutual_listener(web, world.bundle.clone());
    listener.trust_domain = Some("Example".into());
    let line = build(&listener, &world.time).unwrap_err().to_string();
    assert!(line.starts_with("trust domain \"Example\" has a character"), "{line}");
}

#[test]
fn endpoints_without_a_name_need_one() {
    let world = World::new();
    let mut service = simple_service(&world.bundle, "x");
    if let ServiceTls::Simple { server_name, .. } = &mut service.tls {
        *server_name = None;
    }
    let service = client(&service, &world.time);
    assert!(service.session(Some("localhost")).is_ok());
    assert!(service.session(Some("127.0.0.1")).is_ok());
    assert!(service.session(Some("::1")).is_ok());
    for host in [None, Some("a b")] {
        assert_eq!(service.session(host).unwrap_err().reason(), "server_name");
    }
    assert!(world.web().session(None).is_ok(), "a mutual service is known by its identity");
}

#[test]
fn the_systems_roots_are_used_without_a_bundle() {
    let world = World::new();
    let tls = ServiceTls::Simple { server_name: None, trust_bundle: None, identity: None };
    let service = tulle_proxy::tls::UpstreamTls { tls, alpn: Vec::new() };
    match build(&service, &world.time) {
        Ok(service) => {
            let edge = server(&simple_listener(vec![world.edge_files()]), &world.time);
            let failure = Pair::between(&service, &edge).handshake().unwrap_err();
            assert!(matches!(failure, Failure::Client(error) if error.reason() == "unknown_issuer"));
        }
        Err(error) => assert_eq!(
            error.to_string(),
            "the system's trust store: is empty: install ca-certificates or set trustBundle"
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the files hold, building ends with a result, and a message never quotes them.
    #[test]
    fn any_content_is_a_result(which in 0..4_usize, at in 0..2000_usize, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let world = World::new();
        own(&world, |_| {});
        let identity = Certificate { cert: world.dir.path("own.crt"), key: world.dir.path("own.key") };
        let mut listener = mutual_listener(identity, world.bundle.clone());
        listener.crl = Some(world.dir.write("crl.pem", world.ca.crl(&[], T0 + DAY)));
        let path = listener.files()[which].clone();
        let mut content = std::fs::read(&path).unwrap();
        let at = at.min(content.len());
        let end = (at + bytes.len()).min(content.len());
        content.splice(at..end, bytes);
        let secret = String::from_utf8_lossy(&content).into_owned();
        std::fs::write(&path, content).unwrap();
        if let Err(error) = build(&listener, &world.time) {
            let line = error.to_string();
            prop_assert!(!line.contains('\n'));
            for word in secret.lines().filter(|line| line.len() > 30 && !line.starts_with("-----")) {
                prop_assert!(!line.contains(word));
            }
        }
    }
}
