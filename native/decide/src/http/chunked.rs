//! The chunked coding (RFC 9112 section 7.1), undone strictly and resumable at any byte. In: a buffer with what was
//! read; out: the same buffer with the data put together, which the caller frames anew as one chunk.

use super::bytes::{hex, is_control, is_token_byte};
use super::trailer::Trailers;
use super::{ChunkError, HeadLimits, Reject, reason};
use std::ops::Range;

/// Bytes of extensions behind one chunk size, and in a whole message. Nobody uses extensions; attackers do.
const EXTENSION_BYTES: u32 = 1024;
const EXTENSION_BYTES_TOTAL: u32 = 16 * 1024;
/// Digits of a chunk size, leading zeros counted.
const SIZE_DIGITS: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    /// Whitespace that only `;` may follow.
    Space,
    ExtensionStart,
    Name,
    /// Whitespace behind an extension's name: `=` or `;` follows.
    NameSpace,
    ValueStart,
    Token,
    Quoted,
    Escaped,
    QuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerLine,
    EndLf,
    Done,
}

/// What one call of [`Chunked::decode`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the buffer that belonged to this body: all of them, unless `done`.
    pub consumed: usize,
    /// Where in the buffer the decoded data lies now, in one piece. What else is in `..consumed` is rubbish.
    pub data: Range<usize>,
    /// The body and its trailers are complete.
    pub done: bool,
}

/// Decodes one chunked body. Holds no data; memory is allocated only when trailers come.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    digits: u8,
    /// The size read so far, then the bytes of the chunk still to come.
    remaining: u64,
    extension: u32,
    extensions: u32,
    limits: HeadLimits,
    trailers: Option<Box<Trailers>>,
}

impl Chunked {
    /// A decoder at the first chunk size; `limits` bound the trailers.
    #[must_use]
    pub const fn new(limits: HeadLimits) -> Self {
        Self {
            state: State::Size,
            digits: 0,
            remaining: 0,
            extension: 0,
            extensions: 0,
            limits,
            trailers: None,
        }
    }

    /// Decodes in place what was read into `buf`. After an error nothing of the message may be sent on.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut data = 0..0;
        let mut at = 0;
        while at < buf.len() && self.state != State::Done {
            match self.state {
                State::Data => at += self.take_data(buf, at, &mut data),
                State::TrailerLine => at += self.take_trailer(buf.get(at..).unwrap_or_default())?,
                _ => {
                    let Some(&b) = buf.get(at) else { break };
                    self.step(b)?;
                    at += 1;
                }
            }
        }
        Ok(Decoded { consumed: at, data, done: self.state == State::Done })
    }

    /// Whether the last chunk and the trailers have been seen. A connection that ends before is a truncated body.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers that may be sent on, as `name: value CRLF` lines, without those that must not come in trailers
    /// (framing, routing, credentials, identity, content: RFC 9110 section 6.5.1). Complete when done.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        self.trailers.as_ref().map_or(&[], |trailers| trailers.lines())
    }

    fn take_data(&mut self, buf: &mut [u8], at: usize, data: &mut Range<usize>) -> usize {
        let here = buf.len() - at;
        let len = usize::try_from(self.remaining).map_or(here, |remaining| remaining.min(here));
        if data.start == data.end {
            *data = at..at + len;
        } else {
            buf.copy_within(at..at + len, data.end);
            data.end += len;
        }
        self.remaining -= len as u64;
        if self.remaining == 0 {
            self.state = State::DataCr;
        }
        len
    }

    fn take_trailer(&mut self, rest: &[u8]) -> Result<usize, Reject> {
        let limits = self.limits;
        let trailers = self.trailers.get_or_insert_default();
        let (taken, complete) = trailers.take(rest, limits)?;
        if complete {
            self.state = State::TrailerStart;
        }
        Ok(taken)
    }

    /// Everything but data and trailer lines, a byte at a time.
    fn step(&mut self, b: u8) -> Result<(), Reject> {
        self.state = match self.state {
            State::Size => self.size(b)?,
            State::SizeLf if b == b'\n' => {
                if self.remaining == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            State::DataCr if b == b'\r' => State::DataLf,
            State::DataLf if b == b'\n' => {
                self.digits = 0;
                self.extension = 0;
                State::Size
            }
            State::EndLf if b == b'\n' => State::Done,
            State::SizeLf | State::EndLf => return Err(reason::BARE_CR),
            State::DataCr | State::DataLf => return Err(reason::BAD_CHUNK_END),
            State::TrailerStart if b == b'\r' => State::EndLf,
            State::TrailerStart => {
                self.take_trailer(&[b])?;
                State::TrailerLine
            }
            _ => self.extension(b)?,
        };
        Ok(())
    }

    fn size(&mut self, b: u8) -> Result<State, Reject> {
        if let Some(digit) = hex(b) {
            if self.digits == 0 {
                self.remaining = 0;
            }
            self.digits += 1;
            if self.digits > SIZE_DIGITS || self.remaining >> 59 != 0 {
                return Err(reason::BAD_CHUNK_SIZE);
            }
            self.remaining = self.remaining << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match b {
            _ if self.digits == 0 => Err(reason::BAD_CHUNK_SIZE),
            b'\r' => Ok(State::SizeLf),
            b'\n' => Err(reason::BARE_LF),
            b';' => Ok(State::ExtensionStart),
            b' ' | b'\t' => Ok(State::Space),
            _ => Err(reason::BAD_CHUNK_SIZE),
        }
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 section 7.1.1.
    fn extension(&mut self, b: u8) -> Result<State, Reject> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > EXTENSION_BYTES || self.extensions > EXTENSION_BYTES_TOTAL {
            return Err(reason::CHUNK_EXTENSIONS_TOO_LARGE);
        }
        let space = b == b' ' || b == b'\t';
        let next = match self.state {
            State::Space | State::ExtensionStart | State::NameSpace | State::ValueStart if space => {
                self.state
            }
            State::Space | State::NameSpace | State::QuotedEnd | State::Token | State::Name if b == b';' => {
                State::ExtensionStart
            }
            State::Name | State::NameSpace if b == b'=' => State::ValueStart,
            State::Name if space => State::NameSpace,
            State::Token | State::QuotedEnd if space => State::Space,
            State::Name | State::Token | State::QuotedEnd if b == b'\r' => State::SizeLf,
            State::ExtensionStart | State::Name if is_token_byte(b) => State::Name,
            State::ValueStart | State::Token if is_token_byte(b) => State::Token,
            State::ValueStart if b == b'"' => State::Quoted,
            State::Quoted if b == b'"' => State::QuotedEnd,
            State::Quoted if b == b'\\' => State::Escaped,
            State::Quoted | State::Escaped if !is_control(b) => State::Quoted,
            _ if b == b'\n' => return Err(reason::BARE_LF),
            _ => return Err(reason::BAD_CHUNK_EXTENSION),
        };
        Ok(next)
    }
}

/// Writes `len` as the line before a chunk: hexadecimal digits and CRLF.
#[must_use]
pub fn write_chunk_prefix(len: usize, out: &mut [u8; 18]) -> &[u8] {
    let mut rest = len as u64;
    let mut start = out.len() - 2;
    if let Some(end) = out.last_chunk_mut::<2>() {
        *end = *b"\r\n";
    }
    loop {
        start -= 1;
        if let Some(to) = out.get_mut(start) {
            *to = b"0123456789abcdef".get((rest & 15) as usize).copied().unwrap_or(b'0');
        }
        rest >>= 4;
        if rest == 0 {
            return out.get(start..).unwrap_or_default();
        }
    }
}
