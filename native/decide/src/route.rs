//! Which rule a request matches, and what that rule says to do with it.
//!
//! In: a [`Permit`], the request's host, method, normalized path, query and headers. Out: [`Matched`], whose rule is
//! looked up in a [`Plan`]. Before: policy. After: balance, with the backend that [`Split::pick`] gives.

mod build;
mod conditions;
mod plan;
mod rewrite;
mod split;
mod table;

pub use crate::policy::BuildError;
pub(crate) use build::host_problem;
pub(crate) use plan::milliseconds;
pub use plan::{Plan, RuleAction, RulePlan};
pub use rewrite::{RedirectFrom, Scheme, redirect_location, rewrite_path};
pub use split::{Choice, Split};

use crate::policy::{Permit, Regexes};
use std::sync::Arc;
use table::{Bucket, Candidate, Candidates, Tables};
use tulle_snapshot::Checked;

/// Which rule, counted over all rules of all routes of the snapshot in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// The header fields of a request, as far as matching asks for them.
pub trait HeaderLookup {
    /// Whether there is a field of this name, given in lower case, with exactly this value.
    fn has(&self, lower_name: &str, value: &[u8]) -> bool;

    /// The value of the first cookie of this name (RFC 6265 section 4.2).
    fn cookie(&self, name: &[u8]) -> Option<&[u8]>;
}

/// What matching looks at.
#[derive(Debug)]
pub struct RequestView<'a, H: ?Sized> {
    /// Lower-case, without port and final dot.
    pub host: &'a [u8],
    /// As sent.
    pub method: &'a [u8],
    /// Normalized, without the query.
    pub path: &'a [u8],
    /// What follows the `?`, as sent.
    pub query: Option<&'a [u8]>,
    /// The header fields.
    pub headers: &'a H,
}

/// The rule that a request is to be treated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// The rule.
    pub rule: RuleId,
    /// How many bytes of the path the rule's prefix covers, without a final `/`; a match without a path condition
    /// covers 0, like `prefix: /`. None: an exact path or a regex was matched.
    pub prefix_len: Option<usize>,
}

/// The routes of one listener, compiled. A clone shares the tables, and has scratch memory of its own for regular
/// expressions: each worker holds a clone.
#[derive(Debug, Clone)]
pub struct Router {
    tables: Arc<Tables>,
    regexes: Regexes,
}

impl Router {
    /// Compiles the routes that apply to `listener`, an index of the snapshot's.
    pub fn new(snapshot: &Checked, listener: u32) -> Result<Self, BuildError> {
        let (tables, regexes) = build::tables(snapshot, listener)?;
        Ok(Self { tables: Arc::new(tables), regexes })
    }

    /// The most specific rule that `request` matches, or none: 404.
    ///
    /// Rules of the exact host are tried first, then those of wildcards, longest first, then those for any host. Within
    /// one host: exact path, regex, longer prefix; then a method condition, more headers, more query parameters, and
    /// the order of the snapshot. A condition that does not fit passes on to the next.
    ///
    /// Costs a hash look-up for the host and the exact path each, and one per prefix length that the host's rules have
    /// and that ends at a segment of this path. Rules with the same host and path, and a host's regexes, are tried in
    /// turn.
    #[must_use]
    pub fn find<H: HeaderLookup + ?Sized>(
        &self,
        _permit: &Permit,
        request: &RequestView<'_, H>,
    ) -> Option<Matched> {
        let hosts = &self.tables.hosts;
        if let Some(bucket) = hosts.exact(request.host)
            && let Some(matched) = self.within(bucket, request)
        {
            return Some(matched);
        }
        hosts
            .wildcards(request.host)
            .find_map(|bucket| self.within(bucket, request))
            .or_else(|| hosts.any().and_then(|bucket| self.within(bucket, request)))
    }

    fn within<H: HeaderLookup + ?Sized>(
        &self,
        bucket: &Bucket,
        request: &RequestView<'_, H>,
    ) -> Option<Matched> {
        let tables = &*self.tables;
        let path = request.path;
        if bucket.has_exact
            && let Some(candidates) = tables.exact.find(bucket.id, path)
            && let Some(rule) = self.first_fit(candidates, request)
        {
            return Some(Matched { rule, prefix_len: None });
        }
        if let Some(rule) = self.regex(bucket, request) {
            return Some(Matched { rule, prefix_len: None });
        }
        let by_length = tables.prefix_lengths(bucket, path).find_map(|len| {
            let candidates = tables.prefix.find(bucket.id, path.get(..len)?)?;
            let rule = self.first_fit(candidates, request)?;
            Some(Matched { rule, prefix_len: Some(len) })
        });
        by_length.or_else(|| {
            let rule = self.first_fit(bucket.root, request)?;
            Some(Matched { rule, prefix_len: Some(0) })
        })
    }

    fn regex<H: HeaderLookup + ?Sized>(
        &self,
        bucket: &Bucket,
        request: &RequestView<'_, H>,
    ) -> Option<RuleId> {
        let candidates = self.tables.regexes(bucket);
        let fitting = candidates.iter().find(|(regex, candidate)| {
            self.fits(candidate, request) && self.regexes.is_match(*regex, request.path)
        });
        fitting.map(|(_, candidate)| candidate.rule)
    }

    fn first_fit<H: HeaderLookup + ?Sized>(
        &self,
        candidates: Candidates,
        request: &RequestView<'_, H>,
    ) -> Option<RuleId> {
        match candidates {
            Candidates::None => None,
            Candidates::One(rule) => Some(rule),
            Candidates::Several(span) => {
                let mut several = span.of(&self.tables.candidates).iter();
                several.find(|candidate| self.fits(candidate, request)).map(|candidate| candidate.rule)
            }
        }
    }

    fn fits<H: HeaderLookup + ?Sized>(&self, candidate: &Candidate, request: &RequestView<'_, H>) -> bool {
        match candidate.conditions {
            None => true,
            Some(id) => {
                self.tables.conditions.get(id as usize).is_some_and(|conditions| conditions.fit(request))
            }
        }
    }
}
