//! A CA: its key and certificate, the leaves it signs, its revocation list.
//!
//! ECDSA P-256 throughout. Everything is backdated by an hour, for clocks that are behind.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber,
};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::num_bigint::BigUint;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

const HOUR: u64 = 3600;
const YEAR: u64 = 365 * 24 * HOUR;
/// How long a leaf lives.
const LEAF_LIFETIME: u64 = YEAR;
/// How long the CA lives, and its revocation list is good for: nobody renews that file.
const CA_LIFETIME: u64 = 10 * YEAR;

/// A CA that can sign.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    der: Vec<u8>,
}

/// A certificate and its key as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// What a leaf is made for.
pub(crate) struct Purpose {
    /// The name of its files, and its common name.
    pub(crate) name: &'static str,
    /// Its SPIFFE ID; none: a plain server certificate.
    pub(crate) spiffe: Option<&'static str>,
}

/// The certificates that a list revokes, and its number.
pub(crate) struct Revoked {
    entries: Vec<RevokedCertParams>,
    number: BigUint,
}

impl Authority {
    /// Makes a CA.
    pub(crate) fn create(now: u64) -> Result<(Self, Pair), Error> {
        const WHAT: &str = "the CA";
        let key = KeyPair::generate().map_err(Error::make(WHAT))?;
        let mut params = CertificateParams::default();
        // The name differs with the key, so that nobody takes a successor for its predecessor.
        let mut name = String::from("Tulle CA ");
        for byte in params.key_identifier(&key).iter().take(4) {
            let _ = write!(name, "{byte:02x}");
        }
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(now, CA_LIFETIME)?;
        let certificate = params.self_signed(&key).map_err(Error::make(WHAT))?;
        let pair = Pair { certificate: certificate.pem(), key: key.serialize_pem() };
        Ok((Self { der: certificate.der().to_vec(), issuer: Issuer::new(params, key) }, pair))
    }

    /// Takes up a CA from its files; none when it cannot sign (any more).
    pub(crate) fn load(certificate: &[u8], key: &[u8], now: u64) -> Option<Self> {
        let der = first_certificate(certificate)?;
        let key = KeyPair::from_pem(std::str::from_utf8(key).ok()?).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        if !parsed.is_ca() || !in_time(&parsed, now) || !belongs(&parsed, &key) {
            return None;
        }
        let issuer = Issuer::from_ca_cert_der(&der.clone().into(), key).ok()?;
        Some(Self { issuer, der })
    }

