//! Who may call what: the authorization policies of one listener.
//!
//! In: the caller's identity, and the method and normalized path of a request. Out: a [`Verdict`], and with an
//! allowance the [`Permit`] that every later step asks for. Before: http. After: route.

mod build_error;
mod index;
mod pattern;

pub use build_error::BuildError;
pub use pattern::{PathPattern, RegexCompiler, RegexId, Regexes};

pub(crate) use pattern::{exact, hex, literal, prefix};

use crate::identity::{SpiffeId, TrustDomain};
use index::{Asked, Index, Kind};
use std::sync::Arc;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::TlsMode;

/// Which policy: its index in the snapshot's `authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// Who sends a request, as far as TLS could prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Nobody that showed a certificate.
    Anonymous,
    /// The holder of a verified certificate.
    Peer(&'a SpiffeId),
}

/// The proof that a request or a connection was let in. Only an [`Authorizer`] makes one, and one serves one of them: it
/// can be neither copied nor made otherwise.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    policy: Option<PolicyId>,
}

impl Permit {
    /// The allow policy that let the request in; none, where the listener has no enforced allow policy.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyId> {
        self.policy
    }
}

/// Whether a request is let in.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// It is.
    Allow(Permit),
    /// It is not.
    Deny {
        /// The deny policy that fits; none, when no allow policy fits, or the caller is not of the trust domain.
        policy: Option<PolicyId>,
    },
}

/// What would be different if every shadow policy of the listener were enforced, all at once. Never part of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shadow {
    /// The request was let in, and this policy would have refused it: the first deny policy that fits, or the first
    /// allow policy of the listener, when no allow policy fits.
    pub would_deny: Option<PolicyId>,
    /// The request was refused, and this allow policy would have let it in.
    pub would_allow: Option<PolicyId>,
}

/// The answer to one request.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// What holds.
    pub decision: Decision,
    /// What is only recorded.
    pub shadow: Shadow,
}

/// The authorization policies of one listener. A clone shares the tables, and has scratch memory of its own for regular
/// expressions: each worker holds a clone.
#[derive(Debug, Clone)]
pub struct Authorizer {
    tables: Arc<Tables>,
    regexes: Regexes,
}

#[derive(Debug)]
struct Tables {
    mutual: bool,
    /// Where the snapshot names it; else TLS alone knows and checks it.
    trust_domain: Option<TrustDomain>,
    index: Index,
}

impl Authorizer {
    /// Compiles the policies that name `listener`, an index of the snapshot's.
    pub fn new(snapshot: &Checked, listener: u32) -> Result<Self, BuildError> {
        let tls = snapshot.listeners.get(listener as usize).and_then(|l| l.tls.as_ref());
        let trust_domain = tls.and_then(|t| t.trust_domain.as_deref()).map(TrustDomain::parse).transpose();
        let trust_domain = trust_domain
            .map_err(|e| BuildError::new(format!("listeners[{listener}].tls.trustDomain"), e.to_string()))?;
        let mutual = tls.is_some_and(|t| t.mode == TlsMode::Mutual);
        let mut regexes = RegexCompiler::default();
        let index = Index::build(&snapshot.authorization, listener, &mut regexes)?;
        let tables = Arc::new(Tables { mutual, trust_domain, index });
        Ok(Self { tables, regexes: regexes.finish() })
    }

    /// Decides one request. `path` is normalized; what is forwarded must be the same path.
    ///
    /// A deny policy wins. Enforced allow policies refuse whatever none of them fits. Where there is none, a mutual
    /// listener admits every authenticated peer of its trust domain, any other listener everyone.
    pub fn decide(&self, caller: &Caller<'_>, method: &[u8], path: &[u8]) -> Verdict {
        self.judge(*caller, Asked::Request { method, path })
    }

    /// Decides a connection that is forwarded unread, by its caller alone. Allow rules that ask for a method or a path
    /// do not fit it; deny rules do, whatever they ask for.
    pub fn decide_connection(&self, caller: Caller<'_>) -> Verdict {
        self.judge(caller, Asked::Connection)
    }

    fn judge(&self, caller: Caller<'_>, asked: Asked<'_>) -> Verdict {
        let Tables { mutual, trust_domain, index } = &*self.tables;
        let outsider = match caller {
            Caller::Anonymous => *mutual,
            Caller::Peer(id) => trust_domain.as_ref().is_some_and(|domain| !id.is_member_of(domain)),
        };
        if outsider {
            return Verdict { decision: Decision::Deny { policy: None }, shadow: Shadow::default() };
        }
        let rules = index.rules_for(caller);
        let first = |kind| rules.first(kind, asked, &self.regexes);
        if let Some(policy) = first(Kind::Deny) {
            return Verdict { decision: Decision::Deny { policy: Some(policy) }, shadow: Shadow::default() };
        }
        let allowed = first(Kind::Allow);
        let admitted = allowed.is_some() || index.first_allow.is_none();
        let shadow = if index.has_shadow { self.shadow(first, allowed, admitted) } else { Shadow::default() };
        let decision = if admitted {
            Decision::Allow(Permit { policy: allowed })
        } else {
            Decision::Deny { policy: None }
        };
        Verdict { decision, shadow }
    }

    /// `first` gives the first policy of a kind that fits; no enforced deny policy does.
    fn shadow(
        &self,
        first: impl Fn(Kind) -> Option<PolicyId>,
        allowed: Option<PolicyId>,
        admitted: bool,
    ) -> Shadow {
        let index = &self.tables.index;
        let denied = first(Kind::ShadowDeny);
        if !admitted {
            let would_allow = if denied.is_some() { None } else { first(Kind::ShadowAllow) };
            return Shadow { would_deny: None, would_allow };
        }
        let refused = || match index.first_shadow_allow {
            Some(policy) if allowed.is_none() && first(Kind::ShadowAllow).is_none() => Some(policy),
            _ => None,
        };
        Shadow { would_deny: denied.or_else(refused), would_allow: None }
    }

    /// Whether a policy of this listener, enforced or shadow, looks at paths. `%2F` and `;` are ambiguous then.
    #[must_use]
    pub fn has_path_conditions(&self) -> bool {
        self.tables.index.has_path_conditions
    }
}
