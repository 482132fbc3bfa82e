//! A message body on its way from one side to the other: taken out of its framing, and put into ours.
//!
//! In: bytes of one side. Out: slices to send to the other. One code for both directions and all framings.

use crate::io::BufferPool;
use std::io::{Error, ErrorKind};
use tulle_decide::http::{BodyFraming, Chunked, Decoded, Framing, HeadLimits, write_chunk_prefix};

/// Bounds on a message's trailers.
const TRAILERS: HeadLimits = HeadLimits { bytes: 8 * 1024, fields: 32 };

/// How a body comes in.
#[derive(Debug)]
pub(crate) enum Source {
    Empty,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    /// HTTP/2: until the stream ends, after so many bytes if a length was announced.
    Stream {
        left: Option<u64>,
        /// As they go on, `name: value CRLF` each.
        trailers: Vec<u8>,
    },
}

/// How it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// By the length in the head, or not at all, or to the connection's end: as it is.
    Plain,
    Chunked,
    /// HTTP/2: as it is, its end and its trailers by frames.
    Stream,
}

/// A body under way.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    sink: Sink,
    done: bool,
    /// Bytes of content so far.
    pub(crate) bytes: u64,
}

/// What one step took and gave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    /// Bytes taken from the front of the input.
    pub(crate) consumed: usize,
    /// Where in the input its content begins now.
    pub(crate) from: usize,
    /// Bytes of content.
    pub(crate) data: usize,
    /// This was the end.
    pub(crate) done: bool,
}

impl Step {
    /// The content of the input that was stepped over.
    pub(crate) fn content(self, input: &[u8]) -> &[u8] {
        input.get(self.from..self.from + self.data).unwrap_or_default()
    }
}

