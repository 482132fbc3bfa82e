//! TLS: the handshake, records, who the peer is, and the certificates that all of it stands on.
//!
//! In: bytes from a connection, PEM files named by the snapshot. Out: plaintext and a verified [`Peer`].
//! Before: listen. After: detect and http, with [`Session`] in between; policy, by the peer's identity.

mod clock;
mod configs;
mod error;
mod loaded;
mod material;
mod peer;
mod pem;
mod record;
mod refusal;
mod resolver;
mod session;
mod trust;

pub use clock::WallClock;
pub use configs::{ClientTls, ServerTls, Source, UpstreamTls};
pub use error::{TlsConfigError, TlsError};
pub use loaded::{Loaded, Renewal};
pub use material::{Fingerprints, Material};
pub use peer::Peer;
pub use pem::Expiry;
pub use refusal::Refusal;
pub use session::{Received, Session};
