//! The hot path's promise: parsing and writing a typical request and response allocates nothing once buffers have grown.

use crate::counting::allocations;
use crate::http_fixture::{request_parts, response_parts};
use std::hint::black_box;
use tulle_decide::http::{
    Chunked, Fields, Forwarded, HOST_KEY_BYTES, HeadLimits, Method, RequestParts, Version, find_head_end,
    host_key, normalize, parse_request, parse_response, write_request, write_response,
};
use tulle_snapshot::wire::{EscapePolicy, PathRules};

const LIMITS: HeadLimits = HeadLimits { bytes: 60 * 1024, fields: 100 };
const RULES: PathRules = PathRules { encoded_slash: EscapePolicy::Keep, path_parameters: EscapePolicy::Keep };

const REQUEST: &[u8] = b"GET /v1/catalogue/items?page=2&sort=price HTTP/1.1\r\n\
Host: api.example.test\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.8,de;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: https://www.example.test/catalogue\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\
Sec-Fetch-Mode: navigate\r\n\
Cache-Control: no-cache\r\n\
Connection: keep-alive\r\n\
\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Mon, 23 Nov 2026 05:00:00 GMT\r\n\
Server: upstream\r\n\
Content-Type: application/json; charset=utf-8\r\n\
Cache-Control: private, max-age=0\r\n\
ETag: \"0123456789abcdef\"\r\n\
Vary: Accept-Encoding\r\n\
Content-Length: 1024\r\n\
Connection: keep-alive\r\n\
\r\n";

fn write(out: &mut Vec<u8>, fields: &Fields, request: &tulle_decide::http::RequestHead) {
    out.clear();
    let parts = RequestParts {
        forwarded: Forwarded {
            for_ip: b"192.0.2.1",
            proto: b"https",
            host: request.host.of(REQUEST),
            trust: false,
            enabled: true,
        },
        request_id: Some(b"0123456789abcdef0123456789abcdef"),
        upgrade: false,
        ..request_parts(REQUEST, request, fields)
    };
    write_request(out, &parts);
}

struct Buffers {
    fields: Fields,
    out: Vec<u8>,
    path: Vec<u8>,
    chunked: Vec<u8>,
}

fn one_exchange(buffers: &mut Buffers) -> usize {
    let Buffers { fields, out, path, chunked } = buffers;
    let end = find_head_end(REQUEST, 0).unwrap();
    let request = parse_request(&REQUEST[..end], LIMITS, fields).unwrap();
    normalize(request.target.path(REQUEST), path, RULES).unwrap();
    normalize(b"/a/%7e/../b//c", path, RULES).unwrap();
    let mut key = [0; HOST_KEY_BYTES];
    let key_len = host_key(request.host.of(REQUEST), &mut key).len();
    write(out, fields, &request);
    let sent = out.len();
    let response = parse_response(RESPONSE, LIMITS, Method::Get, fields).unwrap();
    let parts = response_parts(RESPONSE, &response, fields, Version::Http11);
    write_response(out, &parts);
    chunked.clear();
    chunked.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n");
    let decoded = Chunked::new(LIMITS).decode(chunked).unwrap();
    sent + key_len + decoded.data.len()
}

#[test]
fn a_typical_exchange_allocates_nothing() {
    let mut buffers =
        Buffers { fields: Fields::new(), out: Vec::new(), path: Vec::new(), chunked: Vec::new() };
    let before_warm_up = allocations();
    one_exchange(&mut buffers);
    assert!(allocations() > before_warm_up, "the counter counts");
    let before = allocations();
    for _ in 0..100 {
        black_box(one_exchange(&mut buffers));
    }
    assert_eq!(allocations() - before, 0);
}
