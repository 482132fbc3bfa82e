//! The contract's paragraph on authorization, sentence by sentence.
#![expect(clippy::type_complexity, reason = "tables of cases, and helpers that fail the test")]

#[cfg(test)]
use crate::fixture::{MUTUAL, MUTUAL_NAMED, PLAIN, SIMPLE, exact, id, prefix, regex, snapshot};
use tulle_decide::identity::SpiffeId;
use tulle_decide::policy::{Authorizer, Caller, Decision, PolicyId, Shadow, Verdict};
use tulle_snapshot::wire::{Action, Mode, PathMatch, Policy, PolicyRule};

const ALL: [u32; 4] = [PLAIN, MUTUAL, MUTUAL_NAMED, SIMPLE];

fn policy(action: Action, mode: Mode, rules: Vec<PolicyRule>) -> Policy {
    Policy { name: "p".to_owned(), listeners: ALL.to_vec(), action, mode, rules }
}

fn allow(rules: Vec<PolicyRule>) -> Policy {
    policy(Action::Allow, Mode::Enforce, rules)
}

fn deny(rules: Vec<PolicyRule>) -> Policy {
    policy(Action::Deny, Mode::Enforce, rules)
}

fn shadow(policy: Policy) -> Policy {
    Policy { mode: Mode::Shadow, ..policy }
}

fn any() -> PolicyRule {
    PolicyRule { from: None, methods: None, paths: None }
}

fn from(names: &[&str]) -> PolicyRule {
    PolicyRule { from: Some(names.iter().map(|n| id(n).to_string()).collect()), ..any() }
}

fn methods(rule: PolicyRule, methods: &[&str]) -> PolicyRule {
    PolicyRule { methods: Some(methods.iter().map(|m| (*m).to_owned()).collect()), ..rule }
}

fn paths(rule: PolicyRule, paths: &[Option<PathMatch>]) -> PolicyRule {
    PolicyRule { paths: Some(paths.iter().flatten().cloned().collect()), ..rule }
}

fn authorizer(policies: &[Policy], listener: u32) -> Authorizer {
    Authorizer::new(&snapshot(Vec::new(), policies.to_vec()), listener).unwrap()
}

fn ask(authorizer: &Authorizer, name: Option<&str>, method: &str, path: &str) -> Verdict {
    let peer = name.map(id);
    let caller = peer.as_ref().map_or(Caller::Anonymous, Caller::Peer);
    authorizer.decide(&caller, method.as_bytes(), path.as_bytes())
}

/// `Ok` with the policy that allows, `Err` with the one that denies.
fn outcome(verdict: &Verdict) -> Result<Option<u32>, Option<u32>> {
    match &verdict.decision {
        Decision::Allow(permit) => Ok(permit.policy().map(|p| p.0)),
        Decision::Deny { policy } => Err(policy.map(|p| p.0)),
    }
}

fn decided(policies: &[Policy], listener: u32, name: Option<&str>) -> Result<Option<u32>, Option<u32>> {
    outcome(&ask(&authorizer(policies, listener), name, "GET", "/"))
}

#[test]
fn without_an_allow_policy_a_mutual_listener_admits_peers_and_a_plain_one_everyone() {
    for listener in [MUTUAL, MUTUAL_NAMED] {
        assert_eq!(decided(&[], listener, Some("web")), Ok(None));
        assert_eq!(decided(&[], listener, None), Err(None));
    }
    for listener in [PLAIN, SIMPLE] {
        assert_eq!(decided(&[], listener, None), Ok(None));
    }
    let elsewhere = Policy { listeners: vec![SIMPLE], ..allow(vec![from(&["web"])]) };
    assert_eq!(decided(&[elsewhere], PLAIN, None), Ok(None));
}

#[test]
fn only_peers_of_the_trust_domain_get_in() {
    let foreign = SpiffeId::parse("spiffe://evil.test/ns/shop/sa/web").unwrap();
    let named = PolicyRule { from: Some(vec![foreign.to_string()]), ..any() };
    for policies in [vec![], vec![allow(vec![any()])], vec![allow(vec![named])]] {
        let verdict = authorizer(&policies, MUTUAL_NAMED).decide(&Caller::Peer(&foreign), b"GET", b"/");
        assert_eq!(outcome(&verdict), Err(None), "{policies:?}");
    }
}

