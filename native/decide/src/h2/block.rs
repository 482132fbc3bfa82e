//! Writing one header list. In: lines; out: an encoded block in the output, cut into frames when it is complete.

use super::FRAME_BYTES;
use super::frame::{self, FRAME_HEAD, Kind, flag};
use crate::hpack::{Encoder, Indexing};

/// Writes the lines of one header list, pseudo-header fields first (RFC 9113 section 8.3).
#[derive(Debug)]
pub struct BlockWriter<'a> {
    pub(super) encoder: &'a mut Encoder,
    pub(super) out: &'a mut Vec<u8>,
}

impl BlockWriter<'_> {
    /// Adds a line; the name is in lower case.
    pub fn line(&mut self, name: &[u8], value: &[u8], indexing: Indexing) {
        self.encoder.encode(name, value, indexing, self.out);
    }

    /// Adds `:status` with this code, 100 to 999.
    pub fn status(&mut self, code: u16) {
        self.encoder.status(code, self.out);
    }
}

/// Writes the frame heads of a block that begins behind room for one at `start` and ends the output: HEADERS, and as
/// many CONTINUATION as it takes (RFC 9113 section 4.3).
pub(super) fn seal(out: &mut Vec<u8>, start: usize, stream: u32, end_stream: bool) {
    let len = out.len().saturating_sub(start + FRAME_HEAD);
    let more = len.saturating_sub(1) / FRAME_BYTES;
    let end_headers = |last: bool| if last { flag::END_HEADERS } else { 0 };
    out.resize(out.len() + more * FRAME_HEAD, 0);
    for part in (1..=more).rev() {
        let from = start + FRAME_HEAD + part * FRAME_BYTES;
        let size = (len - part * FRAME_BYTES).min(FRAME_BYTES);
        let to = from + part * FRAME_HEAD;
        out.copy_within(from..from + size, to);
        frame::patch(out, to - FRAME_HEAD, size, Kind::Continuation, end_headers(part == more), stream);
    }
    let end = if end_stream { flag::END_STREAM } else { 0 };
    frame::patch(out, start, len.min(FRAME_BYTES), Kind::Headers, end | end_headers(more == 0), stream);
}
