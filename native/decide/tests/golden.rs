//! The snapshots that `compile` makes, test/golden/*.snapshot.json, are snapshots that we can use.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use tulle_decide::http::Edits;
use tulle_decide::policy::Authorizer;
use tulle_decide::route::{Plan, Router};
use tulle_snapshot::Checked;

#[test]
fn every_golden_snapshot_compiles() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let snapshots: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".snapshot.json")).collect();
    assert!(snapshots.len() >= 8, "{} golden snapshots", snapshots.len());
    for path in snapshots {
        let refused = |problem: String| panic!("{}: {problem}", path.display());
        let snapshot = Checked::parse(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| refused(e.to_string()));
        Plan::new(&snapshot).unwrap_or_else(|e| refused(e.to_string()));
        for listener in (0u32..).take(snapshot.listeners.len()) {
            Router::new(&snapshot, listener).unwrap_or_else(|e| refused(e.to_string()));
            Authorizer::new(&snapshot, listener).unwrap_or_else(|e| refused(e.to_string()));
        }
        for rule in snapshot.routes.iter().flat_map(|route| &route.rules) {
            Edits::new(&rule.request_headers).unwrap_or_else(|e| refused(e));
            Edits::new(&rule.response_headers).unwrap_or_else(|e| refused(e));
        }
    }
}
