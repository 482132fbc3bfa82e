//! An answer to a health check, by the way that the first byte says, cut as the second one says: the verdict is the same
//! however it is cut, and a message of gRPC means the same behind a field that nobody knows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use tulle_decide::h2::Millis;
use tulle_decide::health::{Dialogue, Peer, Question, Verdict, serving_status};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{HealthCheck, HealthProbe, Service, ServiceProtocol};

fn service() -> Service {
    let golden = include_bytes!("../../../test/golden/edge.snapshot.json");
    let snapshot = Checked::parse(golden).expect("a golden snapshot");
    snapshot.services.first().expect("a service").clone()
}

fn hear(question: &Question, answer: &[u8], chunk: usize) -> Option<Verdict> {
    let peer = Peer { authority: "a.test", secure: false, timeout: Duration::from_secs(2) };
    let mut dialogue = Dialogue::new(question, &peer, 1).expect("something is asked");
    answer.to_vec().chunks_mut(chunk).find_map(|part| dialogue.receive(part, Millis(1)))
}

fuzz_target!(|data: &[u8]| {
    let [way, chunk, answer @ ..] = data else { return };
    let page = HealthProbe::Http { path: "/healthz".into(), host: None };
    let (probe, protocol) = match way % 3 {
        0 => (page, ServiceProtocol::Http),
        1 => (page, ServiceProtocol::Http2),
        _ => (HealthProbe::Grpc { service: "shop.Cart".into() }, ServiceProtocol::Grpc),
    };
    let check = HealthCheck {
        probe,
        interval_ms: 1000,
        idle_interval_ms: 1000,
        timeout_ms: 1000,
        unhealthy_after: 1,
        healthy_after: 1,
    };
    thread_local!(static SERVICE: Service = service());
    let question = SERVICE.with(|service| {
        Question::new(&Service { protocol, health_check: Some(check), ..service.clone() }).expect("a check")
    });
    let whole = hear(&question, answer, usize::MAX);
    assert_eq!(hear(&question, answer, usize::from(*chunk).max(1)), whole);
    if let Some(status) = serving_status(answer) {
        assert_eq!(serving_status(&[b"\x7a\x02hi", answer].concat()), Some(status));
    }
});
