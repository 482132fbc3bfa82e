//! RFC 9113 by section: frames as a client sends them to a server, and the exact outcome, however they are cut.

use crate::h2_fixture::*;
use tulle_decide::h2::{Config, Connection, ErrorCode};

enum Step {
    In(Vec<u8>),
    Do(fn(&mut Connection)),
}
use Step::{Do, In};

type Case = (&'static str, Vec<Step>, Vec<&'static str>);

fn joined(transcript: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in transcript {
        // Pieces of one body are one line.
        if let (Some(last), Some(rest)) = (out.last_mut(), line.strip_prefix("data "))
            && let Some(before) = last.strip_prefix("data ").filter(|before| !before.ends_with("end"))
        {
            let (stream, size) = rest.split_once(' ').unwrap();
            let (of, sum) = before.split_once(' ').unwrap();
            if of == stream {
                let (size, end) = size.split_once(' ').map_or((size, ""), |(size, _)| (size, " end"));
                let sum = sum.parse::<usize>().unwrap() + size.parse::<usize>().unwrap();
                *last = format!("data {stream} {sum}{end}");
                continue;
            }
        }
        out.push(line);
    }
    out
}

/// Events first, then what was sent, per step.
fn transcript(config: &Config, steps: &[Step], cut: usize) -> Vec<String> {
    let mut caller = Caller::ready(config);
    let mut all = Vec::new();
    for step in steps {
        match step {
            In(bytes) => {
                let events = bytes.chunks(cut).flat_map(|piece| caller.feed(piece)).map(|got| got.text());
                all.extend(joined(events.collect()));
            }
            Do(act) => act(&mut caller.conn),
        }
        all.extend(told(&caller.flush()));
    }
    assert!(all.iter().any(|line| line.starts_with("broken")) || caller.left.is_empty());
    all
}

fn check(config: &Config, cases: Vec<Case>) {
    for (name, steps, expected) in cases {
        for cut in [usize::MAX, 1, 7] {
            assert_eq!(transcript(config, &steps, cut), expected, "{name}, cut at {cut}");
        }
    }
}

fn server(cases: Vec<Case>) {
    check(&SERVER, cases);
}

const PROTOCOL: &str = "> GOAWAY 0 last 0 ProtocolError";
const PROTOCOL_1: &str = "> GOAWAY 0 last 1 ProtocolError";
const SIZE: &str = "> GOAWAY 0 last 0 FrameSizeError";
const BEGUN: &str = "headers 1 First a=b";
const ASKED: &str = "headers 1 First end a=b";

fn all(frames: &[Vec<u8>]) -> Step {
    In(frames.concat())
}

