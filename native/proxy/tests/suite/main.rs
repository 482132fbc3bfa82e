//! TLS and telemetry by what is public of them, as one program.
#![cfg(test)]

#[path = "../../../decide/tests/suite/counting.rs"]
mod counting;
mod fixture;
mod telemetry_admin;
mod telemetry_alloc;
mod telemetry_log;
mod telemetry_metrics;
mod tls;
