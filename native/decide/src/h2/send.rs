//! What the caller sends. In: header lists, bodies, resets; out: frames in the output, within the peer's windows.

use super::block::{self, BlockWriter};
use super::frame::{self, FRAME_HEAD, Kind, flag};
use super::stream::{Half, ResetBy, Stream};
use super::{Connection, ErrorCode, FRAME_BYTES, LARGEST_WINDOW, Phase, Role, StreamId};

impl Connection {
    /// Opens a stream (client). None when the peer takes no more streams now, when we have as many as configured,
    /// after GOAWAY or [`drain`](Self::drain), or when the numbers ran out. Its [`headers`](Self::headers) must be
    /// written before those of a stream opened later: a number that is passed over is used up (RFC 9113 section
    /// 5.1.1).
    pub fn open(&mut self, tag: u64) -> Option<StreamId> {
        if self.openable() == 0 {
            return None;
        }
        let id = StreamId::new(self.edge)?;
        self.edge += 2;
        let windows = (self.peer.window, self.config.stream_window.cast_signed());
        self.streams.insert(id.value(), Phase::First, windows).tag = tag;
        Some(id)
    }

    /// How many streams [`open`](Self::open) would open now.
    #[must_use]
    pub fn openable(&self) -> usize {
        if self.config.role == Role::Server || self.is_over() || self.is_draining() {
            return 0;
        }
        let limit = self.peer.max_streams.min(self.config.max_streams);
        let numbers = (LARGEST_WINDOW + 2).saturating_sub(self.edge) / 2;
        (limit as usize).saturating_sub(self.streams.len()).min(numbers as usize)
    }