#[test]
fn an_enforced_allow_policy_refuses_everyone_else() {
    let web = [allow(vec![from(&["web", "web", "shop"])])];
    for listener in ALL {
        assert_eq!(decided(&web, listener, None), Err(None));
    }
    assert_eq!(decided(&web, MUTUAL, Some("web")), Ok(Some(0)));
    assert_eq!(decided(&web, MUTUAL, Some("shop")), Ok(Some(0)));
    assert_eq!(decided(&web, MUTUAL, Some("other")), Err(None));
    assert_eq!(decided(&[allow(vec![])], MUTUAL, Some("web")), Err(None));
    assert_eq!(decided(&[allow(vec![])], PLAIN, None), Err(None));
    let two = [allow(vec![from(&["a"])]), allow(vec![from(&["b"]), from(&["a"])])];
    assert_eq!(decided(&two, MUTUAL, Some("a")), Ok(Some(0)));
    assert_eq!(decided(&two, MUTUAL, Some("b")), Ok(Some(1)));
    assert_eq!(decided(&two, MUTUAL, Some("c")), Err(None));
}

#[test]
fn deny_wins_over_allow_wherever_it_stands() {
    let everyone = allow(vec![any()]);
    let not_web = deny(vec![from(&["web"])]);
    for policies in [vec![everyone.clone(), not_web.clone()], vec![not_web.clone(), everyone]] {
        let place = policies.iter().position(|p| *p == not_web).and_then(|p| u32::try_from(p).ok());
        assert_eq!(decided(&policies, MUTUAL, Some("web")), Err(place));
        assert!(decided(&policies, MUTUAL, Some("other")).is_ok());
    }
    assert_eq!(decided(std::slice::from_ref(&not_web), MUTUAL, Some("other")), Ok(None));
    assert_eq!(decided(std::slice::from_ref(&not_web), MUTUAL, Some("web")), Err(Some(0)));
    assert_eq!(decided(&[not_web.clone(), not_web], MUTUAL, Some("web")), Err(Some(0)));
}

#[test]
fn an_allow_rule_without_from_means_any_authenticated_caller_or_any_without_client_certificates() {
    let everyone = [allow(vec![any()])];
    assert_eq!(decided(&everyone, MUTUAL, Some("web")), Ok(Some(0)));
    assert_eq!(decided(&everyone, MUTUAL, None), Err(None));
    assert_eq!(decided(&everyone, PLAIN, None), Ok(Some(0)));
    assert_eq!(decided(&everyone, SIMPLE, None), Ok(Some(0)));
}

#[test]
fn a_deny_rule_without_from_means_everybody() {
    let nobody = [allow(vec![any()]), deny(vec![methods(any(), &["GET"])])];
    for listener in ALL {
        assert_eq!(decided(&nobody, listener, Some("web")), Err(Some(1)), "{listener}");
    }
    for listener in [PLAIN, SIMPLE] {
        assert_eq!(decided(&nobody, listener, None), Err(Some(1)), "{listener}");
    }
    assert!(decided(&nobody, MUTUAL, None).is_err());
}

#[test]
fn conditions_must_all_hold_and_rules_are_alternatives() {
    let rules = vec![
        paths(methods(from(&["web"]), &["GET", "HEAD"]), &[prefix("/v1/"), exact("/health")]),
        paths(from(&["job"]), &[regex("/jobs/[0-9]+")]),
        methods(from(&["admin"]), &["DELETE"]),
    ];
    let authorizer = authorizer(&[allow(rules)], MUTUAL);
    for (name, method, path, expected) in [
        ("web", "GET", "/v1", true),
        ("web", "HEAD", "/v1/", true),
        ("web", "GET", "/v1/a/b", true),
        ("web", "GET", "/health", true),
        ("web", "GET", "/health/", false),
        ("web", "GET", "/v10", false),
        ("web", "POST", "/v1", false),
        ("web", "get", "/v1", false),
        ("web", "GET ", "/v1", false),
        ("web", "", "/v1", false),
        ("web", "GET", "/jobs/1", false),
        ("web", "DELETE", "/v1", false),
        ("job", "POST", "/jobs/12", true),
        ("job", "POST", "/jobs/12/", false),
        ("job", "POST", "/jobs/x", false),
        ("admin", "DELETE", "/anything", true),
        ("admin", "GET", "/anything", false),
        ("other", "GET", "/v1", false),
    ] {
        let verdict = ask(&authorizer, Some(name), method, path);
        assert_eq!(outcome(&verdict).is_ok(), expected, "{name} {method} {path}");
    }
}

#[test]
fn a_deny_policy_for_everything_leaves_no_gap() {
    let closed = authorizer(&[deny(vec![paths(any(), &[prefix("/")])])], PLAIN);
    for path in ["/", "/a", "*", "api.test:443", ""] {
        assert_eq!(outcome(&ask(&closed, None, "OPTIONS", path)), Err(Some(0)), "{path}");
    }
}

#[test]
fn the_example_of_the_contract() {
    let web_may_read = [allow(vec![paths(methods(from(&["web"]), &["GET", "HEAD"]), &[prefix("/")])])];
    let authorizer = authorizer(&web_may_read, MUTUAL);
    assert!(authorizer.has_path_conditions());
    for (name, method, expected) in
        [("web", "GET", true), ("web", "HEAD", true), ("web", "POST", false), ("reviews", "GET", false)]
    {
        assert_eq!(outcome(&ask(&authorizer, Some(name), method, "/a")).is_ok(), expected, "{name} {method}");
    }
}

