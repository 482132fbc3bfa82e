//! What a rule says to do: timeouts, weighted backends, rewrites, redirects.
#![expect(
    clippy::type_complexity,
    clippy::too_many_lines,
    reason = "tables of cases, and helpers that fail the test"
)]

#[cfg(test)]
use crate::fixture::{backend, route, rule, snapshot};
use std::time::Duration;
use tulle_decide::route::{
    Plan, RedirectFrom, RuleAction, RuleId, Scheme, Split, redirect_location, rewrite_path,
};
use tulle_snapshot::wire::{
    Backend, Fault, HeaderEdit, HeaderEdits, Mirror, PathEdit, Priority, RateLimit, Redirect, RequestKey,
    Rewrite, Rule,
};

fn plan(rules: Vec<Rule>) -> Plan {
    Plan::new(&snapshot(vec![route("r", &[], rules)], Vec::new())).unwrap()
}

fn with_split<T>(backends: Vec<Backend>, look: impl FnOnce(&Split) -> T) -> T {
    let plan = plan(vec![Rule { backends, ..rule(vec![]) }]);
    match &plan.get(RuleId(0)).unwrap().action {
        RuleAction::Forward(split) => look(split),
        RuleAction::Redirect(_) => panic!("forwards"),
    }
}

fn full(value: &str) -> PathEdit {
    PathEdit::Full { value: value.to_owned() }
}

fn replace(value: &str) -> PathEdit {
    PathEdit::ReplacePrefix { value: value.to_owned() }
}

#[test]
fn rules_keep_limits_faults_and_canaries() {
    let limit = RateLimit { requests_per_second: 10, burst: 5, key: Some(RequestKey::Source), keys: 100 };
    let fault = Fault { headers: Vec::new(), delay: None, abort: None, bandwidth: None };
    let full = Rule {
        per_try_timeout_ms: 200,
        rate_limit: Some(limit.clone()),
        fault: Some(fault),
        mirror: Some(Mirror { service: 0, subset: None, per_million: 1_000_000 }),
        priority: Priority::High,
        sticky: Some(RequestKey::Cookie { name: "c".to_owned() }),
        ..rule(vec![])
    };
    let plan = plan(vec![full, rule(vec![])]);
    let full = plan.get(RuleId(0)).unwrap();
    assert_eq!(full.per_try_timeout, Some(Duration::from_millis(200)));
    assert_eq!(full.rate_limit.as_deref(), Some(&limit));
    assert!(full.fault.is_some());
    assert!(full.mirror.as_ref().is_some_and(|mirror| mirror.service == 0 && mirror.draws(u64::MAX)));
    assert_eq!(full.priority, Priority::High);
    assert_eq!(full.sticky.as_deref(), Some(&RequestKey::Cookie { name: "c".to_owned() }));
    let bare = plan.get(RuleId(1)).unwrap();
    assert_eq!((bare.per_try_timeout, bare.priority), (None, Priority::Normal));
    assert!(bare.rate_limit.is_none() && bare.fault.is_none());
    assert!(bare.mirror.is_none() && bare.sticky.is_none());
}

#[test]
fn rules_keep_what_the_snapshot_says() {
    let edits = HeaderEdits {
        remove: vec!["x".to_owned()],
        set: vec![HeaderEdit { name: "a".to_owned(), value: "b".to_owned() }],
        add: Vec::new(),
    };
    let unlimited = Rule { request_timeout_ms: 0, stream_idle_timeout_ms: 0, ..rule(vec![]) };
    let edited = Rule {
        request_headers: edits.clone(),
        rewrite: Some(Rewrite { path: Some(full("/x")), host: Some("Upstream.test:8080".to_owned()) }),
        ..rule(vec![])
    };
    let routes = vec![route("a", &[], vec![rule(vec![]), unlimited]), route("b", &[], vec![edited])];
    let plan = Plan::new(&snapshot(routes, Vec::new())).unwrap();
    let rules: Vec<_> = plan.iter().map(|r| (r.route, r.rule)).collect();
    assert_eq!(rules, [(0, 0), (0, 1), (1, 0)]);
    let first = plan.get(RuleId(0)).unwrap();
    assert_eq!(first.request_timeout, Some(Duration::from_secs(15)));
    assert_eq!(first.stream_idle, Some(Duration::from_secs(300)));
    assert_eq!(first.retry.attempts(), 1);
    assert!(first.request_headers.is_none() && first.response_headers.is_none() && first.rewrite.is_none());
    let second = plan.get(RuleId(1)).unwrap();
    assert_eq!((second.request_timeout, second.stream_idle), (None, None));
    let third = plan.get(RuleId(2)).unwrap();
    assert_eq!(third.request_headers.as_deref(), Some(&edits));
    assert_eq!(third.rewrite.as_deref().and_then(|r| r.host.as_deref()), Some("Upstream.test:8080"));
    assert!(plan.get(RuleId(3)).is_none());
}

