//! Answers of our own: errors, redirects, admin pages. In: a status and a body; out: a complete response.

use crate::http::bytes;

/// An answer that Tulle makes itself.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a> {
    /// The status, 200 to 599.
    pub status: u16,
    /// Why, as a stable code for `x-tulle-reason`; empty writes no such field.
    pub reason: &'a str,
    /// The time as an IMF-fixdate.
    pub date: &'a [u8],
    /// The media type; empty writes none.
    pub content_type: &'a str,
    /// Further fields, name and value. A pair with a byte that has no place in a field is left out.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// The body; its length is announced (but for 204 and 304, which have none).
    pub body: &'a [u8],
    /// True: `Connection: close`.
    pub close: bool,
    /// True: an HTTP/1.0 client is told `Connection: keep-alive`; `close` goes first.
    pub keep_alive: bool,
    /// True: the request was HEAD, so the body is only announced.
    pub head_only: bool,
}

/// Appends a complete response, head and body, to `out`.
pub fn write_local(out: &mut Vec<u8>, local: &Local<'_>) {
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let mut number = itoa::Buffer::new();
    let phrase = reason_phrase(local.status).as_bytes();
    put(&[b"HTTP/1.1 ", number.format(local.status).as_bytes(), b" ", phrase, b"\r\n"]);
    put(&[b"Date: ", local.date, b"\r\n"]);
    if !local.reason.is_empty() {
        put(&[b"x-tulle-reason: ", local.reason.as_bytes(), b"\r\n"]);
    }
    if !local.content_type.is_empty() {
        put(&[b"Content-Type: ", local.content_type.as_bytes(), b"\r\n"]);
    }
    for (name, value) in local.headers {
        if bytes::is_token(name) && !value.iter().any(|&b| bytes::is_control(b)) {
            put(&[name, b": ", value, b"\r\n"]);
        }
    }
    let bodiless = matches!(local.status, 204 | 304);
    if !bodiless {
        put(&[b"Content-Length: ", number.format(local.body.len()).as_bytes(), b"\r\n"]);
    }
    if local.close {
        put(&[b"Connection: close\r\n"]);
    } else if local.keep_alive {
        put(&[b"Connection: keep-alive\r\n"]);
    }
    put(&[b"\r\n"]);
    if !bodiless && !local.head_only {
        put(&[local.body]);
    }
}

/// The reason phrase of a status that we send (RFC 9110 section 15); empty for others.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
