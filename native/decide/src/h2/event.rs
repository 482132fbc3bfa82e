//! What receiving bytes leads to. In: nothing; out: the types between the connection and the event loop.

use super::{ErrorCode, StreamId};
use crate::hpack::Line;

/// Takes the decoded lines of one header list at a time.
pub trait Lines {
    /// A list begins; lines of an earlier one are not wanted any more.
    fn begin(&mut self);
    /// Its next line. Lines keep coming however long the list is: who stores them bounds them.
    fn line(&mut self, line: Line<'_>);
}

/// What one call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes off the front of the input.
    pub consumed: usize,
    /// What happened; none when the input ends within a frame, or is used up.
    pub event: Option<Event>,
}

/// Which header list of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A request, or a response, interim ones included.
    First,
    /// Trailers (RFC 9113 section 8.1).
    Later,
}

/// Something that the caller must look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A header list, whose lines are in the sink. A server's stream begins with [`Phase::First`]; a client says
    /// [`interim`](super::Connection::interim) when it finds a status of 1xx.
    Headers {
        /// The stream.
        stream: StreamId,
        /// Nothing follows on the stream.
        end: bool,
        /// Which list.
        phase: Phase,
    },
    /// A part of a body; what passes it on says so ([`forwarded`](super::Connection::forwarded)).
    Data {
        /// The stream.
        stream: StreamId,
        /// Where it begins in the input of this call, the `consumed` bytes included.
        from: usize,
        /// How many bytes; 0 only with `end`.
        len: usize,
        /// Nothing follows on the stream.
        end: bool,
    },
    /// A stream ended before its time. It counts until it is [finished](super::Connection::finish).
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
        /// By the peer, or by us for a fault of the peer's (`RST_STREAM` is in the output).
        by_peer: bool,
    },
    /// A client's stream that the server did nothing about: it may be sent again elsewhere (RFC 9113 section 8.7). It
    /// counts until it is [finished](super::Connection::finish).
    Refused {
        /// The stream.
        stream: StreamId,
    },
    /// A window that was used up is open again.
    Writable {
        /// That stream's, or the connection's: then all streams that wait may have room.
        stream: Option<StreamId>,
    },
    /// GOAWAY: no more streams may be opened. [`Event::Refused`] follows for each that the peer did not begin with.
    GoingAway {
        /// Why.
        code: ErrorCode,
    },
    /// The peer's settings changed: windows may have opened, the stream limit may be another one.
    SettingsChanged,
}
