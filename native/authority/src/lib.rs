//! The certificate authority: keys, signing, revocation, and the files of `tulle certs`.
//!
//! In: a directory and the time. Out: `DIR/certs/` with a CA, leaves and a revocation list that the examples name.
//! Before: the command line. After: listeners and services, which read the files. Private keys are written, never shown.
#![forbid(unsafe_code)]

mod authority;
mod certs;
mod error;
mod files;

pub use certs::{Written, revoke, write_certs};
pub use error::Error;
