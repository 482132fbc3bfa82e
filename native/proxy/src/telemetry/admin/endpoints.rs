//! The page that says how each endpoint stands.

use crate::telemetry::ServiceFacts;
use serde::Serialize;

#[derive(Serialize)]
struct Page<'a> {
    services: Vec<Service<'a>>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    /// So many would be ejected that they are used all the same.
    panic: bool,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    address: &'a str,
    /// `usable`, `ejected`, `unhealthy` or `draining`.
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'static str,
}

/// All services and their endpoints as JSON, indented for people.
#[must_use]
pub fn endpoints_page(services: &[ServiceFacts]) -> String {
    let services = services.iter().map(|service| Service {
        name: &service.name,
        panic: service.panics,
        endpoints: service
            .endpoints
            .iter()
            .map(|endpoint| Endpoint {
                address: &endpoint.address,
                state: endpoint.state.name(),
                why: endpoint.why,
            })
            .collect(),
    });
    let page = Page { services: services.collect() };
    serde_json::to_string_pretty(&page).unwrap_or_default() + "\n"
}
