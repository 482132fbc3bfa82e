//! A service's side: whom we expect at its endpoints, and what we show them.

use super::verifier::ServerVerifier;
use super::{PROVIDER, Source, versions};
use crate::tls::clock::WallClock;
use crate::tls::error::{TlsConfigError, TlsError};
use crate::tls::material::Material;
use crate::tls::peer::Role;
use crate::tls::pem::{self, Expiry};
use crate::tls::session::Session;
use crate::tls::trust::{Trust, TrustFiles};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tulle_decide::identity::SpiffeId;
use tulle_snapshot::wire::ServiceTls;

/// A service's TLS settings with the protocols we speak to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// From the snapshot.
    pub tls: ServiceTls,
    /// ALPN names offered, best first; empty: no ALPN.
    pub alpn: Vec<String>,
}

/// What a service's handshakes run on.
///
/// Nothing is resumed: connections are pooled, so handshakes are few, and a resumed one would skip the checks of the peer.
#[derive(Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    check: Check,
    expiries: Vec<Expiry>,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Check {
    /// By name: this one, or the endpoint's.
    Name { fixed: Option<ServerName<'static>>, verifier: Arc<WebPkiServerVerifier> },
    /// By SPIFFE ID.
    Identity(Arc<ServerVerifier>),
}

impl ClientTls {
    /// Begins a connection to an endpoint; `host` is its DNS name or IP address, none for a Unix socket.
    pub fn session(&self, host: Option<&str>) -> Result<Session, TlsError> {
        Session::client(self.config.clone(), self.server_name(host)?)
    }

    /// The name to ask for (SNI) and, in simple mode, to verify.
    fn server_name(&self, host: Option<&str>) -> Result<ServerName<'static>, TlsError> {
        let named = host.and_then(|host| ServerName::try_from(host.to_owned()).ok());
        match &self.check {
            Check::Name { fixed: Some(name), .. } => Ok(name.clone()),
            Check::Name { fixed: None, .. } => {
                named.ok_or_else(|| TlsError::ServerName(host.unwrap_or_default().to_owned()))
            }
            // rustls wants a name; the verifier does not look at it, and of an address nothing is sent.
            Check::Identity(_) => {
                Ok(named.unwrap_or(ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1])))))
            }
        }
    }

    /// The rustls configuration, shared by all workers.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// When our own certificate expires; empty when we show none.
    #[must_use]
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// What an operator should look at, one line each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the peer of a connection to `host` would be taken again now. True during the handshake, which decides by
    /// itself.
    #[must_use]
    pub fn still_trusted(&self, session: &Session, host: Option<&str>) -> bool {
        let chain = session.peer_certificates();
        match (&self.check, chain.split_first()) {
            _ if session.is_handshaking() => true,
            (_, None) => false,
            (Check::Identity(verifier), _) => verifier.trusts(chain),
            (Check::Name { verifier, .. }, Some((leaf, rest))) => {
                let now = self.config.time_provider.current_time();
                now.zip(self.server_name(host).ok()).is_some_and(|(now, name)| {
                    verifier.verify_server_cert(leaf, rest, &name, &[], now).is_ok()
                })
            }
        }
    }
}

impl Source for UpstreamTls {
    type Built = ClientTls;

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<&String> = Vec::new();
        match &self.tls {
            ServiceTls::Simple { trust_bundle, identity, .. } => {
                files.extend(trust_bundle);
                files.extend(identity.iter().flat_map(|identity| [&identity.cert, &identity.key]));
            }
            ServiceTls::Mutual { identity, trust_bundle, crl, .. } => {
                files.extend([&identity.cert, &identity.key, trust_bundle]);
                files.extend(crl);
            }
        }
        files.into_iter().map(PathBuf::from).collect()
    }

    fn build(&self, material: &Material, clock: &WallClock) -> Result<ClientTls, TlsConfigError> {
        let mut warnings = Vec::new();
        let own = match &self.tls {
            ServiceTls::Simple { identity, .. } => identity.as_ref(),
            ServiceTls::Mutual { identity, .. } => Some(identity),
        };
        let mut own = own.map(|files| pem::identity(files, material, &PROVIDER, clock.now())).transpose()?;
        warnings.extend(own.as_mut().and_then(|own| own.warning.take()));
        let check = match &self.tls {
            ServiceTls::Simple { server_name, trust_bundle, .. } => {
                by_name(server_name.as_deref(), trust_bundle.as_deref(), material)?
            }
            ServiceTls::Mutual { identity, trust_bundle, expect, trust_domain, crl } => {
                let own =
                    own.as_ref().ok_or_else(|| TlsConfigError::setting("mutual TLS needs an identity"))?;
                let files = TrustFiles {
                    bundle: trust_bundle,
                    crl: crl.as_deref(),
                    domain: trust_domain.as_deref(),
                    own: pem::own_svid(&identity.cert, own, Role::Client)?,
                };
                let expect = expected(expect)?;
                let trust = Trust::load(&files, Role::Server, expect, material, clock.now(), &mut warnings)?;
                Check::Identity(Arc::new(ServerVerifier::new(trust, clock.clone())))
            }
        };
        let expiries = own.iter().map(|own| own.expiry.clone()).collect();
        let config = config(&check, own.map(|own| own.key), &self.alpn, clock)?;
        Ok(ClientTls { config: Arc::new(config), check, expiries, warnings })
    }
}

fn by_name(name: Option<&str>, bundle: Option<&str>, material: &Material) -> Result<Check, TlsConfigError> {
    let fixed = match name {
        None => None,
        Some(name) => Some(ServerName::try_from(name.to_owned()).map_err(|_| {
            TlsConfigError::setting(format!("serverName: {name:?} is not a host name or IP address"))
        })?),
    };
    let (file, roots) = match bundle {
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in pem::certificates(Path::new(file), material)? {
                roots
                    .add(certificate)
                    .map_err(|_| TlsConfigError::new(file, "a certificate in it cannot be used as a root"))?;
            }
            (file, Arc::new(roots))
        }
        None => (SYSTEM, system_roots()?),
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, PROVIDER.clone())
        .build()
        .map_err(|error| TlsConfigError::new(file, error.to_string()))?;
    Ok(Check::Name { fixed, verifier })
}

const SYSTEM: &str = "the system's trust store";

/// Read once: the system's roots are part of the machine, not of the configuration.
fn system_roots() -> Result<Arc<RootCertStore>, TlsConfigError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsConfigError::new(SYSTEM, "is empty: install ca-certificates or set trustBundle"));
    }
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

fn expected(ids: &[String]) -> Result<Vec<SpiffeId>, TlsConfigError> {
    let parse = |id: &String| {
        SpiffeId::parse(id).map_err(|error| TlsConfigError::setting(format!("expect: {id:?} {error}")))
    };
    ids.iter().map(parse).collect()
}

fn config(
    check: &Check,
    own: Option<Arc<CertifiedKey>>,
    alpn: &[String],
    clock: &WallClock,
) -> Result<ClientConfig, TlsConfigError> {
    let broken = |error: rustls::Error| TlsConfigError::setting(format!("TLS cannot be set up: {error}"));
    let (tls12, verifier): (bool, Arc<dyn ServerCertVerifier>) = match check {
        Check::Name { verifier, .. } => (true, verifier.clone()),
        Check::Identity(verifier) => (false, verifier.clone()),
    };
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_details(PROVIDER.clone(), Arc::new(clock.clone()))
            .with_protocol_versions(versions(tls12))
            .map_err(broken)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}