#[test]
fn preface_section_3_4() {
    let opening = |bytes: &[u8]| {
        let mut caller = Caller::new(&SERVER);
        let mut all: Vec<String> = told(&caller.flush());
        all.extend(bytes.chunks(5).flat_map(|piece| caller.feed(piece)).map(|got| got.text()));
        all.extend(told(&caller.flush()));
        all
    };
    let ours = ["> SETTINGS 0", "> WINDOW_UPDATE 0 +983041"];
    let good = [PREFACE, &settings(&[])].concat();
    assert_eq!(opening(&good), [&ours[..], &["settings", "> SETTINGS 0 ack"]].concat());
    let wrong = |reason| [&ours[..], &[reason, PROTOCOL]].concat();
    let no_preface = wrong("broken ProtocolError: no HTTP/2 preface");
    assert_eq!(opening(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"), no_preface);
    assert_eq!(opening(b"GET / HTTP/1.1\r\n\r\n"), no_preface);
    let not_first = wrong("broken ProtocolError: SETTINGS must come first");
    assert_eq!(opening(&[PREFACE, &ping(0)].concat()), not_first);
    assert_eq!(opening(&[PREFACE, &frame(SETTINGS, ACK, 0, &[])].concat()), not_first);
    assert_eq!(opening(&PREFACE[..23]), ours);
}

#[test]
fn frames_sections_4_1_and_4_2() {
    server(vec![
        (
            "unknown types are ignored",
            vec![all(&[frame(0x16, 0xFF, 0, b"x"), ping(0)])],
            vec!["> PING 0 ack"],
        ),
        ("unknown flags are ignored", vec![In(frame(PING, 0xFE, 0, b"12345678"))], vec!["> PING 0 ack"]),
        (
            "the reserved bit is ignored",
            vec![In(frame(PING, 0, 0x8000_0000, b"12345678"))],
            vec!["> PING 0 ack"],
        ),
        (
            "a frame of the largest size",
            vec![all(&[headers(1, WHOLE), data(1, END, &[0; 16_384])])],
            vec![BEGUN, "data 1 16384 end"],
        ),
        (
            "DATA above it",
            vec![all(&[headers(1, WHOLE), data(1, 0, &[0; 16_385])])],
            vec![
                BEGUN,
                "broken FrameSizeError: a frame above 16,384 bytes",
                "> GOAWAY 0 last 1 FrameSizeError",
            ],
        ),
        (
            "HEADERS above it",
            vec![In(frame(HEADERS, WHOLE, 1, &[0; 16_385]))],
            vec!["broken FrameSizeError: a frame above 16,384 bytes", SIZE],
        ),
        (
            "unknown frames above it",
            vec![In(frame(0x42, 0, 0, &[0; 16_385]))],
            vec!["broken FrameSizeError: a frame above 16,384 bytes", SIZE],
        ),
    ]);
}

#[test]
fn header_blocks_section_4_3() {
    let large: Vec<u8> = block(&[("a", "b"), ("c", "d")]);
    let continued = |pieces: &[&[u8]]| -> Vec<u8> {
        let mut out = frame(HEADERS, END, 1, pieces[0]);
        for (at, piece) in pieces.iter().enumerate().skip(1) {
            let flags = if at + 1 == pieces.len() { WHOLE } else { 0 };
            out.extend(frame(CONTINUATION, flags, 1, piece));
        }
        out
    };
    server(vec![
        (
            "a block in pieces",
            vec![In(continued(&[&large[..1], &large[1..6], &[], &large[6..]]))],
            vec!["headers 1 First end a=b,c=d"],
        ),
        (
            "a block that cannot be decoded",
            vec![In(frame(HEADERS, WHOLE, 1, &[0x80]))],
            vec![
                "broken CompressionError: a header block that cannot be decoded",
                "> GOAWAY 0 last 1 CompressionError",
            ],
        ),
        (
            "another frame within a block",
            vec![all(&[frame(HEADERS, 0, 1, &large[..3]), ping(0)])],
            vec!["broken ProtocolError: a header block was not continued", PROTOCOL],
        ),
        (
            "another stream's frame within a block",
            vec![all(&[frame(HEADERS, 0, 1, &large[..3]), frame(CONTINUATION, WHOLE, 3, &large[3..])])],
            vec!["broken ProtocolError: a header block was not continued", PROTOCOL],
        ),
        (
            "an unknown frame within a block",
            vec![all(&[frame(HEADERS, 0, 1, &large[..3]), frame(0x20, 0, 0, b"")])],
            vec!["broken ProtocolError: a header block was not continued", PROTOCOL],
        ),
    ]);
}

#[test]
fn idle_streams_section_5_1() {
    let idle = |what| vec![what, PROTOCOL];
    server(vec![
        ("DATA", vec![In(data(1, END, b"x"))], idle("broken ProtocolError: DATA on an idle stream")),
        ("RST_STREAM", vec![In(reset(1, 8))], idle("broken ProtocolError: RST_STREAM on an idle stream")),
        (
            "WINDOW_UPDATE",
            vec![In(window(1, 100))],
            idle("broken ProtocolError: WINDOW_UPDATE on an idle stream"),
        ),
        (
            "CONTINUATION",
            vec![In(frame(CONTINUATION, WHOLE, 1, &[]))],
            idle("broken ProtocolError: CONTINUATION without a header block"),
        ),
        ("PRIORITY", vec![all(&[priority(1, 0), headers(1, WHOLE | END)])], vec![ASKED]),
        (
            "DATA on a stream of a server's number",
            vec![In(data(2, END, b"x"))],
            idle("broken ProtocolError: DATA on an idle stream"),
        ),
    ]);
}

#[test]
fn half_closed_streams_section_5_1() {
    let closed = vec![ASKED, "reset 1 StreamClosed by us", "> RST_STREAM 1 StreamClosed"];
    server(vec![
        ("DATA", vec![all(&[headers(1, WHOLE | END), data(1, END, b"x")])], closed.clone()),
        ("HEADERS", vec![all(&[headers(1, WHOLE | END), headers(1, WHOLE | END)])], closed),
        (
            "CONTINUATION",
            vec![all(&[headers(1, WHOLE | END), frame(CONTINUATION, WHOLE, 1, &[])])],
            vec![ASKED, "broken ProtocolError: CONTINUATION without a header block", PROTOCOL_1],
        ),
        (
            "WINDOW_UPDATE, PRIORITY, RST_STREAM",
            vec![all(&[headers(1, WHOLE | END), window(1, 1), priority(1, 0), reset(1, 8)])],
            vec![ASKED, "reset 1 Cancel by peer"],
        ),
    ]);
}

#[test]
fn streams_reset_by_the_peer_section_5_1() {
    let gone = |finished: bool, frames: Vec<u8>| {
        let finish: fn(&mut Connection) = if finished { |conn| conn.finish(id(1)) } else { |_| {} };
        vec![all(&[headers(1, WHOLE), reset(1, 8)]), Do(finish), In(frames)]
    };
    let before = [BEGUN, "reset 1 Cancel by peer"];
    for finished in [false, true] {
        let told = |what: &[&'static str]| [&before[..], what].concat();
        server(vec![
            ("DATA", gone(finished, data(1, END, b"test")), told(&["> RST_STREAM 1 StreamClosed"])),
            ("RST_STREAM", gone(finished, reset(1, 8)), told(&[])),
            ("WINDOW_UPDATE", gone(finished, window(1, 8)), told(&[])),
            ("WINDOW_UPDATE by 0", gone(finished, window(1, 0)), told(&[])),
            ("PRIORITY", gone(finished, priority(1, 0)), told(&[])),
            (
                "CONTINUATION",
                gone(finished, frame(CONTINUATION, WHOLE, 1, &[])),
                told(&["broken ProtocolError: CONTINUATION without a header block", PROTOCOL_1]),
            ),
        ]);
    }
    server(vec![
        (
            "HEADERS",
            gone(false, headers(1, WHOLE | END)),
            [&before[..], &["> RST_STREAM 1 StreamClosed"]].concat(),
        ),
        (
            "HEADERS once it is forgotten",
            gone(true, headers(1, WHOLE | END)),
            [
                &before[..],
                &["broken StreamClosed: HEADERS on a closed stream", "> GOAWAY 0 last 1 StreamClosed"],
            ]
            .concat(),
        ),
    ]);
}

#[test]
fn streams_reset_by_us_section_5_1() {
    let reset_it: fn(&mut Connection) = |conn| conn.reset(id(1), ErrorCode::Cancel);
    let drop_it: fn(&mut Connection) = |conn| conn.finish(id(1));
    for act in [reset_it, drop_it] {
        let late = [data(1, 0, &[7; 1000]), headers(1, WHOLE | END), window(1, 5), reset(1, 8)].concat();
        let told = vec![BEGUN, "> RST_STREAM 1 Cancel"];
        server(vec![
            ("what is under way is ignored", vec![In(headers(1, WHOLE)), Do(act), In(late)], told.clone()),
            (
                "the connection's window is credited",
                vec![In(headers(1, WHOLE)), Do(act), In(data(1, 0, &[7; 16_384]).repeat(32))],
                {
                    let mut told = told;
                    told.push("> WINDOW_UPDATE 0 +524288");
                    told
                },
            ),
        ]);
    }
    server(vec![(
        "nothing more comes once the peer has reset it, too",
        vec![In(headers(1, WHOLE)), Do(drop_it), In(reset(1, 0)), In(data(1, 0, b"x"))],
        vec![BEGUN, "> RST_STREAM 1 Cancel", "> RST_STREAM 1 StreamClosed"],
    )]);
}

#[test]
fn completed_streams_section_5_1() {
    let after = |finish: fn(&mut Connection), bytes: Vec<u8>| {
        vec![In(headers(1, WHOLE | END)), Do(|conn| respond(conn, 1)), Do(finish), In(bytes)]
    };
    let done = [ASKED, "> HEADERS 1 end"];
    let told = |what: &[&'static str]| [&done[..], what].concat();
    for finish in [(|conn| conn.finish(id(1))) as fn(&mut Connection), |_| {}] {
        server(vec![
            ("DATA", after(finish, data(1, END, b"test")), told(&["> RST_STREAM 1 StreamClosed"])),
            ("empty DATA", after(finish, data(1, END, b"")), told(&["> RST_STREAM 1 StreamClosed"])),
            (
                "HEADERS",
                after(finish, headers(1, WHOLE | END)),
                told(&["broken StreamClosed: HEADERS on a closed stream", "> GOAWAY 0 last 1 StreamClosed"]),
            ),
            ("WINDOW_UPDATE", after(finish, window(1, 1)), told(&[])),
            ("RST_STREAM", after(finish, reset(1, 0)), told(&[])),
        ]);
    }
    server(vec![
        (
            "an answer before the request's end",
            vec![
                In(headers(1, WHOLE)),
                Do(|conn| respond(conn, 1)),
                Do(|conn| conn.finish(id(1))),
                In(data(1, END, b"late")),
            ],
            vec![BEGUN, "> HEADERS 1 end", "> RST_STREAM 1 NoError"],
        ),
        (
            "reset and finish after the end say nothing",
            after(
                |conn| {
                    conn.reset(id(1), ErrorCode::InternalError);
                    conn.finish(id(1));
                    conn.finish(id(1));
                    conn.reset(id(1), ErrorCode::InternalError);
                    assert_eq!(conn.data(id(1), b"x", true), 0);
                    assert!(!conn.headers(id(1), true, |_| panic!("nothing is to be written")));
                },
                Vec::new(),
            ),
            told(&[]),
        ),
    ]);
}

#[test]
fn stream_numbers_section_5_1_1() {
    server(vec![
        (
            "even",
            vec![In(headers(2, WHOLE | END))],
            vec!["broken ProtocolError: HEADERS on a stream of a server's number", PROTOCOL],
        ),
        (
            "smaller than the previous",
            vec![all(&[headers(5, WHOLE | END), headers(3, WHOLE | END)])],
            vec![
                "headers 5 First end a=b",
                "broken ProtocolError: a stream number below an earlier one",
                "> GOAWAY 0 last 5 ProtocolError",
            ],
        ),
        (
            "the same again, once closed",
            vec![
                all(&[headers(3, WHOLE | END), headers(5, WHOLE | END)]),
                Do(|conn| respond(conn, 3)),
                Do(|conn| conn.finish(id(3))),
                In(headers(3, WHOLE | END)),
            ],
            vec![
                "headers 3 First end a=b",
                "headers 5 First end a=b",
                "> HEADERS 3 end",
                "broken StreamClosed: HEADERS on a closed stream",
                "> GOAWAY 0 last 5 StreamClosed",
            ],
        ),
        (
            "passed over: closed, not idle",
            vec![all(&[headers(201, WHOLE | END), window(199, 1), reset(199, 0)])],
            vec!["headers 201 First end a=b"],
        ),
        (
            "the largest",
            vec![all(&[headers(0x7FFF_FFFF, WHOLE | END)])],
            vec!["headers 2147483647 First end a=b"],
        ),
    ]);
}

#[test]
fn stream_limit_section_5_1_2() {
    let two = Config { max_streams: 2, ..SERVER };
    let three = [headers(1, WHOLE), headers(3, WHOLE | END), headers(5, WHOLE)].concat();
    let begun = [BEGUN, "headers 3 First end a=b", "> RST_STREAM 5 RefusedStream"];
    check(
        &two,
        vec![
            ("refused above it", vec![In(three.clone())], begun.to_vec()),
            (
                "what follows on a refused stream is ignored",
                vec![In(three.clone()), In(data(5, END, b"x"))],
                begun.to_vec(),
            ),
            (
                "a reset stream counts until it is finished",
                vec![
                    In([three.clone(), reset(1, 8), headers(7, WHOLE | END)].concat()),
                    Do(|conn| {
                        assert_eq!(conn.streams(), 2);
                        conn.finish(id(1));
                    }),
                    In(headers(9, WHOLE | END)),
                ],
                vec![
                    BEGUN,
                    "headers 3 First end a=b",
                    "reset 1 Cancel by peer",
                    "> RST_STREAM 5 RefusedStream",
                    "> RST_STREAM 7 RefusedStream",
                    "headers 9 First end a=b",
                ],
            ),
            (
                "the table of HPACK follows refused requests",
                vec![
                    In([headers(1, WHOLE), headers(3, WHOLE)].concat()),
                    In(frame(HEADERS, WHOLE | END, 5, &[0x40, 1, b'x', 1, b'y'])),
                    Do(|conn| conn.finish(id(1))),
                    In(frame(HEADERS, WHOLE | END, 7, &[FIRST_DYNAMIC])),
                ],
                vec![
                    BEGUN,
                    "headers 3 First a=b",
                    "> RST_STREAM 5 RefusedStream",
                    "> RST_STREAM 1 Cancel",
                    "headers 7 First end x=y",
                ],
            ),
        ],
    );
}

#[test]
fn priority_sections_5_3_and_6_3() {
    let itself: Vec<u8> = [&1_u32.to_be_bytes()[..], &[0], &block(&[("a", "b")])].concat();
    let reset_1 = |code: &'static str, out: &'static str| vec![BEGUN, code, out];
    server(vec![
        (
            "HEADERS that depend on themselves",
            vec![In(frame(HEADERS, WHOLE | END | WITH_PRIORITY, 1, &itself))],
            vec!["> RST_STREAM 1 ProtocolError"],
        ),
        (
            "HEADERS with a priority",
            vec![In(frame(HEADERS, WHOLE | END | WITH_PRIORITY, 3, &itself))],
            vec!["headers 3 First end a=b"],
        ),
        (
            "PRIORITY that depends on itself",
            vec![all(&[headers(1, WHOLE), priority(1, 1)])],
            reset_1("reset 1 ProtocolError by us", "> RST_STREAM 1 ProtocolError"),
        ),
        (
            "the same on an idle stream",
            vec![In(priority(1, 1))],
            vec!["broken ProtocolError: a stream that depends on itself", PROTOCOL],
        ),
        (
            "PRIORITY of another size",
            vec![all(&[headers(1, WHOLE), frame(PRIORITY, 0, 1, &[0, 0, 0, 0])])],
            reset_1("reset 1 FrameSizeError by us", "> RST_STREAM 1 FrameSizeError"),
        ),
        (
            "PRIORITY on stream 0",
            vec![In(priority(0, 1))],
            vec!["broken ProtocolError: PRIORITY on stream 0", PROTOCOL],
        ),
    ]);
}

#[test]
fn data_section_6_1() {
    server(vec![
        (
            "padding",
            vec![all(&[headers(1, WHOLE), data(1, PADDED | END, &[3, b'x', b'y', 0, 0, 0])])],
            vec![BEGUN, "data 1 2 end"],
        ),
        (
            "nothing but padding, and the end",
            vec![all(&[headers(1, WHOLE), data(1, PADDED | END, &[3, 0, 0, 0])])],
            vec![BEGUN, "data 1 0 end"],
        ),
        (
            "empty frames are no event, the end is",
            vec![all(&[headers(1, WHOLE), data(1, 0, &[]), data(1, PADDED, &[0]), data(1, END, &[])])],
            vec![BEGUN, "data 1 0 end"],
        ),
        (
            "more padding than payload",
            vec![all(&[headers(1, WHOLE), data(1, PADDED, &[5, 1, 2, 3, 4])])],
            vec![BEGUN, "broken ProtocolError: more padding than DATA", PROTOCOL_1],
        ),
        (
            "padded without a length",
            vec![all(&[headers(1, WHOLE), data(1, PADDED, &[])])],
            vec![
                BEGUN,
                "broken FrameSizeError: padded DATA without a length of padding",
                "> GOAWAY 0 last 1 FrameSizeError",
            ],
        ),
        ("on stream 0", vec![In(data(0, 0, b"x"))], vec!["broken ProtocolError: DATA on stream 0", PROTOCOL]),
        (
            "a reset in the middle of a frame drops the rest",
            vec![
                all(&[headers(1, WHOLE), data(1, END, b"12345678")[..12].to_vec()]),
                Do(|conn| conn.reset(id(1), ErrorCode::Cancel)),
                In([&b"45678"[..], &ping(0)].concat()),
            ],
            vec![BEGUN, "data 1 3", "> RST_STREAM 1 Cancel", "> PING 0 ack"],
        ),
    ]);
}

#[test]
fn headers_sections_6_2_and_8_1() {
    let padded = |padding: u8, rest: &[u8]| [&[padding], &block(&[("a", "b")])[..], rest].concat();
    server(vec![
        ("padding", vec![In(frame(HEADERS, WHOLE | END | PADDED, 1, &padded(2, &[0, 0])))], vec![ASKED]),
        (
            "more padding than payload",
            vec![In(frame(HEADERS, WHOLE | PADDED, 1, &padded(6, &[])))],
            vec!["broken ProtocolError: more padding than HEADERS", PROTOCOL],
        ),
        (
            "no length of padding",
            vec![In(frame(HEADERS, WHOLE | PADDED, 1, &[]))],
            vec!["broken FrameSizeError: HEADERS too short", SIZE],
        ),
        (
            "too short for a priority",
            vec![In(frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &[0; 4]))],
            vec!["broken FrameSizeError: HEADERS too short", SIZE],
        ),
        (
            "on stream 0",
            vec![In(headers(0, WHOLE))],
            vec!["broken ProtocolError: HEADERS on stream 0", PROTOCOL],
        ),
        (
            "trailers",
            vec![all(&[headers(1, WHOLE), data(1, 0, b"x"), headers(1, WHOLE | END)])],
            vec![BEGUN, "data 1 1", "headers 1 Later end a=b"],
        ),
        (
            "trailers that do not end the stream",
            vec![all(&[headers(1, WHOLE), headers(1, WHOLE), data(1, END, b"x")])],
            vec![BEGUN, "reset 1 ProtocolError by us", "> RST_STREAM 1 ProtocolError"],
        ),
    ]);
}

#[test]
fn rst_stream_section_6_4() {
    server(vec![
        (
            "on stream 0",
            vec![In(reset(0, 8))],
            vec!["broken ProtocolError: RST_STREAM on stream 0", PROTOCOL],
        ),
        (
            "of another size",
            vec![all(&[headers(1, WHOLE), frame(RST_STREAM, 0, 1, &[0; 3])])],
            vec![
                BEGUN,
                "broken FrameSizeError: RST_STREAM not of 4 bytes",
                "> GOAWAY 0 last 1 FrameSizeError",
            ],
        ),
        (
            "a code that nobody knows",
            vec![all(&[headers(1, WHOLE), reset(1, 99)])],
            vec![BEGUN, "reset 1 Other(99) by peer"],
        ),
    ]);
}

#[test]
fn settings_section_6_5() {
    let one = |id, value| vec![In(settings(&[(id, value)]))];
    let applied = || vec!["settings", "> SETTINGS 0 ack"];
    let wrong = |what| vec![what, PROTOCOL];
    server(vec![
        ("all that are known", one(1, 0), applied()),
        ("unknown ones are ignored", one(0xFFFF, 7), applied()),
        ("ENABLE_PUSH 1", one(2, 1), applied()),
        ("ENABLE_PUSH 2", one(2, 2), wrong("broken ProtocolError: a wrong SETTINGS_ENABLE_PUSH")),
        (
            "INITIAL_WINDOW_SIZE 2^31",
            one(4, 1 << 31),
            vec![
                "broken FlowControlError: an initial window above 2^31-1",
                "> GOAWAY 0 last 0 FlowControlError",
            ],
        ),
        (
            "MAX_FRAME_SIZE 16383",
            one(5, 16_383),
            wrong("broken ProtocolError: a wrong SETTINGS_MAX_FRAME_SIZE"),
        ),
        (
            "MAX_FRAME_SIZE 2^24",
            one(5, 1 << 24),
            wrong("broken ProtocolError: a wrong SETTINGS_MAX_FRAME_SIZE"),
        ),
        ("MAX_FRAME_SIZE 2^24-1", one(5, (1 << 24) - 1), applied()),
        (
            "ENABLE_CONNECT_PROTOCOL 2",
            one(8, 2),
            wrong("broken ProtocolError: a wrong SETTINGS_ENABLE_CONNECT_PROTOCOL"),
        ),
        (
            "on a stream",
            vec![In(frame(SETTINGS, 0, 1, &[]))],
            wrong("broken ProtocolError: SETTINGS on a stream"),
        ),
        (
            "of another size",
            vec![In(frame(SETTINGS, 0, 0, &[0; 3]))],
            vec!["broken FrameSizeError: SETTINGS not of whole settings", SIZE],
        ),
        (
            "an acknowledgement with a payload",
            vec![In(frame(SETTINGS, ACK, 0, &[0; 6]))],
            vec!["broken FrameSizeError: an acknowledgement of SETTINGS with a payload", SIZE],
        ),
    ]);
}

#[test]
fn a_table_size_that_changes_twice_is_told_twice() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&[headers(1, WHOLE | END), settings(&[(1, 0), (1, 4096)])].concat());
    caller.flush();
    respond(&mut caller.conn, 1);
    // To 0, then to 4096 (RFC 7541 section 4.2), then `:status: 200`.
    assert_eq!(caller.flush()[9..], [0x20, 0x3F, 0xE1, 0x1F, 0x88]);
}

#[test]
fn push_ping_and_goaway_sections_6_6_to_6_8() {
    server(vec![
        (
            "PUSH_PROMISE",
            vec![all(&[headers(1, WHOLE), frame(PUSH_PROMISE, WHOLE, 1, &[0, 0, 0, 2])])],
            vec![BEGUN, "broken ProtocolError: PUSH_PROMISE", PROTOCOL_1],
        ),
        ("PING", vec![In(ping(0))], vec!["> PING 0 ack"]),
        ("an answer to no PING", vec![In(ping(ACK))], vec![]),
        (
            "PING on a stream",
            vec![In(frame(PING, 0, 1, b"12345678"))],
            vec!["broken ProtocolError: PING on a stream", PROTOCOL],
        ),
        (
            "PING of another size",
            vec![In(frame(PING, 0, 0, b"123456"))],
            vec!["broken FrameSizeError: PING not of 8 bytes", SIZE],
        ),
        (
            "GOAWAY on a stream",
            vec![In(frame(GOAWAY, 0, 1, &[0; 8]))],
            vec!["broken ProtocolError: GOAWAY on a stream", PROTOCOL],
        ),
        (
            "GOAWAY too short",
            vec![In(frame(GOAWAY, 0, 0, &[0; 7]))],
            vec!["broken FrameSizeError: GOAWAY below 8 bytes", SIZE],
        ),
        (
            "a client that goes away is still served",
            vec![all(&[headers(1, WHOLE), goaway(0, 0), headers(3, WHOLE | END)])],
            vec![BEGUN, "going away NoError", "headers 3 First end a=b"],
        ),
    ]);
}

#[test]
fn draining_section_6_8() {
    let begin: fn(&mut Connection) = |conn| {
        conn.drain();
        conn.drain();
        assert!(conn.is_draining() && !conn.is_drained());
    };
    let marked = frame(PING, ACK, 0, b"draining");
    server(vec![(
        "two steps",
        vec![
            In(headers(1, WHOLE | END)),
            Do(begin),
            In(headers(3, WHOLE)),
            In(marked.clone()),
            In([headers(5, WHOLE), data(5, 0, b"x"), window(5, 1), reset(5, 8), headers(5, WHOLE)].concat()),
            In(data(3, END, b"y")),
            Do(|conn| {
                respond(conn, 1);
                conn.finish(id(1));
                assert!(!conn.is_drained());
                respond(conn, 3);
                conn.finish(id(3));
                assert!(conn.is_drained());
                conn.close(ErrorCode::NoError);
            }),
            In(ping(0)),
        ],
        vec![
            ASKED,
            "> GOAWAY 0 last 2147483647 NoError",
            "> PING 0",
            "headers 3 First a=b",
            "> GOAWAY 0 last 3 NoError",
            "data 3 1 end",
            "> HEADERS 1 end",
            "> HEADERS 3 end",
            "> GOAWAY 0 last 3 NoError",
        ],
    )]);
}

#[test]
fn window_update_section_6_9() {
    let top = 0x7FFF_FFFF;
    server(vec![
        (
            "by 0 on the connection",
            vec![In(window(0, 0))],
            vec!["broken ProtocolError: WINDOW_UPDATE by 0", PROTOCOL],
        ),
        (
            "by 0 on a stream",
            vec![all(&[headers(1, WHOLE), window(1, 0)])],
            vec![BEGUN, "reset 1 ProtocolError by us", "> RST_STREAM 1 ProtocolError"],
        ),
        (
            "of another size",
            vec![In(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]))],
            vec!["broken FrameSizeError: WINDOW_UPDATE not of 4 bytes", SIZE],
        ),
        (
            "the connection's above 2^31-1",
            vec![all(&[window(0, top), window(0, top)])],
            vec![
                "broken FlowControlError: the connection's window above 2^31-1",
                "> GOAWAY 0 last 0 FlowControlError",
            ],
        ),
        (
            "a stream's above 2^31-1",
            vec![all(&[headers(1, WHOLE), window(1, top - 65_535), window(1, 1)])],
            vec![BEGUN, "reset 1 FlowControlError by us", "> RST_STREAM 1 FlowControlError"],
        ),
        (
            "the same by settings",
            vec![all(&[headers(1, WHOLE), window(1, top - 65_535), settings(&[(4, 65_536)])])],
            vec![
                BEGUN,
                "broken FlowControlError: a stream's window above 2^31-1",
                "> GOAWAY 0 last 1 FlowControlError",
            ],
        ),
    ]);
}

