//! Chunked bodies and paths, legal, unusual and hostile; then what the writers add: forwarded fields, ids, edits.

use crate::http_fixture::request_parts;
use tulle_decide::http::{
    Chunked, Edits, Fields, Forwarded, Framing, HOST_KEY_BYTES, HeadLimits, Normalized, RequestParts,
    client_request_id, client_traceparent, host_key, normalize, parse_request, write_chunk_prefix,
    write_request,
};
use tulle_snapshot::wire::{EscapePolicy, HeaderEdit, HeaderEdits, PathRules};

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 10 };

type Body = (Vec<u8>, Vec<u8>, usize, bool);

/// Data, trailers, bytes consumed, done; `bytes` come in pieces of `step`.
fn decode(bytes: &[u8], step: usize) -> Result<Body, &'static str> {
    let mut chunked = Chunked::new(LIMITS);
    let (mut data, mut consumed, mut done) = (Vec::new(), 0, false);
    for piece in bytes.chunks(step) {
        let mut buf = piece.to_vec();
        let decoded = chunked.decode(&mut buf).map_err(|error| error.reason)?;
        data.extend_from_slice(&buf[decoded.data]);
        consumed += decoded.consumed;
        done = decoded.done;
        if done {
            break;
        }
        assert_eq!(decoded.consumed, piece.len());
    }
    Ok((data, chunked.trailers().to_vec(), consumed, done))
}

