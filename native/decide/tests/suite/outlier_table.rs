//! Each rule of ejection, as a table.

use tulle_decide::outlier::{
    Accrual, Cause, Change, Outcome, OutlierPolicy, Standing, State, Streak, Tally, Window, is_error,
};
use tulle_decide::retry::Failure;
use tulle_snapshot::wire::{OutlierDetection, SuccessRate};

const SECOND: u64 = 1_000_000_000;
/// Neither longer nor shorter.
const EXACT: u64 = u64::MAX / 2;

pub(crate) fn wire() -> OutlierDetection {
    OutlierDetection {
        consecutive_errors: 5,
        success_rate: Some(SuccessRate { percent: 80, window_ms: 10_000, min_requests: 20 }),
        base_ejection_ms: 1000,
        max_ejection_ms: 60_000,
        max_ejected_percent: 50,
    }
}

pub(crate) fn policy() -> OutlierPolicy {
    OutlierPolicy::new(&wire())
}

fn tally(successes: u64, failures: u64) -> Tally {
    Tally { successes, failures }
}

#[test]
fn what_is_an_error_of_an_endpoint() {
    for failure in [Failure::Connect, Failure::Reset, Failure::PerTryTimeout] {
        assert_eq!(is_error(Outcome::Failed(failure)), Some(true), "{failure:?}");
    }
    for status in 100..=700 {
        let expected = Some((500..600).contains(&status));
        assert_eq!(is_error(Outcome::Http(status)), expected, "{status}");
        assert_eq!(is_error(Outcome::Failed(Failure::Status(status))), expected, "{status}");
    }
    for status in 0..=u8::MAX {
        let expected = Some([2, 4, 13, 14, 15].contains(&status));
        assert_eq!(is_error(Outcome::Grpc(status)), expected, "{status}");
        assert_eq!(is_error(Outcome::Failed(Failure::Grpc(status))), expected, "{status}");
    }
    assert_eq!(is_error(Outcome::Ours), None);
}

#[test]
fn errors_in_a_row() {
    for (limit, errors, ejected) in
        [(5, 0, false), (5, 4, false), (5, 5, true), (5, 6, true), (1, 1, true), (0, 1_000_000, false)]
    {
        let policy = OutlierPolicy::new(&OutlierDetection { consecutive_errors: limit, ..wire() });
        let change = Accrual::new(0).errors_in_a_row(errors, &policy, SECOND, EXACT);
        let expected = Change::Ejected { until_ns: 2 * SECOND, why: Cause::Errors(errors), times: 1 };
        assert_eq!(change, ejected.then_some(expected), "{limit} {errors}");
    }
}

#[test]
fn a_low_share_of_successes_of_enough_requests() {
    let never = OutlierPolicy::new(&OutlierDetection { success_rate: None, ..wire() });
    for (successes, failures, ejected) in [
        (0, 0, false),
        (0, 19, false),
        (0, 20, true),
        (16, 4, false),
        (15, 5, true),
        (800, 200, false),
        (799, 201, true),
        (u64::MAX, 1, false),
    ] {
        let tally = tally(successes, failures);
        let change = Accrual::new(0).window(tally, &policy(), SECOND, EXACT);
        let expected = Change::Ejected { until_ns: 2 * SECOND, why: Cause::SuccessRate(tally), times: 1 };
        assert_eq!(change, ejected.then_some(expected), "{tally:?}");
        assert_eq!(Accrual::new(0).window(tally, &never, SECOND, EXACT), None);
    }
    assert!(never.window().is_none() && policy().window().is_some());
}

#[test]
fn causes_have_names() {
    assert_eq!(Cause::Errors(5).code(), "consecutive_errors");
    assert_eq!(Cause::SuccessRate(tally(1, 2)).code(), "success_rate");
}

