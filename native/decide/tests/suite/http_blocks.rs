//! Header lists of HTTP/2: what is a request, a response or trailers, what is not and why, and what is sent on of it.

use crate::http_fixture::{request_parts, response_parts};
use tulle_decide::hpack::{Indexing, Line};
use tulle_decide::http::{
    Block, BodyFraming, FieldKind, Forwarded, Framing, HeadLimits, Local, Method, RequestHead, RequestParts,
    ResponseFraming, ResponseParts, Target, Version, list_local, list_request, list_response, list_trailers,
    listed, parse_request, reason, request_of, response_of, trailers_of, write_request, write_response,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 20 };

type Pairs<'a> = &'a [(&'a str, &'a str)];
type List = Vec<(&'static str, &'static str)>;

fn block(lines: Pairs<'_>) -> Block {
    let mut block = Block::new();
    block.clear(LIMITS);
    for (name, value) in lines {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        block.push(Line { name, value, kind: FieldKind::of(name), indexing: Indexing::Incremental });
    }
    block
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":path", "/a?b=c"), (":authority", "x.test")];

/// The lines of [`GET`] without that of this name, and these behind.
fn get(without: &str, more: Pairs<'static>) -> List {
    GET.into_iter().filter(|(name, _)| *name != without).chain(more.iter().copied()).collect()
}

#[test]
fn malformed_requests() {
    let cases: [(&str, List, bool, &str); 57] = [
        ("no method", get(":method", &[]), true, "bad_pseudo_field"),
        ("no scheme", get(":scheme", &[]), true, "bad_pseudo_field"),
        ("no path", get(":path", &[]), true, "bad_pseudo_field"),
        ("an empty path", get(":path", &[(":path", "")]), true, "bad_pseudo_field"),
        ("no authority and no host", get(":authority", &[]), true, "missing_host"),
        ("an empty authority", get(":authority", &[(":authority", "")]), true, "empty_host"),
        ("another scheme", get(":scheme", &[(":scheme", "ftp")]), true, "bad_pseudo_field"),
        ("two methods", get("", &[(":method", "GET")]), true, "bad_pseudo_field"),
        ("two paths", get("", &[(":path", "/")]), true, "bad_pseudo_field"),
        ("two authorities", get("", &[(":authority", "x.test")]), true, "bad_pseudo_field"),
        ("an unknown one", get("", &[(":version", "2")]), true, "bad_pseudo_field"),
        ("an empty one", get("", &[(":", "2")]), true, "bad_pseudo_field"),
        ("a status", get("", &[(":status", "200")]), true, "bad_pseudo_field"),
        ("one behind a field", get(":path", &[("a", "b"), (":path", "/")]), true, "bad_pseudo_field"),
        ("a protocol with GET", get("", &[(":protocol", "websocket")]), true, "bad_pseudo_field"),
        ("a method with a space", get(":method", &[(":method", "GE T")]), true, "bad_pseudo_field"),
        ("an empty method", get(":method", &[(":method", "")]), true, "bad_pseudo_field"),
        (
            "a long method",
            get(":method", &[(":method", "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABC")]),
            true,
            "method_too_long",
        ),
        ("a relative path", get(":path", &[(":path", "a")]), true, "bad_target"),
        ("an absolute target as path", get(":path", &[(":path", "http://y.test/")]), true, "bad_target"),
        ("a star with GET", get(":path", &[(":path", "*")]), true, "bad_target"),
        ("a space in the path", get(":path", &[(":path", "/a b")]), true, "bad_target"),
        (
            "a request in the path",
            get(":path", &[(":path", "/ HTTP/1.1\r\nHost: y.test\r\n\r\n")]),
            true,
            "bad_field_value",
        ),
        ("a fragment", get(":path", &[(":path", "/a#b")]), true, "fragment_in_target"),
        ("a letter outside of ASCII", get(":path", &[(":path", "/ä")]), true, "bad_target"),
        ("a userinfo", get(":authority", &[(":authority", "me@x.test")]), true, "bad_host"),
        ("a path in the authority", get(":authority", &[(":authority", "x.test/a")]), true, "bad_host"),
        (
            "CR LF in the authority",
            get(":authority", &[(":authority", "x\r\ny: z")]),
            true,
            "bad_field_value",
        ),
        ("another host", get("", &[("host", "y.test")]), true, "host_against_authority"),
        ("another port", get("", &[("host", "x.test:80")]), true, "host_against_authority"),
        ("two hosts", get("", &[("host", "x.test"), ("host", "x.test")]), true, "duplicate_host"),
        ("a capital", get("", &[("Accept", "*/*")]), true, "upper_case_field_name"),
        ("an empty name", get("", &[("", "a")]), true, "bad_field_name"),
        ("a space in a name", get("", &[("a b", "c")]), true, "bad_field_name"),
        ("a colon in a name", get("", &[("a:b", "c")]), true, "bad_field_name"),
        ("CR LF in a name", get("", &[("a\r\nb", "c")]), true, "bad_field_name"),
        ("NUL in a name", get("", &[("a\0", "c")]), true, "bad_field_name"),
        ("CR in a value", get("", &[("a", "b\rc")]), true, "bad_field_value"),
        ("LF in a value", get("", &[("a", "b\nc")]), true, "bad_field_value"),
        ("NUL in a value", get("", &[("a", "b\0c")]), true, "bad_field_value"),
        ("a space before a value", get("", &[("a", " b")]), true, "bad_field_value"),
        ("a tab behind a value", get("", &[("a", "b\t")]), true, "bad_field_value"),
        ("Connection", get("", &[("connection", "close")]), true, "connection_field"),
        ("Keep-Alive", get("", &[("keep-alive", "1")]), true, "connection_field"),
        ("Proxy-Connection", get("", &[("proxy-connection", "close")]), true, "connection_field"),
        ("Transfer-Encoding", get("", &[("transfer-encoding", "chunked")]), false, "connection_field"),
        ("Upgrade", get("", &[("upgrade", "websocket")]), true, "connection_field"),
        ("HTTP2-Settings", get("", &[("http2-settings", "AAMAAABk")]), true, "connection_field"),
        ("TE", get("", &[("te", "gzip")]), true, "connection_field"),
        ("a length without a body", get("", &[("content-length", "1")]), true, "length_against_body"),
        ("a signed length", get("", &[("content-length", "+1")]), false, "bad_content_length"),
        (
            "two lengths",
            get("", &[("content-length", "1"), ("content-length", "1")]),
            false,
            "duplicate_content_length",
        ),
        ("a list of lengths", get("", &[("content-length", "1, 1")]), false, "duplicate_content_length"),
        (
            "CONNECT with a path",
            get(":method", &[(":method", "CONNECT")]).into_iter().rev().collect(),
            false,
            "bad_pseudo_field",
        ),
        (
            "CONNECT without a port",
            vec![(":method", "CONNECT"), (":authority", "x.test")],
            false,
            "bad_pseudo_field",
        ),
        (
            "an extended CONNECT without a path",
            vec![
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":authority", "x.test"),
            ],
            false,
            "bad_pseudo_field",
        ),
        ("an unknown expectation", get("", &[("expect", "200-ok")]), false, "unknown_expectation"),
    ];
    for (case, mut lines, end, why) in cases {
        // A pseudo-header field that replaces one of the first stands where that stood.
        if !case.contains("behind") {
            lines.sort_by_key(|(name, _)| !name.starts_with(':'));
        }
        let found = request_of(&mut block(&lines), end).map(|_| ()).map_err(|reject| reject.reason);
        assert_eq!(found, Err(why), "{case}");
    }
}

