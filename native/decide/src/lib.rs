//! The proxy's decisions: pure functions over bytes and facts. No sockets, no clock, no randomness of their own.
#![forbid(unsafe_code)]

pub mod balance;
pub mod chance;
pub mod circuit;
pub mod client_hello;
pub mod deadline;
pub mod detect;
pub mod fault;
pub mod forward;
pub mod grpc;
pub mod h2;
pub mod health;
pub mod hpack;
pub mod http;
pub mod identity;
pub mod mirror;
pub mod network;
pub mod outlier;
pub mod overload;
pub mod policy;
pub mod proxy_protocol;
pub mod rate_limit;
pub mod request_key;
pub mod retry;
pub mod route;
