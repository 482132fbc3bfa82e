//! HTTP/1.1 and TCP in clear.

use super::peers::{Nobody, Server, read_head};
use super::*;
use std::io::{Read, Write};
use std::sync::mpsc::sync_channel;

const WELL: Verdict = Verdict::Well;

fn unwell(why: Why) -> Verdict {
    Verdict::Unwell(why)
}

#[test]
fn answers_in_text() {
    let nobody = Nobody::new();
    let ok = Server::text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let empty = Server::text("HTTP/1.1 204 No Content\r\n\r\n");
    let until_close = Server::text("HTTP/1.0 200 OK\r\n\r\nok");
    let broken = Server::text("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
    let elsewhere = Server::text("HTTP/1.1 301 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
    let garbage = Server::text("220 mail.test ESMTP\r\n");
    let closing = Server::text("");
    let cut = Server::text("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok");
    let pause = |stream: std::net::TcpStream| {
        let mut stream = stream;
        read_head(&mut stream);
        let _until_the_check_ends = stream.read(&mut [0]);
    };
    let slow = Server::new(move |stream, _| pause(stream));
    let stalled = Server::new(move |mut stream, _| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok");
        pause(stream);
    });
    let dribbling = Server::new(|mut stream, _| {
        read_head(&mut stream);
        for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" {
            let _gone = stream.write_all(&[*byte]);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let impatient = [("/healthCheck/timeoutMs", json!(150))];
    let one = |name: &str, server: &Server| service(name, &[at(server.address)], &get("/healthz"));
    let services = [
        one("ok", &ok),
        one("empty", &empty),
        one("until-close", &until_close),
        one("broken", &broken),
        one("elsewhere", &elsewhere),
        one("garbage", &garbage),
        one("closing", &closing),
        one("cut", &cut),
        with(one("slow", &slow), &impatient),
        with(one("stalled", &stalled), &impatient),
        one("dribbling", &dribbling),
        service("nobody", &[at(nobody.address)], &get("/")),
    ];
    let expected = [
        ("ok", WELL),
        ("empty", WELL),
        ("until-close", WELL),
        ("broken", unwell(Why::Status)),
        ("elsewhere", unwell(Why::Status)),
        ("garbage", unwell(Why::BadAnswer)),
        ("closing", unwell(Why::Reset)),
        ("cut", unwell(Why::Reset)),
        ("slow", unwell(Why::Timeout)),
        ("stalled", unwell(Why::Timeout)),
        ("dribbling", WELL),
        ("nobody", unwell(Why::Refused)),
    ];
    all_are(&services, &expected);
}

#[test]
fn the_request_names_the_endpoint_unless_told_otherwise() {
    for host in [None, Some("shop.test")] {
        let (told, heads) = sync_channel(100);
        let server = Server::new(move |mut stream, _| {
            let _enough = told.try_send(read_head(&mut stream));
            let _gone = stream.write_all(b"HTTP/1.1 204 x\r\n\r\n");
        });
        let probe = json!({ "kind": "http", "path": "/healthz", "host": host });
        let (health, _recorder) = start(&[service("one", &[at(server.address)], &probe)]);
        let head = heads.recv_timeout(LONG).unwrap();
        let host = host.map_or_else(|| server.address.to_string(), str::to_owned);
        assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nhost: {host}\r\nuser-agent: tulle-health\r\n")), "{head}");
        health.stop();
    }
}

#[test]
fn connections_alone() {
    let nobody = Nobody::new();
    let silent = Server::new(|mut stream, _| {
        let _until_the_check_ends = stream.read(&mut [0]);
    });
    let probe = json!({ "kind": "tcp" });
    let tcp = [("/protocol", json!("tcp"))];
    let services = [
        with(service("silent", &[at(silent.address)], &probe), &tcp),
        with(service("nobody", &[at(nobody.address)], &probe), &tcp),
    ];
    all_are(&services, &[("silent", WELL), ("nobody", unwell(Why::Refused))]);
}

#[test]
fn a_connection_says_that_it_is_our_own() {
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    for (version, expected) in [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", local)] {
        let (told, headers) = sync_channel(100);
        let server = Server::new(move |mut stream, _| {
            let mut all = Vec::new();
            let _reset = stream.read_to_end(&mut all);
            let _enough = told.try_send(all);
        });
        let changes = [("/protocol", json!("tcp")), ("/sendProxyProtocol", json!(version))];
        let asked = with(service("one", &[at(server.address)], &json!({ "kind": "tcp" })), &changes);
        let (health, recorder) = start(&[asked]);
        assert_eq!(headers.recv_timeout(LONG).unwrap(), expected);
        recorder.wait_checks("one", 3);
        assert!(changes_of(&recorder).is_empty());
        health.stop();
    }
}

fn changes_of(recorder: &Recorder) -> Vec<Verdict> {
    changes(&recorder.told(), "one")
}

#[test]
fn unix_sockets() {
    let path = std::env::temp_dir().join(format!("tulle-health-{}.sock", std::process::id()));
    let _none = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        for _ in 0..4 {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(read_head(&mut stream).contains("\r\nhost: localhost\r\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    let unix = |path: &std::path::Path| json!({ "kind": "unix", "path": path });
    let (health, recorder) = start(&[
        service("here", &[unix(&path)], &get("/")),
        service("missing", &[unix(&path.with_extension("none"))], &get("/")),
    ]);
    recorder.wait("here", |told| checks(told, "here") >= 4);
    server.join().unwrap();
    assert_eq!(recorder.wait_change("missing"), unwell(Why::Refused));
    // The server is gone, its socket is still there.
    assert_eq!(recorder.wait_change("here"), unwell(Why::Refused));
    let well = recorder.told().iter().filter(|told| **told == Told::Checked("here".into(), WELL)).count();
    assert_eq!(well, 4);
    health.stop();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn it_takes_so_many_in_a_row() {
    // Two failures, a success, and so on; then three failures; then well.
    let fails = |number: usize| match number {
        0..12 => number % 3 != 2,
        12..15 => true,
        _ => false,
    };
    let server = Server::new(move |mut stream, number| {
        read_head(&mut stream);
        let status = if fails(number) { 503 } else { 200 };
        let _gone = stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").as_bytes());
    });
    let (health, recorder) = start(&[service("one", &[at(server.address)], &get("/"))]);
    recorder.wait("both changes", |told| changes(told, "one").len() == 2);
    let told = recorder.told();
    assert_eq!(changes(&told, "one"), [unwell(Why::Status), WELL]);
    let at = |verdict| told.iter().position(|told| *told == Told::Changed("one".into(), verdict)).unwrap();
    // With the 15th check, which is told before it; and two later.
    assert_eq!((at(unwell(Why::Status)), at(WELL)), (15, 18));
    health.stop();
}
