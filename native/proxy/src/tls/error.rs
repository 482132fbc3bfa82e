//! What can go wrong with a connection ([`TlsError`]) and with a configuration ([`TlsConfigError`]).

use super::refusal::Refusal;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};
use std::path::{Path, PathBuf};

/// Why a connection cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer broke the protocol, was refused, or refused us.
    #[error("{}", describe(.0))]
    Protocol(Error),
    /// Sending before the handshake is complete.
    #[error("the TLS handshake is not complete")]
    Handshaking,
    /// Sending after `close_notify`, or anything after an error.
    #[error("the TLS connection is closed")]
    Closed,
    /// A handshake message larger than we keep.
    #[error("the peer's TLS handshake message is too long")]
    TooLong,
    /// The keys may encrypt no more.
    #[error("the TLS keys are used up")]
    Exhausted,
    /// The caller presented less than what was left over the last time.
    #[error("bytes kept for TLS are missing")]
    TailMissing,
    /// The endpoint's host cannot be a TLS server name.
    #[error("{0:?} is not a host name or IP address to verify: set serverName")]
    ServerName(String),
    /// rustls reached a state that our configurations rule out.
    #[error("the TLS connection is stuck")]
    Stuck,
}

impl TlsError {
    /// A short fixed word for metrics and logs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Protocol(error) => reason(error),
            Self::Handshaking | Self::TailMissing | Self::Stuck | Self::Exhausted => "internal",
            Self::Closed => "closed",
            Self::TooLong => "too_long",
            Self::ServerName(_) => "server_name",
        }
    }

    /// Our own reason for refusing the peer's certificate, where it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Protocol(Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
                other.downcast_ref()
            }
            _ => None,
        }
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => other.to_string(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "these bytes are not TLS".into(),
        other => other.to_string(),
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::NoCertificatesPresented => "no_certificate",
        Error::InvalidCertificate(error) => certificate_reason(error),
        Error::AlertReceived(alert) => alert_reason(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "not_tls",
        Error::PeerIncompatible(_) => "incompatible",
        Error::DecryptError => "decrypt",
        Error::NoApplicationProtocol => "no_alpn",
        _ => "protocol",
    }
}

fn certificate_reason(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
        CertificateError::UnknownIssuer => "unknown_issuer",
        CertificateError::Revoked => "revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "wrong_usage",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "wrong_name",
        CertificateError::Other(OtherError(other)) => {
            other.downcast_ref::<Refusal>().map_or("bad_certificate", Refusal::reason)
        }
        _ => "bad_certificate",
    }
}

fn alert_reason(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "peer_wants_certificate",
        AlertDescription::CertificateExpired => "peer_says_expired",
        AlertDescription::CertificateRevoked => "peer_says_revoked",
        AlertDescription::UnknownCA => "peer_says_unknown_issuer",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => "peer_refuses_certificate",
        _ => "alert",
    }
}

/// Why TLS cannot be set up, as one line: the file, if one is at fault, and the reason. Never a file's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", .file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default())]
pub struct TlsConfigError {
    /// The file at fault; none: a setting is.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub reason: String,
}

impl TlsConfigError {
    /// One line about `file`.
    pub(super) fn new(file: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self { file: Some(file.as_ref().to_path_buf()), reason: reason.into() }
    }

    /// One line about a setting.
    pub(super) fn setting(reason: impl Into<String>) -> Self {
        Self { file: None, reason: reason.into() }
    }
}
