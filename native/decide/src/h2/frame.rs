//! Frame heads (RFC 9113 section 4.1). In: nine bytes ↔ out: length, type, flags, stream.

/// Bytes of a frame head.
pub(super) const FRAME_HEAD: usize = 9;

/// The flags, by frame type (RFC 9113 section 6).
pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// The type of a frame (RFC 9113 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    RstStream = 3,
    Settings = 4,
    PushPromise = 5,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
    /// Any other: ignored (RFC 9113 section 5.5).
    Unknown = 255,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

/// A frame head.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHead {
    /// Bytes of payload.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// The reserved bit is ignored.
    pub(super) stream: u32,
}

impl FrameHead {
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = input.first_chunk::<FRAME_HEAD>()?;
        Some(Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0 & 0x7F, s1, s2, s3]),
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The bytes of a frame head; `len` is below 2^24.
pub(super) fn head(len: usize, kind: Kind, flags: u8, stream: u32) -> [u8; FRAME_HEAD] {
    #[expect(clippy::cast_possible_truncation, reason = "lengths of frames that we write are at most 16,384")]
    let [_, a, b, c] = (len as u32).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [a, b, c, kind as u8, flags, s0, s1, s2, s3]
}

/// Writes a frame head over the nine bytes at `at`.
pub(super) fn patch(out: &mut [u8], at: usize, len: usize, kind: Kind, flags: u8, stream: u32) {
    if let Some(place) = out.get_mut(at..at + FRAME_HEAD) {
        place.copy_from_slice(&head(len, kind, flags, stream));
    }
}

/// Appends a whole frame.
pub(super) fn push(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&head(payload.len(), kind, flags, stream));
    out.extend_from_slice(payload);
}
