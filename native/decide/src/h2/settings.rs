//! SETTINGS (RFC 9113 section 6.5). In: our configuration → the first frames we send; the peer's frames → what
//! holds for what we send.

use super::frame::{self, Kind};
use super::{Broken, Config, Connection, Event, FIRST_WINDOW, LARGEST_WINDOW, Role};

/// The identifiers we know (RFC 9113 section 6.5.2, RFC 8441 section 3).
mod id {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// What a client sends first (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of one setting.
const SETTING: usize = 6;
/// Streams that a client opens at most before the server has said how many it takes.
const FIRST_STREAMS: u32 = 100;

/// What the peer's settings say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) window: i32,
    pub(super) max_streams: u32,
    pub(super) header_bytes: u32,
    pub(super) connect_protocol: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            window: FIRST_WINDOW.cast_signed(),
            max_streams: FIRST_STREAMS,
            header_bytes: u32::MAX,
            connect_protocol: false,
        }
    }
}

/// Writes what a connection begins with.
pub(super) fn write_preface(config: &Config, out: &mut Vec<u8>) {
    let mut payload = [0; 5 * SETTING];
    let mut len = 0;
    let mut add = |id: u16, value: u32| {
        if let Some(place) = payload.get_mut(len..len + SETTING) {
            let (name, number) = place.split_at_mut(2);
            name.copy_from_slice(&id.to_be_bytes());
            number.copy_from_slice(&value.to_be_bytes());
            len += SETTING;
        }
    };
    match config.role {
        Role::Server => {
            add(id::MAX_CONCURRENT_STREAMS, config.max_streams);
            if config.connect_protocol {
                add(id::ENABLE_CONNECT_PROTOCOL, 1);
            }
        }
        Role::Client => {
            out.extend_from_slice(PREFACE);
            add(id::ENABLE_PUSH, 0);
        }
    }
    add(id::MAX_HEADER_LIST_SIZE, config.header_bytes);
    if config.stream_window != FIRST_WINDOW {
        add(id::INITIAL_WINDOW_SIZE, config.stream_window);
    }
    frame::push(out, Kind::Settings, 0, 0, payload.get(..len).unwrap_or_default());
    if config.connection_window > FIRST_WINDOW {
        let more = config.connection_window - FIRST_WINDOW;
        frame::push(out, Kind::WindowUpdate, 0, 0, &more.to_be_bytes());
    }
}

impl Connection {
    /// Applies one frame of the peer's settings, then acknowledges it (RFC 9113 section 6.5.3). A value that a
    /// later one in the same frame replaces is checked and has no other effect, but for the header table's lowest
    /// size.
    pub(super) fn apply_settings(&mut self, payload: &[u8]) -> Result<Event, Broken> {
        let (settings, rest) = payload.as_chunks::<SETTING>();
        if !rest.is_empty() {
            return Err(Broken::size("SETTINGS not of whole settings"));
        }
        let mut window = None;
        let mut table: Option<(u32, u32)> = None;
        for &[i0, i1, a, b, c, d] in settings {
            let value = u32::from_be_bytes([a, b, c, d]);
            match u16::from_be_bytes([i0, i1]) {
                id::HEADER_TABLE_SIZE => {
                    table = Some(table.map_or((value, value), |(lowest, _)| (lowest.min(value), value)));
                }
                id::INITIAL_WINDOW_SIZE if value > LARGEST_WINDOW => {
                    return Err(Broken::window("an initial window above 2^31-1"));
                }
                id::INITIAL_WINDOW_SIZE => window = Some(value.cast_signed()),
                id => self.set_one(id, value)?,
            }
        }
        if let Some((lowest, last)) = table {
            self.encoder.set_limit(lowest);
            self.encoder.set_limit(last);
        }
        if let Some(window) = window {
            self.set_initial_window(window)?;
        }
        frame::push(self.output.answer(), Kind::Settings, frame::flag::ACK, 0, &[]);
        Ok(Event::SettingsChanged)
    }

    fn set_one(&mut self, id: u16, value: u32) -> Result<(), Broken> {
        match id {
            id::ENABLE_PUSH if value > 1 || (value == 1 && self.config.role == Role::Client) => {
                return Err(Broken::protocol("a wrong SETTINGS_ENABLE_PUSH"));
            }
            id::MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => {
                return Err(Broken::protocol("a wrong SETTINGS_MAX_FRAME_SIZE"));
            }
            // Once offered, it cannot be taken back (RFC 8441 section 3).
            id::ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.peer.connect_protocol) => {
                return Err(Broken::protocol("a wrong SETTINGS_ENABLE_CONNECT_PROTOCOL"));
            }
            id::ENABLE_CONNECT_PROTOCOL => self.peer.connect_protocol = value == 1,
            id::MAX_CONCURRENT_STREAMS => self.peer.max_streams = value,
            id::MAX_HEADER_LIST_SIZE => self.peer.header_bytes = value,
            _ => {}
        }
        Ok(())
    }

    /// Changes the windows of all streams by as much as the initial one changed (RFC 9113 section 6.9.2).
    fn set_initial_window(&mut self, window: i32) -> Result<(), Broken> {
        let change = window - self.peer.window;
        self.peer.window = window;
        for stream in self.streams.iter_mut() {
            let Some(changed) = stream.send_window.checked_add(change) else {
                return Err(Broken::window("a stream's window above 2^31-1"));
            };
            stream.send_window = changed;
        }
        Ok(())
    }

    /// Our settings are acknowledged: from now on they hold for all that the peer sends.
    pub(super) fn settings_acknowledged_now(&mut self) {
        self.settings_pending = false;
        self.decoder.acknowledged();
    }
}
