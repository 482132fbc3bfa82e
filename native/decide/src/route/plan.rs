//! What each rule says to do, compiled: one [`Plan`] for all listeners of a snapshot.

use super::build::host_problem;
use super::{BuildError, RuleId, Split};
use crate::fault::Fault;
use crate::mirror::Mirror;
use crate::policy::literal;
use crate::retry::RetryPolicy;
use std::time::Duration;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{HeaderEdits, PathEdit, Priority, RateLimit, Redirect, RequestKey, Rewrite, Rule};

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
    /// One attempt may take this long; none: no limit.
    pub per_try_timeout: Option<Duration>,
    /// Who is turned away last when there is too much to do.
    pub priority: Priority,
    /// How many requests pass, for [`crate::rate_limit`]; none: any number.
    pub rate_limit: Option<Box<RateLimit>>,
    /// What is done wrong on purpose; none: nothing.
    pub fault: Option<Box<Fault>>,
    /// Where copies go; none: nowhere.
    pub mirror: Option<Box<Mirror>>,
    /// Requests with the same key go to the same backend: [`Split::pick_sticky`]; none: each is drawn anew.
    pub sticky: Option<Box<RequestKey>>,
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
    /// Whether its requests are counted: for a rate limit, a retry budget, or hedging.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.rate_limit.is_some() || self.retry.attempts() > 0 || self.retry.hedge().is_some()
    }

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
            per_try_timeout: milliseconds(wire.per_try_timeout_ms),
            priority: wire.priority,
            rate_limit: wire.rate_limit.clone().map(Box::new),
            fault: wire.fault.as_ref().map(Fault::new).map(Box::new),
            mirror: wire.mirror.as_ref().map(Mirror::new).map(Box::new),
            sticky: wire.sticky.clone().map(Box::new),
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
