//! What each rule says to do, compiled: one [`Plan`] for all listeners of a snapshot.

use super::build::host_problem;
use super::{BuildError, RuleId};
use crate::policy::literal;
use crate::retry::RetryPolicy;
use std::time::Duration;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{Backend, HeaderEdits, PathEdit, Redirect, Rewrite, Rule};

/// The rules of a snapshot by [`RuleId`].
#[derive(Debug)]
pub struct Plan {
    rules: Vec<RulePlan>,
}

impl Plan {
    /// Compiles every rule of the snapshot.
    pub fn new(snapshot: &Checked) -> Result<Self, BuildError> {
        let mut rules = Vec::with_capacity(snapshot.routes.iter().map(|r| r.rules.len()).sum());
        for (route, wire) in (0u32..).zip(&snapshot.routes) {
            for (rule, wire) in (0u32..).zip(&wire.rules) {
                rules.push(RulePlan::new(route, rule, wire)?);
            }
        }
        Ok(Self { rules })
    }

    /// What the rule says. None for an id of another snapshot.
    #[must_use]
    pub fn get(&self, id: RuleId) -> Option<&RulePlan> {
        self.rules.get(id.0 as usize)
    }

    /// All rules, in the order of their ids.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &RulePlan> {
        self.rules.iter()
    }
}

/// What one rule says to do.
#[derive(Debug)]
pub struct RulePlan {
    /// Index into the snapshot's routes.
    pub route: u32,
    /// Index into the route's rules.
    pub rule: u32,
    /// From the request's last byte to the response's head, over all attempts; none: no limit.
    pub request_timeout: Option<Duration>,
    /// Bodies, streams and tunnels without a byte either way end after this; none: no limit.
    pub stream_idle: Option<Duration>,
    /// When another attempt may be made.
    pub retry: RetryPolicy,
    /// Changes to the request's headers; none: none.
    pub request_headers: Option<Box<HeaderEdits>>,
    /// Changes to the response's headers; none: none.
    pub response_headers: Option<Box<HeaderEdits>>,
    /// Changes to path and Host, for [`super::rewrite_path`]; none: none.
    pub rewrite: Option<Box<Rewrite>>,
    /// Where the request goes.
    pub action: RuleAction,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum RuleAction {
    /// It is sent on.
    Forward(Split),
    /// It is answered, for [`super::redirect_location`].
    Redirect(Box<Redirect>),
}

impl RulePlan {
    fn new(route: u32, rule: u32, wire: &Rule) -> Result<Self, BuildError> {
        let wrong = |key: &str, problem: String| {
            BuildError::new(format!("routes[{route}].rules[{rule}].{key}"), problem)
        };
        if let Some(rewrite) = &wire.rewrite {
            path_edit(rewrite.path.as_ref()).map_err(|problem| wrong("rewrite.path", problem))?;
            let host = rewrite.host.as_deref().map_or(Ok(()), authority);
            host.map_err(|problem| wrong("rewrite.host", problem))?;
        }
        let action = match &wire.redirect {
            Some(redirect) => {
                redirect_parts(redirect).map_err(|(key, problem)| wrong(key, problem))?;
                RuleAction::Redirect(Box::new(redirect.clone()))
            }
            None => RuleAction::Forward(
                Split::new(&wire.backends)
                    .ok_or_else(|| wrong("backends", "the weights sum to 0".to_owned()))?,
            ),
        };
        Ok(Self {
            route,
            rule,
            request_timeout: milliseconds(wire.request_timeout_ms),
            stream_idle: milliseconds(wire.stream_idle_timeout_ms),
            retry: RetryPolicy::new(&wire.retry),
            request_headers: edits(&wire.request_headers),
            response_headers: edits(&wire.response_headers),
            rewrite: wire.rewrite.clone().map(Box::new),
            action,
        })
    }
}

pub(crate) fn milliseconds(value: u32) -> Option<Duration> {
    (value > 0).then(|| Duration::from_millis(u64::from(value)))
}

fn edits(wire: &HeaderEdits) -> Option<Box<HeaderEdits>> {
    let empty = wire.remove.is_empty() && wire.set.is_empty() && wire.add.is_empty();
    (!empty).then(|| Box::new(wire.clone()))
}

fn path_edit(edit: Option<&PathEdit>) -> Result<(), String> {
    match edit {
        None => Ok(()),
        Some(PathEdit::Full { value } | PathEdit::ReplacePrefix { value }) => literal(value),
    }
}

/// A host, with a port where one is to be sent.
fn authority(host: &str) -> Result<(), String> {
    let bracketed = host.ends_with(']');
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !bracketed => {
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            if !digits || port.parse::<u16>().is_err() {
                return Err(format!("{host:?} has no port after its colon"));
            }
            name
        }
        _ => host,
    };
    host_problem(&name.to_ascii_lowercase()).map_or(Ok(()), |problem| Err(format!("{host:?} {problem}")))
}

fn redirect_parts(redirect: &Redirect) -> Result<(), (&'static str, String)> {
    if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
        return Err((
            "redirect.status",
            format!("{} is not one of 301, 302, 303, 307, 308", redirect.status),
        ));
    }
    if let Some(scheme) = &redirect.scheme
        && scheme != "http"
        && scheme != "https"
    {
        return Err(("redirect.scheme", format!("{scheme:?} is neither http nor https")));
    }
    if let Some(host) = &redirect.host
        && host.parse::<std::net::Ipv6Addr>().is_err()
        && let Some(problem) = host_problem(&host.to_ascii_lowercase())
    {
        return Err(("redirect.host", format!("{host:?} {problem}")));
    }
    if redirect.port == Some(0) {
        return Err(("redirect.port", "0 is no port".to_owned()));
    }
    path_edit(redirect.path.as_ref()).map_err(|problem| ("redirect.path", problem))
}

/// The backends of a rule, by weight.
#[derive(Debug)]
pub struct Split {
    first: Backend,
    /// Further backends, each with the sum of the weights before it, ascending.
    others: Box<[(u64, Backend)]>,
    total: u64,
}

impl Split {
    /// None, if no backend has a weight. Those of weight 0 are left out.
    pub(crate) fn new(backends: &[Backend]) -> Option<Self> {
        let mut weighted = backends.iter().filter(|backend| backend.weight > 0);
        let first = weighted.next()?.clone();
        let mut total = u64::from(first.weight);
        let mut others = Vec::new();
        for backend in weighted {
            others.push((total, backend.clone()));
            total += u64::from(backend.weight);
        }
        Some(Self { first, others: others.into(), total })
    }

    /// The backend for one request. `random` is uniform over all of `u64`; each backend gets its exact share of that
    /// range, to within one part in 2^64 of it per backend.
    #[must_use]
    pub fn pick(&self, random: u64) -> &Backend {
        if self.others.is_empty() {
            return &self.first;
        }
        let scaled = (u128::from(random) * u128::from(self.total)) >> 64;
        let reached = self.others.partition_point(|(before, _)| u128::from(*before) <= scaled);
        let last = self.others.get(..reached).and_then(<[_]>::last);
        last.map_or(&self.first, |(_, backend)| backend)
    }

    /// Every backend that has a weight, in the order of the snapshot.
    pub fn backends(&self) -> impl Iterator<Item = &Backend> {
        std::iter::once(&self.first).chain(self.others.iter().map(|(_, backend)| backend))
    }
}
