//! TLS: who the server is, who we are, and what is spoken inside.

use super::grpc::{SERVING, serve};
use super::peers::{Secure, Server, read_head};
use super::*;
use crate::tls::{Material, ServerTls, Source, WallClock};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::io::{Read, Write};
use std::path::PathBuf;
use tulle_snapshot::wire::{Certificate, ListenerTls, TlsMode};

const OURS: &str = "spiffe://example.test/ns/shop/sa/web";
const THEIRS: &str = "spiffe://example.test/ns/shop/sa/reviews";

/// Certificates in a directory that goes away with its owner.
struct Pki {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    bundle: String,
}

impl Pki {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tulle-health-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let bundle = dir.join("ca.crt").to_str().unwrap().to_owned();
        std::fs::write(&bundle, pem).unwrap();
        Self { dir, issuer: Issuer::new(params, key), bundle }
    }

    fn leaf(&self, file: &str, name: SanType) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![name];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let path = |kind: &str| self.dir.join(format!("{file}.{kind}")).to_str().unwrap().to_owned();
        std::fs::write(path("crt"), pem).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        Certificate { cert: path("crt"), key: path("key") }
    }

    fn dns(&self, name: &str) -> Certificate {
        self.leaf(name, SanType::DnsName(name.try_into().unwrap()))
    }

    fn svid(&self, file: &str, id: &str) -> Certificate {
        self.leaf(file, SanType::URI(id.try_into().unwrap()))
    }

    fn tls(&self, certificate: Certificate, mode: TlsMode, alpn: &[&str]) -> Arc<ServerTls> {
        let wire = ListenerTls {
            mode,
            certificates: vec![certificate],
            trust_bundle: (mode == TlsMode::Mutual).then(|| self.bundle.clone()),
            trust_domain: None,
            crl: None,
            alpn: alpn.iter().map(|name| (*name).to_owned()).collect(),
            tls12: mode == TlsMode::Simple,
        };
        let clock = WallClock::new(|| crate::clock::wall().as_secs());
        Arc::new(wire.build(&Material::read(wire.files()), &clock).unwrap())
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Answers 204 in text.
fn text(tls: Arc<ServerTls>) -> Server {
    Server::new(move |stream, _| {
        let Some(mut secure) = Secure::accept(stream, &tls) else { return };
        read_head(&mut secure);
        let _gone = secure.write_all(b"HTTP/1.1 204 x\r\n\r\n");
    })
}

/// Says nothing and waits for the end.
fn silent(tls: Arc<ServerTls>) -> Server {
    Server::new(move |stream, _| {
        let Some(mut secure) = Secure::accept(stream, &tls) else { return };
        let _end = secure.read(&mut [0]);
    })
}

#[test]
fn by_name() {
    let (pki, other) = (Pki::new("names"), Pki::new("others"));
    let http = text(pki.tls(pki.dns("shop.test"), TlsMode::Simple, &["http/1.1"]));
    let stranger = text(other.tls(other.dns("shop.test"), TlsMode::Simple, &[]));
    let tls = pki.tls(pki.dns("grpc.test"), TlsMode::Simple, &["h2"]);
    let h2 = Server::new(move |stream, _| {
        if let Some(secure) = Secure::accept(stream, &tls) {
            serve(secure, SERVING);
        }
    });
    // As web servers answer to what they cannot read.
    let plain = Server::new(|mut stream, _| {
        let _hello = stream.read(&mut [0; 4096]);
        let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let simple = |name: Option<&str>| json!({ "mode": "simple", "serverName": name, "trustBundle": pki.bundle, "identity": null });
    let grpc = json!({ "kind": "grpc", "service": "" });
    let one = |name: &str, server: &Server, probe: &Value, protocol: &str, server_name: Option<&str>| {
        let changes = [("/tls", simple(server_name)), ("/protocol", json!(protocol))];
        with(service(name, &[at(server.address)], probe), &changes)
    };
    let tcp = json!({ "kind": "tcp" });
    let services = [
        one("right", &http, &get("/"), "http", Some("shop.test")),
        one("wrong", &http, &get("/"), "http", Some("shop.example")),
        one("by-address", &http, &get("/"), "http", None),
        one("stranger", &stranger, &get("/"), "http", Some("shop.test")),
        one("plain", &plain, &get("/"), "http", Some("shop.test")),
        one("grpc", &h2, &grpc, "grpc", Some("grpc.test")),
        one("no-h2", &http, &grpc, "grpc", Some("shop.test")),
        one("handshake", &http, &tcp, "tcp", Some("shop.test")),
        one("no-handshake", &http, &tcp, "tcp", Some("shop.example")),
    ];
    let tls = Verdict::Unwell(Why::Tls);
    let expected = [
        ("right", Verdict::Well),
        ("wrong", tls),
        ("by-address", tls),
        ("stranger", tls),
        ("plain", tls),
        ("grpc", Verdict::Well),
        ("no-h2", tls),
        ("handshake", Verdict::Well),
        ("no-handshake", tls),
    ];
    all_are(&services, &expected);
}

#[test]
fn by_identity() {
    let (pki, other) = (Pki::new("mesh"), Pki::new("foreign"));
    let server_tls = || pki.tls(pki.svid("theirs", THEIRS), TlsMode::Mutual, &[]);
    let (http, quiet) = (text(server_tls()), silent(server_tls()));
    let ours = pki.svid("ours", OURS);
    // Signed by somebody whom the server does not know.
    let foreign = other.svid("ours", OURS);
    let mutual = |identity: &Certificate, expect: &str| {
        json!({
            "mode": "mutual", "identity": identity, "trustBundle": pki.bundle, "expect": [expect],
            "trustDomain": null, "crl": null,
        })
    };
    let tcp = json!({ "kind": "tcp" });
    let one = |name: &str, server: &Server, probe: &Value, tls: Value| {
        let protocol = if probe == &tcp { "tcp" } else { "http" };
        with(service(name, &[at(server.address)], probe), &[("/tls", tls), ("/protocol", json!(protocol))])
    };
    let services = [
        one("http", &http, &get("/"), mutual(&ours, THEIRS)),
        one("http-unexpected", &http, &get("/"), mutual(&ours, OURS)),
        one("http-refused", &http, &get("/"), mutual(&foreign, THEIRS)),
        one("tcp", &quiet, &tcp, mutual(&ours, THEIRS)),
        one("tcp-unexpected", &quiet, &tcp, mutual(&ours, OURS)),
        one("tcp-refused", &quiet, &tcp, mutual(&foreign, THEIRS)),
    ];
    let tls = Verdict::Unwell(Why::Tls);
    let expected = [
        ("http", Verdict::Well),
        ("http-unexpected", tls),
        ("http-refused", tls),
        ("tcp", Verdict::Well),
        ("tcp-unexpected", tls),
        ("tcp-refused", tls),
    ];
    all_are(&services, &expected);
}
