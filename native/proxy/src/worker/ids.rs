//! Request ids and trace context as text.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex_into(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Sixteen bytes as 32 digits.
pub(super) fn hex32(bytes: &[u8; 16]) -> [u8; 32] {
    let mut out = [0; 32];
    hex_into(bytes, &mut out);
    out
}

/// The bytes in base64 (RFC 4648 section 4), `N` characters of it: 24 for 16 bytes, 28 for 20.
fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; N];
    for (three, four) in bytes.chunks(3).zip(out.chunks_exact_mut(4)) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (index, digit) in four.iter_mut().take(three.len() + 1).enumerate() {
            let six = bits >> (18 - 6 * index) & 63;
            *digit = DIGITS.get(six as usize).copied().unwrap_or(b'A');
        }
    }
    out
}

/// A `Sec-WebSocket-Key` (RFC 6455 section 11.3.1).
pub(super) fn websocket_key(random: &[u8; 16]) -> [u8; 24] {
    base64(random)
}

/// The `Sec-WebSocket-Accept` that proves that a key was seen (RFC 6455 section 11.3.3).
pub(super) fn websocket_accept(key: &[u8; 24]) -> [u8; 28] {
    const MARK: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(MARK);
    base64(context.finish().as_ref())
}

/// Reads as many digits as there is room for; what is no digit counts as 0.
pub(super) fn unhex(text: &[u8], out: &mut [u8]) {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok()).unwrap_or(0);
    for (pair, byte) in text.chunks_exact(2).zip(out) {
        if let [high, low] = pair {
            *byte = value(*high) << 4 | value(*low);
        }
    }
}

/// `00-<trace>-<span>-01` (W3C Trace Context, section 3.2): a trace that we begin is sampled, or nobody would see it.
pub(super) fn traceparent(trace: [u8; 16], span: [u8; 8]) -> [u8; 55] {
    let mut out = *b"00-00000000000000000000000000000000-0000000000000000-01";
    if let Some(place) = out.get_mut(3..35) {
        hex_into(&trace, place);
    }
    if let Some(place) = out.get_mut(36..52) {
        hex_into(&span, place);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websocket_keys() {
        assert_eq!(&websocket_key(b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&websocket_key(&[0xff; 16]), b"/////////////////////w==");
        assert_eq!(&websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn trace_ids_are_written_and_read_alike() {
        let (trace, span) = ([0xab; 16], [0x01, 2, 3, 4, 5, 6, 7, 0xf8]);
        let text = traceparent(trace, span);
        assert_eq!(&text, b"00-abababababababababababababababab-01020304050607f8-01");
        let mut back = [0; 16];
        unhex(&text[3..35], &mut back);
        assert_eq!(back, trace);
    }
}
