//! The hot path's promise: authorizing, matching, splitting, rewriting and balancing a request allocates nothing.

use crate::balance_fixture::{POLICIES, build, members, view};
use crate::counting::allocations;
#[cfg(test)]
use crate::fixture::{Headers, MUTUAL, backend, exact, id, on, on_all, prefix, regex, route, rule, snapshot};
use tulle_decide::balance::{Ask, Balancer, Loads, Outcome, View};
use tulle_decide::identity::SpiffeId;
use tulle_decide::policy::{Authorizer, Caller, Decision};
use tulle_decide::route::{Plan, RequestView, Router, RuleAction, rewrite_path};
use tulle_snapshot::wire::{Action, Mode, PathEdit, Policy, PolicyRule, Rewrite, Rule};

struct Proxy {
    authorizer: Authorizer,
    router: Router,
    plan: Plan,
    balancers: Vec<(Box<dyn Balancer + Send>, View, Loads)>,
}

fn proxy() -> Proxy {
    let rewrite = Rewrite { path: Some(PathEdit::ReplacePrefix { value: "/".to_owned() }), host: None };
    let split = Rule {
        backends: vec![backend(0, 9), backend(1, 1)],
        rewrite: Some(rewrite),
        ..rule(vec![on(prefix("/v1/"))])
    };
    let full = rule(vec![on_all(exact("/a"), Some("GET"), &[("x-canary", "yes")], &[("q", "1 2")])]);
    let host = ["*.example.test"];
    let routes = vec![
        route("r", &host, vec![split, full, rule(vec![on(regex("/t/[a-z]+/.*"))])]),
        route("all", &[], vec![rule(vec![])]),
    ];
    let paths = Some(vec![prefix("/v1").unwrap(), regex("/[a-z].*").unwrap()]);
    let allowed =
        PolicyRule { from: Some(vec![id("web").to_string()]), methods: Some(vec!["GET".to_owned()]), paths };
    let policy = |mode| Policy {
        name: "p".to_owned(),
        listeners: vec![MUTUAL],
        action: Action::Allow,
        mode,
        rules: vec![allowed.clone()],
    };
    let checked = snapshot(routes, vec![policy(Mode::Enforce), policy(Mode::Shadow)]);
    let shapes = [vec![1, 1], vec![3, 1], (1..40).collect()].map(|weights| members(&weights));
    let balancers = POLICIES.iter().flat_map(|policy| {
        shapes.iter().map(|members| (build(*policy, members), view(members, None), Loads::new(members)))
    });
    Proxy {
        authorizer: Authorizer::new(&checked, MUTUAL).unwrap(),
        router: Router::new(&checked, MUTUAL).unwrap(),
        plan: Plan::new(&checked).unwrap(),
        balancers: balancers.collect(),
    }
}

fn serve(proxy: &mut Proxy, caller: &SpiffeId, headers: &Headers, out: &mut Vec<u8>) {
    for (path, query) in
        [("/v1/items/7", None), ("/a", Some("p=0&q=1+2")), ("/t/abc/x", None), ("/other", None)]
    {
        let verdict = proxy.authorizer.decide(&Caller::Peer(caller), b"GET", path.as_bytes());
        let Decision::Allow(permit) = verdict.decision else { panic!("{path} is allowed") };
        let query = query.map(str::as_bytes);
        let view =
            RequestView { host: b"api.example.test", method: b"GET", path: path.as_bytes(), query, headers };
        let matched = proxy.router.find(&permit, &view).unwrap();
        let plan = proxy.plan.get(matched.rule).unwrap();
        if let Some(edit) = plan.rewrite.as_ref().and_then(|r| r.path.as_ref()) {
            out.clear();
            rewrite_path(edit, path.as_bytes(), matched.prefix_len, out);
        }
        let RuleAction::Forward(split) = &plan.action else { panic!("{path} is forwarded") };
        assert!(split.pick(u64::MAX / 2).weight > 0);
        for (balancer, view, loads) in &mut proxy.balancers {
            for tried in [&[][..], &[1]] {
                let ask = Ask { random: 5, key: Some(path.len() as u64), now: 1, tried };
                let endpoint = balancer.pick(view, loads, &ask).unwrap();
                loads.started(endpoint, 1);
                loads.finished(endpoint, 2, 1, Outcome::Success);
            }
        }
    }
}

#[test]
fn a_request_allocates_nothing() {
    let mut proxy = proxy();
    let caller = id("web");
    let headers = Headers(vec![("x-canary".to_owned(), "yes".to_owned())]);
    let mut out = Vec::with_capacity(256);
    let before_first = allocations();
    assert!(before_first > 0, "the counter counts");
    for _ in 0..100 {
        serve(&mut proxy, &caller, &headers, &mut out);
    }
    let warm = allocations();
    for _ in 0..1000 {
        serve(&mut proxy, &caller, &headers, &mut out);
    }
    assert_eq!(allocations() - warm, 0);
    assert_eq!(out, b"/items/7");
}