#[test]
fn the_way_out_and_back() {
    let (policy, mut one) = (policy(), Accrual::new(0));
    assert_eq!((one.state(), one.is_out()), (State::In, false));
    assert!(one.errors_in_a_row(5, &policy, 0, EXACT).is_some());
    let until_ns = SECOND;
    assert_eq!((one.state(), one.is_out()), (State::Ejected { until_ns }, true));
    // Whatever comes of requests that it should not get.
    assert_eq!(one.errors_in_a_row(50, &policy, 1, EXACT), None);
    assert_eq!(one.window(tally(0, 50), &policy, 1, EXACT), None);
    assert_eq!(one.probe(true, &policy, 1, EXACT), None);
    assert!(!one.take_probe(1));
    assert_eq!(one.tick(until_ns - 1), None);
    assert_eq!(one.tick(until_ns), Some(Change::ProbeDue));
    assert_eq!(one.tick(until_ns + 1), None, "said once");
    assert_eq!(one.probe(true, &policy, until_ns, EXACT), None, "none is under way");
    assert!(one.take_probe(SECOND));
    assert!(!one.take_probe(SECOND), "one only");
    assert!(one.is_out());
    assert_eq!(one.probe(true, &policy, SECOND, EXACT), Some(Change::Readmitted));
    assert_eq!((one.state(), one.is_out()), (State::In, false));
    assert_eq!(one.probe(false, &policy, SECOND, EXACT), None, "a late one says nothing");
}

#[test]
fn a_probe_that_says_nothing_is_made_again() {
    let (policy, mut one) = (policy(), Accrual::new(0));
    assert!(one.errors_in_a_row(5, &policy, 0, EXACT).is_some());
    one.probe_abandoned();
    assert!(!one.take_probe(1), "that was none");
    assert_eq!(one.tick(SECOND), Some(Change::ProbeDue));
    assert!(one.take_probe(SECOND));
    one.probe_abandoned();
    assert!(one.take_probe(2 * SECOND));
    assert_eq!(one.tick(62 * SECOND - 1), None);
    assert!(!one.take_probe(62 * SECOND - 1));
    assert_eq!(one.tick(62 * SECOND), Some(Change::ProbeDue), "lost");
    assert!(one.take_probe(62 * SECOND));
    let again = one.probe(false, &policy, 62 * SECOND, EXACT);
    assert_eq!(again, Some(Change::EjectedAgain { until_ns: 64 * SECOND, times: 2 }));
}

