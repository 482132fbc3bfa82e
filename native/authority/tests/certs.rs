//! The files of `tulle certs`: what they hold, what is kept, what is replaced, and revocation. OpenSSL is the second opinion.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests: clippy.toml allows these in test functions, here also in what they call"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;
use tulle_authority::{Error, revoke, write_certs};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

const FILES: [&str; 9] = [
    "ca.crt",
    "ca.key",
    "edge.crt",
    "edge.key",
    "client.crt",
    "client.key",
    "server.crt",
    "server.key",
    "crl.pem",
];
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tulle-certs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.join("certs").join(name)
    }
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }
    fn der(&self, name: &str) -> Vec<u8> {
        Pem::iter_from_buffer(&self.read(name)).next().unwrap().unwrap().contents
    }
    /// Writes, and tells which files stayed.
    fn kept(&self, force: bool, now: u64) -> Vec<String> {
        let before: Vec<Option<Vec<u8>>> =
            FILES.iter().map(|name| std::fs::read(self.file(name)).ok()).collect();
        let written = write_certs(&self.0, force, now).unwrap();
        let paths: Vec<PathBuf> = written.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, FILES.map(|name| self.file(name)));
        for ((file, name), before) in written.iter().zip(FILES).zip(before) {
            assert_eq!(before.is_some_and(|before| before == self.read(name)), file.kept, "{name}");
        }
        let names = written.iter().zip(FILES).filter(|(file, _)| file.kept);
        names.map(|(_, name)| name.to_owned()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::disallowed_methods, reason = "OpenSSL, asked for its opinion, looks at the real clock")]
fn today() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap()
}

fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is needed for this test");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn leaves_carry_what_the_examples_say() {
    let (dir, now) = (Dir::new(), today());
    assert_eq!(dir.kept(false, now), [] as [&str; 0]);
    let ids = [
        ("edge.crt", None),
        ("client.crt", Some("spiffe://example.test/ns/shop/sa/web")),
        ("server.crt", Some("spiffe://example.test/ns/shop/sa/reviews")),
    ];
    for (name, id) in ids {
        let der = dir.der(name);
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        let mut expected = vec![
            GeneralName::DNSName("localhost"),
            GeneralName::DNSName("*.example.test"),
            GeneralName::IPAddress(&[127, 0, 0, 1]),
        ];
        expected.extend(id.map(GeneralName::URI));
        assert_eq!(*names, expected, "{name}");
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && usage.client_auth == id.is_some(), "{name}");
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
        assert!(!leaf.is_ca());
        assert_eq!(leaf.validity().not_before.timestamp(), signed(now - HOUR));
        assert_eq!(leaf.validity().not_after.timestamp(), signed(now + YEAR));
    }
    let der = dir.der("ca.crt");
    let (_, ca) = X509Certificate::from_der(&der).unwrap();
    let constraints = ca.basic_constraints().unwrap().unwrap().value;
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
    let usage = ca.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign());
}

#[test]
fn private_keys_are_private() {
    let dir = Dir::new();
    write_certs(&dir.0, false, today()).unwrap();
    std::fs::set_permissions(dir.file("ca.key"), PermissionsExt::from_mode(0o644)).unwrap();
    write_certs(&dir.0, true, today()).unwrap();
    for name in FILES {
        let mode = std::fs::metadata(dir.file(name)).unwrap().permissions().mode() & 0o777;
        let private = Path::new(name).extension().is_some_and(|end| end == "key");
        assert!(mode == 0o600 || !private, "{name} {mode:o}");
        assert_eq!(mode & 0o600, 0o600);
    }
    let left = std::fs::read_dir(dir.0.join("certs")).unwrap().count();
    assert_eq!(left, FILES.len(), "nothing temporary is left");
}

