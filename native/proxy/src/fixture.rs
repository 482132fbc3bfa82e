//! Snapshots for tests of what is compiled from them.

use crate::running::{Core, Resolved, Running};
use serde_json::{Value, json};

/// One service with these endpoints: a list of `{ kind, … }` as the snapshot has them.
pub(crate) fn service(name: &str, endpoints: &[Value]) -> Value {
    let endpoint = |address: &Value| json!({ "address": address, "weight": 1, "zone": null });
    let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
    json!({
        "name": name, "protocol": "http", "sendProxyProtocol": null, "endpoints": endpoints, "subsets": [],
        "loadBalancing": { "policy": "round-robin", "key": null, "preferZone": false, "slowStartMs": 0, "affinity": null },
        "tls": null, "connectTimeoutMs": 1000,
        "pool": {
            "connections": 10, "idlePerEndpoint": 10, "idleTimeoutMs": 1000, "requestsPerConnection": null, "pending": 10,
            "queueTimeoutMs": 1000,
        },
        "circuit": { "requests": null, "retries": null, "endpointConnections": null, "endpointRequests": null, "adaptive": null },
        "healthCheck": null, "outlierDetection": null,
    })
}

/// A rule for everything, to the first service, with these of its members changed.
pub(crate) fn rule(changes: &[(&str, Value)]) -> Value {
    let edits = json!({ "remove": [], "set": [], "add": [] });
    let any = json!({ "path": null, "method": null, "headers": [], "query": [], "cookies": [] });
    let mut rule = json!({
        "matches": [any], "requestHeaders": edits, "responseHeaders": edits, "rewrite": null, "redirect": null,
        "requestTimeoutMs": 0, "streamIdleTimeoutMs": 0, "perTryTimeoutMs": 0, "rateLimit": null, "fault": null,
        "mirror": null, "priority": "normal", "sticky": null,
        "retry": {
            "attempts": 1, "on": [], "statuses": [], "backoffBaseMs": 25, "backoffMaxMs": 250,
            "budget": { "percent": 20, "minPerSecond": 10 }, "nonIdempotent": false, "hedge": null,
        },
        "backends": [{ "service": 0, "subset": null, "weight": 1, "fallback": false }],
    });
    for (path, value) in changes {
        *rule.pointer_mut(path).unwrap() = value.clone();
    }
    rule
}

/// A snapshot of one route with these rules, and these services, compiled.
pub(crate) fn core(generation: u32, rules: &[Value], services: &[Value]) -> Core {
    let routes = json!([{ "name": "all", "listeners": [], "hostnames": [], "rules": rules }]);
    let routes = if rules.is_empty() { json!([]) } else { routes };
    let snapshot = json!({
        "format": tulle_snapshot::FORMAT, "version": "v1", "workers": 2, "drainMs": 1000, "memoryBytes": null, "zone": null,
        "accessLog": { "requests": "off", "file": "-" }, "listeners": [], "services": services, "routes": routes,
        "authorization": [],
    });
    Core::new(snapshot.to_string().as_bytes(), generation).unwrap()
}

/// The same, completed with what names resolve to, and with what was `before`.
pub(crate) fn running(services: &[Value], resolved: &Resolved, before: Option<&Running>) -> Running {
    Running::new(core(1, &[], services), resolved, before).unwrap()
}
