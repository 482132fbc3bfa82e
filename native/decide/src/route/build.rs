//! Compiles the routes of a snapshot into the tables of a router.
//!
//! Hosts with the same routes share a bucket, so that a route with many host names and many rules stays small.

use super::conditions::Conditions;
use super::table::{Bucket, Candidate, Candidates, HostPattern, Hosts, Rare, Span, Tables};
use super::{BuildError, RuleId};
use crate::policy::{RegexCompiler, RegexId, Regexes, exact, prefix};
use foldhash::fast::RandomState;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{Match, PathMatch, Route};

/// How specific a match is beside its host and path; the smallest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    without_method: bool,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    /// In the order of the snapshot.
    order: u32,
}

/// A path condition; a match without one is a prefix of no bytes. The order is only for grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Path<'a> {
    Exact(&'a [u8]),
    Regex,
    Prefix(&'a [u8]),
}

/// One match of a rule, compiled.
#[derive(Debug, Clone, Copy)]
struct Draft<'a> {
    path: Path<'a>,
    rank: Rank,
    regex: Option<RegexId>,
    candidate: Candidate,
}

#[derive(Debug, Default)]
struct Builder<'a> {
    tables: Tables,
    regexes: RegexCompiler,
    /// The matches of every route that applies to the listener, in the order of the snapshot.
    drafts: Vec<Draft<'a>>,
}

/// A rule without matches.
static EVERY_REQUEST: Match =
    Match { path: None, method: None, headers: Vec::new(), query: Vec::new(), cookies: Vec::new() };

/// The tables for the routes that apply to `listener`.
pub(super) fn tables(snapshot: &Checked, listener: u32) -> Result<(Tables, Regexes), BuildError> {
    let mut builder = Builder::default();
    let mut hosts = HostRoutes::default();
    let mut first_rule = 0;
    for (i, route) in snapshot.routes.iter().enumerate() {
        if route.listeners.contains(&listener) {
            let span = builder.route(i, route, first_rule)?;
            for host in host_patterns(i, route)? {
                // Without rules there is nothing to find, and no start of its own to know it by.
                if span.len > 0 {
                    hosts.add(host, span);
                }
            }
        }
        first_rule += count(route.rules.len(), "routes")?;
    }
    let mut buckets: HashMap<Vec<u32>, Bucket, RandomState> = HashMap::default();
    for (host, spans) in &hosts.list {
        let routes: Vec<u32> = spans.iter().map(|span| span.start).collect();
        let next = count(buckets.len(), "routes")?;
        let bucket = match buckets.entry(routes) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(builder.bucket(next, spans)?),
        };
        builder.tables.hosts.insert(*host, bucket);
    }
    Ok((builder.tables, builder.regexes.finish()))
}

/// For each host the drafts of its routes, both in the order of the snapshot.
#[derive(Debug, Default)]
struct HostRoutes<'a> {
    list: Vec<(HostPattern<'a>, Vec<Span>)>,
    places: HashMap<HostPattern<'a>, usize, RandomState>,
}

impl<'a> HostRoutes<'a> {
    fn add(&mut self, host: HostPattern<'a>, span: Span) {
        let place = *self.places.entry(host).or_insert(self.list.len());
        match self.list.get_mut(place) {
            None => self.list.push((host, vec![span])),
            // A host that a route names twice is there once.
            Some((_, spans)) if spans.last().is_some_and(|last| last.start == span.start) => {}
            Some((_, spans)) => spans.push(span),
        }
    }
}

fn count(len: usize, at: &str) -> Result<u32, BuildError> {
    u32::try_from(len).map_err(|_| BuildError::new(at, "there are too many"))
}

impl<'a> Builder<'a> {
    /// Compiles the matches of a route; the span is that of its drafts.
    fn route(&mut self, index: usize, route: &'a Route, first_rule: u32) -> Result<Span, BuildError> {
        let start = count(self.drafts.len(), "routes")?;
        for (rule, (i, wire)) in (first_rule..).map(RuleId).zip(route.rules.iter().enumerate()) {
            if wire.matches.is_empty() {
                self.draft(rule, &EVERY_REQUEST, || format!("routes[{index}].rules[{i}]"))?;
            }
            for (j, wanted) in wire.matches.iter().enumerate() {
                self.draft(rule, wanted, || format!("routes[{index}].rules[{i}].matches[{j}]"))?;
            }
        }
        Ok(Span { start, len: count(self.drafts.len(), "routes")? - start })
    }

    fn draft(&mut self, rule: RuleId, wanted: &'a Match, at: impl Fn() -> String) -> Result<(), BuildError> {
        let wrong = |problem| BuildError::new(format!("{}.path", at()), problem);
        let (path, regex) = match &wanted.path {
            None => (Path::Prefix(b""), None),
            Some(PathMatch::Exact { value }) => (Path::Exact(exact(value).map_err(wrong)?), None),
            Some(PathMatch::Prefix { value }) => (Path::Prefix(prefix(value).map_err(wrong)?), None),
            Some(PathMatch::Regex { value }) => (Path::Regex, Some(self.regexes.add(value).map_err(wrong)?)),
        };
        let rank = Rank {
            without_method: wanted.method.is_none(),
            // A cookie is a part of a header.
            headers: Reverse(wanted.headers.len() + wanted.cookies.len()),
            query: Reverse(wanted.query.len()),
            order: count(self.drafts.len(), "routes")?,
        };
        let conditions = match Conditions::new(wanted) {
            None => None,
            Some(conditions) => {
                let position = count(self.tables.conditions.len(), "routes")?;
                self.tables.conditions.push(conditions);
                Some(position)
            }
        };
        self.drafts.push(Draft { path, rank, regex, candidate: Candidate { rule, conditions } });
        Ok(())
    }

