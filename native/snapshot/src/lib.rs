//! The configuration as it crosses from TypeScript to Rust: closed, complete, without defaults.
//!
//! In: the JSON bytes of one snapshot, made by `compile` (src/engine/compile.ts). Out: a [`Checked`] snapshot whose
//! references all resolve. Before: publish. After: `tulle-decide` builds matchers from it, `tulle-proxy` applies it.
//! The TypeScript twin, src/engine/snapshot.generated.ts, is generated from [`wire`] by this crate's tests.
#![forbid(unsafe_code)]

mod check;
mod error;
pub mod wire;

#[cfg(test)]
mod generated;

pub use check::Checked;
pub use error::Error;

/// The format version this build reads and writes (`Snapshot::format`).
pub const FORMAT: u32 = 1;