#[test]
fn lists_that_are_too_large_are_answered_and_not_kept() {
    let many: Vec<_> = (0..21).map(|_| ("a", "b")).collect();
    let long = "x".repeat(4096);
    for (lines, why) in
        [(many, reason::TOO_MANY_FIELDS), (vec![("a", long.as_str())], reason::HEAD_TOO_LARGE)]
    {
        let lines: Vec<_> = GET.into_iter().chain(lines).collect();
        let mut block = block(&lines);
        assert_eq!(request_of(&mut block, true), Err(why));
        assert!(block.head().len() < 200 && block.fields().len() <= 20);
    }
}

fn parts<'a>(block: &'a Block, request: &'a RequestHead) -> RequestParts<'a> {
    RequestParts {
        forwarded: Forwarded { for_ip: b"", proto: b"", host: b"", trust: false, enabled: false },
        ..request_parts(block.head(), request, block.fields())
    }
}

/// The request as HTTP/1.1, with `|` for line ends.
fn as_text(lines: Pairs<'_>, end: bool) -> String {
    let mut block = block(lines);
    let request = request_of(&mut block, end).unwrap();
    let mut out = Vec::new();
    write_request(&mut out, &parts(&block, &request));
    String::from_utf8(out).unwrap().replace("\r\n", "|")
}

fn as_list(lines: Pairs<'_>, end: bool) -> String {
    let mut block = block(lines);
    let request = request_of(&mut block, end).unwrap();
    let mut out = Vec::new();
    list_request(&mut out, &parts(&block, &request), b"http");
    shown(&out)
}

fn shown(list: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let lines = listed(list).map(|line| [&text(line.name), ": ", &text(line.value), "|"].concat());
    lines.collect()
}

