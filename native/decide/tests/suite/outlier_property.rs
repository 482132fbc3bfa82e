//! What holds of an endpoint's state whatever happens to it.

use crate::counting::allocations;
use crate::outlier_table::{policy, wire};
use proptest::prelude::*;
use tulle_decide::outlier::{Accrual, Change, OutlierPolicy, Standing, State, Tally, Window};
use tulle_snapshot::wire::OutlierDetection;

#[derive(Debug, Clone)]
enum Event {
    Errors(u32),
    Window(u32, u32),
    Tick,
    Take,
    Abandon,
    Outcome(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_u32..9).prop_map(Event::Errors),
        (0_u32..30, 0_u32..30).prop_map(|(s, f)| Event::Window(s, f)),
        Just(Event::Tick),
        Just(Event::Tick),
        Just(Event::Take),
        Just(Event::Abandon),
        any::<bool>().prop_map(Event::Outcome),
    ]
}

fn apply(one: &mut Accrual, event: &Event, policy: &OutlierPolicy, now: u64, random: u64) -> Option<Change> {
    match *event {
        Event::Errors(errors) => one.errors_in_a_row(errors, policy, now, random),
        Event::Window(successes, failures) => {
            let tally = Tally { successes: successes.into(), failures: failures.into() };
            one.window(tally, policy, now, random)
        }
        Event::Tick => one.tick(now),
        Event::Take => {
            let before = one.state();
            let taken = one.take_probe(now);
            assert_eq!(taken, before == State::Probing { since_ns: None });
            None
        }
        Event::Abandon => {
            one.probe_abandoned();
            None
        }
        Event::Outcome(success) => one.probe(success, policy, now, random),
    }
}

fn is_probing(state: State) -> bool {
    matches!(state, State::Probing { since_ns: Some(_) })
}

proptest! {
    #[test]
    fn every_change_is_one_that_may_follow(
        steps in proptest::collection::vec((event(), 0_u64..3_000, any::<u64>()), 1..100),
    ) {
        let policy = policy();
        let mut one = Accrual::new(0);
        let mut now = 0;
        for (event, pause_ms, random) in steps {
            now += pause_ms * 1_000_000;
            let (before, times) = (one.state(), one.times(&policy, now));
            let change = apply(&mut one, &event, &policy, now, random);
            let after = one.state();
            match change {
                None => prop_assert_eq!(before == State::In, after == State::In),
                Some(Change::Ejected { until_ns, times: said, .. }) => {
                    prop_assert_eq!((before, after), (State::In, State::Ejected { until_ns }));
                    prop_assert!(said == (times + 1).min(7) && until_ns > now);
                    let meant = policy.ejection_ns(said);
                    prop_assert!((until_ns - now).abs_diff(meant) <= meant / 10);
                    prop_assert!(until_ns - now <= 60_000_000_000);
                }
                Some(Change::EjectedAgain { until_ns, times: said }) => {
                    prop_assert!(is_probing(before));
                    prop_assert_eq!(after, State::Ejected { until_ns });
                    prop_assert!(said == (times + 1).min(7) && until_ns > now);
                }
                Some(Change::ProbeDue) => {
                    let over = matches!(before, State::Ejected { until_ns } if until_ns <= now);
                    prop_assert!(over || is_probing(before));
                    prop_assert_eq!(after, State::Probing { since_ns: None });
                }
                Some(Change::Readmitted) => {
                    prop_assert!(is_probing(before));
                    prop_assert_eq!(after, State::In);
                }
            }
        }
    }

    /// Wherever it is, an endpoint that does well from now on is back within its ejection and one probe.
    #[test]
    fn there_is_a_way_back_from_everywhere(
        steps in proptest::collection::vec((event(), 0_u64..3_000, any::<u64>()), 0..40),
    ) {
        let policy = policy();
        let mut one = Accrual::new(0);
        let mut now = 0;
        for (event, pause_ms, random) in steps {
            now += pause_ms * 1_000_000;
            let _ = apply(&mut one, &event, &policy, now, random);
        }
        // Longer than the longest ejection, and than a probe that is lost.
        now += 66_000_000_000;
        let _ = one.tick(now);
        if one.take_probe(now) {
            prop_assert_eq!(one.probe(true, &policy, now, 0), Some(Change::Readmitted));
        }
        prop_assert_eq!(one.state(), State::In);
    }

    #[test]
    fn a_window_counts_as_a_list_does(
        steps in proptest::collection::vec((0_u64..4_000, 0_u32..5, 0_u32..5), 1..100),
        length_ms in 10_u64..20_000,
    ) {
        let mut window = Window::new(length_ms * 1_000_000);
        let bucket = length_ms * 1_000_000 / 10;
        let mut list: Vec<(u64, u32, u32)> = Vec::new();
        let mut now = 0;
        for (pause_ms, successes, failures) in steps {
            now += pause_ms * 1_000_000;
            window.add(successes, failures, now);
            list.push((now / bucket, successes, failures));
            let recent = list.iter().filter(|(at, _, _)| at + 10 > now / bucket);
            let sums = recent.fold((0, 0), |sum, (_, s, f)| (sum.0 + u64::from(*s), sum.1 + u64::from(*f)));
            prop_assert_eq!(window.tally(now), Tally { successes: sums.0, failures: sums.1 });
        }
    }

    /// While a service does not panic, somebody is left, and no more are out than the share.
    #[test]
    fn without_panic_somebody_is_left(total in 1_u32..2000, out in 0_u32..2000, ill in 0_u32..2000, percent in 0_u32..=100) {
        let ejected = out.min(total);
        let unhealthy = ill.min(total - ejected);
        let policy = OutlierPolicy::new(&OutlierDetection { max_ejected_percent: percent, ..wire() });
        if policy.panics(Standing { total, ejected, unhealthy }) {
            prop_assert!(ejected > 0);
        } else {
            prop_assert!(ejected * 100 <= total * percent);
            prop_assert!(ejected == 0 || total - ejected - unhealthy > 0);
        }
    }
}

#[test]
fn states_and_windows_allocate_nothing() {
    let (policy, mut one, mut window) = (policy(), Accrual::new(0), policy().window().unwrap());
    let before = allocations();
    let mut changes = 0;
    for now in (0..100).map(|second| second * 1_000_000_000) {
        window.add(1, 9, now);
        changes += usize::from(one.window(window.tally(now), &policy, now, 7).is_some());
        changes += usize::from(one.tick(now).is_some());
        if one.take_probe(now) {
            changes += usize::from(one.probe(now % 3 == 0, &policy, now, 7).is_some());
        }
    }
    assert_eq!(allocations(), before);
    assert!(changes > 10, "{changes}");
}
