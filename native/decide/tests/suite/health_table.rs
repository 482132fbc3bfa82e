//! Health checks by tables: thresholds, what is asked, and how messages and Hosts are written.

use crate::fixture::{service, snapshot};
use crate::health_fixture::{PEER, check, dialogue, grpc, http, question};
use tulle_decide::health::{
    Dialogue, Pace, Peer, Question, Schedule, Standing, Traffic, Verdict, Way, Why, authority,
    serving_status, write_request_message,
};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{HealthCheck, HealthProbe, ServiceProtocol};

const MS: u64 = 1_000_000;

fn pace(unhealthy_after: u32, healthy_after: u32) -> Pace {
    Pace::new(&HealthCheck { unhealthy_after, healthy_after, ..check(HealthProbe::Tcp) })
}

/// `+` and `-` are checks; each is answered by what the endpoint is afterwards: `u`sed, `o`ut, upper case when it changed.
fn standings(pace: &Pace, checks: &str) -> String {
    let mut standing = Standing::default();
    assert!(standing.is_healthy());
    let each = checks.chars().map(|check| {
        let verdict = if check == '+' { Verdict::Well } else { Verdict::Unwell(Why::Timeout) };
        let changed = standing.checked(pace, verdict);
        match (standing.is_healthy(), changed) {
            (true, false) => 'u',
            (true, true) => 'U',
            (false, false) => 'o',
            (false, true) => 'O',
        }
    });
    each.collect()
}

#[test]
fn it_takes_so_many_in_a_row() {
    let cases = [
        (3, 2, "---", "uuO"),
        (3, 2, "--+--+--", "uuuuuuuu"),
        (3, 2, "-----+-+-++", "uuOoooooooU"),
        (3, 2, "---++--+---", "uuOoUuuuuuO"),
        (1, 1, "-+-+", "OUOU"),
        (1, 3, "-++-+++", "OoooooU"),
        (1000, 1, "--------", "uuuuuuuu"),
    ];
    for (unhealthy_after, healthy_after, checks, expected) in cases {
        assert_eq!(standings(&pace(unhealthy_after, healthy_after), checks), expected, "{checks}");
    }
}

#[test]
fn intervals_follow_each_other_from_beginning_to_beginning() {
    let pace = pace(1, 1);
    let (began, ended) = (1_000 * MS, 1_200 * MS);
    let next = |traffic, random| pace.next(began, ended, traffic, random) / MS;
    assert_eq!([next(Traffic::Busy, 0), next(Traffic::Busy, u64::MAX / 2)], [5_250, 5_999]);
    assert_eq!(next(Traffic::Busy, u64::MAX), 6_749);
    assert_eq!([next(Traffic::Idle, 0), next(Traffic::Idle, u64::MAX)], [52_000, 69_999]);
    // A check that took longer than the interval is followed at once.
    assert_eq!(pace.next(began, 9_000 * MS, Traffic::Busy, 0), 9_000 * MS);
    assert!(pace.slows_down());
    let steady = HealthCheck { idle_interval_ms: 5_000, ..check(HealthProbe::Tcp) };
    assert!(!Pace::new(&steady).slows_down());
}

#[test]
fn the_first_check_is_soon_however_long_the_interval() {
    for (interval_ms, latest) in [(10, 10), (5_000, 5_000), (86_400_000, 10_000)] {
        let pace = Pace::new(&HealthCheck { interval_ms, ..check(HealthProbe::Tcp) });
        assert_eq!(pace.soon(3 * MS, 0), 3 * MS);
        assert!(pace.soon(3 * MS, u64::MAX) <= 3 * MS + latest * MS / 100 * 115);
        assert!(pace.soon(3 * MS, u64::MAX) >= 3 * MS + latest * MS / 100 * 114);
    }
}

#[test]
fn what_is_due_first_comes_first() {
    let mut schedule = Schedule::new();
    for (due, id) in [(30, 'c'), (10, 'a'), (20, 'x'), (20, 'b')] {
        schedule.put(due, id);
    }
    schedule.remove(20, 'x');
    assert_eq!((schedule.next(), schedule.take(9)), (Some(10), None));
    assert_eq!([schedule.take(20), schedule.take(20), schedule.take(20)], [Some('a'), Some('b'), None]);
    assert_eq!([schedule.take(u64::MAX), schedule.take(u64::MAX)], [Some('c'), None]);
    assert_eq!(schedule.next(), None);
}

