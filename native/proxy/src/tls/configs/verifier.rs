//! Gives rustls our check of peers' chains, for both ends of mutual TLS.

use super::PROVIDER;
use crate::tls::clock::WallClock;
use crate::tls::trust::Trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use tulle_decide::identity::TrustDomain;

/// Checks clients of a mutual listener.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    trust: Trust,
    clock: WallClock,
}

/// Checks servers of a mutual service. The name that was dialled does not matter, the SPIFFE ID does.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    trust: Trust,
    clock: WallClock,
}

fn trusts(trust: &Trust, clock: &WallClock, chain: &[CertificateDer<'_>]) -> bool {
    chain.split_first().is_some_and(|(leaf, rest)| trust.check(leaf, rest, clock.unix_time()).is_ok())
}

impl ClientVerifier {
    pub(super) fn new(trust: Trust, clock: WallClock) -> Self {
        Self { trust, clock }
    }

    pub(super) fn domain(&self) -> &TrustDomain {
        self.trust.domain()
    }

    /// Whether a chain would be taken now.
    pub(super) fn trusts(&self, chain: &[CertificateDer<'_>]) -> bool {
        trusts(&self.trust, &self.clock, chain)
    }
}

impl ServerVerifier {
    pub(super) fn new(trust: Trust, clock: WallClock) -> Self {
        Self { trust, clock }
    }

    /// Whether a chain would be taken now.
    pub(super) fn trusts(&self, chain: &[CertificateDer<'_>]) -> bool {
        trusts(&self.trust, &self.clock, chain)
    }
}

/// The two methods that both rustls traits share, over the algorithms of [`PROVIDER`].
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(
                message,
                certificate,
                signature,
                &PROVIDER.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                certificate,
                signature,
                &PROVIDER.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            PROVIDER.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.trust.check(leaf, rest, now).map(|_| ClientCertVerified::assertion())
    }

    handshake_signatures!();
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.check(leaf, rest, now).map(|_| ServerCertVerified::assertion())
    }

    handshake_signatures!();
}