    /// Writes a header list: a request, an interim or final response, or trailers. `end` says that nothing follows.
    /// Returns whether it was written: not when the stream is finished, reset, or has ended on our side, or the
    /// connection is over.
    pub fn headers(&mut self, stream: StreamId, end: bool, write: impl FnOnce(&mut BlockWriter<'_>)) -> bool {
        let id = stream.value();
        let over = self.is_over();
        let Some(found) = self.streams.find_mut(id) else { return false };
        if over || found.reset != ResetBy::Nobody || found.local == Half::Closed {
            return false;
        }
        found.local = if end { Half::Closed } else { Half::Open };
        self.meters.traffic();
        let out = self.output.bytes_mut();
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_HEAD]);
        self.encoder.begin(out);
        write(&mut BlockWriter { encoder: &mut self.encoder, out });
        block::seal(out, start, id, end);
        true
    }

    /// How many bytes of DATA the stream may send now: what the windows of stream and connection allow, and unsent
    /// output up to 256 KiB. When it is 0 because of a window, [`Event::Writable`](super::Event::Writable) or
    /// [`Event::SettingsChanged`](super::Event::SettingsChanged) tells that it may not be any more; because of the
    /// output, [`sent`](Self::sent) does.
    #[must_use]
    pub fn room(&self, stream: StreamId) -> usize {
        self.streams.find(stream.value()).map_or(0, |found| self.room_of(found))
    }

    fn room_of(&self, stream: &Stream) -> usize {
        if self.is_over() || !stream.is_writable() {
            return 0;
        }
        let window = stream.send_window.min(self.send_window);
        usize::try_from(window).unwrap_or(0).min(self.output.room())
    }

    /// Sends bytes of a body, as many as there is [`room`](Self::room) for; `end` counts only when all were taken.
    /// Returns how many were taken. Headers come first.
    pub fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool) -> usize {
        let id = stream.value();
        let Some(found) = self.streams.find(id).filter(|found| found.is_writable()) else { return 0 };
        if self.is_over() {
            return 0;
        }
        let taken = self.room_of(found).min(bytes.len());
        let end = end && taken == bytes.len();
        if taken == 0 && !end {
            return 0;
        }
        // A window holds what room allowed.
        let size = i32::try_from(taken).unwrap_or(i32::MAX);
        self.send_window -= size;
        if let Some(found) = self.streams.find_mut(id) {
            found.send_window -= size;
            if end {
                found.local = Half::Closed;
            }
        }
        let out = self.output.bytes_mut();
        let last = if end { flag::END_STREAM } else { 0 };
        let mut rest = bytes.get(..taken).unwrap_or_default();
        while let Some((now, later)) =
            rest.split_at_checked(FRAME_BYTES).filter(|(_, later)| !later.is_empty())
        {
            frame::push(out, Kind::Data, 0, id, now);
            self.meters.traffic();
            rest = later;
        }
        frame::push(out, Kind::Data, last, id, rest);
        self.meters.traffic();
        taken
    }

    /// So many received bytes of the stream were passed on: the peer may send as many again. It is told when half a
    /// window has gathered, and not at all once it has ended the stream. Padding needs no mention.
    pub fn forwarded(&mut self, stream: StreamId, bytes: u32) {
        if self.is_over() {
            return;
        }
        let window = self.config.stream_window;
        let Some(found) = self.streams.find_mut(stream.value()) else { return };
        if found.reset != ResetBy::Nobody || found.remote == Half::Closed {
            return;
        }
        let used = i64::from(window) - i64::from(found.receive_window) - i64::from(found.credit);
        found.credit += bytes.min(u32::try_from(used).unwrap_or(0));
        if found.credit > 0 && found.credit >= window / 2 {
            let credit = std::mem::take(&mut found.credit);
            found.receive_window = found.receive_window.saturating_add_unsigned(credit);
            let out = self.output.answer();
            frame::push(out, Kind::WindowUpdate, 0, stream.value(), &credit.to_be_bytes());
        }
    }

    /// The header list just received was an interim response (client): the next one is the response, or another of
    /// these.
    pub fn interim(&mut self, stream: StreamId) {
        if let Some(found) = self.streams.find_mut(stream.value()) {
            found.expects = Phase::First;
        }
    }

    /// Ends a stream at once with `RST_STREAM`, unless it is over already. It counts until it is
    /// [finished](Self::finish). A code that blames the peer counts towards the flood of resets.
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        let over = self.is_over();
        let Some(found) = self.streams.find_mut(stream.value()) else { return };
        if found.is_over() {
            return;
        }
        found.reset = ResetBy::Us;
        if self.config.role == Role::Client && found.local == Half::Idle {
            return;
        }
        if !over {
            push_reset(self.output.bytes_mut(), stream.value(), code);
        }
        if code.blames_peer() && self.config.role == Role::Server {
            self.ledger.reset(self.now);
        }
    }

    /// The caller is done with a stream, which no longer counts. When it is not over yet, `RST_STREAM` goes out:
    /// with `NO_ERROR` from a server that has answered completely (RFC 9113 section 8.1), else with `CANCEL`.
    pub fn finish(&mut self, stream: StreamId) {
        let id = stream.value();
        let Some(found) = self.streams.remove(id) else { return };
        let answered = found.reset == ResetBy::Nobody && found.local == Half::Closed;
        let server = self.config.role == Role::Server;
        if !self.is_over() && !found.is_over() && (server || found.local != Half::Idle) {
            let code = if server && answered { ErrorCode::NoError } else { ErrorCode::Cancel };
            push_reset(self.output.bytes_mut(), id, code);
        }
        if found.remote == Half::Open && found.reset != ResetBy::Peer {
            self.streams.remember_reset(id);
        }
        if answered {
            self.ledger.complete(self.now);
        }
    }
}

pub(super) fn push_reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    frame::push(out, Kind::RstStream, 0, stream, &code.code().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn numbers_run_out_at_the_last_one() {
        let config = Config {
            role: Role::Client,
            stream_window: 65_535,
            connection_window: 65_535,
            max_streams: 100,
            header_bytes: 1000,
            connect_protocol: false,
            seed: 3,
        };
        let mut conn = Connection::new(&config);
        conn.edge = 0x7FFF_FFFD;
        assert_eq!(conn.openable(), 2);
        assert_eq!(conn.open(1).map(StreamId::value), Some(0x7FFF_FFFD));
        assert_eq!(conn.open(1).map(StreamId::value), Some(0x7FFF_FFFF));
        assert_eq!((conn.openable(), conn.open(1)), (0, None));
    }
}
