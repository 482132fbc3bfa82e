//! Why we do not take a peer's certificate although its chain is sound.

use rustls::{CertificateError, Error, OtherError};
use std::sync::Arc;

/// What is wrong with the identity in a certificate (X.509-SVID sections 2 to 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not parse as a certificate.
    #[error("the certificate does not parse")]
    Malformed,
    /// No URI name at all: a SPIFFE ID elsewhere (DNS name, common name) does not count.
    #[error("the certificate has no SPIFFE ID")]
    NoIdentity,
    /// More than one URI name.
    #[error("the certificate has more than one URI name")]
    SeveralIdentities,
    /// The URI name is not a SPIFFE ID in its one spelling, with a path.
    #[error("the certificate's URI name is not a valid SPIFFE ID")]
    BadIdentity,
    /// A SPIFFE ID of another trust domain.
    #[error("the certificate's SPIFFE ID is of another trust domain")]
    TrustDomain,
    /// Not one of the SPIFFE IDs expected of this service.
    #[error("the certificate's SPIFFE ID is not one that is expected")]
    Unexpected,
    /// A leaf that may sign (certificates or CRLs), or is a CA.
    #[error("the certificate is a signing certificate")]
    Signing,
    /// A leaf whose key may not sign handshakes.
    #[error("the certificate's key usage lacks digitalSignature")]
    KeyUsage,
    /// A leaf that is not made for this end of a connection.
    #[error("the certificate's extended key usage lacks serverAuth or clientAuth")]
    ExtendedKeyUsage,
    /// An intermediate that may not sign certificates.
    #[error("a certificate in the chain may not sign certificates")]
    Intermediate,
    /// A CA's limits (path length, names) that the chain oversteps.
    #[error("a CA in the certificate's chain may not issue it")]
    Constraint,
    /// The root that the chain ends in is outside its validity.
    #[error("the root of the certificate's chain is outside its validity")]
    Root,
}

impl Refusal {
    /// A short fixed word for metrics and logs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "bad_certificate",
            Self::NoIdentity | Self::SeveralIdentities | Self::BadIdentity => "bad_identity",
            Self::TrustDomain => "wrong_trust_domain",
            Self::Unexpected => "unexpected_identity",
            Self::Signing | Self::KeyUsage | Self::ExtendedKeyUsage => "wrong_usage",
            Self::Intermediate | Self::Constraint => "bad_chain",
            Self::Root => "expired",
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}
