//! What is known about one stream, as a number that the HTTP/2 connection keeps with it. In: the path, bytes of gRPC
//! messages; out: how many bytes are owed, and which.

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A body of the same byte again and again.
    Body,
    /// A body of the caller's own fields, sent whole.
    Echo,
    /// One message when the request has ended.
    Unary,
    /// A message for each message.
    Both,
}

/// A message of 32 bytes behind its head (the gRPC protocol's Length-Prefixed-Message), the message itself being a
/// Protocol Buffer of one string of 30 bytes.
pub(crate) const MESSAGE: &[u8; 37] = b"\0\0\0\0\x20\x0a\x1exxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const MESSAGE_BYTES: u32 = 37;
/// The head of a message: a flag, and its length in four bytes.
const HEAD_BYTES: u64 = 5;

/// One stream. 26 bits of `owed` are kept: a client of the benchmark reads what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// The request is complete.
    pub(crate) ended: bool,
    /// Bytes of answers that are still to be sent.
    pub(crate) owed: u32,
    /// Bytes seen of a message's head, 0 to 4.
    head: u64,
    /// The length as far as it was seen, or what is left of the message.
    rest: u32,
}

impl Call {
    pub(crate) fn new(kind: Kind, ended: bool, owed: u32) -> Self {
        Self { kind, ended, owed, head: 0, rest: 0 }
    }

    /// The number of a call; never 0.
    pub(crate) fn tag(self) -> u64 {
        let kind = match self.kind {
            Kind::Body => 0,
            Kind::Echo => 1,
            Kind::Unary => 2,
            Kind::Both => 3,
        };
        (u64::from(self.owed) << 38)
            | (u64::from(self.rest) << 6)
            | (self.head << 3)
            | (u64::from(self.ended) << 2)
            | kind
    }

    /// The call of a number.
    pub(crate) fn of(tag: u64) -> Self {
        let kind = match tag & 3 {
            0 => Kind::Body,
            1 => Kind::Echo,
            2 => Kind::Unary,
            _ => Kind::Both,
        };
        let low = |value: u64| u32::try_from(value & 0xFFFF_FFFF).unwrap_or(0);
        Self { kind, ended: tag & 4 != 0, owed: low(tag >> 38), head: (tag >> 3) & 7, rest: low(tag >> 6) }
    }

    /// Takes bytes of messages; how many messages became complete. Each is owed an answer.
    pub(crate) fn messages(&mut self, mut bytes: &[u8]) -> u64 {
        let mut complete = 0;
        loop {
            if self.head < HEAD_BYTES {
                let Some((&byte, later)) = bytes.split_first() else { return complete };
                bytes = later;
                // The first byte is the flag.
                self.rest = if self.head == 0 { 0 } else { (self.rest << 8) | u32::from(byte) };
                self.head += 1;
            }
            if self.head == HEAD_BYTES {
                let now = bytes.len().min(self.rest as usize);
                bytes = bytes.get(now..).unwrap_or_default();
                self.rest -= u32::try_from(now).unwrap_or(0);
                if self.rest > 0 {
                    return complete;
                }
                self.head = 0;
                self.owe();
                complete += 1;
            }
        }
    }

    /// One more message is owed.
    pub(crate) fn owe(&mut self) {
        self.owed += MESSAGE_BYTES;
    }

    /// The next bytes that are owed, in one piece of `pattern` again and again; `pattern` ends where answers end.
    pub(crate) fn next_piece(self, pattern: &[u8]) -> &[u8] {
        let into = pattern.len() - (self.owed as usize - 1) % pattern.len() - 1;
        let piece = pattern.get(into..).unwrap_or_default();
        piece.get(..piece.len().min(self.owed as usize)).unwrap_or(piece)
    }
}
