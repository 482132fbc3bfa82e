//! Who a certificate is for: the SPIFFE ID checks of X.509-SVID, and the facts that logs and headers name.
//!
//! Before: the chain was verified. After: policy decides by [`Peer::spiffe`].

use super::refusal::Refusal;
use rustls::pki_types::CertificateDer;
use std::fmt::Write;
use tulle_decide::identity::SpiffeId;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// ASN.1 tag of a URI among a certificate's names (RFC 5280 section 4.2.1.6).
const URI_TAG: u32 = 6;
/// A longer subject is left out.
const MAX_SUBJECT: usize = 1024;

/// A verified peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its identity.
    pub spiffe: SpiffeId,
    /// When its certificate expires, Unix seconds. No connection should outlive it by more than the drain.
    pub not_after: i64,
    /// The certificate's serial number, lower-case hex.
    pub serial: String,
    /// SHA-256 of the certificate's DER: `Hash=` in `x-forwarded-client-cert` when written as hex.
    pub fingerprint: [u8; 32],
    /// The subject as RFC 4514 writes it, printable ASCII only; `"` and `\` are escaped by `\`. Empty when it is empty
    /// or longer than 1 KiB.
    pub subject: String,
}

impl Peer {
    /// Reads a certificate whose chain is already verified; none when it is not an X.509-SVID.
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref());
        Some(Self {
            spiffe: spiffe_id(&certificate).ok()?,
            not_after: certificate.validity().not_after.timestamp(),
            serial: hex(certificate.raw_serial()),
            fingerprint,
            subject: subject(certificate.subject()),
        })
    }

    /// The fingerprint as lower-case hex.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        hex(&self.fingerprint)
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The part that a certificate plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It accepts connections.
    Server,
    /// It opens them.
    Client,
}

/// Checks a leaf by itself as X.509-SVID asks (sections 2 to 5): one URI name, a SPIFFE ID with a path; not a signing
/// certificate; its key may sign handshakes; made for `role`, in so many words. Chain, validity and trust domain are
/// checked elsewhere.
pub(super) fn svid(der: &CertificateDer<'_>, role: Role) -> Result<SpiffeId, Refusal> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Refusal::Malformed)?;
    if !rest.is_empty() {
        return Err(Refusal::Malformed);
    }
    let constraints = certificate.basic_constraints().map_err(|_| Refusal::Malformed)?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(Refusal::Signing);
    }
    if let Some(usage) = certificate.key_usage().map_err(|_| Refusal::Malformed)? {
        if usage.value.key_cert_sign() || usage.value.crl_sign() {
            return Err(Refusal::Signing);
        }
        if !usage.value.digital_signature() {
            return Err(Refusal::KeyUsage);
        }
    }
    let usage = certificate.extended_key_usage().map_err(|_| Refusal::Malformed)?;
    let made_for_role = usage.is_some_and(|usage| match role {
        Role::Server => usage.value.server_auth,
        Role::Client => usage.value.client_auth,
    });
    if !made_for_role {
        return Err(Refusal::ExtendedKeyUsage);
    }
    spiffe_id(&certificate)
}

fn spiffe_id(certificate: &X509Certificate<'_>) -> Result<SpiffeId, Refusal> {
    let names = certificate.subject_alternative_name().map_err(|_| Refusal::Malformed)?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(Ok(*uri)),
        GeneralName::Invalid(tag, _) if tag.0 == URI_TAG => Some(Err(Refusal::BadIdentity)),
        _ => None,
    });
    let uri = uris.next().ok_or(Refusal::NoIdentity)?;
    if uris.next().is_some() {
        return Err(Refusal::SeveralIdentities);
    }
    SpiffeId::parse(uri?).map_err(|_| Refusal::BadIdentity)
}

/// RFC 4514: the last name first, values escaped. Anything but printable ASCII becomes `\xx`, so that the text is safe
/// inside a quoted header value.
fn subject(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let mut relative: Vec<_> = name.iter_rdn().collect();
    relative.reverse();
    for (i, set) in relative.into_iter().enumerate() {
        for (j, attribute) in set.iter().enumerate() {
            text.push_str(match (i, j) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            });
            push_attribute(&mut text, attribute);
            if text.len() > MAX_SUBJECT {
                return String::new();
            }
        }
    }
    text
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    text.push_str(match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    });
    text.push('=');
    let value = attribute.as_slice();
    for (i, &byte) in value.iter().enumerate() {
        let edge = (i == 0 && matches!(byte, b' ' | b'#')) || (i + 1 == value.len() && byte == b' ');
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' if !edge => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02x}");
            }
        }
    }
}
