//! The data plane: workers, sockets, TLS and telemetry around the decisions of `tulle-decide`.
#![forbid(unsafe_code)]

mod certificates;
mod clock;
mod date;
mod engine;
mod error;
#[cfg(test)]
mod fixture;
mod health;
mod io;
mod line;
mod mailbox;
mod random;
mod rules;
mod running;
mod shared;
mod slab;
mod standing;
pub mod telemetry;
mod timers;
pub mod tls;
mod worker;

pub use engine::Engine;
pub use error::Error;
