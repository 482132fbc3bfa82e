//! PEM files into certificates, keys and revocation lists. Every refusal names the file and never its content.

use super::error::TlsConfigError;
use super::material::Material;
use super::peer;
use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use tulle_snapshot::wire::Certificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// When a certificate file's leaf expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The certificate's file, as configured.
    pub file: String,
    /// Unix seconds.
    pub not_after: i64,
}

/// A chain with its key, and what its leaf says.
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) dns_names: Vec<String>,
    pub(super) expiry: Expiry,
    /// One line when the certificate should be replaced: it is expired, or not valid yet.
    pub(super) warning: Option<String>,
}

/// Loads a chain and its key and checks that they belong together.
pub(super) fn identity(
    files: &Certificate,
    material: &Material,
    provider: &CryptoProvider,
    now: u64,
) -> Result<Identity, TlsConfigError> {
    let chain = certificates(Path::new(&files.cert), material)?;
    let key = private_key(Path::new(&files.key), material)?;
    let signer = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| TlsConfigError::new(&files.key, "the private key is of a kind that is not supported"))?;
    let leaf = chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
    let key = CertifiedKey::new(chain, signer);
    match key.keys_match() {
        Ok(()) => {}
        Err(Error::InconsistentKeys(_)) => {
            let reason = format!("the private key does not belong to the certificate in {}", files.cert);
            return Err(TlsConfigError::new(&files.key, reason));
        }
        Err(_) => {
            return Err(TlsConfigError::new(
                &files.cert,
                "the certificate is of a kind that is not supported",
            ));
        }
    }
    let leaf = parse(Path::new(&files.cert), &leaf)?;
    let (not_before, not_after) = validity(&leaf);
    Ok(Identity {
        key: Arc::new(key),
        dns_names: dns_names(&leaf),
        expiry: Expiry { file: files.cert.clone(), not_after },
        warning: out_of_date(&files.cert, "the certificate", now, not_before, not_after),
    })
}

/// Unix seconds between which a certificate is valid.
pub(super) fn validity(certificate: &X509Certificate<'_>) -> (i64, i64) {
    (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp())
}

/// A line about something outside its time.
pub(super) fn out_of_date(
    file: &str,
    what: &str,
    now: u64,
    not_before: i64,
    not_after: i64,
) -> Option<String> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let days = |seconds: i64| seconds.max(0) / 86_400;
    if now > not_after {
        Some(format!("{file}: {what} expired {} days ago", days(now - not_after)))
    } else if now < not_before {
        Some(format!("{file}: {what} is not valid before {} days from now", days(not_before - now)))
    } else {
        None
    }
}

/// The certificates of a file: one at least, each of which parses.
pub(super) fn certificates(
    path: &Path,
    material: &Material,
) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let sections = CertificateDer::pem_slice_iter(material.bytes(path)?);
    let chain =
        sections.collect::<Result<Vec<_>, _>>().map_err(|_| TlsConfigError::new(path, "is not valid PEM"))?;
    if chain.is_empty() {
        return Err(TlsConfigError::new(path, "there is no certificate in it (expected PEM)"));
    }
    for certificate in &chain {
        parse(path, certificate)?;
    }
    Ok(chain)
}

/// Parses one certificate of `path`.
pub(super) fn parse<'a>(
    path: &Path,
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, TlsConfigError> {
    match X509Certificate::from_der(certificate) {
        Ok((&[], parsed)) => Ok(parsed),
        _ => Err(TlsConfigError::new(path, "a certificate in it does not parse")),
    }
}

fn private_key(path: &Path, material: &Material) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    let bytes = material.bytes(path)?;
    let mut keys = PrivateKeyDer::pem_slice_iter(bytes);
    match keys.next() {
        Some(Ok(key)) => Ok(key),
        Some(Err(_)) => Err(TlsConfigError::new(path, "is not valid PEM")),
        None if contains(bytes, b"ENCRYPTED") => Err(TlsConfigError::new(
            path,
            "the private key is encrypted: a passphrase cannot be given, decrypt it",
        )),
        None => Err(TlsConfigError::new(path, "there is no private key in it (expected PEM)")),
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(bytes, word).is_some()
}

/// The revocation lists of a file. An empty file has none: nothing is revoked.
pub(super) fn revocation_lists(
    path: &Path,
    material: &Material,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsConfigError> {
    let bytes = material.bytes(path)?;
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| TlsConfigError::new(path, "is not valid PEM"))?;
    if lists.is_empty() && !bytes.trim_ascii().is_empty() {
        return Err(TlsConfigError::new(path, "there is no revocation list in it (expected PEM)"));
    }
    Ok(lists)
}

fn dns_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(dns).collect()
}

/// The SPIFFE ID of our own certificate; it has to pass the checks that peers make.
pub(super) fn own_svid(
    file: &str,
    identity: &Identity,
    role: peer::Role,
) -> Result<tulle_decide::identity::SpiffeId, TlsConfigError> {
    let leaf = identity
        .key
        .cert
        .first()
        .ok_or_else(|| TlsConfigError::new(file, "there is no certificate in it"))?;
    peer::svid(leaf, role).map_err(|refusal| TlsConfigError::new(file, refusal.to_string()))
}