#[test]
fn each_ejection_lasts_twice_as_long_up_to_the_longest() {
    let (policy, mut one) = (policy(), Accrual::new(0));
    assert!(one.errors_in_a_row(5, &policy, 0, EXACT).is_some());
    let mut now = SECOND;
    for (times, seconds) in [(2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (7, 60), (7, 60)] {
        assert_eq!(one.tick(now), Some(Change::ProbeDue));
        assert!(one.take_probe(now));
        let Some(Change::EjectedAgain { until_ns, times: said }) = one.probe(false, &policy, now, EXACT)
        else {
            panic!("it failed")
        };
        assert_eq!(said, times);
        assert_eq!(policy.ejection_ns(times), seconds * SECOND);
        let tenth = seconds * SECOND / 10;
        let expected = if times < 7 { seconds * SECOND } else { seconds * SECOND - tenth / 2 };
        assert!((until_ns - now).abs_diff(expected) <= 1, "{times}: {}", until_ns - now);
        now = until_ns;
    }
    assert_eq!(policy.ejection_ns(u32::MAX), 60 * SECOND);
}

#[test]
fn an_ejection_is_a_tenth_longer_or_shorter() {
    let lasts = |random, base_ms| {
        let wire = OutlierDetection { base_ejection_ms: base_ms, ..wire() };
        match Accrual::new(0).errors_in_a_row(5, &OutlierPolicy::new(&wire), 0, random) {
            Some(Change::Ejected { until_ns, .. }) => until_ns / 1_000_000,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([0, u64::MAX].map(|random| lasts(random, 1000)), [900, 1100]);
    assert_eq!(
        [0, u64::MAX].map(|random| lasts(random, 58_000)),
        [52_200, 60_000],
        "never beyond the longest"
    );
    assert_eq!([0, u64::MAX].map(|random| lasts(random, 60_000)), [54_000, 60_000]);
    assert_eq!([0, u64::MAX].map(|random| lasts(random, 1)), [0, 1]);
}

#[test]
fn good_behaviour_is_forgiven_as_long_as_the_ejection_was() {
    let (policy, mut one) = (policy(), Accrual::new(0));
    assert!(one.errors_in_a_row(5, &policy, 0, EXACT).is_some());
    let mut now = SECOND;
    for _ in 0..5 {
        let _ = one.tick(now);
        assert!(one.take_probe(now));
        let Some(Change::EjectedAgain { until_ns, .. }) = one.probe(false, &policy, now, EXACT) else {
            panic!("it failed")
        };
        now = until_ns;
    }
    assert_eq!(one.times(&policy, now + 1000 * SECOND), 6, "being out is no good behaviour");
    let _ = one.tick(now);
    assert!(one.take_probe(now));
    assert_eq!(one.probe(true, &policy, now, EXACT), Some(Change::Readmitted));
    let forgiven = [(0, 6), (31, 6), (32, 5), (47, 5), (48, 4), (58, 3), (68, 2), (78, 1), (87, 1), (88, 0)];
    for (seconds, times) in forgiven {
        let later = now + seconds * SECOND;
        assert_eq!(one.times(&policy, later), times, "{seconds}");
        let next = one.clone().errors_in_a_row(5, &policy, later, EXACT);
        let Some(Change::Ejected { times: said, .. }) = next else { panic!("{next:?}") };
        assert_eq!(said, times + 1, "{seconds}");
    }
}

#[test]
fn the_panic_threshold() {
    let cases = [
        // Of the share: more than it, not as much as it.
        (10, 0, 0, 50, false),
        (10, 5, 0, 50, false),
        (10, 6, 0, 50, true),
        (2, 1, 0, 50, false),
        (3, 1, 0, 50, false),
        (3, 2, 0, 50, true),
        (3, 1, 0, 33, true),
        (10, 1, 0, 0, true),
        (10, 0, 0, 0, false),
        // Nobody left.
        (1, 1, 0, 100, true),
        (10, 9, 0, 100, false),
        (10, 10, 0, 100, true),
        (4, 2, 2, 50, true),
        (4, 2, 1, 50, false),
        // Nobody is ejected: there is nobody to use again.
        (4, 0, 4, 50, false),
        (0, 0, 0, 50, false),
    ];
    for (total, ejected, unhealthy, percent, panics) in cases {
        let policy = OutlierPolicy::new(&OutlierDetection { max_ejected_percent: percent, ..wire() });
        let standing = Standing { total, ejected, unhealthy };
        assert_eq!(policy.panics(standing), panics, "{standing:?} {percent}");
    }
}

#[test]
fn a_window_forgets_by_tenths() {
    let mut window = Window::new(10 * SECOND);
    for second in 0..10 {
        window.add(3, 1, second * SECOND);
    }
    let left = [(9, 10), (10, 9), (12, 7), (18, 1), (19, 0), (1_000_000, 0)];
    for (second, buckets) in left {
        assert_eq!(window.tally(second * SECOND), tally(3 * buckets, buckets), "{second}");
    }
    window.add(1, 2, 1_000_000 * SECOND);
    window.add(1, 2, 1_000_000 * SECOND - 1);
    assert_eq!(window.tally(0), tally(2, 4), "a clock that lags neither loses nor forgets");
    window.clear();
    assert_eq!(window.tally(1_000_000 * SECOND), tally(0, 0));
    assert_eq!(size_of::<Window>(), 112);
}

#[test]
fn a_full_bucket_stays_full() {
    let mut window = Window::new(SECOND);
    window.add(u32::MAX, u32::MAX, 0);
    window.add(7, 7, 0);
    assert_eq!(window.tally(0), tally(u64::from(u32::MAX), u64::from(u32::MAX)));
    assert_eq!(window.tally(SECOND), tally(0, 0));
    // A window of nothing still counts.
    let mut short = Window::new(0);
    short.add(1, 0, 5);
    assert_eq!(short.tally(5), tally(1, 0));
}

#[test]
fn a_success_ends_a_row() {
    let streak = Streak::default();
    assert_eq!((1..=3).map(|_| streak.error()).collect::<Vec<_>>(), [1, 2, 3]);
    streak.success();
    assert_eq!(streak.now(), 0);
    assert_eq!(streak.error(), 1);
}

/// An endpoint that only drains takes nothing over from one that is ejected.
#[test]
fn those_without_a_share_count_only_where_none_has_one() {
    let count = |endpoints: &[(u32, bool, bool)]| {
        let Standing { total, ejected, unhealthy } = Standing::count(endpoints.iter().copied());
        (total, ejected, unhealthy)
    };
    assert_eq!(count(&[]), (0, 0, 0));
    assert_eq!(count(&[(0, true, false), (1, true, true)]), (1, 1, 0));
    assert_eq!(count(&[(0, false, true), (1, true, false), (5, false, true)]), (2, 0, 1));
    assert_eq!(count(&[(0, true, false), (0, true, true), (0, false, false)]), (3, 1, 1));
}
