//! Faults: who meets them, how often, and bodies at a given rate.

use crate::fixture::Headers;
use tulle_decide::chance::again;
use tulle_decide::fault::{Abort, Fault, Injected, Pace};
use tulle_snapshot::wire::{self, FaultAbort, FaultBandwidth, FaultDelay, HeaderMatch};

const SECOND: u64 = 1_000_000_000;

fn fault(delay: u32, abort: u32, bandwidth: u32) -> wire::Fault {
    wire::Fault {
        headers: Vec::new(),
        delay: Some(FaultDelay { per_million: delay, duration_ms: 300 }),
        abort: Some(FaultAbort { per_million: abort, status: 503, grpc_status: Some(14) }),
        bandwidth: Some(FaultBandwidth { per_million: bandwidth, bytes_per_second: 1000 }),
    }
}

fn decide(fault: &Fault, random: u64) -> Injected {
    fault.decide(&Headers::default(), random)
}

#[test]
fn all_three_are_injected_as_written() {
    let all = Injected {
        delay_ns: Some(300_000_000),
        abort: Some(Abort { status: 503, grpc_status: Some(14) }),
        bytes_per_second: Some(1000),
    };
    let everything = Fault::new(&fault(1_000_000, 1_000_000, 1_000_000));
    let nothing = Fault::new(&fault(0, 0, 0));
    let empty = Fault::new(&wire::Fault { headers: Vec::new(), delay: None, abort: None, bandwidth: None });
    for random in [0, 1, u64::MAX / 3, u64::MAX] {
        assert_eq!(decide(&everything, random), all);
        assert_eq!(decide(&nothing, random), Injected::default());
        assert_eq!(decide(&empty, random), Injected::default());
    }
}

#[test]
fn only_requests_with_all_the_headers_meet_it() {
    let wanted = |name: &str, value: &str| HeaderMatch { name: name.to_owned(), value: value.to_owned() };
    let wire = wire::Fault {
        headers: vec![wanted("x-chaos", "yes"), wanted("x-user", "ann")],
        ..fault(0, 1_000_000, 0)
    };
    let fault = Fault::new(&wire);
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[("x-chaos", "yes"), ("x-user", "ann")], true),
        (&[("x-chaos", "yes")], false),
        (&[("x-chaos", "no"), ("x-user", "ann")], false),
        (&[], false),
    ];
    for (headers, met) in cases {
        let fields = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(fault.decide(&Headers(fields.collect()), 7).abort.is_some(), *met, "{headers:?}");
    }
}

#[test]
fn shares_are_kept_and_independent() {
    let fault = Fault::new(&fault(500_000, 500_000, 500_000));
    let mut counts = [0_u32; 8];
    let mut random = 1;
    for _ in 0..80_000 {
        random = again(random);
        let met = decide(&fault, random);
        let index = usize::from(met.delay_ns.is_some())
            + 2 * usize::from(met.abort.is_some())
            + 4 * usize::from(met.bytes_per_second.is_some());
        counts[index] += 1;
    }
    // Each of the eight combinations is as likely: 10,000, give or take five standard deviations of 94.
    assert!(counts.iter().all(|count| count.abs_diff(10_000) < 470), "{counts:?}");
}

/// Sends a body as fast as the pace lets it, with timers that are `late`; the nanoseconds taken and the pieces sent.
fn send(rate: u32, body: u64, late: u64) -> (u64, Vec<usize>) {
    let begin = 5 * SECOND;
    let mut pace = Pace::new(rate, begin);
    let (mut now, mut left, mut pieces) = (begin, body, Vec::new());
    while left > 0 {
        let may = pace.allowance(now);
        if may == 0 {
            assert!(pace.next() > now, "nothing may go, and nothing to wait for");
            now = pace.next() + late;
            continue;
        }
        let piece = may.min(usize::try_from(left).unwrap());
        pace.spend(piece);
        left -= piece as u64;
        pieces.push(piece);
    }
    (now - begin, pieces)
}

#[test]
fn bodies_take_as_long_as_their_rate_says() {
    let cases: &[(u32, u64)] = &[(1, 5), (7, 70), (1000, 10_000), (100_000, 1 << 20), (u32::MAX, 1 << 33)];
    for (rate, body) in cases {
        for late in [0, 1_000_000, 40_000_000] {
            let (took, pieces) = send(*rate, *body, late);
            let exact = body * SECOND / u64::from(*rate);
            // The last piece may wait for bytes that are not there: a tenth of a second.
            let slack = (SECOND / 10).max(SECOND / u64::from(*rate)) + late;
            assert!(took + 1 >= exact && took <= exact + slack, "{body} at {rate}: {took} for {exact}");
            let smallest = pieces.iter().rev().skip(1).min().copied().unwrap_or(usize::MAX);
            assert!(smallest >= (*rate as usize / 10).clamp(1, 16 * 1024), "{rate}: pieces of {smallest}");
        }
    }
}

#[test]
fn a_pause_earns_no_burst() {
    let mut pace = Pace::new(100_000, 0);
    assert_eq!(pace.allowance(SECOND / 20), 0);
    assert_eq!(pace.allowance(3600 * SECOND), 20_000);
    pace.spend(20_000);
    assert_eq!(pace.allowance(3600 * SECOND), 0);
    assert_eq!(pace.next(), 3600 * SECOND + SECOND / 10);
    // Sending more than allowed is paid for.
    pace.spend(10_000);
    assert_eq!(pace.next(), 3600 * SECOND + SECOND / 5);
}
