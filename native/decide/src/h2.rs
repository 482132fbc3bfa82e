//! The HTTP/2 connection (RFC 9113), sans-I/O and without a clock: frames, stream states, windows, settings,
//! floods; one state machine for both roles. In: received bytes and the time; out: events, and bytes gathered in
//! one output buffer that the event loop writes once a turn.
//!
//! Comes after: detection of the protocol. Before: the check of header lists, which are handed out as decoded lines
//! ([`crate::hpack`]); whoever finds one malformed resets its stream.

mod block;
mod drain;
mod error;
mod event;
mod flood;
mod frame;
mod output;
mod receive;
mod send;
mod settings;
mod stream;
mod streams;

pub use block::BlockWriter;
pub use error::{Broken, ErrorCode};
pub use event::{Event, Lines, Phase, Received};
pub use stream::StreamId;

use crate::hpack::{Decoder, Encoder};
use drain::Drain;
use flood::{Ledger, Meters};
use output::Output;
use receive::{Body, Partial};
use settings::Peer;
use streams::Streams;

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We accept streams.
    Server,
    /// We open streams.
    Client,
}

/// Milliseconds of any monotonic clock; only differences count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

/// What a connection is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Which end we are.
    pub role: Role,
    /// Bytes that the peer may send per stream before we passed some on (`SETTINGS_INITIAL_WINDOW_SIZE`), 1 to
    /// 2^31-1.
    pub stream_window: u32,
    /// Bytes that the peer may have under way on all streams, at least 65,535 (RFC 9113 section 6.9.2 lets nobody
    /// begin with less), at most 2^31-1. Credited as they are received.
    pub connection_window: u32,
    /// Streams at a time, 1 to 32,767: those the peer may begin (`SETTINGS_MAX_CONCURRENT_STREAMS`) for a server,
    /// those we begin for a client.
    pub max_streams: u32,
    /// `SETTINGS_MAX_HEADER_LIST_SIZE`. The list is the caller's to bound; the encoded block, where it comes in
    /// more than one frame, is bound by this too, but never to less than 16 KiB.
    pub header_bytes: u32,
    /// A server takes extended CONNECT (RFC 8441 section 3).
    pub connect_protocol: bool,
    /// Random, unknown to the peer: keys the index of streams and HPACK's.
    pub seed: u64,
}

/// The largest payload of a frame, received or sent: the least that `SETTINGS_MAX_FRAME_SIZE` may be.
pub(crate) const FRAME_BYTES: usize = 16_384;
/// Every connection and stream begins with this window (RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;
/// The largest window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: u32 = 0x7FFF_FFFF;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    now: Millis,
    /// Where the input stands between frames.
    stage: Stage,
    body: Option<Body>,
    partial: Option<Box<Partial>>,
    decoder: Decoder,
    encoder: Encoder,
    output: Output,
    streams: Streams,
    peer: Peer,
    drain: Drain,
    /// Our settings are not acknowledged yet: the peer may still go by the defaults.
    settings_pending: bool,
    /// The highest stream of the peer's (server), or the next one of ours (client).
    edge: u32,
    /// A server's last 64 stream ids that were used: bit n stands for `edge - 2n`.
    used: u64,
    send_window: i32,
    /// Bytes received on all streams and not yet told to the peer.
    credit: u32,
    meters: Meters,
    ledger: Ledger,
}

/// What comes next in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client's preface, of which this many bytes were seen.
    Preface(u8),
    /// The peer's first frame, which must be SETTINGS (RFC 9113 section 3.4).
    Settings,
    /// Any frame.
    Frames,
    /// Nothing: GOAWAY was sent, and what comes is ignored.
    Over,
}

impl Connection {
    /// A new connection. The output then holds our preface: for a client its 24 bytes, for both SETTINGS and, where
    /// the window differs from the default, `WINDOW_UPDATE` for the connection.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let bounded = Config {
            stream_window: config.stream_window.clamp(1, LARGEST_WINDOW),
            connection_window: config.connection_window.clamp(FIRST_WINDOW, LARGEST_WINDOW),
            max_streams: config.max_streams.clamp(1, 32_767),
            ..*config
        };
        let server = bounded.role == Role::Server;
        let mut output = Output::default();
        settings::write_preface(&bounded, output.bytes_mut());
        Self {
            config: bounded,
            now: Millis::default(),
            stage: if server { Stage::Preface(0) } else { Stage::Settings },
            body: None,
            partial: None,
            decoder: Decoder::new(crate::hpack::DEFAULT_TABLE_BYTES),
            encoder: Encoder::new(flood::mix(bounded.seed ^ 1)),
            output,
            streams: Streams::new(flood::mix(bounded.seed), bounded.max_streams),
            peer: Peer::default(),
            drain: Drain::default(),
            settings_pending: true,
            edge: u32::from(!server),
            used: 0,
            send_window: FIRST_WINDOW.cast_signed(),
            credit: 0,
            meters: Meters::default(),
            ledger: Ledger::default(),
        }
    }

    /// The caller's own number for a stream, 0 until it is set; none for a stream that is finished or never was.
    #[must_use]
    pub fn tag(&self, stream: StreamId) -> Option<u64> {
        self.streams.find(stream.value()).map(|found| found.tag)
    }

    /// Sets the caller's own number for a stream; nothing happens when the stream is finished.
    pub fn set_tag(&mut self, stream: StreamId, tag: u64) {
        if let Some(found) = self.streams.find_mut(stream.value()) {
            found.tag = tag;
        }
    }

    /// How many streams are not finished yet, those included that were reset.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The streams that are not finished yet, each with its tag, in no particular order.
    pub fn each_stream(&self) -> impl Iterator<Item = (StreamId, u64)> + '_ {
        self.streams.iter().filter_map(|stream| StreamId::new(stream.id).map(|id| (id, stream.tag)))
    }

    /// How large a header list the peer wants to see at most (`SETTINGS_MAX_HEADER_LIST_SIZE`), in bytes as counted
    /// by RFC 9113 section 6.5.2; `u32::MAX` until it says so.
    #[must_use]
    pub fn peer_header_bytes(&self) -> u32 {
        self.peer.header_bytes
    }

    /// Whether the peer takes extended CONNECT (RFC 8441 section 3).
    #[must_use]
    pub fn peer_takes_connect_protocol(&self) -> bool {
        self.peer.connect_protocol
    }

    /// Whether the peer has acknowledged our settings; the caller decides how long it waits for that.
    #[must_use]
    pub fn settings_acknowledged(&self) -> bool {
        !self.settings_pending
    }

    /// Bytes that are to be written, in order.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.unsent()
    }

    /// The first `len` bytes of [`output`](Self::output) were written. True when output had filled up and there is
    /// [`room`](Self::room) again: look at all streams that wait.
    pub fn sent(&mut self, len: usize) -> bool {
        self.output.sent(len)
    }

    /// Lends a buffer to collect output in, when the connection holds none worth keeping. Gives back the buffer
    /// that is not used: this one, or the connection's own.
    #[must_use]
    pub fn lend(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        self.output.lend(buffer)
    }

    /// Takes the output buffer away, when all of it was sent: an idle connection holds none.
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        self.output.reclaim()
    }

    /// Gives back memory that a busier time needed: for connections that have been idle for a while.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        self.output.shrink();
    }
}