    /// Sorts the drafts of one host's routes into the tables.
    fn bucket(&mut self, id: u32, spans: &[Span]) -> Result<Bucket, BuildError> {
        let mut drafts: Vec<Draft<'a>> =
            spans.iter().flat_map(|span| span.of(&self.drafts)).copied().collect();
        drafts.sort_unstable_by_key(|draft| (draft.path, draft.rank));
        let mut bucket = Bucket { id, ..Bucket::default() };
        let mut rare = Rare::default();
        let mut long = Vec::new();
        for group in drafts.chunk_by(|a, b| a.path == b.path) {
            match group.first().map(|draft| draft.path) {
                None => {}
                Some(Path::Exact(path)) => {
                    bucket.has_exact = true;
                    let candidates = self.candidates(group)?;
                    self.tables.exact.insert(id, path, candidates);
                }
                Some(Path::Regex) => rare.regexes = self.regex_candidates(group)?,
                Some(Path::Prefix(b"")) => bucket.root = self.candidates(group)?,
                Some(Path::Prefix(path)) => {
                    match u16::try_from(path.len()) {
                        Ok(short @ 0..64) => bucket.prefix_lengths |= 1 << short,
                        Ok(other) => long.push(other),
                        Err(_) => return Err(BuildError::new("routes", "a prefix is too long")),
                    }
                    let candidates = self.candidates(group)?;
                    self.tables.prefix.insert(id, path, candidates);
                }
            }
        }
        long.sort_unstable_by_key(|len| Reverse(*len));
        long.dedup();
        let start = count(self.tables.long_prefixes.len(), "routes")?;
        rare.long_prefixes = Span { start, len: count(long.len(), "routes")? };
        self.tables.long_prefixes.append(&mut long);
        if rare.regexes.len + rare.long_prefixes.len > 0 {
            self.tables.rare.push(rare);
            bucket.rare = NonZeroU32::new(count(self.tables.rare.len(), "routes")?);
        }
        Ok(bucket)
    }

    /// What comes after a candidate without conditions can never be reached, and is left out.
    fn candidates(&mut self, group: &[Draft<'_>]) -> Result<Candidates, BuildError> {
        let start = count(self.tables.candidates.len(), "routes")?;
        for draft in group {
            let Candidate { rule, conditions } = draft.candidate;
            let is_first = self.tables.candidates.len() == start as usize;
            if conditions.is_none() && is_first {
                return Ok(Candidates::One(rule));
            }
            self.tables.candidates.push(draft.candidate);
            if conditions.is_none() {
                break;
            }
        }
        Ok(Candidates::Several(Span { start, len: count(self.tables.candidates.len(), "routes")? - start }))
    }

    fn regex_candidates(&mut self, group: &[Draft<'_>]) -> Result<Span, BuildError> {
        let start = count(self.tables.regexes.len(), "routes")?;
        let candidates = group.iter().filter_map(|draft| Some((draft.regex?, draft.candidate)));
        self.tables.regexes.extend(candidates);
        Ok(Span { start, len: count(self.tables.regexes.len(), "routes")? - start })
    }
}

fn host_patterns(index: usize, route: &Route) -> Result<Vec<HostPattern<'_>>, BuildError> {
    if route.hostnames.is_empty() {
        return Ok(vec![HostPattern::Any]);
    }
    let mut patterns = Vec::with_capacity(route.hostnames.len());
    for (i, name) in route.hostnames.iter().enumerate() {
        let (bare, pattern) = match name.strip_prefix("*.") {
            Some(below) => (below, HostPattern::Below(below.as_bytes())),
            None => (name.as_str(), HostPattern::Exact(name.as_bytes())),
        };
        if let Some(problem) = host_problem(bare) {
            return Err(BuildError::new(
                format!("routes[{index}].hostnames[{i}]"),
                format!("{name:?} {problem}"),
            ));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

/// Why no request's host can be like `name`, or below it.
pub(crate) fn host_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("has no name");
    }
    if name.len() > Hosts::MAX {
        return Some("is longer than 255 bytes");
    }
    if let Some(address) = name.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|a| a.parse::<std::net::Ipv6Addr>().ok());
        return if address.is_some() { None } else { Some("is not an IPv6 address in brackets") };
    }
    if name.split('.').any(str::is_empty) {
        return Some("has an empty label: no dot at an end, none beside another");
    }
    let legal = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if name.bytes().all(legal) {
        None
    } else {
        Some("is not a host name in lower case, * only as its first label")
    }
}
