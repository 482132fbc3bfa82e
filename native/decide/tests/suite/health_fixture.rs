//! Questions of services, and answers as servers give them.

use crate::fixture::service;
use crate::h2_fixture as frames;
use std::time::Duration;
use tulle_decide::h2::Millis;
use tulle_decide::health::{Dialogue, Peer, Question, Verdict};
use tulle_snapshot::wire::{HealthCheck, HealthProbe, ServiceProtocol};

pub(crate) const PEER: Peer<'static> =
    Peer { authority: "127.0.0.1:19001", secure: false, timeout: Duration::from_secs(2) };

/// Every 5 s, 60 s without traffic; 3 down, 2 up.
pub(crate) fn check(probe: HealthProbe) -> HealthCheck {
    HealthCheck {
        probe,
        interval_ms: 5_000,
        idle_interval_ms: 60_000,
        timeout_ms: 2_000,
        unhealthy_after: 3,
        healthy_after: 2,
    }
}

pub(crate) fn http(host: Option<&str>) -> HealthProbe {
    HealthProbe::Http { path: "/healthz?deep=1".to_owned(), host: host.map(str::to_owned) }
}

pub(crate) fn grpc(service: &str) -> HealthProbe {
    HealthProbe::Grpc { service: service.to_owned() }
}

pub(crate) fn question(probe: HealthProbe, protocol: ServiceProtocol) -> Question {
    let mut asked = service("one");
    (asked.protocol, asked.health_check) = (protocol, Some(check(probe)));
    Question::new(&asked).unwrap()
}

pub(crate) fn dialogue(probe: HealthProbe, protocol: ServiceProtocol) -> Dialogue {
    Dialogue::new(&question(probe, protocol), &PEER, 7).unwrap()
}

/// What an answer comes to that arrives so many bytes at a time; none: it is not complete.
pub(crate) fn hear(dialogue: &mut Dialogue, answer: &[u8], chunk: usize) -> Option<Verdict> {
    answer.to_vec().chunks_mut(chunk).find_map(|part| dialogue.receive(part, Millis(1)))
}

/// A server's SETTINGS, then what the first stream gets.
pub(crate) fn stream(parts: &[Vec<u8>]) -> Vec<u8> {
    [frames::settings(&[]), parts.concat()].concat()
}

pub(crate) fn head(flags: u8, lines: &[(&str, &str)]) -> Vec<u8> {
    frames::frame(frames::HEADERS, flags | frames::WHOLE, 1, &frames::block(lines))
}

/// An answer of gRPC: its message, prefix included, and its trailers.
pub(crate) fn grpc_answer(message: &[u8], trailers: &[(&str, &str)]) -> Vec<u8> {
    stream(&[
        head(0, &[(":status", "200"), ("content-type", "application/grpc+proto")]),
        frames::data(1, 0, message),
        head(frames::END, trailers),
    ])
}
