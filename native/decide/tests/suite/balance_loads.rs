//! What is learned of endpoints: peaks, fading, waiting, failures, zones.
#![expect(clippy::cast_precision_loss, reason = "numbers of tests are small")]

use super::balance_fixture::{MS, SECOND, members, zoned};
use tulle_decide::balance::{Load, Loads, Outcome, Zone};

fn ms(loads: &Loads, endpoint: u32, now: u64) -> f32 {
    loads.latency(endpoint, now) / MS as f32
}

fn near(found: f32, expected: f32) -> bool {
    (found - expected).abs() <= expected * 0.02
}

#[test]
fn peaks_count_at_once_and_fade_slowly() {
    let mut loads = Loads::new(&members(&[1, 1]));
    loads.started(0, 0);
    loads.finished(0, 10 * MS, 10 * MS, Outcome::Success);
    assert!(near(ms(&loads, 0, 10 * MS), 10.0));
    loads.started(0, SECOND);
    loads.finished(0, SECOND + 300 * MS, 300 * MS, Outcome::Success);
    assert!(near(ms(&loads, 0, SECOND + 300 * MS), 300.0));
    // A second of good answers takes 63 % of it back.
    let mut now = SECOND + 300 * MS;
    for _ in 0..100 {
        loads.started(0, now);
        now += 10 * MS;
        loads.finished(0, now, 10 * MS, Outcome::Success);
    }
    assert!(near(ms(&loads, 0, now), 10.0 + 290.0 * (-1.0_f32).exp()), "{}", ms(&loads, 0, now));
    // In silence it fades towards what is usual.
    let (at, usual) = (ms(&loads, 0, now), ms(&loads, 1, now));
    let faded = usual + (at - usual) * (-1.0_f32).exp();
    assert!(usual > 20.0 && near(ms(&loads, 0, now + SECOND), faded), "{usual}");
}

#[test]
fn failures_and_retry_after_count_as_latency() {
    for (outcome, latency, expected) in [
        (Outcome::Failure, MS, 5_000.0),
        (Outcome::Failure, 8 * SECOND, 8_000.0),
        (Outcome::RetryAfter(2 * SECOND), MS, 2_000.0),
        (Outcome::RetryAfter(0), 7 * MS, 7.0),
        (Outcome::RetryAfter(u64::MAX), MS, 60_000.0),
        (Outcome::Success, u64::MAX, 60_000.0),
    ] {
        let mut loads = Loads::new(&members(&[1]));
        loads.started(0, 0);
        loads.finished(0, MS, latency, outcome);
        assert!(near(ms(&loads, 0, MS), expected), "{outcome:?}");
    }
}

#[test]
fn waiting_counts_as_long_as_it_lasts() {
    let mut loads = Loads::new(&members(&[1]));
    loads.started(0, 0);
    loads.finished(0, 5 * MS, 5 * MS, Outcome::Success);
    loads.started(0, SECOND);
    assert!(ms(&loads, 0, SECOND) < 5.1);
    assert!(near(ms(&loads, 0, 4 * SECOND), 3_000.0), "three seconds without any answer");
    // A second one does not make the first any younger; an answer does.
    loads.started(0, 4 * SECOND);
    assert!(near(ms(&loads, 0, 5 * SECOND), 4_000.0));
    loads.answered(0, 5 * SECOND, SECOND, Outcome::Success);
    assert!(near(ms(&loads, 0, 5 * SECOND), 1_000.0));
    // A stream that was answered is under way, and nobody waits.
    loads.abandoned(0);
    assert_eq!(loads.in_flight(0), 1);
    assert!(ms(&loads, 0, 60 * SECOND) < 500.0);
    loads.ended(0);
    assert_eq!(loads.in_flight(0), 0);
}

#[test]
fn who_is_not_known_is_as_usual() {
    let mut loads = Loads::new(&members(&[1; 12]));
    for now in 1..2000 {
        // Ten take 40 ms; one of them fails once.
        let endpoint = u32::try_from(now % 10).unwrap();
        let outcome = if now == 1111 { Outcome::Failure } else { Outcome::Success };
        loads.started(endpoint, now * MS);
        loads.finished(endpoint, now * MS, 40 * MS, outcome);
    }
    let usual = ms(&loads, 11, 2000 * MS);
    assert!((38.0..80.0).contains(&usual), "one outlier changes little: {usual}");
    assert!(near(ms(&loads, 99, 2000 * MS), usual));
}

#[test]
fn counts_hold_and_carry_over() {
    let mut loads = Loads::new(&members(&[1, 1]));
    loads.started(1, 0);
    loads.started(1, 0);
    loads.abandoned(1);
    loads.started(5, 0);
    loads.finished(5, 0, 0, Outcome::Failure);
    assert_eq!([loads.in_flight(0), loads.in_flight(1), loads.in_flight(5)], [0, 1, 0]);
    loads.finished(1, 30 * MS, 30 * MS, Outcome::Success);
    loads.started(1, 30 * MS);
    let mut next = Loads::new(&members(&[1, 1, 1]));
    next.set(2, loads.get(1));
    next.set_means(&loads);
    assert_eq!(next.in_flight(2), 1);
    assert_eq!(next.get(2), loads.get(1));
    assert!(near(ms(&next, 2, 30 * MS), 30.0) && near(ms(&next, 0, 30 * MS), 30.0));
    assert_eq!(loads.get(9), Load::default());
    // More ends than beginnings are none.
    for _ in 0..3 {
        next.abandoned(2);
        next.ended(2);
    }
    assert_eq!(next.in_flight(2), 0);
}

#[test]
fn the_own_zone_keeps_less_the_slower_it_is() {
    for (own, other, keeps) in
        [(10, 10, 1.0), (19, 10, 1.0), (43, 10, 0.5), (10_000, 10, 0.1), (10, 10_000, 1.0), (1, 0, 1.0)]
    {
        let mut loads = Loads::new(&zoned(&[1, 1], |e| if e == 0 { Zone::Own } else { Zone::Unknown }));
        loads.started(0, 0);
        loads.finished(0, MS, own * MS, Outcome::Success);
        assert!((loads.own_keeps() - 1.0).abs() < 1e-6, "of the others nothing is known");
        loads.started(1, 0);
        loads.finished(1, MS, other * MS, Outcome::Success);
        assert!((loads.own_keeps() - keeps).abs() < 0.01, "{own} {other}: {}", loads.own_keeps());
    }
}
