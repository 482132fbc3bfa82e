//! The router against a reference that tries every rule and takes the most specific.

#[cfg(test)]
use crate::fixture::{Headers, PLAIN, permit, route, rule, snapshot};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::cmp::Reverse;
use std::sync::LazyLock;
use tulle_decide::route::{Matched, RequestView, Router, RuleId};
use tulle_snapshot::wire::{Match, PathMatch, Route};

const HOSTS: &[&str] = &["a.test", "b.a.test", "c.b.a.test", "*.test", "*.a.test", "*.b.a.test", "x"];
const ASKED: &[&str] =
    &["a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "test", "x", "y.x", "q.test", "aa.test"];
const PATHS: &[&str] = &[
    "/",
    "/v1",
    "/v1/",
    "/v1/a",
    "/v1/a/",
    "/v1/a/b",
    "/v10",
    "/v1/ab",
    "/v",
    "/%2F",
    "/a-long-segment-that-does-not-fit-in-place/and-another-one-of-the-same-kind/x",
    "/a-long-segment-that-does-not-fit-in-place/and-another-one-of-the-same-kind",
    "/a-long-segment-that-does-not-fit-in-place",
];
const REGEXES: &[&str] = &["/v1/[a-z]+", "/v1.*", "/.*", "/v[0-9]+|/x"];
const QUERIES: &[Option<&str>] =
    &[None, Some(""), Some("p=1"), Some("p=1&q=2"), Some("q=2&p=2"), Some("%70=%31")];

/// The regexes with the reference's own anchors.
static WHOLE: LazyLock<Vec<(&str, regex::Regex)>> = LazyLock::new(|| {
    REGEXES.iter().map(|source| (*source, regex::Regex::new(&format!("^({source})$")).unwrap())).collect()
});

struct Asked {
    host: &'static str,
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    headers: Headers,
}

fn path() -> impl Strategy<Value = Option<PathMatch>> {
    prop_oneof![
        1 => Just(None),
        3 => select(PATHS).prop_map(crate::fixture::exact),
        4 => select(PATHS).prop_map(crate::fixture::prefix),
        2 => select(REGEXES).prop_map(crate::fixture::regex),
    ]
}

fn matching() -> impl Strategy<Value = Match> {
    let method = prop_oneof![2 => Just(None), 1 => select(vec!["GET", "POST"]).prop_map(Some)];
    let headers = subsequence(vec![("x-a", "1"), ("x-b", "1"), ("x-b", "2")], 0..=2);
    let query = subsequence(vec![("p", "1"), ("q", "2")], 0..=2);
    let plain = path().prop_map(crate::fixture::on);
    let full = (path(), method, headers, query)
        .prop_map(|(path, method, headers, query)| crate::fixture::on_all(path, method, &headers, &query));
    prop_oneof![plain, full]
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    let one = (
        subsequence(HOSTS.to_vec(), 0..=3),
        prop::collection::vec(prop::collection::vec(matching(), 0..3), 0..5),
    )
        .prop_map(|(hosts, rules)| route("r", &hosts, rules.into_iter().map(rule).collect()));
    prop::collection::vec(one, 1..8)
}

fn asked() -> impl Strategy<Value = Asked> {
    let headers = subsequence(vec![("x-a", "1"), ("x-b", "1"), ("x-b", "2"), ("x-a", "2")], 0..=3);
    (select(ASKED), select(vec!["GET", "POST", "get"]), select(PATHS), select(QUERIES), headers).prop_map(
        |(host, method, path, query, headers)| {
            let headers = headers.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            Asked { host, method, path, query, headers: Headers(headers) }
        },
    )
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {:?} {:?}", self.method, self.host, self.path, self.query, self.headers)
    }
}

/// 2 for the exact host, 1 and its length for a wildcard, 0 for none.
fn host_rank(patterns: &[String], host: &str) -> Option<(u8, usize)> {
    if patterns.is_empty() {
        return Some((0, 0));
    }
    let rank = |pattern: &String| match pattern.strip_prefix('*') {
        Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix)).then_some((1, suffix.len())),
        None => (pattern == host).then_some((2, 0)),
    };
    patterns.iter().filter_map(rank).max()
}

/// The rank of the path, and the length of the prefix.
fn path_rank(path: Option<&PathMatch>, asked: &str) -> Option<((u8, usize), Option<usize>)> {
    match path {
        None => Some(((0, 0), Some(0))),
        Some(PathMatch::Exact { value }) => (value == asked).then_some(((2, 0), None)),
        Some(PathMatch::Regex { value }) => {
            let whole = WHOLE.iter().find(|(source, _)| source == value).map(|(_, regex)| regex).unwrap();
            whole.is_match(asked).then_some(((1, 0), None))
        }
        Some(PathMatch::Prefix { value }) => {
            let wanted: Vec<&str> = value.split('/').filter(|s| !s.is_empty()).collect();
            let found: Vec<&str> = asked.split('/').filter(|s| !s.is_empty()).collect();
            let len = wanted.iter().map(|s| s.len() + 1).sum();
            found.starts_with(&wanted).then_some(((0, len), Some(len)))
        }
    }
}

/// Only for the queries above.
fn query_has(query: &str, name: &str, value: &str) -> bool {
    let plain = query.replace("%70", "p").replace("%31", "1");
    let first = plain
        .split('&')
        .find_map(|p| p.split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v.to_owned()));
    first.as_deref() == Some(value)
}

fn reference(routes: &[Route], asked: &Asked) -> Option<Matched> {
    let everything = [crate::fixture::on(None)];
    let mut best = None;
    let (mut order, mut id) = (0, 0);
    for route in routes {
        for rule in &route.rules {
            let matches = if rule.matches.is_empty() { &everything[..] } else { &rule.matches[..] };
            for wanted in matches {
                order += 1;
                let Some(host) = host_rank(&route.hostnames, asked.host) else {
                    continue;
                };
                let Some((path, prefix_len)) = path_rank(wanted.path.as_ref(), asked.path) else {
                    continue;
                };
                let fits = wanted.method.as_deref().is_none_or(|m| m == asked.method)
                    && wanted
                        .headers
                        .iter()
                        .all(|h| asked.headers.0.contains(&(h.name.clone(), h.value.clone())))
                    && wanted.query.iter().all(|q| query_has(asked.query.unwrap_or(""), &q.name, &q.value));
                let rank = (
                    host,
                    path,
                    wanted.method.is_some(),
                    wanted.headers.len(),
                    wanted.query.len(),
                    Reverse(order),
                );
                let found = Matched { rule: RuleId(id), prefix_len };
                if fits && best.as_ref().is_none_or(|(other, _)| rank > *other) {
                    best = Some((rank, found));
                }
            }
            id += 1;
        }
    }
    best.map(|(_, matched)| matched)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_the_reference_finds(routes in routes(), asked in prop::collection::vec(asked(), 1..40)) {
        let checked = snapshot(routes, Vec::new());
        let router = Router::new(&checked, PLAIN).unwrap();
        let permit = permit();
        for one in &asked {
            let view = RequestView {
                host: one.host.as_bytes(),
                method: one.method.as_bytes(),
                path: one.path.as_bytes(),
                query: one.query.map(str::as_bytes),
                headers: &one.headers,
            };
            prop_assert_eq!(router.find(&permit, &view), reference(&checked.routes, one), "{:?}", one);
        }
    }
}
