//! The client's end of a connection: what a server may answer, and what it may not.

use crate::h2_fixture::*;
use tulle_decide::h2::{Config, ErrorCode};
use tulle_decide::hpack::Indexing;

type Case = (&'static str, Vec<Vec<u8>>, Vec<&'static str>);

/// A client with a stream open for each `true` (ended) or `false`; their requests are flushed.
fn with_requests(ends: &[bool]) -> Caller {
    let mut caller = Caller::ready(&CLIENT);
    for &end in ends {
        request(&mut caller.conn, end);
    }
    caller.flush();
    caller
}

/// Feeds to one stream that is asked for (1) and one that is still open (3).
fn fed(bytes: &[u8]) -> Vec<String> {
    let mut caller = with_requests(&[true, false]);
    let interim = |conn: &mut _, got: &Got| {
        if let Got::Headers { stream, lines, .. } = got
            && lines[0].1.starts_with(b"1")
        {
            tulle_decide::h2::Connection::interim(conn, id(*stream));
        }
    };
    let mut all: Vec<String> = caller.feed_with(bytes, interim).iter().map(Got::text).collect();
    all.extend(told(&caller.flush()));
    all
}

fn status(stream: u32, flags: u8, code: &str) -> Vec<u8> {
    frame(HEADERS, flags | WHOLE, stream, &block(&[(":status", code)]))
}

#[test]
fn what_a_server_sends() {
    let broken = |reason: &'static str| vec![reason, "> GOAWAY 0 last 0 ProtocolError"];
    let first = "headers 1 First :status=200";
    let cases: Vec<Case> = vec![
        (
            "interim responses, a response, a body, trailers",
            vec![
                status(1, 0, "103"),
                status(1, 0, "100"),
                status(1, 0, "200"),
                data(1, 0, b"body"),
                headers(1, WHOLE | END),
            ],
            vec![
                "headers 1 First :status=103",
                "headers 1 First :status=100",
                first,
                "data 1 4",
                "headers 1 Later end a=b",
            ],
        ),
        (
            "trailers that do not end the stream",
            vec![status(1, 0, "200"), headers(1, WHOLE)],
            vec![first, "reset 1 ProtocolError by us", "> RST_STREAM 1 ProtocolError"],
        ),
        (
            "DATA before a response",
            vec![data(1, 0, b"x")],
            vec!["reset 1 ProtocolError by us", "> RST_STREAM 1 ProtocolError"],
        ),
        (
            "DATA behind an interim response",
            vec![status(1, 0, "100"), data(1, 0, b"x")],
            vec![
                "headers 1 First :status=100",
                "reset 1 ProtocolError by us",
                "> RST_STREAM 1 ProtocolError",
            ],
        ),
        (
            "DATA behind the end",
            vec![status(3, END, "200"), data(3, 0, b"x")],
            vec![
                "headers 3 First end :status=200",
                "reset 3 StreamClosed by us",
                "> RST_STREAM 3 StreamClosed",
            ],
        ),
        (
            "an idle stream",
            vec![status(5, 0, "200")],
            broken("broken ProtocolError: HEADERS on an idle stream"),
        ),
        (
            "a server's stream",
            vec![status(2, 0, "200")],
            broken("broken ProtocolError: HEADERS on an idle stream"),
        ),
        (
            "PUSH_PROMISE",
            vec![frame(PUSH_PROMISE, WHOLE, 1, &[0, 0, 0, 2])],
            broken("broken ProtocolError: PUSH_PROMISE"),
        ),
        (
            "ENABLE_PUSH 1",
            vec![settings(&[(2, 1)])],
            broken("broken ProtocolError: a wrong SETTINGS_ENABLE_PUSH"),
        ),
        (
            "ENABLE_CONNECT_PROTOCOL taken back",
            vec![settings(&[(8, 1)]), settings(&[(8, 0)])],
            vec![
                "settings",
                "broken ProtocolError: a wrong SETTINGS_ENABLE_CONNECT_PROTOCOL",
                "> SETTINGS 0 ack",
                "> GOAWAY 0 last 0 ProtocolError",
            ],
        ),
        ("refused", vec![reset(1, 7), reset(3, 7)], vec!["refused 1", "refused 3"]),
        (
            "an answer, then no interest in the rest of the request",
            vec![status(3, END, "200"), reset(3, 0)],
            vec!["headers 3 First end :status=200", "reset 3 NoError by peer"],
        ),
        (
            "GOAWAY",
            vec![goaway(1, 0), status(1, END, "200")],
            vec!["going away NoError", "refused 3", "headers 1 First end :status=200"],
        ),
        (
            "GOAWAY twice",
            vec![goaway(0x7FFF_FFFF, 0), goaway(0, 2)],
            vec!["going away NoError", "going away InternalError", "refused 1", "refused 3"],
        ),
    ];
    for (name, frames, expected) in cases {
        assert_eq!(fed(&frames.concat()), expected, "{name}");
    }
}

