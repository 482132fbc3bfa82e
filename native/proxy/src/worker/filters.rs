//! route → filters: what a rule does to requests of its own before they go on: it limits their rate, and it fails on purpose.
//!
//! In: a request that a rule was found for. Out: it goes on, or an answer of our own.

use super::Worker;
use super::conn::{Conn, Role};
use super::permit::caller;
use super::request::Refusal;
use crate::clock::Nanos;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::net::IpAddr;
use std::rc::Rc;
use tulle_decide::fault::Pace;
use tulle_decide::http::{Fields, cookie_in};
use tulle_decide::policy::Caller;
use tulle_decide::rate_limit::{Limiter, Verdict};
use tulle_decide::request_key::{Shown, hash_for_limit};
use tulle_decide::route::HeaderLookup;

/// The fields of a head, as matching asks for them.
pub(super) struct Lookup<'a> {
    pub(super) head: &'a [u8],
    pub(super) fields: &'a Fields,
    /// The effective authority: HTTP/2 has `:authority` instead of Host (RFC 9113 section 8.3.1).
    pub(super) host: &'a [u8],
}

impl HeaderLookup for Lookup<'_> {
    fn has(&self, lower_name: &str, value: &[u8]) -> bool {
        if lower_name == "host" {
            return self.host == value;
        }
        self.fields.values(self.head, lower_name.as_bytes()).any(|found| found == value)
    }

    fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        // The borrow of `name` ends before that of the head.
        self.fields.values(self.head, b"cookie").find_map(|line| cookie_in(line, name))
    }
}

impl<'a> Lookup<'a> {
    /// The request whose head it is.
    pub(super) fn with(&self, path: &'a [u8], client: Option<&'a Conn>) -> Request<'a> {
        Request { head: self.head, fields: self.fields, host: self.host, path, client }
    }
}

/// A request, as keys ask for it.
pub(super) struct Request<'a> {
    head: &'a [u8],
    fields: &'a Fields,
    host: &'a [u8],
    path: &'a [u8],
    client: Option<&'a Conn>,
}

impl Shown for Request<'_> {
    fn header(&self, lower_name: &str) -> Option<&[u8]> {
        if lower_name == "host" {
            return Some(self.host).filter(|host| !host.is_empty());
        }
        let mut all = self.fields.iter();
        let same = |name: &[u8]| name.eq_ignore_ascii_case(lower_name.as_bytes());
        all.find(|field| same(field.name.of(self.head))).map(|field| field.value.of(self.head))
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let mut lines =
            self.fields.iter().filter(|field| field.name.of(self.head).eq_ignore_ascii_case(b"cookie"));
        lines.find_map(|line| cookie_in(line.value.of(self.head), name.as_bytes()))
    }

    fn source(&self) -> Option<IpAddr> {
        match &self.client?.role {
            Role::Client(client) => Some(client.peer.ip()),
            Role::Upstream(_) => None,
        }
    }

    fn path(&self) -> &[u8] {
        self.path
    }

    fn identity(&self) -> Option<&str> {
        match caller(self.client?) {
            Caller::Peer(id) => Some(id.as_str()),
            Caller::Anonymous => None,
        }
    }
}

impl Worker {
    /// Whether the rule lets one more request of its key pass.
    pub(super) fn limit(&mut self, exchange: Id, headers: &Lookup<'_>, path: &[u8]) -> Result<(), Refusal> {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal.into()) };
        let config = Rc::clone(&x.config);
        let Some((id, rule)) = x.rule.and_then(|id| Some((id, config.rule(id)?))) else { return Ok(()) };
        if rule.counts() {
            x.counts = config.counts(id);
        }
        let Some(limit) = &rule.rate_limit else { return Ok(()) };
        let shown = headers.with(path, self.conns.get(x.client));
        let seed = self.setup.shared.seed;
        let key = limit.key.as_ref().and_then(|key| hash_for_limit(key, &shown, seed));
        let limiter = x.counts.as_ref().and_then(|counts| counts.counts.limiter.as_ref());
        match limiter.map(|limiter| limiter.decide(key, now.0)) {
            Some(refused @ Verdict::Refuse { .. }) => Err(Refusal::Limited(refused)),
            Some(Verdict::Pass { .. }) | None => Ok(()),
        }
    }

    /// What the rule does wrong on purpose.
    pub(super) fn injure(&mut self, exchange: Id, headers: &Lookup<'_>) -> Result<(), Refusal> {
        let now = self.now;
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal.into()) };
        let config = Rc::clone(&x.config);
        let Some(fault) = x.rule.and_then(|rule| config.rule(rule)?.fault.as_ref()) else { return Ok(()) };
        let injected = fault.decide(headers, self.random.next());
        if let Some(abort) = injected.abort.filter(|_| injected.delay_ns.is_none()) {
            return Err(Refusal::Fault(abort));
        }
        x.aborts = injected.abort;
        if injected.delay_ns.is_some() || injected.bytes_per_second.is_some() {
            x.record.flags.insert(Flags::FAULT);
        }
        x.rests_until = injected.delay_ns.map(|delay| Nanos(now.0.saturating_add(delay)));
        x.pace = injected.bytes_per_second.map(|rate| Box::new(Pace::new(rate, now.0)));
        Ok(())
    }
}
