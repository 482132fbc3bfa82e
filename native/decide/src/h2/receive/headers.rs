//! HEADERS and CONTINUATION (RFC 9113 sections 6.2 and 6.10). In: fragments; out: a decoded header list in the
//! sink, and what it does to its stream. A block is always decoded, wanted or not: the table of HPACK depends on
//! it.

use super::super::drain::Ours;
use super::super::flood::Nuisance;
use super::super::frame::{FrameHead, flag};
use super::super::send::push_reset;
use super::super::stream::{Half, ResetBy};
use super::super::{Broken, Connection, ErrorCode, Event, FRAME_BYTES, Lines, Phase, Role, StreamId};
use super::Sink;

/// CONTINUATION frames of one block, beside two for each 16 KiB that the block may have.
const CONTINUATIONS: usize = 16;

/// A header block whose end has not arrived.
#[derive(Debug)]
pub(in super::super) struct Partial {
    pub(in super::super) stream: u32,
    end: bool,
    depends_on_itself: bool,
    frames: usize,
    bytes: Vec<u8>,
}

/// What a header block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A request (server).
    New,
    /// A response (client), or trailers.
    Known(Phase),
    /// Nothing: the stream is gone, by our doing.
    Ignored,
    /// A request above the limit.
    TooMany,
    /// A stream error.
    Wrong(ErrorCode, &'static str),
}

const ITSELF: Purpose = Purpose::Wrong(ErrorCode::ProtocolError, "a stream that depends on itself");
const CLOSED: Purpose = Purpose::Wrong(ErrorCode::StreamClosed, "HEADERS on a closed stream");
const ENDLESS: Purpose = Purpose::Wrong(ErrorCode::ProtocolError, "trailers that do not end the stream");

/// The parts of a HEADERS frame.
struct Parts<'a> {
    fragment: &'a [u8],
    /// What the deprecated priority fields say the stream depends on.
    dependency: Option<u32>,
}

fn parts<'a>(head: &FrameHead, payload: &'a [u8]) -> Result<Parts<'a>, Broken> {
    const SHORT: Broken = Broken::size("HEADERS too short");
    let mut rest = payload;
    let mut padding = 0;
    if head.has(flag::PADDED) {
        let (&len, behind) = rest.split_first().ok_or(SHORT)?;
        (padding, rest) = (usize::from(len), behind);
    }
    let mut dependency = None;
    if head.has(flag::PRIORITY) {
        let (&[a, b, c, d, _weight], behind) = rest.split_first_chunk::<5>().ok_or(SHORT)?;
        dependency = Some(u32::from_be_bytes([a & 0x7F, b, c, d]));
        rest = behind;
    }
    let len = rest.len().checked_sub(padding).ok_or(Broken::protocol("more padding than HEADERS"))?;
    Ok(Parts { fragment: rest.get(..len).unwrap_or_default(), dependency })
}

