//! Every test of the decisions that needs only what is public, as one program.
#![cfg(test)]

mod balance_round_robin;
mod counting;
mod fixture;
mod golden;
mod http_blocks;
mod http_bodies_paths;
mod http_hot_path;
mod http_property;
mod http_requests;
mod http_responses;
mod identity_table;
mod policy_table;
mod route_hot_path;
mod route_plan;
mod route_reference;
mod route_table;