enum Want {
    /// Refused for this reason.
    No(&'static str),
    /// Data and trailers.
    Is(&'static str, &'static str),
    /// Legal so far, more is needed.
    More(&'static str),
}
use Want::{Is, More, No};

const BODIES: &[(&str, &str, Want)] = &[
    ("empty", "0\r\n\r\n", Is("", "")),
    ("one chunk", "5\r\nhello\r\n0\r\n\r\n", Is("hello", "")),
    ("two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Is("hello world", "")),
    ("upper-case size", "A\r\n0123456789\r\n0\r\n\r\n", Is("0123456789", "")),
    ("lower-case size", "a\r\n0123456789\r\n0\r\n\r\n", Is("0123456789", "")),
    ("leading zeros", "0005\r\nhello\r\n000\r\n\r\n", Is("hello", "")),
    ("16 digits", "0000000000000005\r\nhello\r\n0\r\n\r\n", Is("hello", "")),
    ("17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("data with line ends", "6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", Is("\r\n0\r\n\r", "")),
    ("the largest size", "7fffffffffffffff\r\nhello", More("hello")),
    ("size 2^63", "8000000000000000\r\nhello", No("bad_chunk_size")),
    ("size 2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("size 2^64 - 1", "ffffffffffffffff\r\nhello", No("bad_chunk_size")),
    ("no size", "\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("0x5", "0x5\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("+5", "+5\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("-5", "-5\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("a space behind the size", "5 \r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("a tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("g", "g\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("5g", "5g\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("5_", "5_\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("5,5", "5,5\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("5.0", "5.0\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("NUL in the size", "5\u{0}\r\nhello\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("size ended by LF", "5\nhello\r\n0\r\n\r\n", No("bare_lf")),
    ("size ended by CR", "5\rhello\r\n0\r\n\r\n", No("bare_cr")),
    ("size ended by CR CR LF", "5\r\r\nhello\r\n0\r\n\r\n", No("bare_cr")),
    ("last chunk ended by LF", "0\n\r\n", No("bare_lf")),
    ("data too long", "5\r\nhello!\r\n0\r\n\r\n", No("bad_chunk_end")),
    ("data too short", "5\r\nhell\r\n0\r\n\r\n", No("bad_chunk_end")),
    ("data ended by LF", "5\r\nhello\n0\r\n\r\n", No("bad_chunk_end")),
    ("data ended by CR", "5\r\nhello\r0\r\n\r\n", No("bad_chunk_end")),
    ("data ended by nothing", "5\r\nhello0\r\n\r\n", No("bad_chunk_end")),
    ("an empty line between chunks", "5\r\nhello\r\n\r\n0\r\n\r\n", No("bad_chunk_size")),
    ("no last chunk", "5\r\nhello\r\n", More("hello")),
    ("no final line", "5\r\nhello\r\n0\r\n", More("hello")),
    ("half a final line", "0\r\n\r", More("")),
    ("final line ended by LF", "0\r\n\n", No("bare_lf")),
    ("final CR without LF", "0\r\n\rx", No("bare_cr")),
    ("an extension", "5;a\r\nhello\r\n0\r\n\r\n", Is("hello", "")),
    ("an extension with a value", "5;a=b\r\nhello\r\n0;c=d\r\n\r\n", Is("hello", "")),
    ("two extensions", "5;a=b;c\r\nhello\r\n0\r\n\r\n", Is("hello", "")),
    ("a quoted value", "5;a=\"b;c=\\\"d\\\\ \u{e9}\"\r\nhello\r\n0\r\n\r\n", Is("hello", "")),
    ("an empty quoted value", "5;a=\"\"\r\nhello\r\n0\r\n\r\n", Is("hello", "")),
    (
        "spaces where the grammar has them",
        "5 ; a = b \t; c = \"d\" ;e\r\nhello\r\n0\r\n\r\n",
        Is("hello", ""),
    ),
    ("no name", "5;\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("two semicolons", "5;;a\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("no value", "5;a=\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("no name, but a value", "5;=b\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("two values", "5;a=b=c\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("two words", "5;a b\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("a space at the end", "5;a \r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("an open quote", "5;a=\"b\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("words behind a quote", "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("LF in an extension", "5;a\nhello\r\n0\r\n\r\n", No("bare_lf")),
    ("LF in a quoted value", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", No("bare_lf")),
    ("CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", No("bare_cr")),
    ("escaped CR in a quoted value", "5;a=\"\\\r\"\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("NUL in an extension", "5;a\u{0}\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("obs-text as a name", "5;\u{e9}\r\nhello\r\n0\r\n\r\n", No("bad_chunk_extension")),
    ("a trailer", "0\r\nX-Sum: 1\r\n\r\n", Is("", "X-Sum: 1\r\n")),
    (
        "two trailers behind data",
        "1\r\na\r\n0\r\nX-A:b\r\nx-c: \t d \r\n\r\n",
        Is("a", "X-A: b\r\nx-c: d\r\n"),
    ),
    (
        "gRPC trailers",
        "0\r\ngrpc-status: 0\r\ngrpc-message: \r\n\r\n",
        Is("", "grpc-status: 0\r\ngrpc-message: \r\n"),
    ),
    (
        "framing in trailers",
        "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nTE: x\r\n\r\n",
        Is("", ""),
    ),
    (
        "routing in trailers",
        "0\r\nHost: b\r\nX-Forwarded-For: 1\r\nForwarded: x\r\nVia: x\r\nX-Request-Id: 1\r\n\r\n",
        Is("", ""),
    ),
    (
        "credentials in trailers",
        "0\r\nAuthorization: x\r\nCookie: x\r\nSet-Cookie: x\r\nProxy-Authorization: x\r\nWWW-Authenticate: x\r\n\r\n",
        Is("", ""),
    ),
    (
        "identity in trailers",
        "0\r\nX-Forwarded-Client-Cert: x\r\nx_client_cert: x\r\nl5d-client-id: x\r\n\r\n",
        Is("", ""),
    ),
    ("look-alikes in trailers", "0\r\ncontent_length: 5\r\nTransfer_Encoding: x\r\n\r\n", Is("", "")),
    (
        "content in trailers",
        "0\r\nContent-Type: x\r\nContent-Encoding: x\r\nContent-Range: x\r\n\r\n",
        Is("", ""),
    ),
    (
        "controls in trailers",
        "0\r\nCache-Control: x\r\nExpect: x\r\nIf-Match: x\r\nRange: x\r\nVary: x\r\nConnection: x\r\n\r\n",
        Is("", ""),
    ),
    ("only the good trailers stay", "0\r\nHost: b\r\nX-A: b\r\nCookie: c\r\n\r\n", Is("", "X-A: b\r\n")),
    ("obs-fold in trailers", "0\r\nX-A: b\r\n c\r\n\r\n", No("obs_fold")),
    ("space before a trailer's colon", "0\r\nX-A : b\r\n\r\n", No("space_before_colon")),
    ("no colon in a trailer", "0\r\nX-A\r\n\r\n", No("bad_field_name")),
    ("a request in the trailers", "0\r\nGET / HTTP/1.1\r\n\r\n", No("space_before_colon")),
    ("trailer ended by LF", "0\r\nX-A: b\n\r\n", No("bare_lf")),
    ("CR in a trailer", "0\r\nX-A: b\rc\r\n\r\n", No("bare_cr")),
    ("NUL in a trailer", "0\r\nX-A: \u{0}\r\n\r\n", No("bad_field_value")),
    ("an empty trailer name", "0\r\n: x\r\n\r\n", No("bad_field_name")),
    (
        "eleven trailers",
        "0\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n",
        No("trailers_too_large"),
    ),
];

#[test]
fn chunked_bodies_decode_or_fail_alike_in_pieces_of_any_size() {
    for (name, text, want) in BODIES {
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        for step in 1..=bytes.len() {
            match (decode(&bytes, step), want) {
                (Err(reason), No(wanted)) => assert_eq!(reason, *wanted, "{name} by {step}"),
                (Ok((data, trailers, consumed, true)), Is(wanted, lines)) => {
                    assert_eq!(
                        (data, trailers, consumed),
                        (wanted.as_bytes().to_vec(), lines.as_bytes().to_vec(), bytes.len()),
                        "{name}"
                    );
                }
                (Ok((data, _, _, false)), More(wanted)) => assert_eq!(data, wanted.as_bytes(), "{name}"),
                (got, _) => panic!("{name} by {step}: {got:?}"),
            }
        }
    }
}

#[test]
fn what_follows_a_body_is_left_alone() {
    let (data, _, consumed, done) = decode(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 1000).unwrap();
    assert!(done && data == b"a" && consumed == 11);
}

#[test]
fn chunk_extensions_and_trailers_are_bounded() {
    let ext = |len: usize| format!("1;{}\r\na\r\n", "x".repeat(len));
    assert!(decode(ext(1022).as_bytes(), 4096).is_ok());
    assert_eq!(decode(ext(1100).as_bytes(), 4096), Err("chunk_extensions_too_large"));
    assert_eq!(decode(ext(500).repeat(40).as_bytes(), 1 << 20), Err("chunk_extensions_too_large"));
    let trailer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(2000));
    assert_eq!(decode(trailer.as_bytes(), 100), Err("trailers_too_large"));
    assert!(size_of::<Chunked>() <= 64);
}

#[test]
fn chunk_prefixes() {
    let mut out = [0; 18];
    for (len, text) in [
        (0, "0\r\n"),
        (5, "5\r\n"),
        (255, "ff\r\n"),
        (4096, "1000\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
    ] {
        assert_eq!(write_chunk_prefix(len, &mut out), text.as_bytes());
    }
}

const KEEP: PathRules = PathRules { encoded_slash: EscapePolicy::Keep, path_parameters: EscapePolicy::Keep };
const STRICT: PathRules =
    PathRules { encoded_slash: EscapePolicy::Reject, path_parameters: EscapePolicy::Reject };

fn normal(path: &str, rules: PathRules) -> Result<String, &'static str> {
    let mut out = Vec::new();
    match normalize(path.as_bytes(), &mut out, rules) {
        Ok(Normalized::Unchanged) => Ok(path.to_owned()),
        Ok(Normalized::Rewritten) => Ok(String::from_utf8(out).unwrap()),
        Err(reject) => Err(reject.reason),
    }
}

/// Path, normal where escapes are kept, normal where they are refused.
type PathCase = (&'static str, Result<&'static str, &'static str>, Result<&'static str, &'static str>);

const PATHS: &[PathCase] = &[
    ("/", Ok("/"), Ok("/")),
    ("/a/b", Ok("/a/b"), Ok("/a/b")),
    ("/a/b/", Ok("/a/b/"), Ok("/a/b/")),
    ("/a.b/c..d/...", Ok("/a.b/c..d/..."), Ok("/a.b/c..d/...")),
    ("/.well-known/x", Ok("/.well-known/x"), Ok("/.well-known/x")),
    ("/..a", Ok("/..a"), Ok("/..a")),
    ("/%7Euser/%41%2d%2E%5f", Ok("/~user/A-._"), Ok("/~user/A-._")),
    ("/a%20b%c3%a9", Ok("/a%20b%C3%A9"), Ok("/a%20b%C3%A9")),
    ("/a%20b", Ok("/a%20b"), Ok("/a%20b")),
    ("/%25%32%65", Ok("/%252e"), Ok("/%252e")),
    ("/%252e%252e/x", Ok("/%252e%252e/x"), Ok("/%252e%252e/x")),
    ("//", Ok("/"), Ok("/")),
    ("//a///b//", Ok("/a/b/"), Ok("/a/b/")),
    ("/a//../b", Ok("/b"), Ok("/b")),
    ("/.", Ok("/"), Ok("/")),
    ("/./", Ok("/"), Ok("/")),
    ("/a/.", Ok("/a/"), Ok("/a/")),
    ("/a/./b", Ok("/a/b"), Ok("/a/b")),
    ("/a/..", Ok("/"), Ok("/")),
    ("/a/b/..", Ok("/a/"), Ok("/a/")),
    ("/a/b/../", Ok("/a/"), Ok("/a/")),
    ("/a/b/../../c", Ok("/c"), Ok("/c")),
    ("/public/%2e%2e/admin", Ok("/admin"), Ok("/admin")),
    ("/public/.%2E/admin", Ok("/admin"), Ok("/admin")),
    ("/public/%2e/admin", Ok("/public/admin"), Ok("/public/admin")),
    ("/%61dmin", Ok("/admin"), Ok("/admin")),
    ("/..", Err("path_above_root"), Err("path_above_root")),
    ("/../a", Err("path_above_root"), Err("path_above_root")),
    ("/a/../../b", Err("path_above_root"), Err("path_above_root")),
    ("/%2e%2e/a", Err("path_above_root"), Err("path_above_root")),
    ("//..", Err("path_above_root"), Err("path_above_root")),
    ("/./..", Err("path_above_root"), Err("path_above_root")),
    ("/a\\b", Err("backslash_in_path"), Err("backslash_in_path")),
    ("/a%5cb", Err("backslash_in_path"), Err("backslash_in_path")),
    ("/a%5C..", Err("backslash_in_path"), Err("backslash_in_path")),
    ("/a%00b", Err("nul_in_path"), Err("nul_in_path")),
    ("/a%", Err("bad_escape"), Err("bad_escape")),
    ("/a%4", Err("bad_escape"), Err("bad_escape")),
    ("/a%zz", Err("bad_escape"), Err("bad_escape")),
    ("/a%4g", Err("bad_escape"), Err("bad_escape")),
    ("/a%%41", Err("bad_escape"), Err("bad_escape")),
    ("/a%u002e", Err("bad_escape"), Err("bad_escape")),
    ("/a%+1", Err("bad_escape"), Err("bad_escape")),
    ("/a\tb", Err("bad_path"), Err("bad_path")),
    ("/a b", Err("bad_path"), Err("bad_path")),
    ("/a\u{7f}", Err("bad_path"), Err("bad_path")),
    ("/caf\u{e9}", Err("bad_path"), Err("bad_path")),
    ("/a?b", Err("bad_path"), Err("bad_path")),
    ("/a#b", Err("bad_path"), Err("bad_path")),
    ("", Err("bad_path"), Err("bad_path")),
    ("a", Err("bad_path"), Err("bad_path")),
    ("*", Err("bad_path"), Err("bad_path")),
    ("/a%2fb", Ok("/a%2Fb"), Err("encoded_slash")),
    ("/a%2F..%2Fb", Ok("/a%2F..%2Fb"), Err("encoded_slash")),
    ("/a;x=y/b", Ok("/a;x=y/b"), Err("path_parameters")),
    ("/;x/admin", Ok("/;x/admin"), Err("path_parameters")),
    ("/a%3bx", Ok("/a%3Bx"), Err("path_parameters")),
    ("/a/..;/b", Ok("/a/..;/b"), Err("path_parameters")),
    ("/a,b=c@d:e!$&'()*+", Ok("/a,b=c@d:e!$&'()*+"), Ok("/a,b=c@d:e!$&'()*+")),
];

#[test]
fn paths_normalize_as_the_contract_says() {
    for (path, keep, strict) in PATHS {
        for (rules, want) in [(KEEP, keep), (STRICT, strict)] {
            let got = normal(path, rules);
            assert_eq!(got.as_deref().map_err(|e| *e), *want, "{path:?} {rules:?}");
            if let Ok(once) = got {
                assert_eq!(normal(&once, rules), Ok(once.clone()), "{path:?} is not stable");
            }
        }
    }
    let mut out = Vec::new();
    assert_eq!(normalize(b"/a/b.c/d", &mut out, STRICT), Ok(Normalized::Unchanged));
    assert_eq!(out.capacity(), 0, "a normal path is not copied");
}

#[test]
fn host_keys() {
    let long = "a".repeat(300);
    for (authority, key) in [
        ("Example.COM", "example.com"),
        ("example.com:8080", "example.com"),
        ("example.com.", "example.com"),
        ("Example.com.:80", "example.com"),
        ("example.com:", "example.com"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
        (long.as_str(), ""),
    ] {
        assert_eq!(host_key(authority.as_bytes(), &mut [0; HOST_KEY_BYTES]), key.as_bytes(), "{authority}");
    }
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Adds {
    trust: bool,
    request_id: Option<&'static [u8]>,
    traceparent: Option<&'static [u8]>,
    via: Option<&'static [u8]>,
    identity: Option<&'static [u8]>,
}

const ADDS: Adds = Adds {
    trust: false,
    request_id: Some(b"ours"),
    traceparent: Some(b"trace"),
    via: Some(b"tulle"),
    identity: Some(b"By=x"),
};

fn sent(lines: &str, adds: &Adds, edits: &Edits) -> String {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let head = head.as_bytes();
    let mut fields = Fields::new();
    let request = parse_request(head, LIMITS, &mut fields).expect("accepted");
    let mut out = Vec::new();
    let parts = RequestParts {
        path: b"/p",
        query: Some(b"q"),
        host: b"b",
        framing: Framing::Chunked,
        edits,
        forwarded: Forwarded {
            for_ip: b"9.9.9.9",
            proto: b"https",
            host: b"a",
            trust: adds.trust,
            enabled: true,
        },
        request_id: adds.request_id,
        traceparent: adds.traceparent,
        via: adds.via,
        identity: adds.identity,
        upgrade: false,
        ..request_parts(head, &request, &fields)
    };
    write_request(&mut out, &parts);
    let text = String::from_utf8(out).unwrap();
    let body = text.strip_prefix("GET /p?q HTTP/1.1\r\nHost: b\r\n").expect(&text);
    body.strip_suffix("\r\n").unwrap().replace("Transfer-Encoding: chunked\r\n", "").replace("\r\n", "|")
}

#[test]
fn untrusted_forwarded_fields_are_replaced() {
    let lines = "X-Forwarded-For: 1.1.1.1\r\nX-A: b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: e\r\nForwarded: for=1\r\n\
        X-Forwarded-Port: 1\r\nX-Real-IP: 1.1.1.1\r\nX-Forwarded-Client-Cert: evil\r\n";
    assert_eq!(
        sent(lines, &ADDS, Edits::NONE),
        "X-A: b|x-forwarded-for: 9.9.9.9|x-forwarded-proto: https|x-forwarded-host: a|x-request-id: ours|traceparent: trace|\
        x-forwarded-client-cert: By=x|via: 1.1 tulle|"
    );
}

#[test]
fn trusted_forwarded_fields_are_appended_to() {
    let lines = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: http\r\nVia: 1.0 x\r\nX-Real-IP: 1\r\n";
    let adds = Adds { trust: true, request_id: None, traceparent: None, identity: None, ..ADDS };
    assert_eq!(
        sent(lines, &adds, Edits::NONE),
        "X-Forwarded-For: 1.1.1.1|X-Forwarded-For: 2.2.2.2, 9.9.9.9|X-Forwarded-Proto: http|Via: 1.0 x, 1.1 tulle|X-Real-IP: 1|\
        x-forwarded-host: a|"
    );
    let adds = Adds { via: None, ..adds };
    assert_eq!(
        sent("X-Forwarded-For:\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: x\r\n", &adds, Edits::NONE),
        "X-Forwarded-For: 9.9.9.9|X-Forwarded-Host: a|X-Forwarded-Proto: x|"
    );
}

#[test]
fn ids_pass_if_well_formed() {
    let only = |lines: &str| {
        let adds = Adds { via: None, identity: None, ..ADDS };
        let text = sent(lines, &adds, Edits::NONE);
        text.replace("x-forwarded-for: 9.9.9.9|x-forwarded-proto: https|x-forwarded-host: a|", "")
    };
    let good = format!("X-Request-ID: theirs\r\nTraceparent: {TRACE}\r\ntracestate: a=b\r\n");
    assert_eq!(only(&good), format!("X-Request-ID: theirs|Traceparent: {TRACE}|tracestate: a=b|"));
    let later = TRACE.replacen("00", "cc", 1) + "-x";
    assert_eq!(
        only(&format!("x-request-id: a\r\ntraceparent: {later}\r\n")),
        format!("x-request-id: a|traceparent: {later}|")
    );
    let ours = "x-request-id: ours|traceparent: trace|";
    for id in ["", "a b", "\u{e9}", &"x".repeat(129), "a\r\nX-Request-Id: b"] {
        assert_eq!(only(&format!("X-Request-Id: {id}\r\n")), ours, "{id}");
    }
    for bad in [
        String::new(),
        "x".into(),
        TRACE.to_uppercase(),
        TRACE.replacen("00", "ff", 1),
        format!("{TRACE}-x"),
        TRACE.replace('-', "_"),
        TRACE.replace("b7ad6b7169203331", "0000000000000000"),
        TRACE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        TRACE.replace("0af", "0ag"),
        format!("{TRACE}\r\ntraceparent: {TRACE}"),
    ] {
        assert_eq!(only(&format!("traceparent: {bad}\r\ntracestate: a=b\r\n")), ours, "{bad}");
    }
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nx-request-id: i\r\ntraceparent: {TRACE}\r\n\r\n");
    let mut fields = Fields::new();
    parse_request(head.as_bytes(), LIMITS, &mut fields).unwrap();
    assert_eq!(client_request_id(head.as_bytes(), &fields), Some(&b"i"[..]));
    assert_eq!(client_traceparent(head.as_bytes(), &fields), Some(TRACE.as_bytes()));
}

#[test]
fn edits_remove_set_and_add() {
    let edit = |name: &str, value: &str| HeaderEdit { name: name.into(), value: value.into() };
    let edits = HeaderEdits {
        remove: vec!["x-internal".into(), "via".into(), "x-forwarded-host".into()],
        set: vec![edit("X-Edge", "tulle")],
        add: vec![edit("x-more", "1"), edit("x-more", " 2\t")],
    };
    let edits = Edits::new(&edits).unwrap();
    let lines =
        "X-Internal: 1\r\nx_internal: 2\r\nX-EDGE: evil\r\nX-More: 0\r\nVia: 1.1 x\r\nX-Internals: 3\r\n";
    let adds = Adds { request_id: None, traceparent: None, identity: None, ..ADDS };
    assert_eq!(
        sent(lines, &adds, &edits),
        "X-More: 0|X-Internals: 3|x-forwarded-for: 9.9.9.9|x-forwarded-proto: https|X-Edge: tulle|x-more: 1|x-more: 2|"
    );
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "TE",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-authorization",
        "x-forwarded-client-cert",
        "X_Forwarded_Client_Cert",
        "content_length",
        "expect",
        "a b",
        "",
        "a:",
        "\u{e9}",
    ] {
        for edits in [
            HeaderEdits { remove: vec![name.into()], ..HeaderEdits::default() },
            HeaderEdits { set: vec![edit(name, "x")], ..HeaderEdits::default() },
            HeaderEdits { add: vec![edit(name, "x")], ..HeaderEdits::default() },
        ] {
            assert!(Edits::new(&edits).is_err(), "{name}");
        }
    }
    for value in ["a\r\nb", "a\nb", "a\0", "\u{7f}"] {
        assert!(Edits::new(&HeaderEdits { add: vec![edit("x", value)], ..HeaderEdits::default() }).is_err());
    }
    assert!(Edits::new(&HeaderEdits::default()).unwrap().is_empty());
}