#[test]
fn openssl_agrees() {
    let dir = Dir::new();
    write_certs(&dir.0, false, today()).unwrap();
    let (ca, crl) = (dir.file("ca.crt"), dir.file("crl.pem"));
    for name in ["edge.crt", "client.crt", "server.crt"] {
        let leaf = dir.file(name);
        let (fine, said) = openssl(&[
            "verify",
            "-x509_strict",
            "-crl_check",
            "-CRLfile",
            text(&crl),
            "-CAfile",
            text(&ca),
            text(&leaf),
        ]);
        assert!(fine, "{said}");
    }
    let (fine, said) = openssl(&["crl", "-in", text(&crl), "-CAfile", text(&ca), "-text", "-noout"]);
    assert!(fine && said.contains("verify OK") && said.contains("No Revoked Certificates"), "{said}");

    assert!(revoke(&dir.0, &dir.file("client.crt"), today()).unwrap());
    let client = dir.file("client.crt");
    let (fine, said) =
        openssl(&["verify", "-crl_check", "-CRLfile", text(&crl), "-CAfile", text(&ca), text(&client)]);
    assert!(!fine && said.contains("revoked"), "{said}");
}

#[test]
fn what_is_good_is_kept() {
    let (dir, now) = (Dir::new(), today());
    write_certs(&dir.0, false, now).unwrap();
    assert_eq!(dir.kept(false, now), FILES);
    assert_eq!(dir.kept(false, now + YEAR - 1), FILES);
    assert_eq!(dir.kept(true, now), [] as [&str; 0]);
    // A year on, the leaves are made again, by the same CA.
    assert_eq!(dir.kept(false, now + YEAR), ["ca.crt", "ca.key", "crl.pem"]);
    // Ten years on, everything is.
    assert_eq!(dir.kept(false, now + 10 * YEAR), [] as [&str; 0]);
}

/// A file, what is put there (none: it is removed), and the files that stay.
type Case<'a> = (&'a str, Option<Vec<u8>>, &'a Vec<String>);

#[test]
fn what_is_broken_is_replaced() {
    let other = Dir::new();
    write_certs(&other.0, false, today()).unwrap();
    let without =
        |names: &[&str]| FILES.iter().filter(|n| !names.contains(n)).map(ToString::to_string).collect();
    let edge: Vec<String> = without(&["edge.crt", "edge.key"]);
    let none: Vec<String> = Vec::new();
    let cases: [Case<'_>; 12] = [
        ("edge.crt", None, &edge),
        ("edge.key", None, &edge),
        ("edge.crt", Some(Vec::new()), &edge),
        ("edge.key", Some(b"nothing".to_vec()), &edge),
        ("edge.crt", Some(other.read("edge.crt")), &edge),
        ("edge.key", Some(other.read("edge.key")), &edge),
        ("crl.pem", None, &without(&["crl.pem"])),
        ("crl.pem", Some(Vec::new()), &without(&["crl.pem"])),
        ("crl.pem", Some(other.read("crl.pem")), &without(&["crl.pem"])),
        ("ca.key", None, &none),
        ("ca.crt", Some(other.read("ca.crt")), &none),
        ("ca.crt", Some(b"\xff\xfe".to_vec()), &none),
    ];
    for (name, content, kept) in cases {
        let dir = Dir::new();
        write_certs(&dir.0, false, today()).unwrap();
        match content {
            Some(content) => std::fs::write(dir.file(name), content).unwrap(),
            None => std::fs::remove_file(dir.file(name)).unwrap(),
        }
        assert_eq!(dir.kept(false, today()), *kept, "{name}");
        assert_eq!(dir.kept(false, today()), FILES, "{name}: once is enough");
    }
}

fn revoked(dir: &Dir) -> Vec<String> {
    let der = dir.der("crl.pem");
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    list.iter_revoked_certificates().map(|entry| entry.serial().to_string()).collect()
}

fn serial(dir: &Dir, name: &str) -> String {
    let der = dir.der(name);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    certificate.tbs_certificate.serial.to_string()
}

fn list_number(dir: &Dir) -> String {
    let der = dir.der("crl.pem");
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    list.crl_number().unwrap().to_string()
}

