//! Properties over generated messages: what is sent on parses to the same, chunks decode alike wherever they are split,
//! paths are normal after one step, nothing is found ambiguous by another parser that we let pass.

use crate::http_fixture::{request_parts, response_parts};
use proptest::prelude::*;
use tulle_decide::http::{
    BodyFraming, Chunked, FieldKind, Fields, Framing, HeadLimits, Method, Normalized, RequestParts, Version,
    find_head_end, is_authority, normalize, parse_request, parse_response, write_chunk_prefix, write_request,
    write_response,
};
use tulle_snapshot::wire::{EscapePolicy, PathRules};

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}"
}

fn value() -> impl Strategy<Value = String> {
    "[\\t !-~]{0,40}"
}

fn line() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "X-Forwarded-For",
        "x_forwarded_for",
        "Via",
        "X-Request-Id",
        "traceparent",
        "tracestate",
        "X-Forwarded-Client-Cert",
        "Cookie",
        "Content-Type",
        "Date",
    ]);
    let word = prop::sample::select(vec![
        "close",
        "keep-alive",
        "upgrade",
        "trailers",
        "websocket",
        "100-continue",
        "X-A, close",
        "te",
        "",
        "a, b",
    ]);
    prop_oneof![
        (token(), value()).prop_map(|(name, value)| format!("{name}:{value}\r\n")),
        (known.clone(), word).prop_map(|(name, value)| format!("{name}: {value}\r\n")),
        (known, value()).prop_map(|(name, value)| format!("{name}:\t{value} \r\n")),
        Just("X-A: b\r\n".to_owned()),
    ]
}

fn framing() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        any::<u32>().prop_map(|n| format!("Content-Length: {n}\r\n")),
        Just("Transfer-Encoding: Chunked\r\n".to_owned()),
        Just("content-length: 1\r\ntransfer-encoding: chunked\r\n".to_owned()),
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let target =
        prop_oneof!["/[a-z/.%;0-9]{0,20}(\\?[a-z=&]{0,10})?", "http://[a-z.]{1,9}(:[0-9]{1,4})?/[a-z]{0,5}"];
    let method = prop_oneof![token(), Just("GET".to_owned()), Just("POST".to_owned())];
    let lines = prop::collection::vec(line(), 0..8);
    (method, target, "[01]", lines, framing()).prop_map(|(method, target, minor, lines, framing)| {
        format!("{method} {target} HTTP/1.{minor}\r\nHost: a.b\r\n{}{framing}\r\n", lines.concat())
            .into_bytes()
    })
}

fn sent(head: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Fields::new();
    let request = parse_request(head, LIMITS, &mut fields).ok()?;
    let mut out = Vec::new();
    let parts = RequestParts {
        request_id: Some(b"id"),
        traceparent: Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ..request_parts(head, &request, &fields)
    };
    write_request(&mut out, &parts);
    Some(out)
}

/// A mutation of a legal message, as an attacker would make it.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let odd =
        prop::sample::select(vec![0_u8, b'\r', b'\n', b'\t', b' ', b':', 0x7f, 0x80, 0xff, b',', b'"', b'#']);
    (request(), prop::collection::vec((any::<prop::sample::Index>(), odd, 0..3_u8), 0..3)).prop_map(
        |(mut head, edits)| {
            for (at, b, how) in edits {
                let at = at.index(head.len());
                match how {
                    0 => head[at] = b,
                    1 => head.insert(at, b),
                    _ => drop(head.remove(at)),
                }
            }
            head
        },
    )
}

