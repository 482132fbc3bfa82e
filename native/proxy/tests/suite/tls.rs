//! TLS end to end, in memory: handshakes, refusals, certificate choice, reload, hostile bytes; and against OpenSSL.

mod pki;

mod authority;
mod budget;
mod handshake;
mod hostile;
mod openssl;
mod refusals;
mod reload;
mod sni;