impl Body {
    /// The body of an HTTP/1 request.
    pub(crate) fn of_request(framing: Framing) -> Self {
        let source = match framing {
            Framing::None | Framing::Length(0) => Source::Empty,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Chunked::new(TRAILERS)),
        };
        let mut body = Self { done: matches!(source, Source::Empty), source, sink: Sink::Plain, bytes: 0 };
        body.send_as_text();
        body
    }

    /// The body of an HTTP/2 message with this length announced, if any; `end`: there is none.
    pub(crate) fn of_stream(length: Option<u64>, end: bool) -> Self {
        let source = if end { Source::Empty } else { Source::Stream { left: length, trailers: Vec::new() } };
        let mut body = Self { source, sink: Sink::Plain, done: end, bytes: 0 };
        body.send_as_text();
        body
    }

    /// Chooses how a request's body goes out, once it is known where to.
    pub(crate) fn send_as_stream(&mut self) {
        self.sink = Sink::Stream;
    }

    /// Chooses that it goes out as it is: it is no body but the other protocol of a tunnel.
    pub(crate) fn send_raw(&mut self) {
        self.sink = Sink::Plain;
    }

    /// What an HTTP/1 side says in a tunnel, to its end, for one of HTTP/2.
    pub(crate) fn of_tunnel() -> Self {
        Self { source: Source::UntilClose, sink: Sink::Stream, done: false, bytes: 0 }
    }

    /// As HTTP/1.1 has it: in chunks, unless a length was announced.
    fn send_as_text(&mut self) {
        let chunked = matches!(self.source, Source::Chunked(_) | Source::Stream { left: None, .. });
        self.sink = if chunked { Sink::Chunked } else { Sink::Plain };
    }

    /// The trailers, complete when the body is done: `name: value CRLF` each.
    pub(crate) fn trailers(&self) -> &[u8] {
        match &self.source {
            Source::Chunked(chunked) => chunked.trailers(),
            Source::Stream { trailers, .. } => trailers,
            Source::Empty | Source::Length(_) | Source::UntilClose => b"",
        }
    }

    /// Where the trailers of an HTTP/2 message are kept until its body has gone on.
    pub(crate) fn trailers_mut(&mut self, pool: &mut BufferPool) -> Option<&mut Vec<u8>> {
        let Source::Stream { trailers, .. } = &mut self.source else { return None };
        if trailers.capacity() == 0 {
            *trailers = pool.take();
        }
        Some(trailers)
    }

    /// Gives back what it holds.
    pub(crate) fn release(&mut self, pool: &mut BufferPool) {
        if let Source::Stream { trailers, .. } = &mut self.source {
            pool.give(std::mem::take(trailers));
        }
    }

    /// A response's body; `sink` is what its head announced to the client.
    pub(crate) fn of_response(framing: BodyFraming, sink: Sink) -> Self {
        let source = match framing {
            BodyFraming::None | BodyFraming::Length(0) => Source::Empty,
            BodyFraming::Length(length) => Source::Length(length),
            BodyFraming::Chunked => Source::Chunked(Chunked::new(TRAILERS)),
            BodyFraming::UntilClose => Source::UntilClose,
            BodyFraming::Stream(left) => Source::Stream { left, trailers: Vec::new() },
        };
        let done = matches!(source, Source::Empty);
        // HEAD and 304 announce a framing without having a body.
        let sink = if framing == BodyFraming::None && sink == Sink::Chunked { Sink::Plain } else { sink };
        Self { done, source, sink, bytes: 0 }
    }

    /// A body that is not there.
    pub(crate) fn empty() -> Self {
        Self { source: Source::Empty, sink: Sink::Plain, done: true, bytes: 0 }
    }

    /// One of which all but the trailers is elsewhere; without a length for who has to write it.
    pub(crate) fn whole(trailers: &[u8], pool: &mut BufferPool) -> Self {
        let mut body = Self { done: true, ..Self::of_stream(None, false) };
        if !trailers.is_empty()
            && let Some(own) = body.trailers_mut(pool)
        {
            own.extend_from_slice(trailers);
        }
        body
    }

    /// Whether no length was announced, so that HTTP/1 has it in chunks.
    pub(crate) fn lacks_length(&self) -> bool {
        matches!(self.source, Source::Chunked(_) | Source::Stream { left: None, .. })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether only the connection's end ends it.
    pub(crate) fn is_until_close(&self) -> bool {
        matches!(self.source, Source::UntilClose)
    }

    /// Takes what it can from `input`; `ended`: nothing comes after it. A body cut short is an error.
    pub(crate) fn step(&mut self, input: &mut [u8], ended: bool) -> Result<Step, Error> {
        let length = input.len();
        let step = match &mut self.source {
            Source::Empty => Step { done: true, ..Step::default() },
            Source::Length(left) => {
                let data = usize::try_from(*left).map_or(length, |left| left.min(length));
                *left -= data as u64;
                Step { consumed: data, data, done: *left == 0, from: 0 }
            }
            Source::Chunked(chunked) => {
                let decoded = chunked.decode(input).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
                let Decoded { consumed, data, done } = decoded;
                Step { consumed, data: data.len(), done, from: data.start }
            }
            Source::UntilClose => Step { consumed: length, data: length, done: ended, from: 0 },
            Source::Stream { left, .. } => {
                if let Some(left) = left {
                    let after = left.checked_sub(length as u64).filter(|after| !ended || *after == 0);
                    *left = after.ok_or(ErrorKind::InvalidData)?;
                }
                Step { consumed: length, data: length, done: ended, from: 0 }
            }
        };
        if ended && !step.done && step.consumed >= length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.bytes += step.data as u64;
        self.done = step.done;
        Ok(step)
    }

    /// Cuts what goes out for one step: up to four slices, the rest empty.
    pub(crate) fn frame<'a>(&'a self, step: Step, data: &'a [u8], prefix: &'a mut [u8; 18]) -> [&'a [u8]; 5] {
        match (self.sink, data.is_empty()) {
            (Sink::Plain | Sink::Stream, _) => [data, b"", b"", b"", b""],
            (Sink::Chunked, true) => self.tail(step, b"", b"", b""),
            (Sink::Chunked, false) => self.tail(step, write_chunk_prefix(data.len(), prefix), data, b"\r\n"),
        }
    }

    fn tail<'a>(&'a self, step: Step, prefix: &'a [u8], data: &'a [u8], end: &'a [u8]) -> [&'a [u8]; 5] {
        if !step.done {
            return [prefix, data, end, b"", b""];
        }
        match (self.trailers(), data.is_empty()) {
            ([], true) => [b"0\r\n\r\n", b"", b"", b"", b""],
            ([], false) => [prefix, data, b"\r\n0\r\n\r\n", b"", b""],
            // The data's own CRLF and the last chunk are one slice where there is data.
            (trailers, true) => [b"0\r\n", trailers, b"\r\n", b"", b""],
            (trailers, false) => [prefix, data, b"\r\n0\r\n", trailers, b"\r\n"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes out for these reads, the last of which is the end.
    fn framed(body: &mut Body, reads: &[&[u8]], ended: bool) -> String {
        let mut out = Vec::new();
        for (index, read) in reads.iter().enumerate() {
            let mut input = read.to_vec();
            let step = body.step(&mut input, ended && index + 1 == reads.len()).unwrap();
            let mut prefix = [0; 18];
            let parts = body.frame(step, step.content(&input), &mut prefix);
            // Who sends them looks no further than an empty first part.
            assert!(!parts[0].is_empty() || parts.iter().all(|part| part.is_empty()));
            out.extend(parts.concat());
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn trailers_go_on_with_the_last_data_and_without() {
        let chunked = || Body::of_request(Framing::Chunked);
        let whole = "5\r\nhello\r\n0\r\nx: y\r\n\r\n";
        assert_eq!(framed(&mut chunked(), &[whole.as_bytes()], false), whole);
        assert_eq!(framed(&mut chunked(), &[b"5\r\nhello\r\n", b"0\r\nx: y\r\n\r\n"], false), whole);
        let mut streamed = Body::of_stream(None, false);
        streamed.trailers_mut(&mut BufferPool::default()).unwrap().extend_from_slice(b"x: y\r\n");
        assert_eq!(framed(&mut streamed, &[b"hello", b""], true), whole);
        assert_eq!(
            framed(&mut Body::of_stream(None, false), &[b"hello", b""], true),
            "5\r\nhello\r\n0\r\n\r\n"
        );
        assert_eq!(framed(&mut Body::of_stream(Some(5), false), &[b"hel", b"lo"], true), "hello");
    }

    #[test]
    fn a_length_that_the_stream_does_not_keep_is_an_error() {
        for (length, data, ended) in [(4, "hello", false), (6, "hello", true), (0, "x", false)] {
            let mut body = Body::of_stream(Some(length), false);
            let found = body.step(&mut data.as_bytes().to_vec(), ended).map(|step| step.data);
            assert_eq!(found.unwrap_err().kind(), ErrorKind::InvalidData, "{length} for {data}");
        }
    }
}