/// A plain reading of the chunked coding, to compare with.
fn encode(chunks: &[Vec<u8>], trailers: &str) -> (Vec<u8>, Vec<u8>) {
    let (mut coded, mut plain) = (Vec::new(), Vec::new());
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        coded.extend_from_slice(write_chunk_prefix(chunk.len(), &mut [0; 18]));
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
        plain.extend_from_slice(chunk);
    }
    coded.extend_from_slice(b"0\r\n");
    coded.extend_from_slice(trailers.as_bytes());
    coded.extend_from_slice(b"\r\n");
    (coded, plain)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rebuilt_request_parses_to_itself(head in request()) {
        let Some(first) = sent(&head) else { return Ok(()) };
        prop_assert_eq!(find_head_end(&first, 0), Some(first.len()));
        let second = sent(&first);
        prop_assert_eq!(second.as_deref(), Some(first.as_slice()), "{}", String::from_utf8_lossy(&first));
        let (mut before, mut after) = (Fields::new(), Fields::new());
        let was = parse_request(&head, LIMITS, &mut before).expect("accepted before");
        let is = parse_request(&first, LIMITS, &mut after).expect("what we write is legal");
        prop_assert_eq!(was.framing, is.framing);
        prop_assert_eq!(was.method, is.method);
        prop_assert_eq!(was.host.of(&head), is.host.of(&first));
        prop_assert!(!after.has(FieldKind::Identity) && !after.has(FieldKind::Alias));
        prop_assert!(!after.has(FieldKind::KeepAlive));
    }

    #[test]
    fn hostile_heads_are_refused_or_harmless(head in mutated()) {
        let Some(end) = find_head_end(&head, 0) else { return Ok(()) };
        let Some(out) = sent(&head[..end]) else { return Ok(()) };
        // What reached the upstream holds no byte that any parser could take for another line end.
        let text = &out[..];
        prop_assert!(!text.contains(&0) && !text.contains(&0x7f));
        for (i, &b) in text.iter().enumerate() {
            match b {
                b'\n' => prop_assert_eq!(text[i - 1], b'\r'),
                b'\r' => prop_assert_eq!(text[i + 1], b'\n'),
                _ => {}
            }
        }
        prop_assert_eq!(text.windows(4).position(|w| w == b"\r\n\r\n"), Some(text.len() - 4));
        let lower = String::from_utf8_lossy(text).to_ascii_lowercase();
        let framings = lower.matches("\r\ncontent-length:").count() + lower.matches("\r\ntransfer-encoding:").count();
        prop_assert!(framings <= 1);
        prop_assert_eq!(lower.matches("\r\nhost:").count(), 1);
    }

    #[test]
    fn httparse_reads_the_same(head in mutated()) {
        let mut fields = Fields::new();
        let ours = parse_request(&head, LIMITS, &mut fields);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Request::new(&mut headers);
        let parsed = theirs.parse(&head);
        let (Ok(ours), Ok(httparse::Status::Complete(len))) = (ours, parsed) else { return Ok(()) };
        prop_assert_eq!(ours.len as usize, len);
        prop_assert_eq!(Some(ours.method_text.of(&head)), theirs.method.map(str::as_bytes));
        prop_assert_eq!(ours.version == Version::Http11, theirs.version == Some(1));
        let here: Vec<_> = fields.iter().map(|f| (f.name.of(&head), f.value.of(&head))).collect();
        let there: Vec<_> = theirs.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
        prop_assert_eq!(here, there);
    }

    #[test]
    fn responses_are_framed_alike_on_both_sides(
        status in 100..600_u16, lines in prop::collection::vec(line(), 0..6), framing in framing(), is_head in any::<bool>()
    ) {
        let method = if is_head { Method::Head } else { Method::Get };
        let head = format!("HTTP/1.1 {status} x\r\n{}{framing}\r\n", lines.concat()).into_bytes();
        let mut fields = Fields::new();
        let Ok(response) = parse_response(&head, LIMITS, method, &mut fields) else { return Ok(()) };
        let mut out = Vec::new();
        let parts = response_parts(&head, &response, &fields, Version::Http11);
        write_response(&mut out, &parts);
        prop_assert_eq!(find_head_end(&out, 0), Some(out.len()));
        let again = parse_response(&out, LIMITS, method, &mut fields).expect("what we write is legal");
        let expected = match response.framing {
            BodyFraming::UntilClose => BodyFraming::Chunked,
            framing => framing,
        };
        prop_assert_eq!(again.framing, expected);
        prop_assert_eq!(again.status, status);
        prop_assert!(!fields.has(FieldKind::KeepAlive));
    }

    #[test]
    fn chunks_decode_alike_wherever_they_are_split(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        trailer in prop_oneof![Just(""), Just("X-A: b\r\n"), Just("Host: evil\r\n")],
        cuts in prop::collection::vec(1..50_usize, 1..20),
    ) {
        let (coded, plain) = encode(&chunks, trailer);
        let mut decoder = Chunked::new(LIMITS);
        let (mut data, mut rest, mut cuts) = (Vec::new(), coded.as_slice(), cuts.iter().cycle());
        while !decoder.is_done() {
            let len = rest.len().min(*cuts.next().expect("cycles"));
            let mut piece = rest[..len].to_vec();
            let decoded = decoder.decode(&mut piece).expect("legal");
            prop_assert_eq!(decoded.consumed, len);
            data.extend_from_slice(&piece[decoded.data]);
            rest = &rest[len..];
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(data, plain);
        prop_assert_eq!(decoder.trailers(), if trailer.starts_with('X') { trailer.as_bytes() } else { b"" });
    }

    #[test]
    fn chunk_noise_never_yields_more_than_it_holds(mut noise in prop::collection::vec(
        prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'3'), Just(b';'), Just(b'"'), any::<u8>()], 0..60
    )) {
        let mut whole = noise.clone();
        let at_once = Chunked::new(LIMITS).decode(&mut whole).map(|d| (whole[d.data].to_vec(), d.consumed, d.done));
        let mut decoder = Chunked::new(LIMITS);
        let mut data = Vec::new();
        let mut consumed = 0;
        let mut failed = None;
        for b in &mut noise {
            match decoder.decode(std::slice::from_mut(b)) {
                Ok(decoded) => {
                    consumed += decoded.consumed;
                    if !decoded.data.is_empty() {
                        data.push(*b);
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        match (at_once, failed) {
            (Ok(got), None) => prop_assert_eq!(got, (data, consumed, decoder.is_done())),
            (Err(error), Some(same)) => prop_assert_eq!(error, same),
            (at_once, failed) => prop_assert!(false, "{:?} at once, {:?} in pieces", at_once, failed),
        }
    }

    #[test]
    fn normalizing_twice_is_normalizing_once(path in "/(([a-c.;]|%2[fFeE]|%[0-9a-fA-F]{2}|/|\\.\\./|%){0,12})", strict in any::<bool>()) {
        let policy = if strict { EscapePolicy::Reject } else { EscapePolicy::Keep };
        let rules = PathRules { encoded_slash: policy, path_parameters: policy };
        let mut once = Vec::new();
        match normalize(path.as_bytes(), &mut once, rules) {
            Err(_) => return Ok(()),
            Ok(Normalized::Unchanged) => once = path.into_bytes(),
            Ok(Normalized::Rewritten) => {}
        }
        prop_assert_eq!(normalize(&once, &mut Vec::new(), rules), Ok(Normalized::Unchanged));
        let text = String::from_utf8(once).expect("ASCII");
        prop_assert!(text.starts_with('/') && !text.contains("//") && !text.contains('\\'));
        prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
        for encoded in ["%2E", "%2e", "%00", "%5C", "%5c", "%41", "%7E"] {
            prop_assert!(!text.contains(encoded), "{text}");
        }
    }

    #[test]
    fn authorities_hold_no_separator(text in "[a-zA-Z0-9.:@/?#%\\[\\], _-]{0,20}") {
        if is_authority(text.as_bytes()) {
            prop_assert!(!text.contains(['@', '/', '?', '#', '%', ',', ' ']));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut fields = Fields::new();
        let _ = find_head_end(&bytes, 0);
        if let Ok(head) = parse_request(&bytes, LIMITS, &mut fields) {
            prop_assert!(matches!(head.framing, Framing::None | Framing::Length(_) | Framing::Chunked));
        }
        prop_assert!(parse_response(&bytes, LIMITS, Method::Get, &mut fields).is_err() || bytes.starts_with(b"HTTP/1."));
    }
}
