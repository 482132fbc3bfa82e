//! The page that says what is running.
//!
//! In: the applied snapshot. Out: JSON. A snapshot holds paths of keys, not keys; but header values and query parameters
//! that it matches or sets may be credentials, so those whose name says so are left out.

use crate::telemetry::process::ProcessFacts;
use serde::Serialize;
use tulle_snapshot::wire::{HeaderEdits, Rule, Snapshot};

/// What stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";
/// Parts of names whose values are not shown.
const SECRET_NAMES: [&str; 10] =
    ["auth", "cookie", "token", "secret", "password", "passwd", "key", "credential", "session", "signature"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    version: &'a str,
    started_ms: u128,
    applied_ms: u128,
    snapshot: &'a Snapshot,
}

/// The running snapshot as JSON, with its version, and when it was applied and the data plane started, in milliseconds
/// since the Unix epoch. Built per applied snapshot, not per request.
#[must_use]
pub fn config_page(snapshot: &Snapshot, process: &ProcessFacts) -> String {
    let mut shown = snapshot.clone();
    shown.routes.iter_mut().flat_map(|route| &mut route.rules).for_each(hide);
    let page = Page {
        version: &shown.version,
        started_ms: process.started.as_millis(),
        applied_ms: process.applied.as_millis(),
        snapshot: &shown,
    };
    // Strings, numbers, lists and maps with string keys always serialize.
    serde_json::to_string_pretty(&page).unwrap_or_default()
}

fn hide(rule: &mut Rule) {
    for found in &mut rule.matches {
        for header in found.headers.iter_mut().filter(|header| is_secret(&header.name)) {
            HIDDEN.clone_into(&mut header.value);
        }
        for parameter in found.query.iter_mut().filter(|parameter| is_secret(&parameter.name)) {
            HIDDEN.clone_into(&mut parameter.value);
        }
    }
    hide_edits(&mut rule.request_headers);
    hide_edits(&mut rule.response_headers);
}

fn hide_edits(edits: &mut HeaderEdits) {
    for header in edits.set.iter_mut().chain(&mut edits.add).filter(|header| is_secret(&header.name)) {
        HIDDEN.clone_into(&mut header.value);
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}
