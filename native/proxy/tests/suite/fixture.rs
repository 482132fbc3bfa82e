//! A snapshot to observe: listeners, routes, services and policies by name.

use serde_json::{Value, json};
use std::sync::Arc;
use tulle_proxy::telemetry::{Names, Record};
use tulle_snapshot::Checked;

/// What a test's snapshot holds.
pub(crate) struct Shape<'a> {
    /// Names of the listeners.
    pub(crate) listeners: &'a [&'a str],
    /// Names of the routes, with the number of their rules.
    pub(crate) routes: &'a [(&'a str, usize)],
    /// Names of the services, of two endpoints each.
    pub(crate) services: &'a [&'a str],
}

impl Shape<'_> {
    /// The snapshot, with an enforced policy `guard` and a shadow policy `trial`.
    pub(crate) fn snapshot(&self) -> Checked {
        let listeners: Vec<Value> = self.listeners.iter().map(|name| listener(name)).collect();
        let services: Vec<Value> = self.services.iter().map(|name| service(name)).collect();
        let routes: Vec<Value> = self.routes.iter().map(|(name, rules)| route(name, *rules)).collect();
        let policy = |name: &str, mode: &str| json!({ "name": name, "listeners": [0], "action": "deny", "mode": mode, "rules": [] });
        let snapshot = json!({
            "format": tulle_snapshot::FORMAT, "version": "v1", "workers": 2, "drainMs": 1000, "memoryBytes": null, "zone": null,
            "accessLog": { "requests": "all", "file": "-" }, "listeners": listeners, "services": services, "routes": routes,
            "authorization": [policy("guard", "enforce"), policy("trial", "shadow")],
        });
        Checked::parse(snapshot.to_string().as_bytes()).unwrap()
    }

    /// Its names.
    pub(crate) fn names(&self, generation: u32) -> Arc<Names> {
        Arc::new(Names::new(&self.snapshot(), generation))
    }
}

fn listener(name: &str) -> Value {
    json!({
        "name": name, "address": "127.0.0.1:0", "kind": "http", "shared": false, "tls": null, "forwardIdentity": false,
        "forwarded": { "forwardedFor": true, "trust": false, "requestId": true, "trace": true, "deadline": true, "via": null },
        "paths": { "encodedSlash": "keep", "pathParameters": "keep" }, "http1": true, "upgrade": true, "connect": false,
        "limits": {
            "connections": 100, "streams": 100, "headerBytes": 8192, "headerFields": 100, "headerTimeoutMs": 10000, "bodyBytesPerSecond": 0,
            "idleTimeoutMs": 1000, "bodyBytes": null,
        },
    })
}

fn service(name: &str) -> Value {
    let endpoint = |address: Value| json!({ "address": address, "weight": 1, "zone": null });
    json!({
        "name": name, "protocol": "http", "sendProxyProtocol": null, "subsets": [], "loadBalancing": { "policy": "round-robin", "key": null, "preferZone": false, "slowStartMs": 0, "affinity": null }, "tls": null, "connectTimeoutMs": 1000,
        "endpoints": [
            endpoint(json!({ "kind": "tcp", "address": "127.0.0.1:19001" })),
            endpoint(json!({ "kind": "dns", "name": "api.test", "port": 80 })),
        ],
        "pool": {
            "connections": 10, "idlePerEndpoint": 10, "idleTimeoutMs": 1000, "requestsPerConnection": null, "pending": 10,
            "queueTimeoutMs": 1000,
        },
        "circuit": { "requests": null, "retries": null, "endpointConnections": null, "endpointRequests": null, "adaptive": null },
        "healthCheck": null, "outlierDetection": null,
    })
}

fn route(name: &str, rules: usize) -> Value {
    let edits = json!({ "remove": [], "set": [{ "name": "x-api-key", "value": "hunter2" }], "add": [{ "name": "x-edge", "value": "tulle" }] });
    let rule = json!({
        "matches": [{ "path": null, "method": null, "headers": [{ "name": "authorization", "value": "Bearer hunter2" }], "query": [{ "name": "token", "value": "hunter2" }, { "name": "page", "value": "7" }], "cookies": [] }],
        "requestHeaders": edits, "responseHeaders": edits, "rewrite": null, "redirect": null, "requestTimeoutMs": 0, "streamIdleTimeoutMs": 0,
        "perTryTimeoutMs": 0, "rateLimit": null, "fault": null, "mirror": null, "priority": "normal", "sticky": null,
        "retry": {
            "attempts": 1, "on": [], "statuses": [], "backoffBaseMs": 25, "backoffMaxMs": 250, "budget": { "percent": 20, "minPerSecond": 10 },
            "nonIdempotent": false, "hedge": null,
        },
        "backends": [{ "service": 0, "subset": null, "weight": 1, "fallback": false }],
    });
    json!({ "name": name, "listeners": [0], "hostnames": [], "rules": vec![rule; rules] })
}

/// A finished request: ids, status and duration in nanoseconds.
pub(crate) fn record(generation: u32, ids: (u16, u32, u16), status: u16, nanos: u64) -> Record {
    let mut record = Record::new(generation, ids.0, 1_000);
    record.rule = ids.1;
    record.service = ids.2;
    record.status = status;
    record.at.done = record.at.first_byte + nanos;
    record
}
