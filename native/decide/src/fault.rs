//! What is done wrong on purpose.
//!
//! In: a rule's fault, a request's headers and one random number. Out: how long to wait, what to answer instead, how
//! slowly to send the answer on. Before: route. After: balance, or the answer; [`Pace`] goes along with the body.

mod pace;

pub use pace::Pace;

use crate::chance::{again, hit};
use crate::route::HeaderLookup;
use tulle_snapshot::wire::{self, HeaderMatch};

/// A rule's fault, compiled.
#[derive(Debug)]
pub struct Fault {
    headers: Box<[HeaderMatch]>,
    delay: Option<Share<u64>>,
    abort: Option<Share<Abort>>,
    bandwidth: Option<Share<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Share<T> {
    per_million: u32,
    what: T,
}

impl<T: Copy> Share<T> {
    fn draw(self, random: u64) -> Option<T> {
        hit(random, self.per_million).then_some(self.what)
    }
}

/// An answer instead of forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// The status, 400 to 599.
    pub status: u16,
    /// What a gRPC call gets; none: what the status stands for.
    pub grpc_status: Option<u8>,
}

/// What one request meets. A delay comes before an abort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// Wait so many nanoseconds before anything else.
    pub delay_ns: Option<u64>,
    /// Answer this instead of sending the request on.
    pub abort: Option<Abort>,
    /// Send the answer's body on at this rate: see [`Pace`].
    pub bytes_per_second: Option<u32>,
}

impl Fault {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: &wire::Fault) -> Self {
        let nanoseconds = |ms: u32| u64::from(ms) * 1_000_000;
        Self {
            headers: wire.headers.clone().into(),
            delay: wire.delay.map(|d| Share { per_million: d.per_million, what: nanoseconds(d.duration_ms) }),
            abort: wire.abort.map(|a| Share {
                per_million: a.per_million,
                what: Abort { status: a.status, grpc_status: a.grpc_status },
            }),
            bandwidth: wire.bandwidth.map(|b| Share { per_million: b.per_million, what: b.bytes_per_second }),
        }
    }

    /// What a request meets. `random` is uniform over all of `u64`; the three are drawn independently of each other.
    #[must_use]
    pub fn decide<H: HeaderLookup + ?Sized>(&self, headers: &H, random: u64) -> Injected {
        let meant = |wanted: &HeaderMatch| headers.has(&wanted.name, wanted.value.as_bytes());
        if !self.headers.iter().all(meant) {
            return Injected::default();
        }
        let second = again(random);
        let third = again(second);
        Injected {
            delay_ns: self.delay.and_then(|share| share.draw(random)),
            abort: self.abort.and_then(|share| share.draw(second)),
            bytes_per_second: self.bandwidth.and_then(|share| share.draw(third)),
        }
    }
}
