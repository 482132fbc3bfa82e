//! What arrives. In: bytes, cut anywhere; out: one event at a time, and answers in the output. A frame is looked at
//! when all of it is there, except DATA, which is handed out as it comes.

mod control;
mod data;
mod headers;

pub(super) use data::Body;
pub(super) use headers::Partial;

use super::flood::Nuisance;
use super::frame::{FRAME_HEAD, FrameHead, Kind};
use super::send::push_reset;
use super::settings::PREFACE;
use super::stream::ResetBy;
use super::{
    Broken, Connection, ErrorCode, Event, FRAME_BYTES, Lines, Millis, Received, Role, Stage, StreamId,
};

/// What one step took of the input: so many bytes, and what came of it; none when it needs more.
type Step = Option<(usize, Option<Event>)>;

/// Where header lists go.
struct Sink<'a, L> {
    lines: &'a mut L,
    scratch: &'a mut Vec<u8>,
}

impl Connection {
    /// Takes bytes off the front of `input` up to the first event. To be called until there is no event; what is
    /// left of the input then, never more than a frame of 16,384 bytes and its head, is passed in again with more
    /// behind it. `scratch` holds decoded strings for the length of the call; one serves all connections of a
    /// thread.
    ///
    /// An error is the end of the connection: GOAWAY is in the output already.
    pub fn receive(
        &mut self,
        input: &[u8],
        now: Millis,
        scratch: &mut Vec<u8>,
        lines: &mut impl Lines,
    ) -> Result<Received, Broken> {
        self.now = now;
        let mut sink = Sink { lines, scratch };
        let mut at = 0;
        let taken = loop {
            if let Some(event) = self.next_refused() {
                break Ok(Received { consumed: at, event: Some(event) });
            }
            match self.step(input, at, &mut sink) {
                Ok(None) => break Ok(Received { consumed: at, event: None }),
                Ok(Some((len, None))) => at += len,
                Ok(Some((len, event))) => break Ok(Received { consumed: at + len, event }),
                Err(broken) => break Err(broken),
            }
        };
        taken.map_err(|broken| self.break_off(broken))
    }

    fn step(&mut self, input: &[u8], at: usize, sink: &mut Sink<'_, impl Lines>) -> Result<Step, Broken> {
        let rest = input.get(at..).unwrap_or_default();
        match self.stage {
            Stage::Over => return Ok((!rest.is_empty()).then_some((rest.len(), None))),
            Stage::Preface(seen) => return self.preface(seen, rest),
            Stage::Settings | Stage::Frames => {}
        }
        self.ledger.check()?;
        if self.output.is_flooded() {
            return Err(Broken::flood("answers that the peer does not read"));
        }
        if let Some(body) = self.body.take() {
            return Ok(self.body_piece(body, rest, at));
        }
        let Some(head) = FrameHead::parse(rest) else { return Ok(None) };
        self.check_order(&head)?;
        if head.kind == Kind::Data {
            return self.data_frame(&head, rest);
        }
        let Some(payload) = rest.get(FRAME_HEAD..FRAME_HEAD + head.len) else { return Ok(None) };
        let event = self.frame(&head, payload, sink)?;
        Ok(Some((FRAME_HEAD + head.len, event)))
    }

    /// A client begins with fixed bytes (RFC 9113 section 3.4).
    fn preface(&mut self, seen: u8, rest: &[u8]) -> Result<Step, Broken> {
        let expected = PREFACE.get(usize::from(seen)..).unwrap_or_default();
        let len = expected.len().min(rest.len());
        if rest.get(..len) != expected.get(..len) {
            return Err(Broken::protocol("no HTTP/2 preface"));
        }
        if len == 0 {
            return Ok(None);
        }
        let left = expected.len() - len;
        #[expect(clippy::cast_possible_truncation, reason = "the preface has 24 bytes")]
        let seen = (PREFACE.len() - left) as u8;
        self.stage = if left == 0 { Stage::Settings } else { Stage::Preface(seen) };
        Ok(Some((len, None)))
    }

    /// What a frame's head alone can do wrong (RFC 9113 sections 3.4, 4.2 and 6.10).
    fn check_order(&mut self, head: &FrameHead) -> Result<(), Broken> {
        if head.len > FRAME_BYTES {
            return Err(Broken::size("a frame above 16,384 bytes"));
        }
        if self.stage == Stage::Settings {
            if head.kind != Kind::Settings || head.has(super::frame::flag::ACK) {
                return Err(Broken::protocol("SETTINGS must come first"));
            }
            return Ok(());
        }
        match &self.partial {
            Some(partial) if head.kind != Kind::Continuation || head.stream != partial.stream => {
                Err(Broken::protocol("a header block was not continued"))
            }
            None if head.kind == Kind::Continuation => {
                Err(Broken::protocol("CONTINUATION without a header block"))
            }
            _ => Ok(()),
        }
    }

    /// A whole frame, other than DATA.
    fn frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        sink: &mut Sink<'_, impl Lines>,
    ) -> Result<Option<Event>, Broken> {
        match head.kind {
            Kind::Headers => self.headers_frame(head, payload, sink),
            Kind::Continuation => self.continuation_frame(head, payload, sink),
            Kind::Settings => self.settings_frame(head, payload),
            Kind::Ping => self.ping_frame(head, payload),
            Kind::WindowUpdate => self.window_update_frame(head, payload),
            Kind::RstStream => self.rst_stream_frame(head, payload),
            Kind::Priority => self.priority_frame(head, payload),
            Kind::GoAway => self.goaway_frame(head, payload),
            // Clients never push (RFC 9113 section 8.4), and to servers we say that they must not.
            Kind::PushPromise => Err(Broken::protocol("PUSH_PROMISE")),
            Kind::Unknown | Kind::Data => {
                self.meters.count(Nuisance::Unknown, self.now)?;
                Ok(None)
            }
        }
    }

    /// Whether no HEADERS has used this number yet (RFC 9113 section 5.1, idle).
    fn is_idle(&self, stream: u32) -> bool {
        let of_client = stream % 2 == 1;
        match self.config.role {
            Role::Server => !of_client || stream > self.edge,
            Role::Client => {
                let unsent = |found: &super::stream::Stream| found.local == super::stream::Half::Idle;
                !of_client || stream >= self.edge || self.streams.find(stream).is_some_and(unsent)
            }
        }
    }

    /// The peer broke a rule on one stream (RFC 9113 section 5.4.2): `RST_STREAM`. On an idle stream that may not
    /// be sent: then the connection ends.
    fn stream_error(
        &mut self,
        stream: u32,
        code: ErrorCode,
        reason: &'static str,
    ) -> Result<Option<Event>, Broken> {
        if self.is_idle(stream) {
            return Err(Broken { code, reason });
        }
        push_reset(self.output.answer(), stream, code);
        self.count_reset();
        let Some(found) = self.streams.find_mut(stream).filter(|found| !found.is_over()) else {
            return Ok(None);
        };
        found.reset = ResetBy::Us;
        Ok(StreamId::new(stream).map(|stream| Event::Reset { stream, code, by_peer: false }))
    }

    /// A stream was cut short by the peer, or for its fault. A server that does so to us only harms itself.
    fn count_reset(&mut self) {
        if self.config.role == Role::Server {
            self.ledger.reset(self.now);
        }
    }
}
