//! Every test of the decisions that needs only what is public, as one program.
#![cfg(test)]

mod balance_round_robin;
mod client_hello_table;
mod counting;
mod detect_table;
mod fixture;
mod forward_table;
mod golden;
mod h2_client;
mod h2_differential;
mod h2_fixture;
mod h2_floods;
mod h2_frames;
mod h2_hot_path;
mod h2_pair;
mod h2_pipes;
mod hpack_hot_path;
mod hpack_property;
mod hpack_table;
mod http_blocks;
mod http_bodies_paths;
mod http_hot_path;
mod http_property;
mod http_requests;
mod http_responses;
mod identity_table;
mod policy_table;
mod proxy_protocol_table;
mod route_hot_path;
mod route_plan;
mod route_reference;
mod route_table;
