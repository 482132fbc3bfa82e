//! Response heads, legal, unusual and hostile: each is refused with its reason, or framed and rebuilt as written here.
//! Strings are Latin-1. Then the answers that we make ourselves.

use crate::http_fixture::{latin1, response_parts};
use tulle_decide::http::{
    BodyFraming, ClientConnection, Fields, HeadLimits, Local, Method, REASONS, ResponseFraming,
    ResponseParts, Version, find_head_end, parse_response, write_local, write_response,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 20 };

enum Want {
    /// Refused for this reason.
    No(&'static str),
    /// The body's framing, whether the connection may be used again, and what a client of HTTP/1.1 gets.
    Is(BodyFraming, bool, &'static str),
}
use BodyFraming::{Chunked, Length, None as Bodiless, UntilClose};
use Method::{Connect, Get, Head};
use Want::{Is, No};

macro_rules! ok {
    ($lines:expr) => {
        concat!("HTTP/1.1 200 OK\r\n", $lines, "\r\n")
    };
}

const CL0: &str = ok!("Content-Length: 0\r\n");

const STATUS_LINES: &[(&str, Method, &str, Want)] = &[
    ("plain", Get, ok!("Content-Length: 0\r\n"), Is(Length(0), true, CL0)),
    (
        "no reason",
        Get,
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        Is(Length(0), true, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "no space behind the status",
        Get,
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        Is(Length(0), true, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "a long reason with obs-text",
        Get,
        "HTTP/1.1 200 Tr\u{e8}s bien\tmerci\r\nContent-Length: 0\r\n\r\n",
        Is(Length(0), true, "HTTP/1.1 200 Tr\u{e8}s bien\tmerci\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "an unknown status",
        Get,
        "HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n",
        Is(Length(0), true, "HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n"),
    ),
    ("HTTP/1.0 closes", Get, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Is(Length(0), false, CL0)),
    (
        "HTTP/1.0 keeps alive",
        Get,
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        Is(Length(0), true, CL0),
    ),
    (
        "HTTP/1.3 is taken as 1.1",
        Get,
        "HTTP/1.3 200 OK\r\nContent-Length: 0\r\n\r\n",
        Is(Length(0), true, CL0),
    ),
    ("HTTP/2.0", Get, "HTTP/2.0 200 OK\r\n\r\n", No("unsupported_version")),
    ("HTTP/0.9", Get, "HTTP/0.9 200 OK\r\n\r\n", No("unsupported_version")),
    ("http/1.1", Get, "http/1.1 200 OK\r\n\r\n", No("bad_status_line")),
    ("no version", Get, "200 OK\r\n\r\n", No("bad_status_line")),
    ("ICY", Get, "ICY 200 OK\r\n\r\n", No("bad_status_line")),
    ("no status", Get, "HTTP/1.1 OK\r\n\r\n", No("bad_status_line")),
    ("two digits", Get, "HTTP/1.1 20 OK\r\n\r\n", No("bad_status_line")),
    ("four digits", Get, "HTTP/1.1 2000 OK\r\n\r\n", No("bad_status_line")),
    ("a signed status", Get, "HTTP/1.1 +20 OK\r\n\r\n", No("bad_status_line")),
    ("status 099", Get, "HTTP/1.1 099 x\r\n\r\n", No("bad_status")),
    ("status 000", Get, "HTTP/1.1 000 x\r\n\r\n", No("bad_status")),
    ("status 600", Get, "HTTP/1.1 600 x\r\n\r\n", No("bad_status")),
    ("status 999", Get, "HTTP/1.1 999 x\r\n\r\n", No("bad_status")),
    ("two spaces before the status", Get, "HTTP/1.1  200 OK\r\n\r\n", No("bad_status_line")),
    ("a tab before the status", Get, "HTTP/1.1\t200 OK\r\n\r\n", No("bad_status_line")),
    ("an empty line before", Get, "\r\nHTTP/1.1 200 OK\r\n\r\n", No("bad_status_line")),
    ("a space before", Get, " HTTP/1.1 200 OK\r\n\r\n", No("bad_status_line")),
    ("NUL in the reason", Get, "HTTP/1.1 200 O\u{0}K\r\n\r\n", No("bad_field_value")),
    ("CR in the reason", Get, "HTTP/1.1 200 O\rK\r\n\r\n", No("bare_cr")),
    ("LF ends the status line", Get, "HTTP/1.1 200 OK\nX: y\r\n\r\n", No("bare_lf")),
    ("all LF", Get, "HTTP/1.1 200 OK\n\n", No("bare_lf")),
    ("a request", Get, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", No("bad_status_line")),
];

const FRAMING: &[(&str, Method, &str, Want)] = &[
    ("length", Get, ok!("Content-Length: 5\r\n"), Is(Length(5), true, ok!("Content-Length: 5\r\n"))),
    (
        "length with zeros",
        Get,
        ok!("content-length: 005\r\n"),
        Is(Length(5), true, ok!("Content-Length: 5\r\n")),
    ),
    (
        "chunked",
        Get,
        ok!("transfer-encoding: Chunked\r\n"),
        Is(Chunked, true, ok!("Transfer-Encoding: chunked\r\n")),
    ),
    (
        "chunked with Trailer",
        Get,
        ok!("Trailer: X\r\nTransfer-Encoding: chunked\r\n"),
        Is(Chunked, true, ok!("Trailer: X\r\nTransfer-Encoding: chunked\r\n")),
    ),
    ("neither", Get, ok!(""), Is(UntilClose, false, ok!("Transfer-Encoding: chunked\r\n"))),
    (
        "close",
        Get,
        ok!("Connection: close\r\nContent-Length: 5\r\n"),
        Is(Length(5), false, ok!("Content-Length: 5\r\n")),
    ),
    (
        "HEAD with a length",
        Head,
        ok!("Content-Length: 5\r\n"),
        Is(Bodiless, true, ok!("Content-Length: 5\r\n")),
    ),
    (
        "HEAD with chunks",
        Head,
        ok!("Transfer-Encoding: chunked\r\n"),
        Is(Bodiless, true, ok!("Transfer-Encoding: chunked\r\n")),
    ),
    ("HEAD with neither", Head, ok!(""), Is(Bodiless, true, ok!(""))),
    ("204", Get, "HTTP/1.1 204 x\r\n\r\n", Is(Bodiless, true, "HTTP/1.1 204 x\r\n\r\n")),
    (
        "204 with length 0",
        Get,
        "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n",
        Is(Bodiless, true, "HTTP/1.1 204 x\r\n\r\n"),
    ),
    (
        "204 with a length",
        Get,
        "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n",
        Is(Bodiless, false, "HTTP/1.1 204 x\r\n\r\n"),
    ),
    (
        "204 with chunks",
        Get,
        "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
        Is(Bodiless, false, "HTTP/1.1 204 x\r\n\r\n"),
    ),
    (
        "304 with a length",
        Get,
        "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n",
        Is(Bodiless, true, "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"),
    ),
    (
        "304 with an ETag",
        Get,
        "HTTP/1.1 304 x\r\nETag: \"a\"\r\n\r\n",
        Is(Bodiless, true, "HTTP/1.1 304 x\r\nETag: \"a\"\r\n\r\n"),
    ),
    ("100", Get, "HTTP/1.1 100 Continue\r\n\r\n", Is(Bodiless, true, "HTTP/1.1 100 Continue\r\n\r\n")),
    (
        "103",
        Get,
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        Is(Bodiless, true, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    ),
    (
        "103 with a length",
        Get,
        "HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n",
        Is(Bodiless, false, "HTTP/1.1 103 x\r\n\r\n"),
    ),
    (
        "101",
        Get,
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        Is(Bodiless, true, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    ),
    ("101 without Upgrade", Get, "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n", No("bad_upgrade")),
    ("101 without Connection", Get, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", No("bad_upgrade")),
    (
        "426",
        Get,
        "HTTP/1.1 426 x\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
        Is(
            Length(0),
            true,
            "HTTP/1.1 426 x\r\nContent-Length: 0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
    ),
    (
        "Upgrade in a 200 is dropped",
        Get,
        ok!("Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n"),
        Is(Length(0), true, CL0),
    ),
    ("CONNECT accepted", Connect, ok!("Content-Length: 5\r\n"), Is(Bodiless, false, ok!(""))),
    (
        "CONNECT refused",
        Connect,
        "HTTP/1.1 403 x\r\nContent-Length: 5\r\n\r\n",
        Is(Length(5), true, "HTTP/1.1 403 x\r\nContent-Length: 5\r\n\r\n"),
    ),
    (
        "205 has a body",
        Get,
        "HTTP/1.1 205 x\r\nContent-Length: 5\r\n\r\n",
        Is(Length(5), true, "HTTP/1.1 205 x\r\nContent-Length: 5\r\n\r\n"),
    ),
    (
        "both framings",
        Get,
        ok!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        No("length_and_transfer_encoding"),
    ),
    (
        "both framings for HEAD",
        Head,
        ok!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        No("length_and_transfer_encoding"),
    ),
    ("two lengths", Get, ok!("Content-Length: 5\r\nContent-Length: 6\r\n"), No("duplicate_content_length")),
    (
        "two equal lengths",
        Get,
        ok!("Content-Length: 5\r\nContent-Length: 5\r\n"),
        No("duplicate_content_length"),
    ),
    ("a list of lengths", Get, ok!("Content-Length: 5, 5\r\n"), No("duplicate_content_length")),
    ("a signed length", Get, ok!("Content-Length: +5\r\n"), No("bad_content_length")),
    ("an overflowing length", Get, ok!("Content-Length: 18446744073709551615\r\n"), No("bad_content_length")),
    ("an empty length", Get, ok!("Content-Length:\r\n"), No("bad_content_length")),
    ("a bad length in a 304", Get, "HTTP/1.1 304 x\r\nContent-Length: x\r\n\r\n", No("bad_content_length")),
    ("an unknown coding", Get, ok!("Transfer-Encoding: gzip, chunked\r\n"), No("unknown_transfer_encoding")),
    ("identity", Get, ok!("Transfer-Encoding: identity\r\n"), No("unknown_transfer_encoding")),
    ("chunked twice", Get, ok!("Transfer-Encoding: chunked, chunked\r\n"), No("bad_transfer_encoding")),
    (
        "chunked in two fields",
        Get,
        ok!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        No("duplicate_transfer_encoding"),
    ),
    (
        "chunked from HTTP/1.0",
        Get,
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        No("transfer_encoding_in_http10"),
    ),
];

const FIELDS: &[(&str, Method, &str, Want)] = &[
    (
        "case and order are kept",
        Get,
        ok!("sERVER: x\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n"),
        Is(Length(0), true, ok!("sERVER: x\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n")),
    ),
    (
        "hop-by-hop fields are dropped",
        Get,
        ok!(
            "Connection: X-A\r\nX-A: b\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nProxy-Authenticate: x\r\nTE: x\r\nContent-Length: 0\r\n"
        ),
        Is(Length(0), true, CL0),
    ),
    (
        "Connection cannot take a cookie",
        Get,
        ok!("Connection: Set-Cookie\r\nSet-Cookie: b\r\nContent-Length: 0\r\n"),
        Is(Length(0), true, ok!("Set-Cookie: b\r\nContent-Length: 0\r\n")),
    ),
    ("a bad Connection", Get, ok!("Connection: a b\r\nContent-Length: 0\r\n"), No("bad_connection")),
    ("Trailer without chunks", Get, ok!("Trailer: X\r\nContent-Length: 0\r\n"), Is(Length(0), true, CL0)),
    (
        "an empty value",
        Get,
        ok!("X-A:\r\nContent-Length: 0\r\n"),
        Is(Length(0), true, ok!("X-A: \r\nContent-Length: 0\r\n")),
    ),
    (
        "obs-text",
        Get,
        ok!("X-A: \u{e9}\r\nContent-Length: 0\r\n"),
        Is(Length(0), true, ok!("X-A: \u{e9}\r\nContent-Length: 0\r\n")),
    ),
    ("obs-fold", Get, ok!("X-A: b\r\n c\r\nContent-Length: 0\r\n"), No("obs_fold")),
    ("space before the colon", Get, ok!("X-A : b\r\nContent-Length: 0\r\n"), No("space_before_colon")),
    ("NUL in a value", Get, ok!("X-A: \u{0}\r\nContent-Length: 0\r\n"), No("bad_field_value")),
    ("CR in a value", Get, ok!("X-A: b\rSet-Cookie: x\r\nContent-Length: 0\r\n"), No("bare_cr")),
    ("LF in a value", Get, ok!("X-A: b\nSet-Cookie: x\r\nContent-Length: 0\r\n"), No("bare_lf")),
    ("no colon", Get, ok!("X-A\r\nContent-Length: 0\r\n"), No("bad_field_name")),
    ("no name", Get, ok!(": x\r\nContent-Length: 0\r\n"), No("bad_field_name")),
    ("obs-text in a name", Get, ok!("X\u{e9}: x\r\nContent-Length: 0\r\n"), No("bad_field_name")),
];

fn answer(
    head: &[u8],
    method: Method,
    client: Version,
) -> Result<(BodyFraming, bool, Vec<u8>), &'static str> {
    let mut fields = Fields::new();
    let response = parse_response(head, LIMITS, method, &mut fields).map_err(|bad| bad.reason)?;
    let mut out = Vec::new();
    let parts = response_parts(head, &response, &fields, client);
    write_response(&mut out, &parts);
    Ok((response.framing, response.keep_alive, out))
}

#[test]
fn every_response_is_refused_or_rebuilt_as_written_here() {
    let mut failures = Vec::new();
    for (name, method, text, want) in [STATUS_LINES, FRAMING, FIELDS].into_iter().flatten() {
        let head = latin1(text);
        let end = find_head_end(&head, 0).unwrap_or(0);
        let got = answer(&head[..end], *method, Version::Http11);
        let fits = match (&got, want) {
            (Err(reason), No(wanted)) => reason == wanted,
            (Ok((framing, keep, sent)), Is(body, alive, wanted)) => {
                framing == body && keep == alive && *sent == latin1(wanted)
            }
            _ => false,
        };
        if !fits {
            let shown = got.map(|(f, k, sent)| (f, k, String::from_utf8_lossy(&sent).into_owned()));
            failures.push(format!("{name}: {text:?} gave {shown:?}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn http10_clients_get_no_chunks() {
    let (_, _, sent) =
        answer(ok!("Transfer-Encoding: chunked\r\n").as_bytes(), Get, Version::Http10).unwrap();
    assert_eq!(sent, ok!("").as_bytes());
    let (_, _, sent) =
        answer(ok!("Transfer-Encoding: chunked\r\n").as_bytes(), Head, Version::Http10).unwrap();
    assert_eq!(sent, ok!("").as_bytes());
    let mut fields = Fields::new();
    let head = parse_response(ok!("").as_bytes(), LIMITS, Get, &mut fields).unwrap();
    assert_eq!(head.framing_for(Version::Http10), ResponseFraming::Close);
    assert_eq!(head.framing_for(Version::Http11), ResponseFraming::Chunked);
}

#[test]
fn only_1xx_without_101_is_interim() {
    let mut fields = Fields::new();
    for (status, interim) in
        [("100", true), ("102", true), ("103", true), ("199", true), ("101", false), ("200", false)]
    {
        let text = format!("HTTP/1.1 {status} x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        let head = parse_response(text.as_bytes(), LIMITS, Get, &mut fields).expect("legal");
        assert_eq!(head.is_interim(), interim, "{status}");
    }
}

#[test]
fn via_date_and_connection_are_added() {
    let head = ok!("Via: 1.0 x\r\nContent-Length: 0\r\n").as_bytes();
    let mut fields = Fields::new();
    let response = parse_response(head, LIMITS, Get, &mut fields).unwrap();
    let mut parts = ResponseParts {
        connection: ClientConnection::KeepAlive,
        via: Some(b"tulle"),
        date: Some(b"now"),
        ..response_parts(head, &response, &fields, Version::Http11)
    };
    let mut out = Vec::new();
    write_response(&mut out, &parts);
    let expected = "HTTP/1.1 200 OK\r\nVia: 1.0 x, 1.1 tulle\r\nDate: now\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
    parts.connection = ClientConnection::Close;
    out.clear();
    write_response(&mut out, &parts);
    assert!(out.ends_with(b"Connection: close\r\n\r\n"));
}

#[test]
fn answers_of_our_own() {
    let local = Local {
        status: 404,
        reason: "no_route",
        date: b"Thu, 01 Jan 1970 00:00:00 GMT",
        content_type: "text/plain",
        headers: &[(b"retry-after", b"1"), (b"bad name", b"x"), (b"bad", b"a\r\nb")],
        body: b"no route\n",
        close: true,
        keep_alive: false,
        head_only: false,
    };
    let mut out = Vec::new();
    write_local(&mut out, &local);
    let expected = "HTTP/1.1 404 Not Found\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nx-tulle-reason: no_route\r\n\
        Content-Type: text/plain\r\nretry-after: 1\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno route\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
    let head_end = find_head_end(&out, 0).expect("a head");
    let mut fields = Fields::new();
    let parsed = parse_response(&out[..head_end], LIMITS, Get, &mut fields).expect("legal");
    assert_eq!(parsed.framing, Length(9));
    out.clear();
    write_local(&mut out, &Local { head_only: true, close: false, keep_alive: true, ..local });
    assert!(out.ends_with(b"Content-Length: 9\r\nConnection: keep-alive\r\n\r\n"));
    out.clear();
    write_local(&mut out, &Local { status: 204, reason: "", ..local });
    assert!(!String::from_utf8_lossy(&out).contains("Content-Length") && out.ends_with(b"\r\n\r\n"));
}

#[test]
fn reasons_are_unique_and_snake_case() {
    let mut names: Vec<_> = REASONS.iter().map(|reject| reject.reason).collect();
    assert!(
        names
            .iter()
            .all(|n| { n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') })
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), REASONS.len());
}