#[test]
fn our_windows_bind_the_peer_section_6_9_1() {
    let small = Config { stream_window: 100_000, connection_window: 65_535, ..SERVER };
    let chunk = vec![0; 16_384];
    check(
        &Config { stream_window: 20_000, ..SERVER },
        vec![(
            "a stream's",
            vec![all(&[
                headers(1, WHOLE),
                data(1, 0, &chunk),
                data(1, 0, &chunk),
                data(1, 0, b"x"),
                ping(0),
            ])],
            vec![
                BEGUN,
                "data 1 16384",
                "reset 1 FlowControlError by us",
                "> RST_STREAM 1 FlowControlError",
                "> PING 0 ack",
            ],
        )],
    );
    // The connection's window is credited on receipt, so that only one frame above what is left breaks it.
    let mut steps = vec![In(headers(1, WHOLE))];
    steps.push(In(data(1, 0, &[0; 16_383]).repeat(2)));
    steps.push(In(data(1, 0, b"z")));
    check(
        &small,
        vec![(
            "the connection's is credited at half",
            steps,
            vec![BEGUN, "data 1 32766", "data 1 1", "> WINDOW_UPDATE 0 +32767"],
        )],
    );
}

#[test]
fn crediting_streams() {
    let forwarded: fn(&mut Connection) = |conn| conn.forwarded(id(1), 20_000);
    server(vec![
        (
            "at half a window",
            vec![
                all(&[headers(1, WHOLE), data(1, 0, &[0; 10_000]).repeat(4)]),
                Do(forwarded),
                Do(forwarded),
                Do(forwarded),
            ],
            vec![BEGUN, "data 1 40000", "> WINDOW_UPDATE 1 +40000"],
        ),
        (
            "padding is credited without being passed on",
            vec![all(&[headers(1, WHOLE), data(1, PADDED, &[&[255][..], &[0; 256]].concat()).repeat(128)])],
            vec![BEGUN, "data 1 128", "> WINDOW_UPDATE 1 +32768"],
        ),
        (
            "not once the peer has ended the stream",
            vec![
                all(&[headers(1, WHOLE), data(1, 0, &[0; 16_000]).repeat(3), data(1, END, b"x")]),
                Do(forwarded),
                Do(forwarded),
            ],
            vec![BEGUN, "data 1 48001 end"],
        ),
    ]);
}

