//! The contract's sentences on matching, one table each.
#![expect(clippy::type_complexity, reason = "tables of cases, and helpers that fail the test")]

#[cfg(test)]
use crate::fixture::{
    Headers, MUTUAL, PLAIN, SIMPLE, exact, on, on_all, permit, prefix, regex, route, rule, snapshot,
};
use tulle_decide::route::{Matched, RequestView, Router, RuleId};
use tulle_snapshot::wire::{Match, Route};

fn router(routes: Vec<Route>) -> Router {
    Router::new(&snapshot(routes, Vec::new()), PLAIN).unwrap()
}

fn find(router: &Router, host: &str, path: &str) -> Option<u32> {
    find_full(router, host, "GET", path, None, &[]).map(|m| m.rule.0)
}

fn find_full(
    router: &Router,
    host: &str,
    method: &str,
    path: &str,
    query: Option<&str>,
    headers: &[(&str, &str)],
) -> Option<Matched> {
    let headers = Headers(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
    let view = RequestView {
        host: host.as_bytes(),
        method: method.as_bytes(),
        path: path.as_bytes(),
        query: query.map(str::as_bytes),
        headers: &headers,
    };
    router.find(&permit(), &view)
}

/// A router with one route for any host, and a rule for each of `matches`.
fn one_host(matches: Vec<Match>) -> Router {
    router(vec![route("r", &[], matches.into_iter().map(|m| rule(vec![m])).collect())])
}

#[test]
fn exact_host_over_longer_wildcard_over_shorter_over_none() {
    let all = |name: &str, host: &[&str]| route(name, host, vec![rule(vec![])]);
    let router = router(vec![
        all("none", &[]),
        all("short", &["*.test"]),
        all("long", &["*.a.test"]),
        all("exact", &["b.a.test"]),
        all("address", &["[::1]", "127.0.0.1"]),
    ]);
    let cases = [
        ("b.a.test", 3),
        ("c.a.test", 2),
        ("d.c.a.test", 2),
        ("c.b.a.test", 2),
        ("a.test", 1),
        ("b.test", 1),
        ("aa.test", 1),
        ("xa.test", 1),
        ("test", 0),
        ("other", 0),
        ("", 0),
        (".a.test", 1),
        (".test", 0),
        ("[::1]", 4),
        ("127.0.0.1", 4),
    ];
    for (host, expected) in cases {
        assert_eq!(find(&router, host, "/"), Some(expected), "{host:?}");
    }
}

#[test]
fn a_wildcard_takes_labels_in_front_and_not_the_name_itself() {
    let router = router(vec![route("r", &["*.x.test"], vec![rule(vec![])])]);
    for (host, expected) in [
        ("a.x.test", true),
        ("a.b.x.test", true),
        ("a.b.c.d.e.f.x.test", true),
        ("x.test", false),
        (".x.test", false),
        ("ax.test", false),
        ("a.x.tes", false),
        ("a.x.test.evil", false),
        ("test", false),
    ] {
        assert_eq!(find(&router, host, "/").is_some(), expected, "{host}");
    }
}

#[test]
fn what_no_rule_of_the_host_fits_falls_through() {
    let router = router(vec![
        route("exact", &["b.a.test"], vec![rule(vec![on(exact("/one"))])]),
        route(
            "long",
            &["*.a.test"],
            vec![rule(vec![on(prefix("/two"))]), rule(vec![on_all(None, Some("PUT"), &[], &[])])],
        ),
        route("short", &["*.test"], vec![rule(vec![on(regex("/three/[0-9]+"))])]),
        route("none", &[], vec![rule(vec![on(prefix("/four"))])]),
    ]);
    for (path, expected) in [
        ("/one", Some(0)),
        ("/two/x", Some(1)),
        ("/three/4", Some(3)),
        ("/three/x", None),
        ("/four", Some(4)),
        ("/five", None),
    ] {
        assert_eq!(find(&router, "b.a.test", path), expected, "{path}");
    }
    assert_eq!(find_full(&router, "b.a.test", "PUT", "/five", None, &[]).map(|m| m.rule), Some(RuleId(2)));
    assert_eq!(find(&router, "other", "/two"), None);
}

#[test]
fn an_exact_host_wins_whatever_the_paths() {
    let router = router(vec![
        route("none", &[], vec![rule(vec![on_all(exact("/a"), Some("GET"), &[("x", "1")], &[])])]),
        route("exact", &["h"], vec![rule(vec![])]),
    ]);
    let found = find_full(&router, "h", "GET", "/a", None, &[("x", "1")]);
    assert_eq!(found.map(|m| m.rule.0), Some(1));
}

#[test]
fn exact_path_then_regex_then_longer_prefix() {
    let router = one_host(vec![
        on(prefix("/")),
        on(prefix("/v1")),
        on(prefix("/v1/a")),
        on(regex("/v1/a/[a-z]*")),
        on(exact("/v1/a/x")),
        on(exact("/v1/a/")),
    ]);
    for (path, rule, prefix_len) in [
        ("/v1/a/x", 4, None),
        ("/v1/a/y", 3, None),
        ("/v1/a/", 5, None),
        ("/v1/a", 2, Some(5)),
        ("/v1/a/1", 2, Some(5)),
        ("/v1/ab", 1, Some(3)),
        ("/v1", 1, Some(3)),
        ("/v10", 0, Some(0)),
        ("/", 0, Some(0)),
    ] {
        let found = find_full(&router, "h", "GET", path, None, &[]);
        assert_eq!(found, Some(Matched { rule: RuleId(rule), prefix_len }), "{path}");
    }
}

#[test]
fn prefixes_match_whole_segments() {
    for written in ["/v1", "/v1/"] {
        let router = one_host(vec![on(prefix(written))]);
        for (path, expected) in [
            ("/v1", true),
            ("/v1/", true),
            ("/v1/x", true),
            ("/v1/x/y", true),
            ("/v10", false),
            ("/v1x/", false),
            ("/v", false),
            ("/", false),
            ("/V1", false),
            ("/a/v1", false),
            ("/v1%2Fx", false),
            ("/v1;x", false),
        ] {
            assert_eq!(find(&router, "h", path).is_some(), expected, "{written} {path}");
        }
    }
}

#[test]
fn prefixes_of_every_length() {
    let paths: Vec<String> = (1..300).map(|len| format!("/{}", "p".repeat(len))).collect();
    let router = one_host(paths.iter().map(|p| on(prefix(p))).collect());
    for (i, path) in (0..).zip(&paths) {
        let found = find_full(&router, "h", "GET", &format!("{path}/x"), None, &[]);
        assert_eq!(found, Some(Matched { rule: RuleId(i), prefix_len: Some(path.len()) }));
        assert_eq!(find(&router, "h", path), Some(i));
    }
    assert_eq!(find(&router, "h", &format!("/{}", "p".repeat(300))), None);
}

#[test]
fn then_method_headers_query_and_order() {
    let router = one_host(vec![
        on(prefix("/p")),
        on_all(prefix("/p"), None, &[], &[("q", "1"), ("r", "1")]),
        on_all(prefix("/p"), None, &[], &[("q", "1")]),
        on_all(prefix("/p"), None, &[("a", "1")], &[]),
        on_all(prefix("/p"), None, &[("a", "1"), ("b", "1")], &[]),
        on_all(prefix("/p"), None, &[("c", "1")], &[("q", "1")]),
        on_all(prefix("/p"), Some("POST"), &[], &[]),
        on_all(prefix("/p"), Some("POST"), &[], &[]),
        on_all(prefix("/p/long"), None, &[], &[]),
        on_all(prefix("/p"), None, &[("d", "1")], &[]),
        on_all(prefix("/p"), None, &[("a", "1")], &[]),
    ]);
    let a = ("a", "1");
    let b = ("b", "1");
    let c = ("c", "1");
    let d = ("d", "1");
    let cases: &[(&str, &str, Option<&str>, &[(&str, &str)], u32)] = &[
        ("GET", "/p", None, &[], 0),
        ("GET", "/p", Some("q=1"), &[], 2),
        ("GET", "/p", Some("q=1&r=1"), &[], 1),
        ("GET", "/p", Some("q=2&q=1"), &[], 0),
        ("GET", "/p", Some("q=1&r=1"), &[a], 3),
        ("GET", "/p", None, &[a, d], 3),
        ("GET", "/p", None, &[d], 9),
        ("GET", "/p", None, &[a, b], 4),
        ("GET", "/p", Some("q=1"), &[a, c], 5),
        ("GET", "/p", Some("q=1"), &[a, b, c], 4),
        ("GET", "/p", None, &[("a", "2")], 0),
        ("GET", "/p", None, &[("a", "11")], 0),
        ("POST", "/p", Some("q=1&r=1"), &[a, b, c], 6),
        ("post", "/p", None, &[], 0),
        ("POST", "/p/long", None, &[a, b, c], 8),
    ];
    for (method, path, query, headers, expected) in cases {
        let found = find_full(&router, "h", method, path, *query, headers);
        assert_eq!(found.map(|m| m.rule.0), Some(*expected), "{method} {path} {query:?} {headers:?}");
    }
}

#[test]
fn the_first_in_the_file_wins_a_tie() {
    let twice = |name: &str, hosts: &[&str]| route(name, hosts, vec![rule(vec![on(prefix("/a"))])]);
    let router =
        router(vec![twice("first", &["h", "h"]), twice("second", &["h"]), twice("third", &["g", "h"])]);
    assert_eq!(find(&router, "h", "/a"), Some(0));
    assert_eq!(find(&router, "g", "/a"), Some(2));
    let regexes = one_host(vec![
        on(regex("/[a-z]+")),
        on(regex("/[a-c]+")),
        on_all(regex("/.*"), Some("GET"), &[], &[]),
    ]);
    assert_eq!(find(&regexes, "h", "/abc"), Some(2));
    assert_eq!(find_full(&regexes, "h", "PUT", "/abc", None, &[]).map(|m| m.rule.0), Some(0));
}

#[test]
fn a_route_without_rules_is_no_trouble() {
    let router = router(vec![route("empty", &["h"], vec![]), route("full", &["h"], vec![rule(vec![])])]);
    assert_eq!(find(&router, "h", "/"), Some(0));
}

#[test]
fn alternatives_of_a_rule() {
    let router = router(vec![route(
        "r",
        &[],
        vec![rule(vec![on(exact("/a")), on(prefix("/b"))]), rule(vec![on(exact("/b/x"))])],
    )]);
    for (path, expected) in [("/a", Some(0)), ("/b/y", Some(0)), ("/b/x", Some(1)), ("/c", None)] {
        assert_eq!(find(&router, "h", path), expected, "{path}");
    }
}

#[test]
fn a_regex_matches_the_whole_path() {
    let cases: &[(&str, &str, bool)] = &[
        ("/v[0-9]", "/v1", true),
        ("/v[0-9]", "/v1/", false),
        ("/v[0-9]", "/x/v1", false),
        ("/a|/b", "/a", true),
        ("/a|/b", "/b", true),
        ("/a|/b", "/ax", false),
        ("/a|/b", "/x/b", false),
        ("/a|/ab", "/ab", true),
        ("(?i)/admin", "/ADMIN", true),
        ("(?m)/a$", "/a\n/b", false),
        ("/.*", "/\n\u{e9}", true),
        ("/\\w+", "/\u{e9}", false),
        ("^/a$", "/a", true),
    ];
    for (pattern, path, expected) in cases {
        let router = one_host(vec![on(regex(pattern))]);
        assert_eq!(find(&router, "h", path).is_some(), *expected, "{pattern} {path:?}");
    }
    let bytes = one_host(vec![on(regex("/.*"))]);
    let view = RequestView {
        host: b"h",
        method: b"GET",
        path: b"/\xff\xfe",
        query: None,
        headers: &Headers::default(),
    };
    assert!(bytes.find(&permit(), &view).is_some(), "no byte slips past a dot");
}

#[test]
fn a_regex_takes_linear_time() {
    let router = one_host(vec![on(regex("/(a*)*(a|aa)*b"))]);
    let path = format!("/{}", "a".repeat(50_000));
    assert_eq!(find(&router, "h", &path), None);
}

#[test]
fn a_clone_finds_the_same() {
    let router = one_host(vec![on(regex("/v[0-9]+")), on(prefix("/a"))]);
    let clone = router.clone();
    std::thread::spawn(move || {
        assert_eq!(find(&clone, "h", "/v12"), Some(0));
        assert_eq!(find(&clone, "h", "/a/b"), Some(1));
    })
    .join()
    .unwrap();
    assert_eq!(find(&router, "h", "/v12"), Some(0));
}

#[test]
fn rules_are_counted_over_routes_of_other_listeners() {
    let mut elsewhere = route("elsewhere", &[], vec![rule(vec![]), rule(vec![])]);
    elsewhere.listeners = vec![MUTUAL];
    let checked = snapshot(vec![elsewhere, route("here", &[], vec![rule(vec![])])], Vec::new());
    assert_eq!(find(&Router::new(&checked, PLAIN).unwrap(), "h", "/"), Some(2));
    assert_eq!(find(&Router::new(&checked, MUTUAL).unwrap(), "h", "/"), Some(0));
    assert_eq!(find(&Router::new(&checked, SIMPLE).unwrap(), "h", "/"), None);
}

#[test]
fn an_endless_path_or_host_is_no_trouble() {
    let router = router(vec![route("r", &["*.a.test"], vec![rule(vec![on(prefix("/a/a/a"))])])]);
    assert_eq!(find(&router, &"a.".repeat(30_000), &"/a".repeat(30_000)), None);
    assert_eq!(find(&router, &format!("{}a.test", "b.".repeat(30_000)), &"/a".repeat(30_000)), Some(0));
}

#[test]
fn what_cannot_be_compiled_is_named() {
    let path_cases = [
        (regex("/("), "the regex \"/(\" cannot be used: unclosed group"),
        (regex("a)|(?:b"), "the regex \"a)|(?:b\" cannot be used: unopened group"),
        (regex("(?x)/a # all"), "unclosed group"),
        (regex("/\\p{L}"), "cannot be used"),
        (regex("((((/a{50}){50}){50}){50})"), "size limit"),
        (regex(&"a".repeat(1025)), "longer than 1024"),
        (exact("a"), "does not begin with /"),
        (exact(""), "does not begin with /"),
        (prefix("*"), "does not begin with /"),
        (exact("//"), "an empty or a dot segment"),
        (prefix("/a//b"), "an empty or a dot segment"),
        (prefix("/a//"), "an empty or a dot segment"),
        (exact("/a/../b"), "an empty or a dot segment"),
        (prefix("/."), "an empty or a dot segment"),
        (exact("/a%2fb"), "upper-case"),
        (exact("/%61"), "only where they are needed"),
        (exact("/%7E"), "only where they are needed"),
        (exact("/%00"), "only where they are needed"),
        (exact("/%5C"), "only where they are needed"),
        (exact("/%"), "begins no escape"),
        (exact("/%4"), "begins no escape"),
        (exact("/%+4"), "begins no escape"),
        (exact("/a?b"), "'?' has to be escaped"),
        (exact("/a#b"), "'#' has to be escaped"),
        (exact("/a b"), "' ' has to be escaped"),
        (exact("/a\\b"), "has to be escaped"),
        (exact("/a\r\nb"), "has to be escaped"),
        (prefix("/caf\u{e9}"), "has to be escaped"),
        (exact(&format!("/{}", "a".repeat(2048))), "longer than 2048"),
    ];
    for (path, problem) in path_cases {
        let rules = vec![rule(vec![]), rule(vec![on(exact("/ok")), on(path.clone())])];
        let checked = snapshot(vec![route("a", &[], vec![]), route("b", &[], rules)], Vec::new());
        let error = Router::new(&checked, PLAIN).map(drop).unwrap_err();
        assert_eq!(error.at, "routes[1].rules[1].matches[1].path", "{path:?}");
        assert!(error.problem.contains(problem), "{path:?}: {error}");
    }
    for host in [
        "",
        "*",
        "*.",
        "A.test",
        "a.test.",
        ".a.test",
        "a..b",
        "a.test:80",
        "a b",
        "*.*.test",
        "a.*",
        "caf\u{e9}",
        "[::1",
        "[x]",
        "a/b",
    ] {
        let checked = snapshot(vec![route("r", &["ok.test", host], vec![])], Vec::new());
        let error = Router::new(&checked, PLAIN).map(drop).unwrap_err();
        assert_eq!(error.at, "routes[0].hostnames[1]", "{host:?}: {error}");
    }
    let legal = ["/", "/a/", "/...", "/a%2Fb", "/%C3%A9", "/a;b=c", "/~u/-._", "/a:b@c", "/{x}"];
    for path in legal {
        let router = one_host(vec![on(exact(path))]);
        assert_eq!(find(&router, "h", path), Some(0), "{path}");
    }
}
