//! From the snapshot's TLS settings and PEM files to what handshakes run on.
//!
//! In: [`ListenerTls`] or [`ServiceTls`], the bytes of their files, a clock. Out: [`ServerTls`] or [`ClientTls`], shared by
//! all workers, or one line that names the file at fault. Before: apply. After: [`super::Session`].

mod client;
mod server;
mod verifier;

pub use client::{ClientTls, UpstreamTls};
pub use server::ServerTls;

use super::clock::WallClock;
use super::error::TlsConfigError;
use super::material::Material;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, NamedGroup, SupportedProtocolVersion};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
#[cfg(doc)]
use tulle_snapshot::wire::{ListenerTls, ServiceTls};

/// Settings that are built from files, and built again when these change.
pub trait Source {
    /// What it makes.
    type Built;
    /// Every file that it reads.
    fn files(&self) -> Vec<PathBuf>;
    /// Builds from files that were read. The error is one line about one file.
    fn build(&self, material: &Material, clock: &WallClock) -> Result<Self::Built, TlsConfigError>;
}

const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const TLS12_AND_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// aws-lc-rs, with the hybrid post-quantum group first, and AES-128-GCM before AES-256-GCM: it costs a quarter less per
/// byte and is as safe in TLS 1.3 for any data that travels today.
pub(super) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::X25519MLKEM768);
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
});

fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    if tls12 { TLS12_AND_13 } else { TLS13 }
}