impl Connection {
    pub(super) fn headers_frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        sink: &mut Sink<'_, impl Lines>,
    ) -> Result<Option<Event>, Broken> {
        if head.stream == 0 {
            return Err(Broken::protocol("HEADERS on stream 0"));
        }
        let Parts { fragment, dependency } = parts(head, payload)?;
        let end = head.has(flag::END_STREAM);
        let depends_on_itself = dependency == Some(head.stream);
        if fragment.is_empty() {
            self.meters.count(Nuisance::EmptyHeaders, self.now)?;
        }
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, end, depends_on_itself, fragment, sink);
        }
        let bytes = fragment.to_vec();
        let partial = Partial { stream: head.stream, end, depends_on_itself, frames: 0, bytes };
        self.partial = Some(Box::new(partial));
        Ok(None)
    }

    pub(super) fn continuation_frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        sink: &mut Sink<'_, impl Lines>,
    ) -> Result<Option<Event>, Broken> {
        if payload.is_empty() {
            self.meters.count(Nuisance::EmptyHeaders, self.now)?;
        }
        let Some(mut partial) = self.partial.take() else { return Ok(None) };
        let bound = FRAME_BYTES.max(self.config.header_bytes as usize);
        partial.frames += 1;
        if partial.frames > CONTINUATIONS + 2 * bound.div_ceil(FRAME_BYTES) {
            return Err(Broken::flood("CONTINUATION flood"));
        }
        if partial.bytes.len() + payload.len() > bound {
            return Err(Broken::flood("a header block above the limit"));
        }
        partial.bytes.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            self.partial = Some(partial);
            return Ok(None);
        }
        let Partial { stream, end, depends_on_itself, bytes, .. } = *partial;
        self.block(stream, end, depends_on_itself, &bytes, sink)
    }

    /// A whole block.
    fn block(
        &mut self,
        id: u32,
        end: bool,
        depends_on_itself: bool,
        block: &[u8],
        sink: &mut Sink<'_, impl Lines>,
    ) -> Result<Option<Event>, Broken> {
        let purpose = match self.config.role {
            Role::Server => self.purpose_of_server(id, end, depends_on_itself)?,
            Role::Client => self.purpose_of_client(id, end)?,
        };
        let decoded = if let Purpose::New | Purpose::Known(_) = purpose {
            let Sink { lines, scratch } = sink;
            lines.begin();
            self.decoder.decode(block, scratch, |line| lines.line(line))
        } else {
            self.decoder.decode(block, sink.scratch, |_| {})
        };
        if decoded.is_err() {
            let reason = "a header block that cannot be decoded";
            return Err(Broken { code: ErrorCode::CompressionError, reason });
        }
        self.apply(id, end, purpose)
    }

    fn apply(&mut self, id: u32, end: bool, purpose: Purpose) -> Result<Option<Event>, Broken> {
        if let Purpose::New | Purpose::Known(_) = purpose {
            self.meters.traffic();
        }
        match purpose {
            Purpose::New => {
                let windows = (self.peer.window, self.config.stream_window.cast_signed());
                let stream = self.streams.insert(id, Phase::Later, windows);
                stream.remote = if end { Half::Closed } else { Half::Open };
                Ok(headers_event(id, end, Phase::First))
            }
            Purpose::Known(phase) => {
                if let Some(stream) = self.streams.find_mut(id) {
                    stream.expects = Phase::Later;
                    if end {
                        stream.remote = Half::Closed;
                    }
                }
                Ok(headers_event(id, end, phase))
            }
            Purpose::Ignored => {
                self.meters.count(Nuisance::Late, self.now)?;
                Ok(None)
            }
            Purpose::TooMany => {
                push_reset(self.output.answer(), id, ErrorCode::RefusedStream);
                self.count_reset();
                if !end {
                    self.streams.remember_reset(id);
                }
                Ok(None)
            }
            Purpose::Wrong(code, reason) => {
                if self.streams.find(id).is_none() && !end {
                    self.streams.remember_reset(id);
                }
                self.stream_error(id, code, reason)
            }
        }
    }

    fn purpose_of_server(&mut self, id: u32, end: bool, depends_on_itself: bool) -> Result<Purpose, Broken> {
        if id.is_multiple_of(2) {
            return Err(Broken::protocol("HEADERS on a stream of a server's number"));
        }
        if id > self.edge {
            self.use_number(id);
            return Ok(match self.drain.ours {
                Ours::Last(_) => Purpose::Ignored,
                _ if depends_on_itself => ITSELF,
                _ if self.streams.len() >= self.config.max_streams as usize => Purpose::TooMany,
                _ => Purpose::New,
            });
        }
        let Some(found) = self.streams.find(id) else { return self.purpose_of_late(id) };
        Ok(match (found.reset, found.remote, found.local) {
            (ResetBy::Us, ..) => Purpose::Ignored,
            (ResetBy::Nobody, Half::Closed, Half::Closed) => {
                return Err(Broken::closed("HEADERS on a closed stream"));
            }
            (ResetBy::Peer, ..) | (_, Half::Closed, _) => CLOSED,
            _ if depends_on_itself => ITSELF,
            _ if !end => ENDLESS,
            _ => Purpose::Known(Phase::Later),
        })
    }

    /// HEADERS of a client on a stream that is finished, or was passed over (RFC 9113 sections 5.1 and 5.1.1).
    fn purpose_of_late(&self, id: u32) -> Result<Purpose, Broken> {
        let distance = (self.edge - id) / 2;
        if self.streams.was_reset(id) || self.is_beyond_goaway(id) {
            Ok(Purpose::Ignored)
        } else if distance < 64 && self.used >> distance & 1 == 0 {
            Err(Broken::protocol("a stream number below an earlier one"))
        } else {
            Err(Broken::closed("HEADERS on a closed stream"))
        }
    }

    fn purpose_of_client(&mut self, id: u32, end: bool) -> Result<Purpose, Broken> {
        if self.is_idle(id) {
            return Err(Broken::protocol("HEADERS on an idle stream"));
        }
        let Some(found) = self.streams.find(id) else { return Ok(Purpose::Ignored) };
        Ok(match (found.reset, found.remote, found.expects) {
            (ResetBy::Us | ResetBy::Peer, ..) => Purpose::Ignored,
            (_, Half::Closed, _) => CLOSED,
            (_, _, Phase::Later) if !end => ENDLESS,
            (.., phase) => Purpose::Known(phase),
        })
    }

    /// The peer begins with this number: those below it are closed (RFC 9113 section 5.1.1).
    fn use_number(&mut self, id: u32) {
        let distance = (id - self.edge.max(1)) / 2;
        let shifted = self.used.checked_shl(distance).unwrap_or(0);
        self.used = if self.edge == 0 { 1 } else { shifted | 1 };
        self.edge = id;
    }

    /// A stream that came after we said which is the last.
    pub(super) fn is_beyond_goaway(&self, id: u32) -> bool {
        matches!(self.drain.ours, Ours::Last(last) if id > last)
    }
}

fn headers_event(id: u32, end: bool, phase: Phase) -> Option<Event> {
    StreamId::new(id).map(|stream| Event::Headers { stream, end, phase })
}