#[test]
fn what_a_shadow_policy_records() {
    let deny_of = |policy| Shadow { would_deny: Some(PolicyId(policy)), would_allow: None };
    let allow_of = |policy| Shadow { would_deny: None, would_allow: Some(PolicyId(policy)) };
    let none = Shadow::default();
    let web = || vec![from(&["web"])];
    let cases: Vec<(&str, Vec<Policy>, &str, Result<Option<u32>, Option<u32>>, Shadow)> = vec![
        ("its presence refuses nobody", vec![shadow(allow(web()))], "other", Ok(None), deny_of(0)),
        ("it fits", vec![shadow(allow(web()))], "web", Ok(None), none),
        ("a deny", vec![shadow(deny(web()))], "web", Ok(None), deny_of(0)),
        ("a deny of others", vec![shadow(deny(web()))], "other", Ok(None), none),
        ("beside an allow", vec![allow(vec![any()]), shadow(deny(web()))], "web", Ok(Some(0)), deny_of(1)),
        (
            "one more allowed",
            vec![allow(web()), shadow(allow(vec![from(&["job"])]))],
            "job",
            Err(None),
            allow_of(1),
        ),
        (
            "already allowed",
            vec![allow(web()), shadow(allow(vec![from(&["job"])]))],
            "web",
            Ok(Some(0)),
            none,
        ),
        ("never allowed", vec![allow(web()), shadow(allow(vec![from(&["job"])]))], "x", Err(None), none),
        ("already denied", vec![deny(web()), shadow(allow(web()))], "web", Err(Some(0)), none),
        (
            "allow and deny",
            vec![allow(web()), shadow(allow(vec![any()])), shadow(deny(vec![any()]))],
            "x",
            Err(None),
            none,
        ),
        (
            "two together",
            vec![shadow(allow(web())), shadow(allow(vec![from(&["job"])]))],
            "job",
            Ok(None),
            none,
        ),
        (
            "two and neither",
            vec![shadow(allow(web())), shadow(allow(vec![from(&["job"])]))],
            "x",
            Ok(None),
            deny_of(0),
        ),
        (
            "the first deny",
            vec![shadow(allow(web())), shadow(deny(vec![any()])), shadow(deny(web()))],
            "web",
            Ok(None),
            deny_of(1),
        ),
        ("in its order", vec![shadow(deny(web())), shadow(deny(vec![any()]))], "web", Ok(None), deny_of(0)),
    ];
    for (what, policies, name, decision, recorded) in cases {
        let verdict = ask(&authorizer(&policies, MUTUAL), Some(name), "GET", "/");
        assert_eq!((outcome(&verdict), verdict.shadow), (decision, recorded), "{what}");
    }
}

#[test]
fn a_shadow_policy_never_changes_a_decision() {
    let rules = [any(), from(&["web"]), methods(any(), &["POST"]), paths(from(&["job"]), &[prefix("/v1")])];
    let policies: Vec<Policy> =
        rules.iter().flat_map(|r| [allow(vec![r.clone()]), deny(vec![r.clone()])]).collect();
    let mut compared = 0;
    for enforced in policies.iter().map(|p| vec![p.clone()]).chain([vec![]]) {
        for added in &policies {
            let mut with = enforced.clone();
            with.push(shadow(added.clone()));
            for listener in ALL {
                let (before, after) = (authorizer(&enforced, listener), authorizer(&with, listener));
                for name in [None, Some("web"), Some("job")] {
                    for (method, path) in [("GET", "/"), ("POST", "/v1/x")] {
                        let plain = ask(&before, name, method, path);
                        let shadowed = ask(&after, name, method, path);
                        assert_eq!(outcome(&plain), outcome(&shadowed), "{with:?} {name:?} {method} {path}");
                        assert_eq!(plain.shadow, Shadow::default());
                        compared += 1;
                    }
                }
            }
        }
    }
    assert_eq!(compared, 9 * 8 * 4 * 3 * 2);
}

/// What the paragraph says, without an index.
fn reference(
    policies: &[Policy],
    mutual: bool,
    name: Option<&str>,
    method: &str,
) -> Result<Option<u32>, Option<u32>> {
    let fits = |policy: &Policy| {
        policy.rules.iter().any(|rule| {
            let caller = match &rule.from {
                Some(list) => name.is_some_and(|n| list.contains(&id(n).to_string())),
                None => name.is_some() || !mutual || policy.action == Action::Deny,
            };
            caller && rule.methods.as_ref().is_none_or(|list| list.iter().any(|m| m == method))
        })
    };
    let numbered = || (0..).zip(policies).filter(|(_, p)| p.mode == Mode::Enforce);
    if name.is_none() && mutual {
        return Err(None);
    }
    if let Some((place, _)) = numbered().find(|(_, p)| p.action == Action::Deny && fits(p)) {
        return Err(Some(place));
    }
    match numbered().find(|(_, p)| p.action == Action::Allow && fits(p)) {
        Some((place, _)) => Ok(Some(place)),
        None if numbered().any(|(_, p)| p.action == Action::Allow) => Err(None),
        None => Ok(None),
    }
}

