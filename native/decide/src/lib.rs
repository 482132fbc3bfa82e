//! The proxy's decisions: pure functions over bytes and facts. No sockets, no clock, no randomness of their own.
#![forbid(unsafe_code)]

pub mod balance;
pub mod client_hello;
pub mod detect;
pub mod forward;
pub mod grpc;
pub mod h2;
pub mod hpack;
pub mod http;
pub mod identity;
pub mod network;
pub mod policy;
pub mod proxy_protocol;
pub mod retry;
pub mod route;