#[test]
fn requests_go_on_in_both_forms() {
    let cases: [(&str, List, bool, &str, &str); 9] = [
        (
            "the plainest",
            get("", &[]),
            true,
            "GET /a?b=c HTTP/1.1|Host: x.test||",
            ":method: GET|:scheme: http|:path: /a?b=c|:authority: x.test|",
        ),
        (
            "Host instead of :authority",
            get(":authority", &[("host", "x.test:1")]),
            true,
            "GET /a?b=c HTTP/1.1|host: x.test:1||",
            ":method: GET|:scheme: http|:path: /a?b=c|:authority: x.test:1|",
        ),
        (
            "a cookie in pieces",
            get("", &[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("cookie", "c")]),
            true,
            "GET /a?b=c HTTP/1.1|Host: x.test|cookie: a=1; b=2; c|accept: */*||",
            ":method: GET|:scheme: http|:path: /a?b=c|:authority: x.test|cookie: a=1; b=2; c|accept: */*|",
        ),
        (
            "a body of unknown length",
            get("", &[("te", "trailers"), ("content-type", "application/grpc")]),
            false,
            "GET /a?b=c HTTP/1.1|Host: x.test|content-type: application/grpc|TE: trailers|Connection: TE|Transfer-Encoding: chunked||",
            ":method: GET|:scheme: http|:path: /a?b=c|:authority: x.test|content-type: application/grpc|te: trailers|",
        ),
        (
            "a body with a length",
            get("", &[("content-length", "5")]),
            false,
            "GET /a?b=c HTTP/1.1|Host: x.test|Content-Length: 5||",
            ":method: GET|:scheme: http|:path: /a?b=c|:authority: x.test|content-length: 5|",
        ),
        (
            "a POST without a body",
            vec![(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "x")],
            true,
            "POST / HTTP/1.1|Host: x|Content-Length: 0||",
            ":method: POST|:scheme: http|:path: /|:authority: x|content-length: 0|",
        ),
        (
            "identity, names that fold to ours, proxy credentials",
            get(
                "",
                &[
                    ("x-forwarded-client-cert", "me"),
                    ("content_length", "9"),
                    ("proxy-authorization", "x"),
                    ("a", "b"),
                ],
            ),
            true,
            "GET /a?b=c HTTP/1.1|Host: x.test|a: b||",
            ":method: GET|:scheme: http|:path: /a?b=c|:authority: x.test|a: b|",
        ),
        (
            "a WebSocket",
            vec![
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", "/chat"),
                (":authority", "x.test"),
                ("sec-websocket-version", "13"),
            ],
            false,
            "GET /chat HTTP/1.1|Host: x.test|sec-websocket-version: 13|Upgrade: websocket|Connection: upgrade||",
            ":method: CONNECT|:protocol: websocket|:scheme: http|:path: /chat|:authority: x.test|sec-websocket-version: 13|",
        ),
        (
            "OPTIONS for all",
            vec![(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "x")],
            true,
            "OPTIONS * HTTP/1.1|Host: x||",
            ":method: OPTIONS|:scheme: http|:path: *|:authority: x|",
        ),
    ];
    for (case, lines, end, text, list) in cases {
        assert_eq!(as_text(&lines, end), text, "{case}");
        assert_eq!(as_list(&lines, end), list, "{case}");
    }
}

#[test]
fn an_http1_request_as_a_list() {
    let head = b"POST /p HTTP/1.1\r\nHost: X.test\r\nUser-Agent: me\r\nConnection: close, drop\r\nDrop: 1\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut fields = tulle_decide::http::Fields::new();
    let request = parse_request(head, LIMITS, &mut fields).unwrap();
    let spare = Block::new();
    let mut whole = RequestParts { head, fields: &fields, via: Some(b"tulle"), ..parts(&spare, &request) };
    (whole.path, whole.query, whole.host) = (b"/q", Some(&b"r=s"[..]), request.host.of(head));
    let mut out = Vec::new();
    list_request(&mut out, &whole, b"https");
    assert_eq!(
        shown(&out),
        ":method: POST|:scheme: https|:path: /q?r=s|:authority: X.test|user-agent: me|cookie: a=b|via: 1.1 tulle|"
    );
    let never: Vec<_> =
        listed(&out).filter(|line| line.indexing == Indexing::Never).map(|l| l.name).collect();
    assert_eq!(never, [b"cookie"]);
}

/// Status and framing, or why not.
type Found = Result<(u16, BodyFraming), &'static str>;