/// `SplitMix64`, seeded.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn weights_are_shares() {
    let cases: &[&[u32]] =
        &[&[95, 5], &[1, 9], &[1, 1], &[0, 1, 0, 3, 0], &[1_000_000, 1], &[5, 4, 3, 2, 1, 7, 8, 9, 11]];
    for weights in cases {
        let backends: Vec<Backend> = weights.iter().map(|w| backend(0, *w)).collect();
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        with_split(backends, |split| {
            let kept: Vec<&Backend> = split.backends().collect();
            assert_eq!(kept.len(), weights.iter().filter(|w| **w > 0).count());
            let mut counts = vec![0_u32; kept.len()];
            let mut random = Random(7);
            let draws = 200_000;
            for _ in 0..draws {
                let picked = split.pick(random.next());
                let position = kept.iter().position(|b| std::ptr::eq(*b, picked)).unwrap();
                counts[position] += 1;
            }
            for (backend, count) in kept.iter().zip(&counts) {
                let share = f64::from(backend.weight) / total;
                let mean = share * f64::from(draws);
                let deviation = (mean * (1.0 - share)).sqrt();
                let off = (f64::from(*count) - mean).abs();
                assert!(off <= 5.0 * deviation.max(1.0), "{weights:?}: {count} instead of {mean}");
            }
        });
    }
}

#[test]
fn shares_end_exactly_where_the_range_says() {
    with_split(vec![backend(0, 1), backend(1, 3)], |split| {
        for (random, service) in [(0, 0), ((1 << 62) - 1, 0), (1 << 62, 1), (u64::MAX, 1)] {
            assert_eq!(split.pick(random).service, service, "{random}");
        }
    });
    with_split(vec![backend(0, 0), backend(1, 1)], |split| {
        assert_eq!((split.pick(0).service, split.pick(u64::MAX).service), (1, 1));
    });
}

#[test]
fn rewritten_paths() {
    let cases: &[(PathEdit, &str, Option<usize>, &str)] = &[
        (replace("/"), "/v1/a", Some(3), "/a"),
        (replace("/"), "/v1", Some(3), "/"),
        (replace("/"), "/v1/", Some(3), "/"),
        (replace("/"), "/v1/a/", Some(3), "/a/"),
        (replace("/"), "/v1/a/b", Some(3), "/a/b"),
        (replace("/new"), "/v1/a", Some(3), "/new/a"),
        (replace("/new/"), "/v1/a", Some(3), "/new/a"),
        (replace("/new"), "/v1", Some(3), "/new"),
        (replace("/new/"), "/v1", Some(3), "/new"),
        (replace("/new"), "/v1/", Some(3), "/new/"),
        (replace("/new/"), "/v1/", Some(3), "/new/"),
        (replace("/a/b"), "/", Some(0), "/a/b/"),
        (replace("/a/b"), "/x", Some(0), "/a/b/x"),
        (replace("/"), "/", Some(0), "/"),
        (replace("/"), "/x", Some(0), "/x"),
        (replace("/new"), "/v1/%2F;a", Some(3), "/new/%2F;a"),
        (replace("/new"), "/v1/{a}|b", Some(3), "/new/{a}|b"),
        (replace("/new"), "/v1/a", None, "/new"),
        (replace("/new/"), "/v1/a", None, "/new/"),
        (replace("/new"), "/v1", Some(99), "/new"),
        (full("/all"), "/v1/a", Some(3), "/all"),
        (full("/all/"), "/v1/a", None, "/all/"),
        (full("/"), "/v1/a", Some(3), "/"),
        (full("///x"), "/v1/a", None, "/x"),
        (replace("/"), "/v1//x", Some(3), "/x"),
        (replace("/"), "/v1\r\nx: y", Some(3), "/%0D%0Ax:%20y"),
        (replace(""), "/v1/a", Some(3), "/a"),
        (full("x"), "/v1/a", None, "/x"),
    ];
    for (edit, path, prefix_len, expected) in cases {
        let mut out = b"kept".to_vec();
        rewrite_path(edit, path.as_bytes(), *prefix_len, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("kept{expected}"),
            "{edit:?} {path} {prefix_len:?}"
        );
    }
}

