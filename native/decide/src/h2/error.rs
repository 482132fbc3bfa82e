//! Error codes, and why a connection ended. In: codes as received; out: the same, known or not.

/// An error code (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not an error.
    NoError,
    /// The protocol was broken.
    ProtocolError,
    /// Ours is the fault.
    InternalError,
    /// More was sent than a window allows.
    FlowControlError,
    /// Settings were not acknowledged in time.
    SettingsTimeout,
    /// A frame on a stream that was closed already.
    StreamClosed,
    /// A frame of a wrong size.
    FrameSizeError,
    /// Nothing was done: it may be tried again (RFC 9113 section 8.7).
    RefusedStream,
    /// Nobody wants the stream any more.
    Cancel,
    /// A header block that cannot be decoded.
    CompressionError,
    /// The connection behind CONNECT was reset or closed.
    ConnectError,
    /// Too much of something.
    EnhanceYourCalm,
    /// The transport is not secure enough.
    InadequateSecurity,
    /// HTTP/1.1 is asked for.
    Http11Required,
    /// A code that no RFC defines, to be treated as [`Self::InternalError`].
    Other(u32),
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::NoError => 0,
            Self::ProtocolError => 1,
            Self::InternalError => 2,
            Self::FlowControlError => 3,
            Self::SettingsTimeout => 4,
            Self::StreamClosed => 5,
            Self::FrameSizeError => 6,
            Self::RefusedStream => 7,
            Self::Cancel => 8,
            Self::CompressionError => 9,
            Self::ConnectError => 10,
            Self::EnhanceYourCalm => 11,
            Self::InadequateSecurity => 12,
            Self::Http11Required => 13,
            Self::Other(code) => code,
        }
    }

    /// The code of this number.
    #[must_use]
    pub fn of(code: u32) -> Self {
        match code {
            0 => Self::NoError,
            1 => Self::ProtocolError,
            2 => Self::InternalError,
            3 => Self::FlowControlError,
            4 => Self::SettingsTimeout,
            5 => Self::StreamClosed,
            6 => Self::FrameSizeError,
            7 => Self::RefusedStream,
            8 => Self::Cancel,
            9 => Self::CompressionError,
            10 => Self::ConnectError,
            11 => Self::EnhanceYourCalm,
            12 => Self::InadequateSecurity,
            13 => Self::Http11Required,
            other => Self::Other(other),
        }
    }

    /// Whether who sends this says that the other side did something wrong.
    pub(super) fn blames_peer(self) -> bool {
        matches!(
            self,
            Self::ProtocolError
                | Self::FlowControlError
                | Self::StreamClosed
                | Self::FrameSizeError
                | Self::CompressionError
                | Self::EnhanceYourCalm
        )
    }
}

/// The connection is over: GOAWAY with this code is in the output, to be flushed before closing. Nothing that arrives
/// afterwards is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// What the GOAWAY says.
    pub code: ErrorCode,
    /// Why, in a few fixed words; also sent as GOAWAY's debug data.
    pub reason: &'static str,
}

impl Broken {
    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self { code: ErrorCode::ProtocolError, reason }
    }

    pub(super) const fn size(reason: &'static str) -> Self {
        Self { code: ErrorCode::FrameSizeError, reason }
    }

    pub(super) const fn window(reason: &'static str) -> Self {
        Self { code: ErrorCode::FlowControlError, reason }
    }

    pub(super) const fn closed(reason: &'static str) -> Self {
        Self { code: ErrorCode::StreamClosed, reason }
    }

    pub(super) const fn flood(reason: &'static str) -> Self {
        Self { code: ErrorCode::EnhanceYourCalm, reason }
    }
}