#[test]
fn responses() {
    let cases: [(Pairs<'_>, Method, bool, Found); 18] = [
        (&[(":status", "200")], Method::Get, false, Ok((200, BodyFraming::Stream(None)))),
        (&[(":status", "200")], Method::Get, true, Ok((200, BodyFraming::Length(0)))),
        (
            &[(":status", "200"), ("content-length", "3")],
            Method::Get,
            false,
            Ok((200, BodyFraming::Stream(Some(3)))),
        ),
        (&[(":status", "200"), ("content-length", "3")], Method::Get, true, Err("length_against_body")),
        (&[(":status", "200"), ("content-length", "3")], Method::Head, true, Ok((200, BodyFraming::None))),
        (&[(":status", "304"), ("content-length", "3")], Method::Get, true, Ok((304, BodyFraming::None))),
        (&[(":status", "103"), ("link", "</a>")], Method::Get, false, Ok((103, BodyFraming::None))),
        (&[(":status", "103")], Method::Get, true, Err("bad_status")),
        (&[(":status", "101")], Method::Get, false, Err("bad_status")),
        (&[(":status", "99")], Method::Get, true, Err("bad_status")),
        (&[(":status", "600")], Method::Get, true, Err("bad_status")),
        (&[(":status", "2x0")], Method::Get, true, Err("bad_status")),
        (&[("a", "b")], Method::Get, true, Err("bad_pseudo_field")),
        (&[(":status", "200"), (":path", "/")], Method::Get, true, Err("bad_pseudo_field")),
        (&[(":status", "200"), ("a", "b\r\nc: d")], Method::Get, true, Err("bad_field_value")),
        (
            &[(":status", "200"), ("transfer-encoding", "chunked")],
            Method::Get,
            false,
            Err("connection_field"),
        ),
        (&[(":status", "200"), ("Server", "x")], Method::Get, true, Err("upper_case_field_name")),
        (&[(":status", "200"), ("content-length", "-1")], Method::Get, false, Err("bad_content_length")),
    ];
    for (lines, method, end, expected) in cases {
        let found = response_of(&block(lines), method, end);
        let found = found.map(|head| (head.status, head.framing)).map_err(|bad| bad.reason);
        assert_eq!(found, expected, "{lines:?} to {method:?}, end {end}");
    }
}

#[test]
fn a_response_goes_on_in_both_forms() {
    let block = block(&[(":status", "404"), ("content-type", "a/b"), ("x", "y")]);
    let response = response_of(&block, Method::Get, false).unwrap();
    for (client, framing) in [
        (Version::Http11, ResponseFraming::Chunked),
        (Version::Http2, ResponseFraming::Chunked),
        (Version::Http10, ResponseFraming::Close),
    ] {
        assert_eq!(response.framing_for(client), framing);
    }
    let parts = ResponseParts {
        via: Some(b"t"),
        date: Some(b"now"),
        ..response_parts(block.head(), &response, block.fields(), Version::Http11)
    };
    let (mut text, mut list) = (Vec::new(), Vec::new());
    write_response(&mut text, &parts);
    list_response(&mut list, &parts);
    assert_eq!(
        String::from_utf8(text).unwrap().replace("\r\n", "|"),
        "HTTP/1.1 404 Not Found|content-type: a/b|x: y|via: 2 t|Date: now|Transfer-Encoding: chunked||"
    );
    assert_eq!(shown(&list), ":status: 404|content-type: a/b|x: y|via: 2 t|date: now|");
}

#[test]
fn trailers() {
    let of = |lines: Pairs<'_>| {
        let mut out = Vec::new();
        trailers_of(&block(lines), &mut out).map(|()| String::from_utf8(out).unwrap()).map_err(|r| r.reason)
    };
    assert_eq!(
        of(&[("grpc-status", "0"), ("content-length", "5"), ("grpc-message", ""), ("authorization", "x")]),
        Ok("grpc-status: 0\r\ngrpc-message: \r\n".to_owned())
    );
    assert_eq!(of(&[(":status", "200")]), Err("bad_pseudo_field"));
    assert_eq!(of(&[("a", "b\nc")]), Err("bad_field_value"));
    let mut list = Vec::new();
    list_trailers(&mut list, b"grpc-status: 0\r\ngrpc-message: no, really: no\r\n");
    assert_eq!(shown(&list), "grpc-status: 0|grpc-message: no, really: no|");
}

#[test]
fn answers_of_our_own() {
    let local = Local {
        status: 503,
        reason: "overload",
        date: b"now",
        content_type: "text/plain",
        headers: &[(b"Retry-After", b"1")],
        body: b"body",
        close: true,
        keep_alive: false,
        head_only: false,
    };
    let mut list = Vec::new();
    list_local(&mut list, &local);
    assert_eq!(
        shown(&list),
        ":status: 503|date: now|x-tulle-reason: overload|content-type: text/plain|retry-after: 1|content-length: 4|"
    );
    assert_eq!((local.content(), Local { head_only: true, ..local }.content()), (&b"body"[..], &b""[..]));
}

#[test]
fn a_tunnel_has_the_authority_form() {
    let mut block = block(&[(":method", "CONNECT"), (":authority", "x.test:443")]);
    let request = request_of(&mut block, false).unwrap();
    assert!(matches!(request.target, Target::Authority(_)));
    assert_eq!((request.method, request.framing), (Method::Connect, Framing::None));
}