fn redirect(scheme: Option<&str>, host: Option<&str>, port: Option<u16>, path: Option<PathEdit>) -> Redirect {
    Redirect { status: 302, scheme: scheme.map(str::to_owned), host: host.map(str::to_owned), port, path }
}

#[test]
fn redirect_locations() {
    let https = Some("https");
    let cases: &[(Redirect, Scheme, &str, &str, Option<&str>, &str)] = &[
        (
            redirect(None, None, None, Some(full("/v1/new"))),
            Scheme::Http,
            "api.test",
            "/old",
            None,
            "http://api.test/v1/new",
        ),
        (
            redirect(None, None, None, None),
            Scheme::Http,
            "api.test:8080",
            "/a",
            Some("q=1"),
            "http://api.test:8080/a?q=1",
        ),
        (redirect(None, None, None, None), Scheme::Http, "api.test:80", "/a", None, "http://api.test/a"),
        (redirect(None, None, None, None), Scheme::Https, "api.test:443", "/a", None, "https://api.test/a"),
        (redirect(None, None, None, None), Scheme::Https, "api.test:80", "/a", None, "https://api.test:80/a"),
        (redirect(https, None, None, None), Scheme::Http, "api.test:8080", "/a", None, "https://api.test/a"),
        (
            redirect(https, None, None, None),
            Scheme::Https,
            "api.test:8443",
            "/a",
            None,
            "https://api.test:8443/a",
        ),
        (
            redirect(https, None, Some(8443), None),
            Scheme::Http,
            "api.test",
            "/a",
            None,
            "https://api.test:8443/a",
        ),
        (redirect(https, None, Some(443), None), Scheme::Http, "api.test", "/a", None, "https://api.test/a"),
        (redirect(Some("http"), None, Some(80), None), Scheme::Https, "a", "/", None, "http://a/"),
        (
            redirect(None, Some("new.test"), None, None),
            Scheme::Http,
            "api.test:8080",
            "/a",
            None,
            "http://new.test:8080/a",
        ),
        (
            redirect(None, Some("::1"), Some(81), None),
            Scheme::Http,
            "api.test",
            "/a",
            None,
            "http://[::1]:81/a",
        ),
        (redirect(None, Some("[::1]"), None, None), Scheme::Http, "api.test", "/a", None, "http://[::1]/a"),
        (redirect(None, None, None, None), Scheme::Http, "[::1]:8080", "/a", None, "http://[::1]:8080/a"),
        (redirect(None, None, None, None), Scheme::Http, "[::1]", "/a", None, "http://[::1]/a"),
        (redirect(None, None, Some(81), None), Scheme::Http, "[::1]:8080", "/a", None, "http://[::1]:81/a"),
        (redirect(None, None, None, None), Scheme::Http, "api.test:", "/a", None, "http://api.test/a"),
        (
            redirect(None, None, None, Some(replace("/new"))),
            Scheme::Http,
            "a",
            "/v1/x",
            Some(""),
            "http://a/new/x?",
        ),
        (
            redirect(None, None, None, Some(replace("/"))),
            Scheme::Http,
            "a",
            "/v1",
            Some("x=%20"),
            "http://a/?x=%20",
        ),
        (redirect(None, None, None, None), Scheme::Http, "a", "//evil.test/x", None, "http://a/evil.test/x"),
        (
            redirect(None, None, None, None),
            Scheme::Http,
            "a",
            "/x\r\nSet-Cookie: a",
            None,
            "http://a/x%0D%0ASet-Cookie:%20a",
        ),
        (
            redirect(None, None, None, None),
            Scheme::Http,
            "a",
            "/",
            Some("x\r\ny\"<>#{|}^`\\"),
            "http://a/?x%0D%0Ay%22%3C%3E%23%7B%7C%7D%5E%60%5C",
        ),
        (redirect(None, None, None, None), Scheme::Http, "a\r\nb", "/", None, "http://a%0D%0Ab/"),
        (
            redirect(None, None, None, None),
            Scheme::Http,
            "a",
            "/\u{e9}",
            Some("\u{e9}"),
            "http://a/%C3%A9?%C3%A9",
        ),
        (
            redirect(None, None, None, None),
            Scheme::Http,
            "a",
            "/%2F%C3%A9;x",
            Some("a=b&c=d/?"),
            "http://a/%2F%C3%A9;x?a=b&c=d/?",
        ),
    ];
    for (redirect, scheme, authority, path, query, expected) in cases {
        let from = RedirectFrom {
            scheme: *scheme,
            authority: authority.as_bytes(),
            path: path.as_bytes(),
            query: query.map(str::as_bytes),
            prefix_len: Some(3),
        };
        let mut out = Vec::new();
        redirect_location(redirect, &from, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), *expected, "{redirect:?} {from:?}");
    }
}

