//! One stream: its number, its state (RFC 9113 section 5.1) and its windows.

use super::Phase;
use std::num::NonZeroU32;

/// A stream's number (RFC 9113 section 5.1.1), 1 to 2^31-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(NonZeroU32);

impl StreamId {
    /// The stream of this number; none for 0, which is the connection, and for 2^31 and above.
    #[must_use]
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).filter(|id| id.get() <= super::LARGEST_WINDOW).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> u32 {
        self.0.get()
    }
}

/// One direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// No header list was sent.
    Idle,
    /// More may come.
    Open,
    /// `END_STREAM` was sent.
    Closed,
}

/// Whether `RST_STREAM` was sent, and by whom first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResetBy {
    Nobody,
    Us,
    Peer,
}

/// A stream that the caller has not finished.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// The caller's own number.
    pub(super) tag: u64,
    /// 0 in a free slot.
    pub(super) id: u32,
    /// What we may send; negative after the peer took some back (RFC 9113 section 6.9.2).
    pub(super) send_window: i32,
    /// What the peer may send.
    pub(super) receive_window: i32,
    /// Bytes passed on and not yet told to the peer.
    pub(super) credit: u32,
    /// The next slot of the same bucket, or of the free list.
    pub(super) next: u16,
    /// Our direction.
    pub(super) local: Half,
    /// The peer's.
    pub(super) remote: Half,
    pub(super) reset: ResetBy,
    /// Which header list comes next from the peer.
    pub(super) expects: Phase,
}

impl Stream {
    /// Nothing more can happen on it in an orderly way.
    pub(super) fn is_over(&self) -> bool {
        self.reset != ResetBy::Nobody || self.is_complete()
    }

    /// Both sides said all they had to say.
    pub(super) fn is_complete(&self) -> bool {
        self.reset == ResetBy::Nobody && self.local == Half::Closed && self.remote == Half::Closed
    }

    /// We may send DATA.
    pub(super) fn is_writable(&self) -> bool {
        self.reset == ResetBy::Nobody && self.local == Half::Open
    }
}
