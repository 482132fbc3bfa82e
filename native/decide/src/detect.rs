//! What a client speaks, by its first bytes.
//!
//! In: all bytes so far. Out: the protocol, or that more bytes are needed; after [`DETECT_BYTES`] there is always an
//! answer. Before: listen. After: TLS, HTTP or forward.

/// How many bytes decide at most.
pub const DETECT_BYTES: usize = 24;

/// RFC 9113 section 3.4.
const PREFACE: &[u8; DETECT_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest method that is taken for one.
const METHOD_BYTES: usize = 15;

/// What the bytes so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detected {
    /// Nothing yet: they may still become several things.
    NeedMore,
    /// A handshake record with a `ClientHello` in it.
    Tls,
    /// The connection preface of HTTP/2.
    Http2Preface,
    /// A request line of HTTP/1: a method in capitals, one space, and what a target can begin with.
    Http1,
    /// Something else.
    Opaque,
}

/// Looks at the first bytes of a connection.
#[must_use]
pub fn detect(bytes: &[u8]) -> Detected {
    let head = bytes.get(..DETECT_BYTES).unwrap_or(bytes);
    if head == PREFACE {
        return Detected::Http2Preface;
    }
    if PREFACE.starts_with(head) {
        return Detected::NeedMore;
    }
    if head.first() == Some(&0x16) { tls(head) } else { http1(head) }
}

/// RFC 8446 section 5.1: type, version 3.x, two bytes of length, then the type of the handshake message.
fn tls(head: &[u8]) -> Detected {
    match head {
        [_, 3, 0..=4, high, low, 1, ..] if (*high, *low) != (0, 0) => Detected::Tls,
        [_] | [_, 3] | [_, 3, 0..=4] | [_, 3, 0..=4, _] | [_, 3, 0..=4, _, _] => Detected::NeedMore,
        _ => Detected::Opaque,
    }
}

fn http1(head: &[u8]) -> Detected {
    let letters = head.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    let Some((method, rest)) = head.split_at_checked(letters) else { return Detected::Opaque };
    match rest.split_first() {
        _ if letters > METHOD_BYTES => Detected::Opaque,
        None => Detected::NeedMore,
        Some((b' ', target)) if letters >= 3 => {
            if method == b"CONNECT" {
                authority(target)
            } else {
                target_form(target)
            }
        }
        Some(_) => Detected::Opaque,
    }
}

/// RFC 9112 section 3.2: a path, `* `, or a URL.
fn target_form(target: &[u8]) -> Detected {
    let starts: [&[u8]; 4] = [b"/", b"* ", b"http://", b"https://"];
    // What does not fit into the bytes that are looked at is left to the parser.
    if starts.iter().any(|start| target.starts_with(start)) {
        return Detected::Http1;
    }
    if starts.iter().any(|start| start.starts_with(target)) { Detected::NeedMore } else { Detected::Opaque }
}

fn authority(target: &[u8]) -> Detected {
    match target.first() {
        None => Detected::NeedMore,
        Some(b) if b.is_ascii_alphanumeric() || *b == b'[' => Detected::Http1,
        Some(_) => Detected::Opaque,
    }
}
