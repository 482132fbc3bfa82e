//! What a decision about a retry needs to know of the request and of its last attempt.

use super::Advice;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or no handshake: nothing was sent.
    Connect,
    /// Closed or reset before a response head. A stream that the endpoint refused (`REFUSED_STREAM`, or above the last
    /// stream of a GOAWAY; RFC 9113 section 8.7) is this with [`Exposure::Nothing`].
    Reset,
    /// A response head with this status, of which nothing went to the client.
    Status(u16),
    /// The attempt took longer than the rule allows one attempt to take, and there is no response head.
    PerTryTimeout,
    /// A gRPC status other than OK, in a trailers-only answer or otherwise without a message before it, of which
    /// nothing went to the client.
    Grpc(u8),
}

/// How much of a request the upstream may have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Not one byte was written, or the upstream says that it looked at none.
    Nothing,
    /// Some bytes were written.
    Something,
}

/// Whether what was read of the request's body is still there to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// All of it, or nothing was read yet.
    Complete,
    /// It outgrew the replay buffer.
    Lost,
}

/// Whether a connection had carried a request before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reused {
    /// It came from the pool.
    Yes,
    /// It was fresh.
    No,
}

/// Whether a request was already sent once more because of a closing keep-alive connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// What a decision about a retry needs to know.
#[derive(Debug, Clone, Copy)]
pub struct RetryFacts<'a> {
    /// Attempts made so far, the failed one included.
    pub attempts_made: u32,
    /// How the last one ended.
    pub failure: Failure,
    /// How much it showed.
    pub exposure: Exposure,
    /// The request's method, as sent.
    pub method: &'a [u8],
    /// Whether the request has an `idempotency-key` header.
    pub idempotency_key: bool,
    /// Whether the request can be sent again.
    pub replay: Replay,
    /// What the endpoint says about another attempt.
    pub advice: Advice,
    /// Nanoseconds until the request's deadline; none: it has none.
    pub left_ns: Option<u64>,
}

impl RetryFacts<'_> {
    /// Whether sending the request again can do no harm: the upstream has seen nothing of it, or it says itself that
    /// doing it twice is doing it once.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.is_unseen() || self.idempotency_key || is_idempotent(self.method)
    }

    fn is_unseen(&self) -> bool {
        match self.failure {
            Failure::Connect => true,
            Failure::Reset | Failure::PerTryTimeout => self.exposure == Exposure::Nothing,
            Failure::Status(_) | Failure::Grpc(_) => false,
        }
    }
}

/// The idempotent methods of RFC 9110 section 9.2.2. Only these are hedged: two requests with one idempotency key at
/// the same time are refused by many servers.
#[must_use]
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