#[test]
fn their_windows_bind_us_section_6_9_2() {
    let send: fn(&mut Connection) = |conn| {
        conn.data(id(1), &vec![0; 100_000], true);
    };
    server(vec![(
        "a stream's window, and a larger initial one",
        vec![
            all(&[settings(&[(4, 10)]), window(0, 1 << 20), headers(1, WHOLE | END)]),
            Do(|conn| {
                assert_eq!(conn.room(id(1)), 0, "headers come first");
                conn.headers(id(1), false, |lines| lines.status(200));
                assert_eq!(conn.room(id(1)), 10);
            }),
            Do(send),
            Do(send),
            In(settings(&[(4, 4)])),
            In(window(1, 5)),
            Do(send),
            In(window(1, 2)),
            Do(send),
            In(settings(&[(4, 100_000)])),
            Do(send),
            In(window(1, 100)),
            Do(|conn| assert_eq!(conn.room(id(1)), 100)),
            Do(|conn| assert_eq!(conn.data(id(1), &[1; 60], true), 60)),
            Do(|conn| assert_eq!(conn.room(id(1)), 0)),
        ],
        vec![
            "settings",
            ASKED,
            "> SETTINGS 0 ack",
            "> HEADERS 1",
            "> DATA 1 10",
            // The window is -6, then -1, then 1.
            "settings",
            "> SETTINGS 0 ack",
            "writable 1",
            "> DATA 1 1",
            "settings",
            "> SETTINGS 0 ack",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 1692",
            "writable 1",
            "> DATA 1 60 end",
        ],
    )]);
}

