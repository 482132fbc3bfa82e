//! Whom we believe: roots, revocation lists, trust domain and expected identities, and the check of a peer's chain.
//!
//! In: a peer's chain and the time. Out: its identity, or why it is refused. The one implementation behind the listener's
//! and the service's verifier, and behind the check of living connections after a change.
//!
//! Revocation: a certificate named by a list of its issuer is refused, anywhere in the chain. An issuer without a list
//! revokes nothing. A list past its `nextUpdate` still counts, and is warned about: refusing everybody because a list
//! is late would turn a stale file into an outage.

use super::configs::PROVIDER;
use super::error::TlsConfigError;
use super::material::Material;
use super::peer::{self, Role};
use super::pem;
use super::refusal::Refusal;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use rustls::{CertificateError, DistinguishedName, Error, OtherError};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use tulle_decide::identity::{SpiffeId, TrustDomain};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// What a peer with an identity is checked against.
pub(super) struct Trust {
    roots: Roots,
    lists: Vec<CertRevocationList<'static>>,
    domain: TrustDomain,
    /// SPIFFE IDs, one of which the peer must have; empty: any of the trust domain.
    expect: Vec<SpiffeId>,
    role: Role,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
}

/// What a [`Trust`] is loaded from.
pub(super) struct TrustFiles<'a> {
    /// PEM file of roots.
    pub(super) bundle: &'a str,
    /// PEM file of revocation lists.
    pub(super) crl: Option<&'a str>,
    /// The trust domain as configured; none: that of `own`.
    pub(super) domain: Option<&'a str>,
    /// Our own identity.
    pub(super) own: SpiffeId,
}

/// The roots of a trust bundle.
#[derive(Default)]
struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    /// Validity of each, Unix seconds: an anchor itself does not say.
    validity: Vec<(i64, i64)>,
    subjects: Vec<DistinguishedName>,
}

impl Roots {
    /// Loads a bundle. Each certificate in it must be a CA's.
    fn load(
        path: &Path,
        material: &Material,
        now: u64,
        warnings: &mut Vec<String>,
    ) -> Result<Self, TlsConfigError> {
        let mut roots = Self::default();
        for der in pem::certificates(path, material)? {
            let certificate = pem::parse(path, &der)?;
            if !may_sign(&certificate) {
                return Err(TlsConfigError::new(path, "a certificate in it is not that of a CA"));
            }
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|_| TlsConfigError::new(path, "a certificate in it cannot be used as a root"))?;
            let (from, to) = pem::validity(&certificate);
            warnings.extend(pem::out_of_date(&path.to_string_lossy(), "a root", now, from, to));
            roots.subjects.push(DistinguishedName::in_sequence(&anchor.subject));
            roots.anchors.push(anchor.to_owned());
            roots.validity.push((from, to));
        }
        Ok(roots)
    }

    fn valid(&self, anchor: &TrustAnchor<'_>, now: UnixTime) -> bool {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let known = self.anchors.iter().zip(&self.validity);
        known.filter(|(known, _)| *known == anchor).any(|(_, (from, to))| (*from..=*to).contains(&now))
    }
}

fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let ca = matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca);
    let usage = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    ca && usage
}

/// Loads revocation lists, and warnings about late ones. A list that claims to be of one of `bundle`'s roots must be
/// signed by it.
fn revocation_lists(
    path: &Path,
    bundle: &Path,
    material: &Material,
    now: u64,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertRevocationList<'static>>, TlsConfigError> {
    let roots = pem::certificates(bundle, material)?;
    let mut lists = Vec::new();
    for der in pem::revocation_lists(path, material)? {
        let unreadable = || TlsConfigError::new(path, "a revocation list in it does not parse");
        let (_, parsed) = CertificateRevocationList::from_der(&der).map_err(|_| unreadable())?;
        if !signed_by_its_root(&parsed, &roots) {
            let reason = format!("a revocation list in it is not signed by its root in {}", bundle.display());
            return Err(TlsConfigError::new(path, reason));
        }
        let late = parsed.next_update().map_or(i64::MAX, |time| time.timestamp());
        warnings.extend(pem::out_of_date(&path.to_string_lossy(), "a revocation list", now, i64::MIN, late));
        let list = OwnedCertRevocationList::from_der(&der).map_err(|error| {
            TlsConfigError::new(
                path,
                format!("a revocation list in it cannot be used: {}", list_problem(&error)),
            )
        })?;
        lists.push(list.into());
    }
    Ok(lists)
}