#[test]
fn streams_that_may_be_opened() {
    let mut caller = Caller::ready(&Config { max_streams: 3, ..CLIENT });
    assert_eq!((caller.conn.openable(), Caller::ready(&SERVER).conn.openable()), (3, 0));
    let ids: Vec<u32> = (0..3).map(|_| request(&mut caller.conn, true)).collect();
    assert_eq!(ids, [1, 3, 5]);
    assert_eq!(caller.conn.open(9), None, "our own limit");
    caller.feed(&settings(&[(3, 1)]));
    caller.conn.finish(id(1));
    assert_eq!((caller.conn.openable(), caller.conn.open(9)), (0, None), "the server's");
    caller.conn.finish(id(3));
    caller.conn.finish(id(5));
    let stream = caller.conn.open(9).unwrap();
    assert_eq!((stream.value(), caller.conn.tag(stream)), (7, Some(9)));
    caller.conn.set_tag(stream, 10);
    assert_eq!(caller.conn.each_stream().collect::<Vec<_>>(), [(stream, 10)]);
    caller.flush();
    caller.conn.finish(stream);
    assert_eq!(caller.conn.tag(stream), None);
    assert_eq!(told(&caller.flush()), Vec::<String>::new(), "nothing was sent on it");
    caller.feed(&goaway(7, 0));
    assert_eq!(caller.conn.open(9), None, "after GOAWAY");
    assert!(caller.conn.is_drained());
}

#[test]
fn draining_opens_no_more_and_lets_streams_end() {
    let mut caller = with_requests(&[true]);
    caller.conn.drain();
    assert_eq!(caller.conn.open(0), None);
    assert!(!caller.conn.is_drained());
    assert_eq!(caller.feed(&status(1, END, "200"))[0].text(), "headers 1 First end :status=200");
    caller.conn.finish(id(1));
    assert!(caller.conn.is_drained());
    caller.conn.close(ErrorCode::NoError);
    assert_eq!(told(&caller.flush()), ["> GOAWAY 0 last 0 NoError"]);
}

#[test]
fn nothing_is_sent_behind_the_last_goaway() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&[1, 3, 5, 7].map(|stream| headers(stream, WHOLE)).concat());
    caller.feed(&data(7, 0, &[0; 16_384]).repeat(3));
    assert!(caller.conn.headers(id(3), false, |lines| lines.status(200)));
    caller.feed(&frame(PUSH_PROMISE, 0, 1, &[]));
    assert_eq!(told(&caller.flush()), ["> HEADERS 3", "> GOAWAY 0 last 7 ProtocolError"]);
    let conn = &mut caller.conn;
    assert!(!conn.headers(id(1), false, |lines| lines.status(200)));
    assert_eq!((conn.room(id(3)), conn.data(id(3), b"x", false), conn.data(id(3), b"", true)), (0, 0, 0));
    conn.forwarded(id(7), 40_000);
    conn.reset(id(5), ErrorCode::InternalError);
    for stream in [1, 3, 5, 7] {
        conn.finish(id(stream));
    }
    conn.drain();
    conn.close(ErrorCode::NoError);
    assert!(conn.is_over() && conn.is_drained());
    assert_eq!(told(&caller.flush()), Vec::<String>::new());
    assert_eq!(caller.feed(b"anything"), []);
}

#[test]
fn what_comes_late_for_a_cancelled_stream_is_dropped_and_decoded() {
    let mut caller = with_requests(&[false, true]);
    caller.conn.finish(id(1));
    assert_eq!(told(&caller.flush()), ["> RST_STREAM 1 Cancel"]);
    let late = frame(HEADERS, WHOLE, 1, &[0x40, 1, b'x', 1, b'y']);
    let next = frame(HEADERS, WHOLE, 3, &[FIRST_DYNAMIC]);
    let got = caller.feed(&[late, data(1, END, b"late"), next].concat());
    assert_eq!(got.iter().map(Got::text).collect::<Vec<_>>(), ["headers 3 First x=y"]);
}

#[test]
fn large_blocks_become_continuations() {
    let value: Vec<u8> = (128..192).cycle().take(40_000).collect();
    for sizes in [vec![16_300, 16_300], vec![40_000], vec![16_384 - 20], vec![16_384 * 2 - 30]] {
        let mut client = Caller::ready(&CLIENT);
        let mut server = Caller::ready(&SERVER);
        let stream = client.conn.open(0).unwrap();
        client.conn.headers(stream, true, |lines| {
            for &size in &sizes {
                lines.line(b"large", &value[..size], Indexing::Without);
            }
        });
        let out = client.flush();
        let kinds = told(&out);
        assert!(kinds[1..].iter().all(|kind| kind == "> CONTINUATION 1"), "{kinds:?}");
        let got = server.feed(&out);
        let [Got::Headers { stream: 1, end: true, lines, .. }] = &got[..] else { panic!("{got:?}") };
        assert_eq!(lines.iter().map(|line| line.1.len()).collect::<Vec<_>>(), sizes);
        assert!(lines.iter().all(|line| value.starts_with(&line.1)));
        assert_eq!(out.len().div_ceil(16_384 + 9), kinds.len());
    }
}

#[test]
fn a_buffer_is_lent_and_reclaimed() {
    let mut caller = with_requests(&[]);
    caller.conn.reclaim();
    assert_eq!(caller.conn.lend(Vec::with_capacity(100)).capacity(), 0);
    request(&mut caller.conn, true);
    assert_eq!(caller.conn.reclaim(), None, "something is unsent");
    let before = caller.conn.output().to_vec();
    caller.conn.sent(1);
    assert_eq!(caller.conn.lend(Vec::with_capacity(10_000)).capacity(), 100);
    assert_eq!(caller.conn.output(), &before[1..]);
    caller.flush();
    assert_eq!(caller.conn.reclaim().unwrap().capacity(), 10_000);
    assert_eq!(caller.conn.reclaim(), None);
}
