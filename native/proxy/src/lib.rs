//! The data plane: workers, sockets, TLS and telemetry around the decisions of `tulle-decide`.
#![forbid(unsafe_code)]

mod engine;
mod error;
pub mod telemetry;
pub mod tls;

pub use engine::Engine;
pub use error::Error;