#[test]
fn a_location_never_ends_its_line() {
    for byte in 0..=255 {
        let text = [b'/', byte, b'x'];
        let from = RedirectFrom {
            scheme: Scheme::Http,
            authority: &text,
            path: &text,
            query: Some(&text),
            prefix_len: None,
        };
        let mut out = Vec::new();
        redirect_location(&redirect(None, None, None, None), &from, &mut out);
        rewrite_path(&replace("/"), &text, Some(0), &mut out);
        assert!(out.iter().all(u8::is_ascii_graphic), "{byte}: {}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn what_cannot_be_compiled_is_named() {
    let rewrite = |path: Option<PathEdit>, host: Option<&str>| Rule {
        rewrite: Some(Rewrite { path, host: host.map(str::to_owned) }),
        ..rule(vec![])
    };
    let answer = |redirect: Redirect| Rule { redirect: Some(redirect), backends: vec![], ..rule(vec![]) };
    let cases = [
        (rewrite(Some(full("x")), None), "rewrite.path"),
        (rewrite(Some(full("/a?b")), None), "rewrite.path"),
        (rewrite(Some(replace("/../a")), None), "rewrite.path"),
        (rewrite(Some(replace("/a\r\nb")), None), "rewrite.path"),
        (rewrite(None, Some("")), "rewrite.host"),
        (rewrite(None, Some("a b")), "rewrite.host"),
        (rewrite(None, Some("a\r\nb")), "rewrite.host"),
        (rewrite(None, Some("u@a")), "rewrite.host"),
        (rewrite(None, Some("a:")), "rewrite.host"),
        (rewrite(None, Some("a:70000")), "rewrite.host"),
        (rewrite(None, Some("a:+1")), "rewrite.host"),
        (rewrite(None, Some("a/b")), "rewrite.host"),
        (rewrite(None, Some("::1")), "rewrite.host"),
        (answer(Redirect { status: 200, ..redirect(None, None, None, None) }), "redirect.status"),
        (answer(Redirect { status: 304, ..redirect(None, None, None, None) }), "redirect.status"),
        (answer(redirect(Some("javascript"), None, None, None)), "redirect.scheme"),
        (answer(redirect(Some("HTTPS"), None, None, None)), "redirect.scheme"),
        (answer(redirect(None, Some("a:80"), None, None)), "redirect.host"),
        (answer(redirect(None, Some("a\r\nb"), None, None)), "redirect.host"),
        (answer(redirect(None, Some("a/b"), None, None)), "redirect.host"),
        (answer(redirect(None, Some("u@a"), None, None)), "redirect.host"),
        (answer(redirect(None, None, Some(0), None)), "redirect.port"),
        (answer(redirect(None, None, None, Some(full("a")))), "redirect.path"),
    ];
    for (wrong, key) in cases {
        let checked = snapshot(vec![route("a", &[], vec![rule(vec![]), wrong.clone()])], Vec::new());
        let error = Plan::new(&checked).map(drop).unwrap_err();
        assert_eq!(error.at, format!("routes[0].rules[1].{key}"), "{wrong:?}: {error}");
    }
    for host in ["a", "A.test", "a.test:8080", "[::1]", "[::1]:8080", "127.0.0.1:80"] {
        assert_eq!(plan(vec![rewrite(None, Some(host))]).iter().len(), 1, "{host}");
    }
}
