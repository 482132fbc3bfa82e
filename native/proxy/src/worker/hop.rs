//! What only one attempt tells the next hop, beside the head that all attempts have in common: how much time is left, and
//! that it is not the first. Before: dispatch. After: upstream.

use super::exchange::Exchange;
use crate::clock::Nanos;
use std::time::Duration;
use tulle_decide::deadline::{self, Deadline};
use tulle_decide::hpack::Indexing;
use tulle_decide::http::list_line;

/// Which attempt it is; the first says nothing.
const ATTEMPT: &[u8] = b"x-tulle-attempt";
/// That it is a copy, whose answer nobody reads.
const MIRRORED: &[u8] = b"x-tulle-mirrored";
/// Bodies up to this size are copied behind their head, so that both are one piece.
const GATHERED: usize = 16 * 1024;

impl Exchange {
    /// The head for this attempt as text, with as much of the body as is small, and the rest of the body.
    pub(super) fn for_this_hop<'a>(&'a self, now: Nanos, out: &'a mut Vec<u8>) -> (&'a [u8], &'a [u8]) {
        let (head, body) = self.replay.split_at(self.replay_head.min(self.replay.len()));
        out.clear();
        // The empty line behind the fields comes last.
        let Some((fields, end)) = head.split_last_chunk::<2>() else { return (head, body) };
        out.extend_from_slice(fields);
        self.hop_lines(now, |name, value| {
            for part in [name, b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        });
        out.extend_from_slice(end);
        if body.len() > GATHERED {
            return (out, body);
        }
        out.extend_from_slice(body);
        (out, b"")
    }

    /// The same as lines for HTTP/2.
    pub(super) fn list_for_this_hop(&self, now: Nanos, out: &mut Vec<u8>) {
        self.hop_lines(now, |name, value| list_line(out, Indexing::Without, name, value));
    }

    fn hop_lines(&self, now: Nanos, mut line: impl FnMut(&[u8], &[u8])) {
        if self.is_copy() {
            return line(MIRRORED, b"true");
        }
        if let Some(left) = self.listener.forwarded.deadline.then(|| self.time_left(now)).flatten() {
            // With nothing left, we would have answered: the rest of a millisecond is one.
            let millis = deadline::millis(left).max(1);
            line(deadline::HEADER.as_bytes(), itoa::Buffer::new().format(millis).as_bytes());
        }
        let sendings = self.attempts + u32::from(self.resent);
        if sendings > 1 {
            line(ATTEMPT, itoa::Buffer::new().format(sendings).as_bytes());
        }
    }

    /// How long the present attempt may take, in nanoseconds; none: as long as it likes. gRPC says so itself.
    fn time_left(&self, now: Nanos) -> Option<u64> {
        if self.grpc || self.is_tunnel() {
            return None;
        }
        let limits = self.limits()?;
        let nanos = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        // What is still being sent has all of its time ahead.
        let sent = self.request_ended.unwrap_or(now);
        let deadline = Deadline::default()
            .within(sent.0, limits.request.map(nanos))
            .within(0, self.call_ends.map(|ends| ends.0));
        deadline.attempt(now.0, limits.per_try.map(nanos))
    }
}
