//! The proxy's decisions: pure functions over bytes and facts. No sockets, no clock, no randomness of their own.
#![forbid(unsafe_code)]

pub mod balance;
pub mod grpc;
pub mod h2;
pub mod hpack;
pub mod http;
pub mod identity;
pub mod policy;
pub mod retry;
pub mod route;
