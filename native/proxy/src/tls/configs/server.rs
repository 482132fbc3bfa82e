//! A listener's side: certificates by SNI, ALPN, tickets, and in mutual mode who may connect.

use super::verifier::ClientVerifier;
use super::{PROVIDER, Source, versions};
use crate::tls::clock::WallClock;
use crate::tls::error::{TlsConfigError, TlsError};
use crate::tls::material::Material;
use crate::tls::peer::Role;
use crate::tls::pem::{self, Expiry, Identity};
use crate::tls::resolver::ByName;
use crate::tls::session::Session;
use crate::tls::trust::{Trust, TrustFiles};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use tulle_decide::identity::TrustDomain;
use tulle_snapshot::wire::{Certificate, ListenerTls, TlsMode};

/// What a listener's handshakes run on.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<ClientVerifier>>,
    expiries: Vec<Expiry>,
    warnings: Vec<String>,
}

impl ServerTls {
    /// Begins a connection that a client opened.
    pub fn session(&self) -> Result<Session, TlsError> {
        Session::server(self.config.clone())
    }

    /// The rustls configuration, shared by all workers.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The trust domain that clients must belong to; none in simple mode.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        self.verifier.as_ref().map(|verifier| verifier.domain())
    }

    /// When the certificates expire, in the order of the file.
    #[must_use]
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// What an operator should look at, one line each: files that are expired or soon to be of use.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether a connection would be let in again now: its chain against this trust, this revocation list, this time.
    /// Always so in simple mode, and during the handshake, which decides by itself.
    #[must_use]
    pub fn still_trusted(&self, session: &Session) -> bool {
        session.is_handshaking()
            || self.verifier.as_ref().is_none_or(|verifier| verifier.trusts(session.peer_certificates()))
    }
}

impl Source for ListenerTls {
    type Built = ServerTls;

    fn files(&self) -> Vec<PathBuf> {
        let pair = |certificate: &Certificate| [certificate.cert.clone(), certificate.key.clone()];
        let certificates = self.certificates.iter().flat_map(pair);
        certificates.chain(self.trust_bundle.clone()).chain(self.crl.clone()).map(PathBuf::from).collect()
    }

    fn build(&self, material: &Material, clock: &WallClock) -> Result<ServerTls, TlsConfigError> {
        let load = |files| pem::identity(files, material, &PROVIDER, clock.now());
        let mut identities = self.certificates.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let mut warnings: Vec<String> = identities.iter_mut().filter_map(|i| i.warning.take()).collect();
        let expiries = identities.iter().map(|identity| identity.expiry.clone()).collect();
        let verifier = match self.mode {
            TlsMode::Simple => None,
            TlsMode::Mutual => Some(Arc::new(verifier(self, &identities, material, clock, &mut warnings)?)),
        };
        let names = identities.into_iter().map(|identity| (identity.key, identity.dns_names)).collect();
        let resolver =
            ByName::new(names).ok_or_else(|| TlsConfigError::setting("no certificate is configured"))?;
        let config = config(self, resolver, verifier.clone(), clock)?;
        Ok(ServerTls { config: Arc::new(config), verifier, expiries, warnings })
    }
}

fn verifier(
    tls: &ListenerTls,
    identities: &[Identity],
    material: &Material,
    clock: &WallClock,
    warnings: &mut Vec<String>,
) -> Result<ClientVerifier, TlsConfigError> {
    let missing = |what: &str| TlsConfigError::setting(format!("mutual TLS needs {what}"));
    let (files, identity) =
        tls.certificates.first().zip(identities.first()).ok_or_else(|| missing("an identity"))?;
    let files = TrustFiles {
        bundle: tls.trust_bundle.as_deref().ok_or_else(|| missing("a trust bundle"))?,
        crl: tls.crl.as_deref(),
        domain: tls.trust_domain.as_deref(),
        own: pem::own_svid(&files.cert, identity, Role::Server)?,
    };
    let trust = Trust::load(&files, Role::Client, Vec::new(), material, clock.now(), warnings)?;
    Ok(ClientVerifier::new(trust, clock.clone()))
}

fn config(
    tls: &ListenerTls,
    resolver: ByName,
    verifier: Option<Arc<ClientVerifier>>,
    clock: &WallClock,
) -> Result<ServerConfig, TlsConfigError> {
    let broken = |error: rustls::Error| TlsConfigError::setting(format!("TLS cannot be set up: {error}"));
    let mutual = verifier.is_some();
    let builder = ServerConfig::builder_with_details(PROVIDER.clone(), Arc::new(clock.clone()))
        .with_protocol_versions(versions(tls.tls12 && !mutual))
        .map_err(broken)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    if mutual {
        // A resumed handshake would skip the checks of identity, expiry and revocation.
        config.send_tls13_tickets = 0;
    } else {
        // Keys of this listener and this build alone: no other listener, and nothing after a reload, takes its tickets.
        config.ticketer = Ticketer::new().map_err(broken)?;
    }
    Ok(config)
}