#[test]
fn questions_go_the_way_that_requests_go() {
    let cases = [
        (http(None), ServiceProtocol::Http, Way::Text),
        (http(None), ServiceProtocol::Tcp, Way::Text),
        (http(None), ServiceProtocol::Http2, Way::Streams),
        (http(None), ServiceProtocol::Grpc, Way::Streams),
        (grpc(""), ServiceProtocol::Http, Way::Streams),
        (grpc(""), ServiceProtocol::Grpc, Way::Streams),
        (HealthProbe::Tcp, ServiceProtocol::Tcp, Way::Connection),
        (HealthProbe::Tcp, ServiceProtocol::Http2, Way::Connection),
    ];
    for (probe, protocol, way) in cases {
        let question = question(probe, protocol);
        assert_eq!(question.way(), way, "{question:?} {protocol:?}");
        assert_eq!(Dialogue::new(&question, &PEER, 1).is_none(), way == Way::Connection);
    }
    assert_eq!(Question::new(&service("unchecked")), None);
}

#[test]
fn a_request_in_text() {
    for (host, expected) in [(None, "127.0.0.1:19001"), (Some("shop.test"), "shop.test")] {
        let mut asked = dialogue(http(host), ServiceProtocol::Http);
        let text = String::from_utf8(asked.output().to_vec()).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines,
            [
                "GET /healthz?deep=1 HTTP/1.1",
                &format!("host: {expected}"),
                "user-agent: tulle-health",
                "accept: */*",
                "connection: close",
                "",
                ""
            ]
        );
        asked.sent(5);
        assert!(asked.output().starts_with(b"healthz"));
        asked.sent(asked.output().len());
        assert!(asked.output().is_empty());
    }
}

#[test]
fn an_endpoints_own_host() {
    let cases = [
        (Some("10.0.0.1"), Some(8080), false, "10.0.0.1:8080"),
        (Some("2001:db8::1"), Some(8080), false, "[2001:db8::1]:8080"),
        (Some("api.test"), Some(80), false, "api.test"),
        (Some("api.test"), Some(443), false, "api.test:443"),
        (Some("api.test"), Some(443), true, "api.test"),
        (Some("::1"), Some(80), true, "[::1]:80"),
        (None, None, false, "localhost"),
    ];
    for (host, port, secure, expected) in cases {
        assert_eq!(authority(host, port, secure), expected);
    }
}

#[test]
fn messages() {
    let mut out = Vec::new();
    write_request_message(&mut out, "");
    assert_eq!(out, b"");
    write_request_message(&mut out, "shop.Cart");
    assert_eq!(out, b"\x0a\x09shop.Cart");
    out.clear();
    write_request_message(&mut out, &"x".repeat(300));
    assert_eq!(out[..4], *b"\x0a\xac\x02x");
    assert_eq!(out.len(), 303);

    let cases: [(&[u8], Option<u64>); 18] = [
        (b"", Some(0)),
        (b"\x08\x01", Some(1)),
        (b"\x08\x02", Some(2)),
        (b"\x08\x81\x01", Some(129)),
        (b"\x08\x81\x80\x00", Some(1)),
        (b"\x08\x02\x08\x01", Some(1)),
        // Unknown fields of every wire type, and field 1 of a wrong one.
        (b"\x10\x07\x08\x01", Some(1)),
        (b"\x1a\x02hi\x08\x01", Some(1)),
        (b"\x21\0\0\0\0\0\0\0\0\x08\x01", Some(1)),
        (b"\x25\0\0\0\0\x08\x01", Some(1)),
        (b"\x0a\x01x", Some(0)),
        // Cut, groups, field 0, numbers that are too long, lengths that are too large.
        (b"\x08", None),
        (b"\x08\x80", None),
        (b"\x0b\x0c", None),
        (b"\x00\x01", None),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", None),
        (b"\x0a\x05x", None),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", None),
    ];
    for (message, expected) in cases {
        assert_eq!(serving_status(message), expected, "{message:02x?}");
    }
}

