//! What configurations change: endpoints that come, go, stay, or are asked something else.

use super::peers::{Nobody, Server, read_head};
use super::*;
use std::io::Write;

/// 204 to `/well`, 500 to everything else.
fn by_path() -> Server {
    Server::new(|mut stream, _| {
        let status = if read_head(&mut stream).starts_with("GET /well ") { "204" } else { "500" };
        let _gone = stream.write_all(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes());
    })
}

fn forgotten(told: &[Told], service: &str) -> usize {
    told.iter().filter(|told| matches!(told, Told::Forgotten(name) if name == service)).count()
}

#[test]
fn endpoints_come_and_go_and_others_keep_their_state() {
    let (down, well, late) = (by_path(), Server::text("HTTP/1.1 204 x\r\n\r\n"), by_path());
    let (health, recorder) = start(&[
        service("one", &[at(down.address), at(well.address)], &get("/")),
        service("two", &[], &get("/")),
    ]);
    assert_eq!(recorder.wait_change("one"), Verdict::Unwell(Why::Status));

    // The well one goes, another service gets its first; what is known of the other stays.
    health.apply(&running(&[
        service("one", &[at(down.address)], &get("/")),
        service("two", &[at(late.address)], &get("/well")),
    ]));
    recorder.wait("gone", |told| forgotten(told, "one") == 1);
    recorder.wait_checks("two", 1);
    let accepted = well.accepted();
    recorder.wait_checks("one", 6);
    assert_eq!(changes(&recorder.told(), "one").len(), 1);
    assert_eq!(well.accepted(), accepted);
    assert_eq!(
        recorder
            .told
            .lock()
            .unwrap()
            .iter()
            .filter(|(told, _)| matches!(told, Told::Forgotten(_)))
            .map(|(_, address)| address.clone())
            .collect::<Vec<_>>(),
        [Address::Tcp(well.address)]
    );

    // The whole service goes; the other one stays without checks.
    health.apply(&running(&[with(
        service("two", &[at(late.address)], &get("/well")),
        &[("/healthCheck", json!(null))],
    )]));
    recorder.wait("all gone", |told| forgotten(told, "one") == 2 && forgotten(told, "two") == 1);
    let before = recorder.told().len();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(recorder.told().len(), before);
    health.stop();
}

#[test]
fn what_is_known_holds_until_something_else_is_asked() {
    let server = by_path();
    let asked = |path: &str| service("one", &[at(server.address)], &get(path));
    let (health, recorder) = start(&[asked("/")]);
    assert_eq!(recorder.wait_change("one"), Verdict::Unwell(Why::Status));
    // How often is not what.
    health.apply(&running(&[with(
        asked("/"),
        &[
            ("/healthCheck/intervalMs", json!(20)),
            ("/healthCheck/idleIntervalMs", json!(20)),
            ("/healthCheck/timeoutMs", json!(4000)),
        ],
    )]));
    recorder.wait_checks("one", 5);
    assert_eq!(changes(&recorder.told(), "one").len(), 1);
    assert_eq!(forgotten(&recorder.told(), "one"), 0);
    // Another path says nothing about the first.
    health.apply(&running(&[asked("/well")]));
    recorder.wait("asked anew", |told| forgotten(told, "one") == 1);
    recorder.wait_checks("one", 4);
    assert_eq!(changes(&recorder.told(), "one").len(), 1);
    // It was healthy anew, not unhealthy and recovered: failing takes as many as ever.
    health.apply(&running(&[asked("/again")]));
    recorder.wait("down again", |told| changes(told, "one").len() == 2);
    let told = recorder.told();
    let anew = told.iter().rposition(|told| matches!(told, Told::Forgotten(_))).unwrap();
    assert_eq!(checks(&told[anew..], "one"), 3);
    health.stop();
}

#[test]
fn a_check_under_way_ends_with_its_endpoint() {
    let nobody = Nobody::new();
    let silent = Server::new(|mut stream, _| {
        read_head(&mut stream);
        read_head(&mut stream); // until the check ends
    });
    let patient = [("/healthCheck/timeoutMs", json!(3_600_000))];
    let (health, recorder) = start(&[with(service("one", &[at(silent.address)], &get("/")), &patient)]);
    let end = crate::clock::now().after(LONG);
    while silent.accepted() == 0 && crate::clock::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((silent.accepted(), recorder.told()), (1, vec![]));
    health.apply(&running(&[service("two", &[at(nobody.address)], &get("/"))]));
    assert_eq!(recorder.wait_change("two"), Verdict::Unwell(Why::Refused));
    assert_eq!((forgotten(&recorder.told(), "one"), checks(&recorder.told(), "one")), (1, 0));
    health.stop();
}

#[test]
fn an_address_that_stands_twice_is_one_endpoint() {
    let server = by_path();
    let (health, recorder) = start(&[service("one", &[at(server.address), at(server.address)], &get("/"))]);
    recorder.wait_change("one");
    recorder.wait_checks("one", 6);
    assert_eq!(changes(&recorder.told(), "one").len(), 1);
    health.stop();
}
