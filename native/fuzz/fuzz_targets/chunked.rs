//! A chunked body behind one byte for the size of the pieces: decodes alike at once and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::http::{Chunked, HeadLimits};

const LIMITS: HeadLimits = HeadLimits { bytes: 512, fields: 8 };

type Outcome = Result<(Vec<u8>, Vec<u8>, usize, bool), &'static str>;

fn decode(data: &[u8], step: usize) -> Outcome {
    let mut chunked = Chunked::new(LIMITS);
    let (mut plain, mut consumed) = (Vec::new(), 0);
    for piece in data.chunks(step) {
        let mut buf = piece.to_vec();
        let decoded = chunked.decode(&mut buf).map_err(|error| error.reason)?;
        assert!(decoded.consumed <= buf.len() && decoded.data.len() <= decoded.consumed);
        plain.extend_from_slice(&buf[decoded.data]);
        consumed += decoded.consumed;
        if decoded.done {
            break;
        }
    }
    Ok((plain, chunked.trailers().to_vec(), consumed, chunked.is_done()))
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, data)) = data.split_first() else { return };
    let whole = decode(data, data.len().max(1));
    let pieces = decode(data, usize::from(step) + 1);
    match (&whole, &pieces) {
        // Trailer bytes are counted as they come, so the bound may be noticed before or after the line's own fault.
        (Err(_), Err(_)) => {}
        _ => assert_eq!(whole, pieces),
    }
    if let Ok((_, trailers, ..)) = whole {
        assert!(trailers.is_empty() || trailers.ends_with(b"\r\n"));
    }
});