#[test]
fn the_connections_window_binds_all_streams() {
    server(vec![(
        "writable once it was used up",
        vec![
            all(&[headers(1, WHOLE | END), headers(3, WHOLE | END)]),
            Do(|conn| {
                for stream in [1, 3] {
                    conn.headers(id(stream), false, |lines| lines.status(200));
                }
                assert_eq!(conn.data(id(1), &[0; 65_000], true), 65_000);
                assert_eq!(conn.room(id(3)), 535);
            }),
            In(window(0, 65)),
            Do(|conn| assert_eq!(conn.data(id(3), &[0; 1000], true), 600)),
            In(window(0, 500)),
            Do(|conn| assert_eq!(conn.data(id(3), &[0; 400], true), 400)),
            Do(|conn| assert_eq!(conn.data(id(3), &[0; 400], true), 0)),
        ],
        vec![
            "headers 1 First end a=b",
            "headers 3 First end a=b",
            "> HEADERS 1",
            "> HEADERS 3",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 16384",
            "> DATA 1 15848 end",
            "> DATA 3 600",
            "writable 0",
            "> DATA 3 400 end",
        ],
    )]);
}

#[test]
fn a_smaller_window_binds_only_once_acknowledged() {
    let config = Config { stream_window: 1000, ..SERVER };
    let mut caller = Caller::new(&config);
    caller.feed(PREFACE);
    caller.feed(&[settings(&[]), headers(1, WHOLE)].concat());
    let got = caller.feed(&[data(1, 0, &[0; 16_384]).repeat(3), data(1, 0, &[0; 16_383])].concat());
    assert!(got.iter().all(|got| matches!(got, Got::Data { stream: 1, .. })), "{got:?}");
    let got = caller.feed(&data(1, 0, &[0]));
    assert_eq!(got[0].text(), "reset 1 FlowControlError by us");
    caller.feed(&[frame(SETTINGS, ACK, 0, &[]), headers(3, WHOLE)].concat());
    let got = caller.feed(&[data(3, 0, &[0; 1000]), data(3, 0, &[0])].concat());
    assert_eq!(got.last().unwrap().text(), "reset 3 FlowControlError by us");
}

