//! When checks happen, how many at a time, and that nothing happens without them.

use super::peers::{Server, listen};
use super::*;
use crate::health::thread::Thread;
use crate::random::Random;
use std::io::Read;

#[test]
fn without_traffic_endpoints_are_asked_once_and_with_it_at_once() {
    let server = Server::text("HTTP/1.1 204 x\r\n\r\n");
    let slower = [("/healthCheck/idleIntervalMs", json!(3_600_000))];
    let recorder = Recorder::new();
    recorder.traffic.store(false, Ordering::Relaxed);
    let health = Health::start(Arc::clone(&recorder) as Arc<dyn Listener>).unwrap();
    health.apply(&running(&[with(service("one", &[at(server.address)], &get("/")), &slower)]));
    recorder.wait_checks("one", 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(checks(&recorder.told(), "one"), 1);
    recorder.traffic.store(true, Ordering::Relaxed);
    recorder.wait_checks("one", 5);
    health.stop();
}

/// Prepared, and driven by the test itself.
fn thread(services: &[Value]) -> (Thread, Arc<Recorder>) {
    let recorder = Recorder::new();
    let mailbox = Arc::new(Mailbox { mail: Mutex::default(), waker: Waker::new().unwrap() });
    let listener = Arc::clone(&recorder) as Arc<dyn Listener>;
    let mut thread = Thread::new(mailbox, listener, Random::seeded(1)).unwrap();
    assert_eq!(thread.next_wake(), None);
    thread.mailbox.tell(|mail| mail.running = Some(running(services)));
    thread.read_mail();
    (thread, recorder)
}

#[test]
fn no_more_than_so_many_are_under_way() {
    const SERVICES: usize = 300;
    let silent = listen();
    let address = [at(silent.local_addr().unwrap())];
    let changes = [("/healthCheck/timeoutMs", json!(200)), ("/healthCheck/intervalMs", json!(50))];
    let named = |index: usize| with(service(&format!("s{index}"), &address, &get("/")), &changes);
    let (mut thread, recorder) = thread(&(0..SERVICES).map(named).collect::<Vec<_>>());
    let (end, mut most) = (crate::clock::now().after(LONG), 0);
    let all = |told: &[Told]| (0..SERVICES).all(|index| checks(told, &format!("s{index}")) > 0);
    while !all(&recorder.told()) {
        assert!(crate::clock::now() < end);
        thread.turn();
        most = most.max(thread.conversations.len());
    }
    assert_eq!(most, 256);
    let timeout = |told: &Told| match told {
        Told::Checked(_, verdict) | Told::Changed(_, verdict) => *verdict == Verdict::Unwell(Why::Timeout),
        Told::Forgotten(_) => false,
    };
    assert!(recorder.told().iter().all(timeout));
}

#[test]
fn a_thread_with_nothing_to_check_sleeps() {
    let server = Server::text("");
    let unchecked = with(service("one", &[at(server.address)], &get("/")), &[("/healthCheck", json!(null))]);
    let checked = service("one", &[at(server.address)], &get("/"));
    for (services, sleeps) in [(vec![], true), (vec![unchecked], true), (vec![checked], false)] {
        assert_eq!(thread(&services).0.next_wake().is_none(), sleeps);
    }
}

#[test]
fn stop_does_not_wait_for_checks() {
    let server = Server::new(|mut stream, _| {
        let _until_the_check_ends = stream.read_to_end(&mut Vec::new());
    });
    let patient = [("/healthCheck/timeoutMs", json!(3_600_000))];
    let (health, _recorder) = start(&[with(service("one", &[at(server.address)], &get("/")), &patient)]);
    let end = crate::clock::now().after(LONG);
    while server.accepted() == 0 && crate::clock::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.accepted(), 1);
    health.stop();
    health.stop();
    assert!(crate::clock::now() < end);
}