#[test]
fn words() {
    let all = [
        (Why::Refused, "refused"),
        (Why::Unreachable, "unreachable"),
        (Why::Timeout, "timeout"),
        (Why::Tls, "tls"),
        (Why::Reset, "reset"),
        (Why::BadAnswer, "bad_answer"),
        (Why::Status, "status"),
        (Why::NotServing, "not_serving"),
    ];
    for (why, word) in all {
        assert_eq!(why.word(), word);
    }
}

#[test]
fn a_request_in_frames() {
    use crate::h2_fixture::SERVER;
    use tulle_decide::h2::{Connection, Event, Lines, Millis};
    #[derive(Default)]
    struct Heard(Vec<String>);
    impl Lines for Heard {
        fn begin(&mut self) {}
        fn line(&mut self, line: tulle_decide::hpack::Line<'_>) {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            self.0.push(format!("{}={}", text(line.name), text(line.value)));
        }
    }
    let secure = Peer { secure: true, authority: "api.test", ..PEER };
    let hear = |probe: HealthProbe, protocol| {
        let asked = Dialogue::new(&question(probe, protocol), &secure, 3).unwrap();
        let (mut server, mut heard, mut body) = (Connection::new(&SERVER), Heard::default(), Vec::new());
        let (mut input, mut ended) = (asked.output(), false);
        loop {
            let got = server.receive(input, Millis(1), &mut Vec::new(), &mut heard).unwrap();
            match got.event {
                None => break,
                Some(Event::Headers { end, .. }) => ended |= end,
                Some(Event::Data { from, len, end, .. }) => {
                    body.extend_from_slice(&input[from..from + len]);
                    ended |= end;
                }
                Some(_) => {}
            }
            input = &input[got.consumed..];
        }
        assert!(ended);
        (heard.0.join(" "), body)
    };
    let (lines, body) = hear(http(None), ServiceProtocol::Http2);
    let expected = ":method=GET :scheme=https :authority=api.test :path=/healthz?deep=1 user-agent=tulle-health accept=*/*";
    assert_eq!((lines.as_str(), body.as_slice()), (expected, &b""[..]));
    let (lines, body) = hear(grpc("shop.Cart"), ServiceProtocol::Grpc);
    let expected = ":method=POST :scheme=https :authority=api.test :path=/grpc.health.v1.Health/Check te=trailers \
                    content-type=application/grpc grpc-timeout=2000000u user-agent=tulle-health";
    assert_eq!((lines.as_str(), body.as_slice()), (expected, &b"\0\0\0\0\x0b\x0a\x09shop.Cart"[..]));
}

#[test]
fn what_cannot_be_asked_is_no_snapshot() {
    let path = |path: &str| HealthProbe::Http { path: path.to_owned(), host: None };
    let host = |host: &str| HealthProbe::Http { path: "/".to_owned(), host: Some(host.to_owned()) };
    let cases = [
        (path("/healthz?a=b"), None),
        (path(""), Some("path")),
        (path("healthz"), Some("path")),
        (path("/a b"), Some("path")),
        (path("/\r\nx: y"), Some("path")),
        (host("shop.test:80"), None),
        (host(""), Some("host")),
        (host("a\r\nx: y"), Some("host")),
        (grpc(&"x".repeat(1024)), None),
        (grpc(&"x".repeat(1025)), Some("service")),
        (HealthProbe::Tcp, None),
    ];
    for (probe, at) in cases {
        let mut wire = (*snapshot(vec![], vec![])).clone();
        wire.services[0].health_check = Some(check(probe.clone()));
        let error = Checked::check(wire).err().map(|error| error.to_string());
        let expected = at.map(|at| format!("services[0].healthCheck.probe.{at}"));
        match (&error, &expected) {
            (None, None) => {}
            (Some(error), Some(at)) => assert!(error.contains(at.as_str()), "{error}"),
            _ => panic!("{probe:?}: {error:?}"),
        }
    }
}
