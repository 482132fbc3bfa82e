//! policy, as a worker asks it: who the caller is, and what was decided about it, noted in the record.
//!
//! In: a client's connection, a verdict. Out: the permit that routing and forwarding take. Before: http or detect.

use super::conn::Conn;
use super::exchange::Exchange;
use crate::telemetry::{Flags, NONE_16, Reason};
use tulle_decide::policy::{Caller, Decision, Permit, PolicyId, Verdict};

/// Who is at the other end, as far as TLS could prove it.
pub(super) fn caller(conn: &Conn) -> Caller<'_> {
    let peer = conn.link.session().and_then(|session| session.peer());
    peer.map_or(Caller::Anonymous, |peer| Caller::Peer(&peer.spiffe))
}

/// Notes what was decided, and hands out the permit.
pub(super) fn permitted(x: &mut Exchange, verdict: Verdict) -> Result<Permit, Reason> {
    let id =
        |policy: Option<PolicyId>| policy.and_then(|policy| u16::try_from(policy.0).ok()).unwrap_or(NONE_16);
    x.record.shadow_policy = id(verdict.shadow.would_deny.or(verdict.shadow.would_allow));
    if verdict.shadow.would_deny.is_some() {
        x.record.flags.insert(Flags::SHADOW_DENIED);
    }
    match verdict.decision {
        Decision::Allow(permit) => {
            x.record.policy = id(permit.policy());
            Ok(permit)
        }
        Decision::Deny { policy } => {
            x.record.policy = id(policy);
            Err(Reason::Denied)
        }
    }
}
