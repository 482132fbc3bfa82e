//! A request in five lines (host, method, path, query, one header) against the policies and routes of a golden snapshot:
//! the same answer twice, within the snapshot, and never beyond what the request says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tulle_decide::http::{HOST_KEY_BYTES, Normalized, cookie_in, host_key, is_authority, normalize};
use tulle_decide::policy::{Authorizer, Caller, Decision};
use tulle_decide::route::{HeaderLookup, Plan, RequestView, Router, RuleAction, rewrite_path};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::PathRules;

static SNAPSHOT: LazyLock<Checked> = LazyLock::new(|| {
    Checked::parse(include_bytes!("../../../test/golden/everything.snapshot.json")).expect("a golden snapshot")
});

thread_local! {
    /// By listener; and what rules say.
    static BUILT: (Vec<(Router, Authorizer)>, Plan) = (
        (0u32..)
            .take(SNAPSHOT.listeners.len())
            .map(|listener| (Router::new(&SNAPSHOT, listener).unwrap(), Authorizer::new(&SNAPSHOT, listener).unwrap()))
            .collect(),
        Plan::new(&SNAPSHOT).unwrap(),
    );
}

struct Header<'a>(&'a [u8]);

impl HeaderLookup for Header<'_> {
    fn has(&self, lower_name: &str, value: &[u8]) -> bool {
        let mut parts = self.0.splitn(2, |b| *b == b':');
        parts.next() == Some(lower_name.as_bytes()) && parts.next() == Some(value)
    }

    fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        cookie_in(self.0, name)
    }
}

fn one(rules: PathRules, (router, authorizer): &(Router, Authorizer), plan: &Plan, lines: &[&[u8]; 5]) {
    let [host, method, raw, query, header] = *lines;
    let mut out = Vec::new();
    let path = match normalize(raw, &mut out, rules) {
        Err(_) => return,
        Ok(Normalized::Unchanged) => raw,
        Ok(Normalized::Rewritten) => &out,
    };
    if !is_authority(host) {
        return;
    }
    let mut key = [0; HOST_KEY_BYTES];
    let host = host_key(host, &mut key);
    let query = (!query.is_empty()).then_some(query);
    let view = RequestView { host, method, path, query, headers: &Header(header) };
    let Decision::Allow(permit) = authorizer.decide(&Caller::Anonymous, method, path).decision else { return };
    let found = router.find(&permit, &view);
    assert_eq!(found, router.find(&permit, &view));
    let Some(matched) = found else { return };
    assert!(matched.prefix_len.is_none_or(|len| len <= path.len()));
    let rule = plan.get(matched.rule).expect("a rule of the snapshot");
    if let RuleAction::Forward(split) = &rule.action {
        assert!((split.pick(u64::MAX).service as usize) < SNAPSHOT.services.len());
    }
    if let Some(edit) = rule.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref()) {
        let mut rewritten = Vec::new();
        rewrite_path(edit, path, matched.prefix_len, &mut rewritten);
        assert!(rewritten.starts_with(b"/") && !rewritten.starts_with(b"//"));
    }
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(5, |b| *b == b'\n');
    let lines: [&[u8]; 5] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    BUILT.with(|(built, plan)| {
        for (listener, tables) in SNAPSHOT.listeners.iter().zip(built) {
            one(listener.paths, tables, plan, &lines);
        }
    });
});
