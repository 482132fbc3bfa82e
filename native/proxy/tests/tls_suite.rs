//! TLS end to end, in memory: handshakes, refusals, certificate choice, reload, hostile bytes; and against OpenSSL.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: clippy.toml allows these in test functions, here also in what they call"
)]

#[path = "tls_suite/pki.rs"]
mod pki;

#[path = "tls_suite/authority.rs"]
mod authority;
#[path = "tls_suite/handshake.rs"]
mod handshake;
#[path = "tls_suite/hostile.rs"]
mod hostile;
#[path = "tls_suite/openssl.rs"]
mod openssl;
#[path = "tls_suite/refusals.rs"]
mod refusals;
#[path = "tls_suite/reload.rs"]
mod reload;
#[path = "tls_suite/sni.rs"]
mod sni;
