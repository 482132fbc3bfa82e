//! The files that `tulle certs` writes, used as the example configurations use them.

use super::pki::*;
use std::path::PathBuf;
use tulle_authority::{revoke, write_certs};
use tulle_proxy::tls::{Loaded, Renewal};
use tulle_snapshot::wire::Certificate;

fn pair(dir: &Dir, name: &str) -> Certificate {
    Certificate { cert: dir.path(&format!("certs/{name}.crt")), key: dir.path(&format!("certs/{name}.key")) }
}

#[test]
fn the_examples_certificates_work_and_can_be_revoked() {
    let (dir, time) = (Dir::new(), Time::new());
    let root = PathBuf::from(dir.path(""));
    write_certs(&root, false, T0).unwrap();
    let bundle = dir.path("certs/ca.crt");

    let edge = server(&simple_listener(vec![pair(&dir, "edge")]), &time);
    for name in ["localhost", "127.0.0.1", "api.example.test"] {
        let mut pair = Pair::between(&client(&simple_service(&bundle, name), &time), &edge);
        pair.handshake().unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
    }

    let mut inbound = mutual_listener(pair(&dir, "server"), bundle.clone());
    inbound.crl = Some(dir.path("certs/crl.pem"));
    let loaded = Loaded::load(inbound, time.clock()).unwrap();
    assert_eq!(loaded.built.warnings(), [] as [&str; 0]);
    let service = client(&mutual_service(pair(&dir, "client"), bundle, &[REVIEWS]), &time);
    let mut hop = Pair::between(&service, &loaded.built);
    hop.handshake().unwrap();
    let peer = hop.server.session.peer().unwrap();
    assert_eq!((peer.spiffe.as_str(), peer.subject.as_str()), (WEB, "CN=client"));
    assert_eq!(hop.client.session.peer().unwrap().spiffe.as_str(), REVIEWS);

    assert!(revoke(&root, &PathBuf::from(dir.path("certs/client.crt")), T0).unwrap());
    let Renewal::Rebuilt(revoking) = loaded.renew() else { panic!("the revocation was not noticed") };
    let listener = &revoking.built;
    assert!(!listener.still_trusted(&hop.server.session));
    let refused = Pair::between(&service, listener).handshake();
    assert!(matches!(refused, Err(Failure::Server(error)) if error.reason() == "revoked"));

    // The next run replaces what was revoked, and the hop works again.
    write_certs(&root, false, T0).unwrap();
    let service = client(&mutual_service(pair(&dir, "client"), dir.path("certs/ca.crt"), &[REVIEWS]), &time);
    Pair::between(&service, listener).handshake().unwrap();
}