    /// Makes a leaf.
    pub(crate) fn issue(&self, purpose: &Purpose, now: u64) -> Result<Pair, Error> {
        const WHAT: &str = "a certificate";
        let key = KeyPair::generate().map_err(Error::make(WHAT))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, purpose.name);
        let text = |text: &str| text.try_into().map_err(Error::make(WHAT));
        params.subject_alt_names = vec![
            SanType::DnsName(text("localhost")?),
            SanType::DnsName(text("*.example.test")?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if let Some(id) = purpose.spiffe {
            params.subject_alt_names.push(SanType::URI(text(id)?));
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(now, LEAF_LIFETIME)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::make(WHAT))?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Whether a leaf's files are of use still: ours, in time, and of the same key.
    pub(crate) fn vouches_for(&self, certificate: &[u8], key: &[u8], now: u64) -> bool {
        let key = std::str::from_utf8(key).ok().and_then(|key| KeyPair::from_pem(key).ok());
        let Some((der, key)) = first_certificate(certificate).zip(key) else { return false };
        let Ok((_, parsed)) = X509Certificate::from_der(&der) else { return false };
        in_time(&parsed, now) && belongs(&parsed, &key) && self.signed(&parsed)
    }

    /// Whether a certificate (PEM) of ours is on a list.
    pub(crate) fn revokes(&self, revoked: &Revoked, certificate: &[u8]) -> bool {
        self.serial_of(certificate).is_some_and(|serial| revoked.contains(&serial))
    }

    fn signed(&self, certificate: &X509Certificate<'_>) -> bool {
        X509Certificate::from_der(&self.der).is_ok_and(|(_, own)| {
            own.subject().as_raw() == certificate.issuer().as_raw()
                && certificate.verify_signature(Some(own.public_key())).is_ok()
        })
    }

    /// The serial number of a certificate (PEM); none when it is not ours.
    pub(crate) fn serial_of(&self, certificate: &[u8]) -> Option<SerialNumber> {
        let der = first_certificate(certificate)?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        self.signed(&parsed).then(|| SerialNumber::from_slice(parsed.raw_serial()))
    }

    /// What a list (PEM) revokes, and whether it is in time; none when it is not ours.
    pub(crate) fn revoked_by(&self, list: &[u8], now: u64) -> Option<(Revoked, bool)> {
        let pem = Pem::iter_from_buffer(list).next()?.ok().filter(|pem| pem.label == "X509 CRL")?;
        let (_, parsed) = CertificateRevocationList::from_der(&pem.contents).ok()?;
        let (_, own) = X509Certificate::from_der(&self.der).ok()?;
        let ours = own.subject().as_raw() == parsed.issuer().as_raw();
        if !ours || parsed.verify_signature(own.public_key()).is_err() {
            return None;
        }
        let entries = parsed.iter_revoked_certificates().map(entry).collect::<Option<_>>()?;
        let number = parsed.crl_number().cloned().unwrap_or_default();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let in_time = parsed.next_update().is_some_and(|next| next.timestamp() > now);
        Some((Revoked { entries, number }, in_time))
    }

    /// Signs a list of what is revoked (PEM).
    pub(crate) fn sign_list(&self, revoked: Revoked, now: u64) -> Result<String, Error> {
        const WHAT: &str = "the revocation list";
        let (this_update, next_update) = validity(now, CA_LIFETIME)?;
        let params = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from_slice(&(revoked.number + 1_u32).to_bytes_be()),
            issuing_distribution_point: None,
            revoked_certs: revoked.entries,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(Error::make(WHAT))?;
        list.pem().map_err(Error::make(WHAT))
    }
}

impl Revoked {
    /// Nothing is revoked.
    pub(crate) fn none() -> Self {
        Self { entries: Vec::new(), number: BigUint::default() }
    }

    fn contains(&self, serial: &SerialNumber) -> bool {
        self.entries.iter().any(|entry| number(&entry.serial_number) == number(serial))
    }

    /// Adds a certificate; false when it is in already.
    pub(crate) fn add(&mut self, serial: SerialNumber, now: u64) -> Result<bool, Error> {
        let known = self.contains(&serial);
        if !known {
            self.entries.push(RevokedCertParams {
                serial_number: serial,
                revocation_time: at(now)?,
                reason_code: None,
                invalidity_date: None,
            });
        }
        Ok(!known)
    }
}

fn number(serial: &SerialNumber) -> BigUint {
    BigUint::from_bytes_be(&serial.to_bytes())
}

fn entry(revoked: &RevokedCertificate<'_>) -> Option<RevokedCertParams> {
    Some(RevokedCertParams {
        serial_number: SerialNumber::from_slice(revoked.raw_serial()),
        revocation_time: OffsetDateTime::from_unix_timestamp(revoked.revocation_date.timestamp()).ok()?,
        reason_code: revoked.reason_code().and_then(|(_, code)| reason(code.0)),
        invalidity_date: None,
    })
}

/// RFC 5280 section 5.3.1.
fn reason(code: u8) -> Option<RevocationReason> {
    Some(match code {
        1 => RevocationReason::KeyCompromise,
        2 => RevocationReason::CaCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        6 => RevocationReason::CertificateHold,
        9 => RevocationReason::PrivilegeWithdrawn,
        10 => RevocationReason::AaCompromise,
        _ => return None,
    })
}

fn first_certificate(pem: &[u8]) -> Option<Vec<u8>> {
    let mut sections = Pem::iter_from_buffer(pem).filter_map(Result::ok);
    sections.find(|section| section.label == "CERTIFICATE").map(|section| section.contents)
}

fn in_time(certificate: &X509Certificate<'_>, now: u64) -> bool {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    (validity.not_before.timestamp()..validity.not_after.timestamp()).contains(&now)
}

fn belongs(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
}

/// From an hour ago until `lifetime` from now.
fn validity(now: u64, lifetime: u64) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    Ok((at(now.saturating_sub(HOUR))?, at(now.saturating_add(lifetime))?))
}

fn at(seconds: u64) -> Result<OffsetDateTime, Error> {
    let seconds_signed = i64::try_from(seconds).map_err(|_| Error::Time(seconds))?;
    OffsetDateTime::from_unix_timestamp(seconds_signed).map_err(|_| Error::Time(seconds))
}
