//! Answers of our own: errors, redirects, admin pages. In: a status and a body; out: a complete response.

use super::list::List;
use crate::hpack::Indexing;
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

/// Appends a complete response, head and body, as HTTP/1.1 text to `out`.
pub fn write_local(out: &mut Vec<u8>, local: &Local<'_>) {
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let phrase = reason_phrase(local.status).as_bytes();
    put(&[b"HTTP/1.1 ", itoa::Buffer::new().format(local.status).as_bytes(), b" ", phrase, b"\r\n"]);
    local.lines(|name, value| put(&[name, b": ", value, b"\r\n"]));
    if local.close {
        put(&[b"Connection: close\r\n"]);
    } else if local.keep_alive {
        put(&[b"Connection: keep-alive\r\n"]);
    }
    put(&[b"\r\n", local.content()]);
}

/// Appends the head of a response as a list of lines for HTTP/2 to `out`; [`Local::content`] is sent behind it.
pub fn list_local(out: &mut Vec<u8>, local: &Local<'_>) {
    let mut lines = List::new(out, b"", false);
    let status = itoa::Buffer::new().format(local.status).to_owned();
    lines.put(Indexing::Incremental, b":status", &[status.as_bytes()]);
    local.lines(|name, value| lines.put(Indexing::Without, name, &[value]));
}

impl Local<'_> {
    /// The body as it is sent: nothing where there must be none.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        if self.is_bodiless() || self.head_only { b"" } else { self.body }
    }

    fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// Every line but the status and those that are about the connection.
    fn lines(&self, mut put: impl FnMut(&[u8], &[u8])) {
        put(b"Date", self.date);
        if !self.reason.is_empty() {
            put(b"x-tulle-reason", self.reason.as_bytes());
        }
        if !self.content_type.is_empty() {
            put(b"Content-Type", self.content_type.as_bytes());
        }
        for (name, value) in self.headers {
            if bytes::is_token(name) && !value.iter().any(|&b| bytes::is_control(b)) {
                put(name, value);
            }
        }
        if !self.is_bodiless() {
            put(b"Content-Length", itoa::Buffer::new().format(self.body.len()).as_bytes());
        }
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