mod against_the_reference {
    use super::*;
    use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert_eq, proptest};
    use proptest::sample::{select, subsequence};

    fn rules() -> impl Strategy<Value = PolicyRule> {
        let names = prop::option::weighted(0.7, subsequence(vec!["a", "b", "c", "d"], 1..=3));
        let wanted = prop::option::weighted(0.4, subsequence(vec!["GET", "POST"], 1..=2));
        (names, wanted).prop_map(|(names, wanted)| {
            let rule = names.map_or_else(any, |names| from(&names));
            wanted.map_or(rule.clone(), |wanted| methods(rule, &wanted))
        })
    }

    fn policies() -> impl Strategy<Value = Vec<Policy>> {
        let one = (
            select(vec![Action::Allow, Action::Deny]),
            select(vec![Mode::Enforce, Mode::Enforce, Mode::Shadow]),
            prop::collection::vec(rules(), 0..4),
        );
        prop::collection::vec(one.prop_map(|(action, mode, rules)| policy(action, mode, rules)), 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn decides_the_same(policies in policies()) {
            for listener in ALL {
                let authorizer = authorizer(&policies, listener);
                let mutual = listener == MUTUAL || listener == MUTUAL_NAMED;
                for name in [None, Some("a"), Some("b"), Some("d"), Some("x")] {
                    for method in ["GET", "POST", "PUT"] {
                        let found = outcome(&ask(&authorizer, name, method, "/"));
                        prop_assert_eq!(found, reference(&policies, mutual, name, method), "{:?} {}", name, method);
                    }
                }
            }
        }
    }
}

#[test]
fn path_conditions_are_told_whether_enforced_or_not() {
    let plain = allow(vec![from(&["web"])]);
    let with_path = deny(vec![paths(any(), &[prefix("/admin")])]);
    let elsewhere = Policy { listeners: vec![MUTUAL], ..with_path.clone() };
    for (policies, expected) in [
        (vec![], false),
        (vec![plain.clone()], false),
        (vec![plain.clone(), with_path.clone()], true),
        (vec![shadow(with_path)], true),
        (vec![plain, elsewhere], false),
    ] {
        assert_eq!(authorizer(&policies, PLAIN).has_path_conditions(), expected, "{policies:?}");
    }
}

#[test]
fn many_callers_are_told_apart() {
    let names: Vec<String> = (0..5000).map(|i| format!("s{i}")).collect();
    let rules = names.iter().map(|n| from(&[n])).collect();
    let authorizer = authorizer(&[allow(rules), deny(vec![from(&["s7"])])], MUTUAL);
    for (name, expected) in [
        ("s0", Ok(Some(0))),
        ("s4999", Ok(Some(0))),
        ("s7", Err(Some(1))),
        ("s5000", Err(None)),
        ("s", Err(None)),
    ] {
        assert_eq!(outcome(&ask(&authorizer, Some(name), "GET", "/")), expected, "{name}");
    }
}

#[test]
fn what_cannot_be_compiled_is_named() {
    let spoiled = |from: &str| PolicyRule { from: Some(vec![id("a").to_string(), from.to_owned()]), ..any() };
    let cases = [
        (spoiled("spiffe://example.test/"), "from[1]"),
        (spoiled("spiffe://example.test"), "from[1]"),
        (spoiled("spiffe://example.test/ns/*"), "from[1]"),
        (spoiled("web"), "from[1]"),
        (PolicyRule { from: Some(vec![]), ..any() }, "from"),
        (PolicyRule { methods: Some(vec![]), ..any() }, "methods"),
        (PolicyRule { paths: Some(vec![]), ..any() }, "paths"),
        (paths(any(), &[prefix("/a"), regex("(")]), "paths[1]"),
        (paths(any(), &[exact("/%7e")]), "paths[0]"),
        (paths(any(), &[prefix("admin")]), "paths[0]"),
    ];
    for (wrong, key) in cases {
        for mode in [Mode::Enforce, Mode::Shadow] {
            let policies = vec![allow(vec![any()]), policy(Action::Deny, mode, vec![any(), wrong.clone()])];
            let error = Authorizer::new(&snapshot(Vec::new(), policies), PLAIN).map(drop).unwrap_err();
            assert_eq!(error.at, format!("authorization[1].rules[1].{key}"), "{wrong:?}: {error}");
        }
    }
}
