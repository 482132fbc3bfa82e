//! The data plane: workers, sockets, TLS and telemetry around the decisions of `tulle-decide`.
#![forbid(unsafe_code)]

mod certificates;
mod clock;
mod date;
mod engine;
mod error;
mod io;
mod mailbox;
mod random;
mod running;
mod shared;
mod slab;
pub mod telemetry;
mod timers;
pub mod tls;
mod worker;

pub use engine::Engine;
pub use error::Error;
