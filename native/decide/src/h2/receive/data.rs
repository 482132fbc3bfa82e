//! DATA (RFC 9113 section 6.1). In: the frame's head, then its payload as it comes; out: pieces of the body, and
//! credit for the connection's window.

use super::super::flood::Nuisance;
use super::super::frame::{self, FRAME_HEAD, FrameHead, Kind, flag};
use super::super::stream::{Half, ResetBy};
use super::super::{Broken, Connection, ErrorCode, Event, FIRST_WINDOW, Phase, Role, StreamId};
use super::Step;

/// A DATA frame whose payload is still arriving.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Body {
    stream: StreamId,
    /// Bytes of the body that are still to come.
    left: u32,
    /// Bytes of padding behind them.
    padding: u32,
    end: bool,
    /// The stream takes it.
    wanted: bool,
}

/// What becomes of a frame.
enum Verdict {
    Taken,
    /// Without a word: the peer may not know yet that the stream is gone.
    Dropped,
    /// A stream error.
    Wrong(ErrorCode, &'static str),
}

impl Connection {
    /// The frame's head, and the length of its padding.
    pub(super) fn data_frame(&mut self, head: &FrameHead, rest: &[u8]) -> Result<Step, Broken> {
        let Some(stream) = StreamId::new(head.stream) else {
            return Err(Broken::protocol("DATA on stream 0"));
        };
        let (prefix, padding) = match (head.has(flag::PADDED), rest.get(FRAME_HEAD)) {
            (false, _) => (0, 0),
            (true, _) if head.len == 0 => {
                return Err(Broken::size("padded DATA without a length of padding"));
            }
            (true, None) => return Ok(None),
            (true, Some(&padding)) => (1, usize::from(padding)),
        };
        let Some(left) = head.len.checked_sub(prefix + padding) else {
            return Err(Broken::protocol("more padding than DATA"));
        };
        let end = head.has(flag::END_STREAM);
        // Frames are at most 16,384 bytes long.
        let [size, left, padding] = [head.len, left, padding].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        if left == 0 && !end {
            self.meters.count(Nuisance::EmptyData, self.now)?;
        }
        self.credit_connection(size);
        let overhead = size - left;
        let (wanted, event) = match self.accept_data(stream, size, overhead, end)? {
            Verdict::Taken => (true, None),
            Verdict::Dropped => (false, None),
            Verdict::Wrong(code, reason) => (false, self.stream_error(stream.value(), code, reason)?),
        };
        if left + padding > 0 {
            self.body = Some(Body { stream, left, padding, end, wanted });
        }
        if wanted && (left > 0 || end) {
            self.meters.traffic();
        }
        let last = wanted && left == 0 && end;
        let event = event.or(last.then_some(Event::Data { stream, from: 0, len: 0, end: true }));
        Ok(Some((FRAME_HEAD + prefix, event)))
    }

    /// Credits the connection's window with a frame at once: no stream holds up the others, and what waits is bounded by
    /// the streams' windows. So the peer never gets to the end of it.
    fn credit_connection(&mut self, size: u32) {
        self.credit += size;
        if self.credit >= self.config.connection_window / 2 {
            let credit = std::mem::take(&mut self.credit);
            frame::push(self.output.answer(), Kind::WindowUpdate, 0, 0, &credit.to_be_bytes());
        }
    }

    /// Whether the stream may have these bytes (RFC 9113 sections 5.1 and 6.9.1).
    fn accept_data(
        &mut self,
        stream: StreamId,
        size: u32,
        overhead: u32,
        end: bool,
    ) -> Result<Verdict, Broken> {
        const CLOSED: Verdict = Verdict::Wrong(ErrorCode::StreamClosed, "DATA on a closed stream");
        let id = stream.value();
        if self.is_idle(id) {
            return Err(Broken::protocol("DATA on an idle stream"));
        }
        let slack = self.settings_slack();
        let client = self.config.role == Role::Client;
        let Some(found) = self.streams.find_mut(id) else {
            return Ok(if self.may_come_late(id, end) { Verdict::Dropped } else { CLOSED });
        };
        match (found.reset, found.remote) {
            (ResetBy::Us, _) => return Ok(Verdict::Dropped),
            (ResetBy::Peer, _) | (_, Half::Closed) => return Ok(CLOSED),
            (ResetBy::Nobody, _) => {}
        }
        if client && found.expects == Phase::First {
            return Ok(Verdict::Wrong(ErrorCode::ProtocolError, "DATA before a response"));
        }
        if i64::from(size) > i64::from(found.receive_window) + slack {
            return Ok(Verdict::Wrong(ErrorCode::FlowControlError, "DATA beyond the stream's window"));
        }
        found.receive_window = found.receive_window.saturating_sub_unsigned(size);
        if end {
            found.remote = Half::Closed;
        }
        if overhead > 0 {
            self.forwarded(stream, overhead);
        }
        Ok(Verdict::Taken)
    }

    /// DATA on a stream that is finished is no error where the peer may not know yet that we reset it.
    fn may_come_late(&mut self, id: u32, end: bool) -> bool {
        let late =
            self.config.role == Role::Client || self.streams.was_reset(id) || self.is_beyond_goaway(id);
        if late && end {
            self.streams.forget_reset(id);
        }
        late
    }

    /// How much more the peer may send per stream, because it need not know our smaller window yet (RFC 9113
    /// section 6.9.3).
    fn settings_slack(&self) -> i64 {
        if self.settings_pending {
            i64::from(FIRST_WINDOW.saturating_sub(self.config.stream_window))
        } else {
            0
        }
    }

    fn is_alive(&self, stream: StreamId) -> bool {
        self.streams.find(stream.value()).is_some_and(|found| found.reset == ResetBy::Nobody)
    }

    /// The next bytes of a frame's payload, at `at` of the whole input.
    pub(super) fn body_piece(&mut self, body: Body, rest: &[u8], at: usize) -> Step {
        // What is there is at most what is left, which is a u32.
        let have = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let data = body.left.min(have);
        let padding = body.padding.min(have - data);
        let rest = Body { left: body.left - data, padding: body.padding - padding, ..body };
        if rest.left + rest.padding > 0 {
            self.body = Some(rest);
        }
        let taken = (data + padding) as usize;
        if taken == 0 {
            return None;
        }
        let end = body.end && rest.left == 0;
        let wanted = data > 0 && body.wanted && self.is_alive(body.stream);
        let event = Event::Data { stream: body.stream, from: at, len: data as usize, end };
        Some((taken, wanted.then_some(event)))
    }
}
