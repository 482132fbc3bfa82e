//! What answers to health checks come to, however they are cut.

use crate::h2_fixture::{self as frames, END};
use crate::health_fixture::{dialogue, grpc, grpc_answer, head, hear, http, stream};
use tulle_decide::h2::Millis;
use tulle_decide::health::{ANSWER_BYTES, Verdict, Why};
use tulle_snapshot::wire::ServiceProtocol;

const WELL: Option<Verdict> = Some(Verdict::Well);
const BAD: Option<Verdict> = Some(Verdict::Unwell(Why::BadAnswer));
const STATUS: Option<Verdict> = Some(Verdict::Unwell(Why::Status));
const RESET: Option<Verdict> = Some(Verdict::Unwell(Why::Reset));

#[test]
fn answers_in_text() {
    let cases: &[(&str, Option<Verdict>, Verdict)] = &[
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", WELL, Verdict::Well),
        ("HTTP/1.1 204 \r\n\r\n", WELL, Verdict::Well),
        ("HTTP/1.1 299 x\r\ncontent-length: 0\r\n\r\n", WELL, Verdict::Well),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", WELL, Verdict::Well),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\na: b\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
            WELL,
            Verdict::Well,
        ),
        // Ended by the end.
        ("HTTP/1.0 200 OK\r\n\r\nok", None, Verdict::Well),
        ("HTTP/1.1 200 OK\r\n\r\n", None, Verdict::Well),
        // Not complete.
        ("", None, Verdict::Unwell(Why::Reset)),
        ("HTTP/1.1 20", None, Verdict::Unwell(Why::Reset)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", None, Verdict::Unwell(Why::Reset)),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            None,
            Verdict::Unwell(Why::Reset),
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n", None, Verdict::Unwell(Why::Reset)),
        // Other statuses: what follows is not waited for.
        ("HTTP/1.1 500 x\r\ncontent-length: 9\r\n\r\n", STATUS, Verdict::Unwell(Why::Reset)),
        ("HTTP/1.1 302 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", STATUS, Verdict::Unwell(Why::Reset)),
        ("HTTP/1.1 404 x\r\n\r\n", STATUS, Verdict::Unwell(Why::Reset)),
        ("HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", STATUS, Verdict::Unwell(Why::Reset)),
        // No answers.
        ("SSH-2.0-x\r\n", BAD, Verdict::Unwell(Why::Reset)),
        ("HTTP/2 200\r\n\r\n", BAD, Verdict::Unwell(Why::Reset)),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
            BAD,
            Verdict::Unwell(Why::Reset),
        ),
        ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", BAD, Verdict::Unwell(Why::Reset)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxx\r\n", BAD, Verdict::Unwell(Why::Reset)),
    ];
    for (answer, verdict, ended) in cases {
        for chunk in [1, 2, 3, 7, 1000] {
            let mut asked = dialogue(http(None), ServiceProtocol::Http);
            assert_eq!(hear(&mut asked, answer.as_bytes(), chunk), *verdict, "{answer:?} by {chunk}");
            if verdict.is_none() {
                assert_eq!(asked.ended(), *ended, "{answer:?}");
            }
        }
    }
}

#[test]
fn answers_in_frames() {
    let ok = [(":status", "200")];
    let cases = [
        (stream(&[head(END, &ok)]), WELL),
        (stream(&[head(0, &ok), frames::data(1, END, b"ok")]), WELL),
        (stream(&[head(0, &ok), frames::data(1, 0, b"ok"), head(END, &[("a", "b")])]), WELL),
        (stream(&[head(0, &[(":status", "103")]), head(END, &ok)]), WELL),
        (stream(&[head(0, &ok), frames::data(1, 0, b"ok")]), None),
        (stream(&[]), None),
        (stream(&[head(0, &[(":status", "503")])]), STATUS),
        (stream(&[head(END, &[("a", "b")])]), BAD),
        (stream(&[head(END, &[(":status", "99")])]), BAD),
        (stream(&[frames::data(1, END, b"ok")]), BAD),
        (stream(&[frames::reset(1, 7)]), RESET),
        (stream(&[head(0, &ok), frames::reset(1, 8)]), RESET),
        (stream(&[frames::goaway(0, 0)]), RESET),
        (stream(&[frames::goaway(1, 0), head(END, &ok)]), WELL),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), BAD),
    ];
    for (answer, verdict) in cases {
        for chunk in [1, 5, 1000] {
            let mut asked = dialogue(http(None), ServiceProtocol::Http2);
            assert_eq!(hear(&mut asked, &answer, chunk), verdict, "{:?}", frames::NAMES);
            assert_eq!(asked.ended(), Verdict::Unwell(Why::Reset));
        }
    }
}

