//! The one record of a request, of fixed size: every observer reads it, nothing else observes requests.
//!
//! In: each step stamps and fills it. Out: metrics, access log, spans. Names travel as ids of one [`super::Names`]
//! generation; text is a bounded prefix with a mark where it was cut.

use super::address::Address;
use super::attempts::Attempts;
use super::flags::Flags;
use super::reason::Reason;
use super::text::Text;

/// An id of 16 bits that names nothing.
pub const NONE_16: u16 = u16::MAX;
/// An id of 32 bits that names nothing.
pub const NONE_32: u32 = u32::MAX;
/// A gRPC status that was not seen.
pub const NONE_8: u8 = u8::MAX;
/// Bytes of the method that are kept.
pub const METHOD_BYTES: usize = 7;
/// Bytes of the path that are kept.
pub const PATH_BYTES: usize = 48;
/// Bytes of the client's request id that are kept: a UUID fits.
pub const REQUEST_ID_BYTES: usize = 36;

/// When each stage was reached: monotonic nanoseconds since the process's epoch; 0: not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// The request's first byte was read.
    pub first_byte: u64,
    /// Its head was complete.
    pub head: u64,
    /// Policy and route were decided.
    pub routed: u64,
    /// An upstream connection was assigned, new or pooled.
    pub connected: u64,
    /// The head was sent upstream.
    pub sent: u64,
    /// The response head was complete.
    pub response: u64,
    /// The first byte of the answer was written to the client.
    pub first_out: u64,
    /// Everything was written, or given up.
    pub done: u64,
}

/// The id that a request is known by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RequestId {
    /// It has none.
    #[default]
    None,
    /// The client's own, well-formed.
    Client(Text<REQUEST_ID_BYTES>),
    /// Made by us, written as 32 hex digits.
    Generated([u8; 16]),
}

/// What is known of one request. `Copy`, no heap, at most 320 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// When each stage was reached.
    pub at: Stamps,
    /// Body bytes read from the client.
    pub body_in: u64,
    /// Body bytes written to the client.
    pub body_out: u64,
    /// Head bytes read from the client.
    pub head_in: u32,
    /// Head bytes written to the client.
    pub head_out: u32,
    /// W3C trace id; zeros: none.
    pub trace_id: [u8; 16],
    /// Our span in that trace; zeros: none.
    pub span_id: [u8; 8],
    /// Where more is known than the reason says: the parser's code. Empty: nothing.
    pub detail: &'static str,
    /// The generation of [`super::Names`] that the ids below belong to.
    pub generation: u32,
    /// Position of the rule among all rules of all routes, in the snapshot's order, or [`NONE_32`].
    pub rule: u32,
    /// Index into the service's endpoints, or [`NONE_32`].
    pub endpoint: u32,
    /// The peer's SPIFFE ID, as [`super::Identities`] numbers it, or [`NONE_32`].
    pub identity: u32,
    /// What else happened.
    pub flags: Flags,
    /// Index into the snapshot's listeners.
    pub listener: u16,
    /// Index of the enforced authorization policy that decided, or [`NONE_16`].
    pub policy: u16,
    /// Index of the shadow policy that would have decided, or [`NONE_16`]; see [`Flags::SHADOW_DENIED`].
    pub shadow_policy: u16,
    /// Index into the snapshot's services, or [`NONE_16`].
    pub service: u16,
    /// The status sent to the client; 0: none was sent.
    pub status: u16,
    /// The gRPC status that the call ended with, or [`NONE_8`]: it is no gRPC, or ended without one.
    pub grpc_status: u8,
    /// The client's address.
    pub peer: Address,
    /// The tries upstream.
    pub attempts: Attempts,
    /// How it ended.
    pub reason: Reason,
    /// The method's first bytes.
    pub method: Text<METHOD_BYTES>,
    /// The path's first bytes, as the client sent it, without the query. Of a whole connection: the name that its TLS
    /// asks for.
    pub path: Text<PATH_BYTES>,
    /// The id it is known by.
    pub request_id: RequestId,
}

