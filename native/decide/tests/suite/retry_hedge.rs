//! When hedging begins, what it costs at most, and how it follows a change.

use crate::counting::allocations;
use crate::sim_retry::Random;
use tulle_decide::retry::Hedger;
use tulle_snapshot::wire::Hedge;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn hedger(percentile: u32, max_percent: u32) -> Hedger {
    Hedger::new(Hedge { percentile, max_percent }, 0)
}

#[test]
fn there_is_no_delay_before_a_hundred_samples() {
    let mut hedger = hedger(95, 5);
    for _ in 0..99 {
        hedger.observe(10 * MS, 0);
        assert!(hedger.delay(0).is_none() && !hedger.may(0));
    }
    hedger.observe(10 * MS, 0);
    assert!(hedger.delay(0).is_some() && hedger.may(0));
}

/// At most an eighth above the exact percentile, and not below it.
#[test]
fn the_delay_is_the_percentile_or_little_more() {
    for percentile in [50, 75, 90, 95, 99] {
        for scale in [20_000, MS, 37 * MS, SECOND] {
            let mut hedger = hedger(percentile, 5);
            let mut random = Random(7);
            let mut samples: Vec<u64> = (0..2000).map(|_| scale + random.next() % (3 * scale)).collect();
            for sample in &samples {
                hedger.observe(*sample, 0);
            }
            samples.sort_unstable();
            // The delay may be as old as 31 samples; that is less than these ranks to either side.
            let rank = 2000 * percentile as usize / 100;
            let (low, high) = (samples[rank.saturating_sub(32)], samples[(rank + 32).min(1999)]);
            let delay = hedger.delay(0).unwrap();
            assert!(delay >= low && delay <= high + high / 8, "{percentile} {scale}: {low} {delay} {high}");
        }
    }
}

#[test]
fn latencies_of_any_size_have_a_place() {
    for (latency, delay) in
        [(0, 18_432), (1, 18_432), (16_384, 18_432), (u64::MAX, 1 << 37), (1 << 37, 1 << 37)]
    {
        let mut hedger = hedger(95, 5);
        (0..100).for_each(|_| hedger.observe(latency, 0));
        assert_eq!(hedger.delay(0), Some(delay), "{latency}");
    }
}

/// Every latency is below the delay that it alone would make, and within an eighth of it.
#[test]
fn bounds_are_above_their_latencies() {
    for octave in 14..37 {
        for eighth in 0..64 {
            let latency = (1_u64 << octave) + (eighth << octave >> 6);
            let mut hedger = hedger(95, 5);
            (0..100).for_each(|_| hedger.observe(latency, 0));
            let delay = hedger.delay(0).unwrap();
            assert!(delay > latency && delay - latency <= latency / 8 + 1, "{latency} {delay}");
        }
    }
}

#[test]
fn hedges_are_a_share_of_the_requests_and_few_are_saved_up() {
    for (max_percent, requests, hedges) in
        [(5, 100, 5), (5, 119, 5), (5, 120, 6), (5, 100_000, 10), (1, 199, 1), (100, 100, 10)]
    {
        let mut hedger = hedger(95, max_percent);
        (0..requests).for_each(|_| hedger.observe(MS, 0));
        assert_eq!((0..1000).filter(|_| hedger.may(0)).count(), hedges, "{max_percent} {requests}");
    }
    let mut hedger = hedger(95, 5);
    let mut made = 0;
    for requests in 1..10_000_usize {
        hedger.observe(MS, 0);
        made += usize::from(hedger.may(0));
        assert!(made * 20 <= requests);
    }
    assert!(made > 490, "{made}");
}

#[test]
fn a_change_is_followed_within_some_thousand_requests() {
    for (before, after) in [(10, 100), (100, 10)] {
        let mut hedger = hedger(95, 5);
        (0..100_000).for_each(|_| hedger.observe(before * MS, 0));
        let mut needed = 0;
        while hedger.delay(0).unwrap().abs_diff(after * MS) > after * MS / 8 {
            hedger.observe(after * MS, 0);
            needed += 1;
        }
        let most = if before < after { 300 } else { 8000 };
        assert!(needed <= most, "{before} {after}: {needed}");
    }
}

#[test]
fn what_is_old_is_forgotten() {
    let mut hedger = hedger(95, 5);
    (0..1000).for_each(|_| hedger.observe(10 * MS, 0));
    assert!(hedger.delay(89 * SECOND).is_some());
    assert!(hedger.delay(120 * SECOND).is_none(), "an eighth and less says nothing");
    assert!(!hedger.may(120 * SECOND));
    assert!(hedger.delay(1_000_000 * SECOND).is_none());
    (0..100).for_each(|_| hedger.observe(20 * MS, 1_000_000 * SECOND));
    assert!(hedger.delay(1_000_000 * SECOND).is_some_and(|delay| delay > 20 * MS));
}

#[test]
fn a_hedger_is_small_and_allocates_nothing() {
    assert!(size_of::<Hedger>() <= 512, "{}", size_of::<Hedger>());
    let mut hedger = hedger(95, 5);
    let before = allocations();
    for i in 0..10_000 {
        hedger.observe(i * 1000, i * MS);
        let _ = hedger.may(i * MS);
    }
    assert_eq!(allocations(), before);
}