#[test]
fn output_has_a_bound() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&[settings(&[(4, 1 << 30)]), window(0, 1 << 30), headers(1, WHOLE | END)].concat());
    caller.flush();
    caller.conn.headers(id(1), false, |lines| lines.status(200));
    let before = caller.conn.output().len();
    let taken = caller.conn.data(id(1), &vec![0; 1 << 20], true);
    assert_eq!(taken, 256 * 1024 - before);
    assert_eq!(caller.conn.room(id(1)), 0);
    assert!(!caller.conn.sent(9), "less than the heads of the frames");
    assert!(caller.conn.sent(100_000));
    assert!(caller.conn.room(id(1)) > 99_000);
    assert!(!caller.conn.sent(1), "it was not full");
}

#[test]
fn our_settings_tell_what_was_configured() {
    let mut server = Caller::new(&Config { connect_protocol: true, stream_window: 70_000, ..SERVER });
    let mut client = Caller::new(&CLIENT);
    let hello = server.flush();
    assert_eq!(
        hello[9..33],
        settings(&[(3, 100), (8, 1), (6, 60 * 1024), (4, 70_000)])[9..],
        "and WINDOW_UPDATE behind"
    );
    assert_eq!(client.feed(&hello)[0].text(), "settings");
    assert!(client.conn.peer_takes_connect_protocol());
    assert_eq!(client.conn.peer_header_bytes(), 60 * 1024);
    let hello = client.flush();
    let preface_and_settings = [PREFACE, &settings(&[(2, 0), (6, 60 * 1024)])].concat();
    assert!(hello.starts_with(&preface_and_settings));
    assert_eq!(server.feed(&hello).len(), 1);
    server.feed(&client.flush());
    client.feed(&server.flush());
    assert!(server.conn.settings_acknowledged() && client.conn.settings_acknowledged());
}