#[test]
fn answers_of_grpc() {
    let (zero, not_serving) = ([("grpc-status", "0")], Some(Verdict::Unwell(Why::NotServing)));
    let head_of = |content_type| head(0, &[(":status", "200"), ("content-type", content_type)]);
    let only = |status: &str| {
        stream(&[head(
            END,
            &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", status)],
        )])
    };
    let cases = [
        ("serving", grpc_answer(b"\0\0\0\0\x02\x08\x01", &zero), WELL),
        ("not serving", grpc_answer(b"\0\0\0\0\x02\x08\x02", &zero), not_serving),
        ("unknown", grpc_answer(b"\0\0\0\0\0", &zero), not_serving),
        ("service unknown", grpc_answer(b"\0\0\0\0\x02\x08\x03", &zero), not_serving),
        ("failed", grpc_answer(b"\0\0\0\0\x02\x08\x01", &[("grpc-status", "14")]), STATUS),
        ("unimplemented", only("12"), STATUS),
        ("not found", only("5"), STATUS),
        ("nothing, but fine", only("0"), BAD),
        ("no status", grpc_answer(b"\0\0\0\0\x02\x08\x01", &[("a", "b")]), BAD),
        ("no message", grpc_answer(b"", &zero), BAD),
        ("two messages", grpc_answer(b"\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x01", &zero), BAD),
        ("compressed", grpc_answer(b"\x01\0\0\0\x02\x08\x01", &zero), BAD),
        ("cut", grpc_answer(b"\0\0\0\0\x03\x08\x01", &zero), BAD),
        ("malformed", grpc_answer(b"\0\0\0\0\x01\x08", &zero), BAD),
        ("too long", grpc_answer(&[0; 2000], &zero), BAD),
        (
            "no trailers",
            stream(&[head_of("application/grpc"), frames::data(1, END, b"\0\0\0\0\x02\x08\x01")]),
            BAD,
        ),
        ("a page", stream(&[head_of("text/html"), frames::data(1, END, b"hi")]), BAD),
        ("a proxy's", stream(&[head(END, &[(":status", "503")])]), STATUS),
        ("204", stream(&[head(END, &[(":status", "204")])]), STATUS),
        ("a head so far", stream(&[head_of("application/grpc")]), None),
        ("reset", stream(&[head_of("application/grpc"), frames::reset(1, 2)]), RESET),
    ];
    for (name, answer, verdict) in cases {
        for chunk in [1, 4, 1000] {
            let mut asked = dialogue(grpc("shop.Cart"), ServiceProtocol::Grpc);
            assert_eq!(hear(&mut asked, &answer, chunk), verdict, "{name} by {chunk}");
        }
    }
}

#[test]
fn nobody_is_listened_to_for_ever() {
    let mut endless = vec![b'x'; 1 << 20];
    // A good head and a body without end, or a length nobody waits for.
    for framing in ["", "content-length: 100000000\r\n"] {
        let mut asked = dialogue(http(None), ServiceProtocol::Http);
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
        assert_eq!(hear(&mut asked, head.as_bytes(), 1000), None);
        assert_eq!(hear(&mut asked, &endless[..ANSWER_BYTES / 2], 1000), None);
        assert_eq!(hear(&mut asked, &endless[..ANSWER_BYTES], 1000), WELL);
    }
    // A head without end, and interim answers without end.
    let mut asked = dialogue(http(None), ServiceProtocol::Http);
    assert_eq!(asked.receive(&mut b"HTTP/1.1 200 OK\r\na: ".to_vec(), Millis(1)), None);
    assert_eq!(asked.receive(&mut endless, Millis(1)), BAD);
    let mut asked = dialogue(http(None), ServiceProtocol::Http);
    assert_eq!(hear(&mut asked, &b"HTTP/1.1 100 x\r\n\r\n".repeat(10_000), 100), BAD);
    // Frames that mean nothing.
    let mut asked = dialogue(grpc(""), ServiceProtocol::Grpc);
    assert_eq!(hear(&mut asked, &stream(&[frames::ping(0).repeat(10_000)]), 100), BAD);
    // The windows are wide enough for a body to get there.
    let mut asked = dialogue(http(None), ServiceProtocol::Http2);
    let body = frames::data(1, 0, &[0; 16_000]).repeat(4);
    assert_eq!(hear(&mut asked, &stream(&[head(0, &[(":status", "200")]), body]), 1000), WELL);
}

#[test]
fn a_stream_that_is_not_over_is_cancelled_and_the_connection_ended() {
    let mut asked = dialogue(http(None), ServiceProtocol::Http2);
    asked.sent(asked.output().len());
    let verdict = hear(&mut asked, &stream(&[head(0, &[(":status", "500")])]), 1000);
    assert_eq!(verdict, STATUS);
    asked.close();
    let told = frames::told(asked.output()).join(" | ");
    assert!(told.contains("RST_STREAM") && told.contains("GOAWAY"), "{told}");
}
