//! Prints what the matcher costs: `cargo run --release -p tulle-decide --example matcher`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people, not part of the proxy")]

#[allow(clippy::unwrap_used, clippy::panic, reason = "it is the tests' own")]
#[path = "../tests/suite/fixture.rs"]
mod fixture;

use fixture::{Headers, PLAIN, exact, id, on, permit, prefix, regex, route, rule, snapshot};
use std::hint::black_box;
use std::time::Duration;
use tulle_decide::policy::{Authorizer, Caller};
use tulle_decide::route::{Plan, RequestView, Router};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{Action, Mode, PathMatch, Policy, PolicyRule, Route};

/// Host and path of a request.
type Asked = (String, String);

/// With an argument, only the cases whose line contains it: memory is told best by a process of its own.
fn main() {
    println!(
        "routes                                  build      resident     find, each in turn    find, always one"
    );
    for count in [10, 1_000, 100_000] {
        matcher(&format!("{count} hosts"), count, by_host);
        matcher(&format!("{count} prefixes"), count, |count| by_path(count, prefix));
        matcher(&format!("{count} exact paths"), count, |count| by_path(count, exact));
    }
    matcher("10 regexes", 10, |count| by_path(count, |path| regex(&format!("{path}/[a-z0-9]+"))));
    authorize();
}

fn by_host(count: usize) -> (Vec<Route>, Vec<Asked>) {
    let name = |i: usize| format!("tenant-{i}.example.test");
    let one = |i| route("r", &[&name(i)], vec![rule(vec![on(prefix("/v1"))]), rule(vec![])]);
    ((0..count).map(one).collect(), (0..count).map(|i| (name(i), format!("/v1/items/{i}"))).collect())
}

fn by_path(count: usize, path: impl Fn(&str) -> Option<PathMatch>) -> (Vec<Route>, Vec<Asked>) {
    let name = |i: usize| format!("/api/v1/service-{i}");
    let host = "api.example.test".to_owned();
    let one = |i| route("r", &[&host], vec![rule(vec![on(path(&name(i)))])]);
    let is_exact = matches!(path("/x"), Some(PathMatch::Exact { .. }));
    let tail = if is_exact { "" } else { "/items" };
    ((0..count).map(one).collect(), (0..count).map(|i| (host.clone(), name(i) + tail)).collect())
}

fn matcher(what: &str, count: usize, make: impl Fn(usize) -> (Vec<Route>, Vec<Asked>)) {
    if std::env::args().nth(1).is_some_and(|only| !what.contains(&only)) {
        return;
    }
    let (routes, asked) = make(count);
    let checked: Checked = snapshot(routes, Vec::new());
    let before = resident_kib();
    let begin = processor_time();
    let built = (Router::new(&checked, PLAIN).unwrap(), Plan::new(&checked).unwrap());
    let took = processor_time().saturating_sub(begin);
    let memory = resident_kib().saturating_sub(before);
    let requests = Requests::new(&asked);
    let permit = permit();
    let find = |i| {
        let (host, path) = requests.at(i);
        let headers = &Headers::default();
        let view = RequestView { host, method: b"GET", path, query: None, headers };
        assert!(black_box(built.0.find(&permit, black_box(&view))).is_some());
    };
    let (turns, one) = (per_call(count, find), per_call(1, find));
    println!("{what:<30}{took:>15.1?} {memory:>10} KiB {turns:>18.0} ns {one:>16.0} ns");
}

/// Requests in one piece of memory, in an order that visits every route and jumps between them: reading them costs
/// little, finding their routes costs what it costs when the routes are cold.
struct Requests {
    text: Vec<u8>,
    ends: Vec<(usize, usize, usize)>,
}

impl Requests {
    fn new(asked: &[Asked]) -> Self {
        let mut requests = Self { text: Vec::new(), ends: Vec::new() };
        for i in 0..asked.len() {
            let Some((host, path)) = asked.get(i * 7_919 % asked.len()) else { continue };
            let start = requests.text.len();
            requests.text.extend_from_slice(host.as_bytes());
            let middle = requests.text.len();
            requests.text.extend_from_slice(path.as_bytes());
            requests.ends.push((start, middle, requests.text.len()));
        }
        requests
    }

    fn at(&self, i: usize) -> (&[u8], &[u8]) {
        let (start, middle, end) = self.ends.get(i).copied().unwrap_or_default();
        let part = |from, to| self.text.get(from..to).unwrap_or_default();
        (part(start, middle), part(middle, end))
    }
}

/// Nanoseconds of processor time per call, so that other programs on the machine count less.
fn per_call(len: usize, mut call: impl FnMut(usize)) -> f64 {
    let calls = (1_000_000 / len).max(1) * len;
    let begin = processor_time();
    (0..calls).for_each(|i| call(i % len));
    let took = processor_time().saturating_sub(begin);
    took.as_secs_f64() * 1e9 / f64::from(u32::try_from(calls).unwrap())
}

/// What this thread has used, told by Linux to some milliseconds.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn authorize() {
    for callers in [1, 10_000] {
        let from = (0..callers).map(|i| id(&format!("s{i}")).to_string()).collect();
        let rule = PolicyRule {
            from: Some(from),
            methods: Some(vec!["GET".to_owned(), "HEAD".to_owned()]),
            paths: Some(prefix("/").into_iter().collect()),
        };
        let policy = Policy {
            name: "p".to_owned(),
            listeners: vec![fixture::MUTUAL],
            action: Action::Allow,
            mode: Mode::Enforce,
            rules: vec![rule],
        };
        let authorizer = Authorizer::new(&snapshot(Vec::new(), vec![policy]), fixture::MUTUAL).unwrap();
        let caller = id("s0");
        let cost = per_call(1, |_| {
            let verdict = authorizer.decide(&Caller::Peer(black_box(&caller)), b"GET", b"/v1/items");
            let _ = black_box(verdict);
        });
        println!("authorize, {callers} callers: {cost:.1} ns");
    }
}