#[test]
fn revocations_add_up_and_stay() {
    let (dir, now) = (Dir::new(), today());
    write_certs(&dir.0, false, now).unwrap();
    assert_eq!((revoked(&dir), list_number(&dir)), (vec![], "1".into()));
    let (client, server) = (serial(&dir, "client.crt"), serial(&dir, "server.crt"));
    assert!(revoke(&dir.0, &dir.file("client.crt"), now).unwrap());
    assert!(!revoke(&dir.0, &dir.file("client.crt"), now).unwrap());
    assert!(revoke(&dir.0, &dir.file("server.crt"), now + 5).unwrap());
    assert_eq!((revoked(&dir), list_number(&dir)), (vec![client.clone(), server.clone()], "3".into()));
    // Revoked leaves are no good; what was revoked stays revoked.
    assert_eq!(dir.kept(false, now), ["ca.crt", "ca.key", "edge.crt", "edge.key", "crl.pem"]);
    assert_eq!(revoked(&dir), [client.clone(), server]);
    assert_ne!(serial(&dir, "client.crt"), client);
    // An empty file may stand for an empty list.
    std::fs::write(dir.file("crl.pem"), "\n").unwrap();
    assert!(revoke(&dir.0, &dir.file("client.crt"), now).unwrap());
    assert_eq!(revoked(&dir), [serial(&dir, "client.crt")]);
}

#[test]
fn a_late_list_is_signed_anew_with_what_it_revokes() {
    let (dir, now) = (Dir::new(), today());
    write_certs(&dir.0, false, now).unwrap();
    // Lists that the operator signs with the CA's key are better kept short-lived.
    let key = rcgen::KeyPair::from_pem(&String::from_utf8(dir.read("ca.key")).unwrap()).unwrap();
    let ca = String::from_utf8(dir.read("ca.crt")).unwrap();
    let at = |seconds: u64| time::OffsetDateTime::from_unix_timestamp(signed(seconds)).unwrap();
    let list = rcgen::CertificateRevocationListParams {
        this_update: at(now),
        next_update: at(now + DAY),
        crl_number: 41.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: 4711.into(),
            revocation_time: at(now),
            reason_code: Some(rcgen::RevocationReason::KeyCompromise),
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let issuer = rcgen::Issuer::from_ca_cert_pem(&ca, key).unwrap();
    std::fs::write(dir.file("crl.pem"), list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
    assert_eq!(dir.kept(false, now), FILES);
    assert_eq!(dir.kept(false, now + 2 * DAY), FILES[..8]);
    assert_eq!((revoked(&dir), list_number(&dir)), (vec!["4711".into()], "42".into()));
    let der = dir.der("crl.pem");
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    assert_eq!(list.iter_revoked_certificates().next().unwrap().reason_code().unwrap().1.0, 1);
    assert_eq!(dir.kept(false, now + 2 * DAY), FILES);
}

#[test]
fn what_cannot_be_revoked_is_said() {
    let (dir, other, now) = (Dir::new(), Dir::new(), today());
    let missing = revoke(&dir.0, &dir.file("client.crt"), now).unwrap_err();
    assert!(matches!(missing, Error::NoAuthority(_)), "{missing}");
    for dir in [&dir, &other] {
        write_certs(&dir.0, false, now).unwrap();
    }
    let foreign = revoke(&dir.0, &other.file("client.crt"), now).unwrap_err();
    assert!(matches!(foreign, Error::NotOurs { .. }), "{foreign}");
    let absent = revoke(&dir.0, &dir.file("absent.crt"), now).unwrap_err();
    assert!(matches!(absent, Error::NotACertificate(_)), "{absent}");
    std::fs::copy(other.file("crl.pem"), dir.file("crl.pem")).unwrap();
    let list = revoke(&dir.0, &dir.file("client.crt"), now).unwrap_err();
    assert!(matches!(list, Error::NotAList(_)), "{list}");
}

#[test]
fn errors_name_the_file() {
    let dir = Dir::new();
    std::fs::write(&dir.0, "a file where the directory should be").unwrap();
    let error = write_certs(&dir.0, false, today()).unwrap_err().to_string();
    std::fs::remove_file(&dir.0).unwrap();
    assert!(
        error.starts_with(&format!("{}: cannot make the directory: ", dir.0.join("certs").display())),
        "{error}"
    );
    let error = write_certs(&dir.0, false, u64::MAX).unwrap_err();
    assert!(matches!(error, Error::Time(_)), "{error}");
}