impl Record {
    /// A record that knows where and when its request came in.
    #[must_use]
    pub const fn new(generation: u32, listener: u16, first_byte: u64) -> Self {
        Self {
            at: Stamps {
                first_byte,
                head: 0,
                routed: 0,
                connected: 0,
                sent: 0,
                response: 0,
                first_out: 0,
                done: 0,
            },
            body_in: 0,
            body_out: 0,
            head_in: 0,
            head_out: 0,
            trace_id: [0; 16],
            span_id: [0; 8],
            detail: "",
            generation,
            rule: NONE_32,
            endpoint: NONE_32,
            identity: NONE_32,
            flags: Flags::EMPTY,
            listener,
            policy: NONE_16,
            shadow_policy: NONE_16,
            service: NONE_16,
            status: 0,
            grpc_status: NONE_8,
            peer: Address::UNKNOWN,
            attempts: Attempts::EMPTY,
            reason: Reason::Ok,
            method: Text::EMPTY,
            path: Text::EMPTY,
            request_id: RequestId::None,
        }
    }

    /// Nanoseconds from the first byte to the end.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.at.done.saturating_sub(self.at.first_byte)
    }

    /// What the duration histogram counts: [`Record::total`], but an upgrade only up to its response head, because a
    /// tunnel's life says nothing about speed.
    #[must_use]
    pub const fn duration(&self) -> u64 {
        if self.flags.contains(Flags::UPGRADE) && self.at.response != 0 {
            return self.at.response.saturating_sub(self.at.first_byte);
        }
        self.total()
    }

    /// Nanoseconds from the routing decision to an upstream connection, waiting and retries included.
    #[must_use]
    pub const fn connecting(&self) -> Option<u64> {
        between(self.at.routed, self.at.connected)
    }

    /// Nanoseconds from the head sent upstream to the response head.
    #[must_use]
    pub const fn upstream(&self) -> Option<u64> {
        between(self.at.sent, self.at.response)
    }

    /// Whether the access log counts it among the errors: a status of 400 and above, or no complete answer; of a whole
    /// connection, any end but a plain one.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        if self.flags.contains(Flags::CONNECTION) {
            return !matches!(self.reason, Reason::Ok);
        }
        self.status >= 400 || self.status == 0 || !matches!(self.reason, Reason::Ok | Reason::Redirect)
    }

    /// 1 to 5 for 1xx to 5xx, 0 for no answer.
    #[must_use]
    pub(super) const fn class(&self) -> usize {
        match self.status {
            100..=599 => (self.status / 100) as usize,
            _ => 0,
        }
    }
}

const fn between(from: u64, to: u64) -> Option<u64> {
    if from == 0 || to == 0 { None } else { Some(to.saturating_sub(from)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_fits_five_cache_lines() {
        assert!(size_of::<Record>() <= 320, "{} bytes", size_of::<Record>());
    }

    #[test]
    fn durations_need_both_stamps() {
        let mut record = Record::new(1, 0, 100);
        record.at.done = 90;
        assert_eq!(record.total(), 0, "a clock that steps back gives 0, not a wrap");
        record.at.done = 1_100;
        assert_eq!((record.total(), record.connecting(), record.upstream()), (1_000, None, None));
        record.at.routed = 200;
        record.at.connected = 250;
        record.at.sent = 300;
        record.at.response = 700;
        assert_eq!((record.connecting(), record.upstream()), (Some(50), Some(400)));
        assert_eq!(record.duration(), 1_000);
        record.flags.insert(Flags::UPGRADE);
        assert_eq!(record.duration(), 600, "a tunnel counts up to its 101");
    }

    #[test]
    fn errors_are_statuses_from_400_and_whatever_broke() {
        let cases = [
            (200, Reason::Ok, false),
            (101, Reason::Ok, false),
            (301, Reason::Redirect, false),
            (399, Reason::Ok, false),
            (400, Reason::Ok, true),
            (404, Reason::NoRoute, true),
            (503, Reason::Ok, true),
            (200, Reason::UpstreamReset, true),
            (200, Reason::ClientClosed, true),
            (0, Reason::ClientClosed, true),
            (0, Reason::TlsHandshake, true),
        ];
        for (status, reason, error) in cases {
            let mut record = Record::new(1, 0, 1);
            record.status = status;
            record.reason = reason;
            assert_eq!(record.is_error(), error, "{status} {reason}");
            record.flags.insert(Flags::CONNECTION);
            assert_eq!(record.is_error(), reason != Reason::Ok, "a connection has no status");
        }
    }

    #[test]
    fn classes() {
        for (status, class) in
            [(0, 0), (99, 0), (100, 1), (204, 2), (308, 3), (499, 4), (599, 5), (600, 0), (999, 0)]
        {
            let mut record = Record::new(1, 0, 1);
            record.status = status;
            assert_eq!(record.class(), class, "{status}");
        }
    }
}
