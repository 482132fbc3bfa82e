//! Every other frame (RFC 9113 sections 6.3 to 6.9). In: whole frames; out: answers, changed windows, ended streams.

use super::super::drain::MARK;
use super::super::flood::Nuisance;
use super::super::frame::{self, FrameHead, Kind, flag};
use super::super::stream::ResetBy;
use super::super::{Broken, Connection, ErrorCode, Event, Role, Stage, StreamId};

impl Connection {
    pub(super) fn settings_frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event>, Broken> {
        if head.stream != 0 {
            return Err(Broken::protocol("SETTINGS on a stream"));
        }
        self.meters.count(Nuisance::Settings, self.now)?;
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(Broken::size("an acknowledgement of SETTINGS with a payload"));
            }
            self.settings_acknowledged_now();
            return Ok(None);
        }
        let event = self.apply_settings(payload)?;
        self.stage = Stage::Frames;
        Ok(Some(event))
    }

    pub(super) fn ping_frame(&mut self, head: &FrameHead, payload: &[u8]) -> Result<Option<Event>, Broken> {
        if head.stream != 0 {
            return Err(Broken::protocol("PING on a stream"));
        }
        let Ok(payload) = <&[u8; 8]>::try_from(payload) else {
            return Err(Broken::size("PING not of 8 bytes"));
        };
        self.meters.count(Nuisance::Ping, self.now)?;
        if !head.has(flag::ACK) {
            frame::push(self.output.answer(), Kind::Ping, flag::ACK, 0, payload);
        } else if *payload == MARK {
            self.drain_answered();
        }
        Ok(None)
    }

    pub(super) fn window_update_frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event>, Broken> {
        let Ok(&[a, b, c, d]) = <&[u8; 4]>::try_from(payload) else {
            return Err(Broken::size("WINDOW_UPDATE not of 4 bytes"));
        };
        let more = u32::from_be_bytes([a & 0x7F, b, c, d]);
        self.meters.count(Nuisance::WindowUpdate, self.now)?;
        match StreamId::new(head.stream) {
            None => self.widen_connection(more),
            Some(stream) => self.widen_stream(stream, more),
        }
    }

    fn widen_connection(&mut self, more: u32) -> Result<Option<Event>, Broken> {
        if more == 0 {
            return Err(Broken::protocol("WINDOW_UPDATE by 0"));
        }
        let before = self.send_window;
        let Some(window) = before.checked_add_unsigned(more) else {
            return Err(Broken::window("the connection's window above 2^31-1"));
        };
        self.send_window = window;
        Ok((before <= 0).then_some(Event::Writable { stream: None }))
    }

    fn widen_stream(&mut self, stream: StreamId, more: u32) -> Result<Option<Event>, Broken> {
        let id = stream.value();
        if self.is_idle(id) {
            return Err(Broken::protocol("WINDOW_UPDATE on an idle stream"));
        }
        let Some(found) = self.streams.find_mut(id).filter(|found| !found.is_over()) else {
            self.meters.count(Nuisance::Late, self.now)?;
            return Ok(None);
        };
        if more == 0 {
            return self.stream_error(id, ErrorCode::ProtocolError, "WINDOW_UPDATE by 0");
        }
        let before = found.send_window;
        let Some(window) = before.checked_add_unsigned(more) else {
            return self.stream_error(id, ErrorCode::FlowControlError, "a stream's window above 2^31-1");
        };
        found.send_window = window;
        let opened = before <= 0 && window > 0 && found.is_writable();
        Ok(opened.then_some(Event::Writable { stream: Some(stream) }))
    }

    pub(super) fn rst_stream_frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event>, Broken> {
        let Some(stream) = StreamId::new(head.stream) else {
            return Err(Broken::protocol("RST_STREAM on stream 0"));
        };
        let Ok(&code) = <&[u8; 4]>::try_from(payload) else {
            return Err(Broken::size("RST_STREAM not of 4 bytes"));
        };
        if self.is_idle(head.stream) {
            return Err(Broken::protocol("RST_STREAM on an idle stream"));
        }
        let code = ErrorCode::of(u32::from_be_bytes(code));
        let Some(found) = self.streams.find_mut(head.stream).filter(|found| !found.is_over()) else {
            self.streams.forget_reset(head.stream);
            self.meters.count(Nuisance::Late, self.now)?;
            return Ok(None);
        };
        found.reset = ResetBy::Peer;
        self.count_reset();
        if self.config.role == Role::Client && code == ErrorCode::RefusedStream {
            return Ok(Some(Event::Refused { stream }));
        }
        Ok(Some(Event::Reset { stream, code, by_peer: true }))
    }

    /// Priorities are not followed, their frames are checked (RFC 9113 sections 5.3.2 and 6.3).
    pub(super) fn priority_frame(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event>, Broken> {
        if head.stream == 0 {
            return Err(Broken::protocol("PRIORITY on stream 0"));
        }
        self.meters.count(Nuisance::Priority, self.now)?;
        let Ok(&[a, b, c, d, _weight]) = <&[u8; 5]>::try_from(payload) else {
            return self.stream_error(head.stream, ErrorCode::FrameSizeError, "PRIORITY not of 5 bytes");
        };
        if u32::from_be_bytes([a & 0x7F, b, c, d]) == head.stream {
            return self.stream_error(
                head.stream,
                ErrorCode::ProtocolError,
                "a stream that depends on itself",
            );
        }
        Ok(None)
    }

    pub(super) fn goaway_frame(&mut self, head: &FrameHead, payload: &[u8]) -> Result<Option<Event>, Broken> {
        if head.stream != 0 {
            return Err(Broken::protocol("GOAWAY on a stream"));
        }
        let Some(&[l0, l1, l2, l3, c0, c1, c2, c3]) = payload.first_chunk::<8>() else {
            return Err(Broken::size("GOAWAY below 8 bytes"));
        };
        // Shares the allowance of SETTINGS: a few in a connection's life.
        self.meters.count(Nuisance::Settings, self.now)?;
        let last = u32::from_be_bytes([l0 & 0x7F, l1, l2, l3]);
        // It may not grow; where it does, the smaller one was a promise already.
        let last = self.drain.peer_last.map_or(last, |before| before.min(last));
        self.drain.peer_last = Some(last);
        if self.config.role == Role::Client {
            self.drain.refuse_from = Some(0);
        }
        Ok(Some(Event::GoingAway { code: ErrorCode::of(u32::from_be_bytes([c0, c1, c2, c3])) }))
    }

    /// The next stream that the server's GOAWAY says it did nothing about.
    pub(super) fn next_refused(&mut self) -> Option<Event> {
        let from = self.drain.refuse_from?;
        let last = self.drain.peer_last.unwrap_or(u32::MAX);
        let refused = self.streams.next_from(from, |found| found.id > last && !found.is_over());
        let Some((slot, found)) = refused else {
            self.drain.refuse_from = None;
            return None;
        };
        found.reset = ResetBy::Peer;
        self.drain.refuse_from = Some(slot + 1);
        StreamId::new(found.id).map(|stream| Event::Refused { stream })
    }
}