/// False when roots have the name of the list's issuer, and none of them signed it.
fn signed_by_its_root(list: &CertificateRevocationList<'_>, roots: &[CertificateDer<'_>]) -> bool {
    let mut named = roots
        .iter()
        .filter_map(|root| X509Certificate::from_der(root).ok())
        .filter(|(_, root)| root.subject().as_raw() == list.issuer().as_raw())
        .peekable();
    named.peek().is_none() || named.any(|(_, root)| list.verify_signature(root.public_key()).is_ok())
}

fn list_problem(error: &webpki::Error) -> &'static str {
    match error {
        webpki::Error::UnsupportedCrlVersion => "it is not of version 2 (make it with a CRL number)",
        webpki::Error::InvalidCrlNumber => "its CRL number is not valid",
        webpki::Error::UnsupportedDeltaCrl => "it is a delta list",
        webpki::Error::UnsupportedIndirectCrl => "it is an indirect list",
        _ => "it does not parse",
    }
}

impl Trust {
    /// Loads roots and lists; lines about late ones go to `warnings`. `role` is the part that peers play.
    pub(super) fn load(
        files: &TrustFiles<'_>,
        role: Role,
        expect: Vec<SpiffeId>,
        material: &Material,
        now: u64,
        warnings: &mut Vec<String>,
    ) -> Result<Self, TlsConfigError> {
        let bundle = Path::new(files.bundle);
        let domain = match files.domain {
            Some(name) => TrustDomain::parse(name)
                .map_err(|error| TlsConfigError::setting(format!("trust domain {name:?} {error}")))?,
            None => TrustDomain::of(&files.own),
        };
        let roots = Roots::load(bundle, material, now, warnings)?;
        let lists = match files.crl {
            Some(crl) => revocation_lists(Path::new(crl), bundle, material, now, warnings)?,
            None => Vec::new(),
        };
        let algorithms = PROVIDER.signature_verification_algorithms.all;
        Ok(Self { roots, lists, domain, expect, role, algorithms })
    }

    /// The trust domain that peers must belong to.
    pub(super) fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Names of the roots, sent to clients as a hint.
    pub(super) fn subjects(&self) -> &[DistinguishedName] {
        &self.roots.subjects
    }

    /// Checks a chain (leaf first) at `now`: signatures up to a root, validity, usage, revocation, and the identity.
    pub(super) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<SpiffeId, Error> {
        self.check_chain(leaf, rest, now)?;
        let id = peer::svid(leaf, self.role)?;
        if !id.is_member_of(&self.domain) {
            return Err(Refusal::TrustDomain.into());
        }
        if !self.expect.is_empty() && !self.expect.contains(&id) {
            return Err(Refusal::Unexpected.into());
        }
        Ok(id)
    }

    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = EndEntityCert::try_from(leaf).map_err(chain_error)?;
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build()
        });
        let refused = Cell::new(None);
        let judge = |path: &VerifiedPath<'_>| {
            let verdict = self.judge(path, now);
            refused.set(verdict.err());
            verdict.map_err(|_| webpki::Error::UnknownIssuer)
        };
        let usage = match self.role {
            Role::Server => KeyUsage::server_auth(),
            Role::Client => KeyUsage::client_auth(),
        };
        let algorithms = self.algorithms;
        let anchors = &self.roots.anchors;
        let path =
            certificate.verify_for_usage(algorithms, anchors, rest, now, usage, revocation, Some(&judge));
        match (path, refused.get()) {
            (Ok(_), _) => Ok(()),
            (Err(webpki::Error::UnknownIssuer), Some(refusal)) => Err(refusal.into()),
            (Err(error), _) => Err(chain_error(error)),
        }
    }

    /// What the chain check of webpki leaves out: the root's own validity, and whether intermediates may sign.
    fn judge(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), Refusal> {
        if !self.roots.valid(path.anchor(), now) {
            return Err(Refusal::Root);
        }
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| Refusal::Malformed)?;
            if !may_sign(&certificate) {
                return Err(Refusal::Intermediate);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust")
            .field("domain", &self.domain)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}

fn chain_error(error: webpki::Error) -> Error {
    match error {
        webpki::Error::BadDer | webpki::Error::BadDerTime | webpki::Error::TrailingData(_) => {
            CertificateError::BadEncoding.into()
        }
        webpki::Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }.into()
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }.into()
        }
        webpki::Error::CertRevoked => CertificateError::Revoked.into(),
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer.into(),
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature.into(),
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose.into(),
        webpki::Error::CaUsedAsEndEntity => Refusal::Signing.into(),
        webpki::Error::EndEntityUsedAsCa => Refusal::Intermediate.into(),
        webpki::Error::PathLenConstraintViolated | webpki::Error::NameConstraintViolation => {
            Refusal::Constraint.into()
        }
        webpki::Error::InvalidCertValidity => Refusal::Malformed.into(),
        other => CertificateError::Other(OtherError(Arc::new(other))).into(),
    }
}
