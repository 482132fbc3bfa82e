//! The snapshots that `compile` makes, test/golden/*.snapshot.json, are snapshots that we can use.

use tulle_decide::forward::Forward;
use tulle_decide::http::Edits;
use tulle_decide::network::Networks;
use tulle_decide::policy::Authorizer;
use tulle_decide::route::{Plan, Router};
use tulle_snapshot::Checked;

fn taken<T, E: std::fmt::Display>(at: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|problem| panic!("{at}: {problem}"))
}

#[test]
fn every_golden_snapshot_compiles() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let snapshots: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".snapshot.json")).collect();
    assert!(snapshots.len() >= 8, "{} golden snapshots", snapshots.len());
    for path in snapshots {
        let at = path.display().to_string();
        let snapshot = taken(&at, Checked::parse(&std::fs::read(&path).unwrap()));
        taken(&at, Plan::new(&snapshot));
        for listener in (0u32..).take(snapshot.listeners.len()) {
            taken(&at, Router::new(&snapshot, listener));
            taken(&at, Authorizer::new(&snapshot, listener));
            taken(&at, Forward::new(&snapshot, listener));
        }
        for proxy in snapshot.listeners.iter().filter_map(|listener| listener.proxy_protocol.as_ref()) {
            taken(&at, Networks::new(&proxy.accept, "accept"));
        }
        for rule in snapshot.routes.iter().flat_map(|route| &route.rules) {
            taken(&at, Edits::new(&rule.request_headers));
            taken(&at, Edits::new(&rule.response_headers));
        }
    }
}
