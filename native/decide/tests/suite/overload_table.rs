//! Who is let in, and how the limit moves, one step at a time.

use tulle_decide::overload::{Adaptive, Batch, Gate, Outcome, Pressure, admits};
use tulle_snapshot::wire::{AdaptiveLimit, Priority};

const MS: u64 = 1_000_000;

#[test]
fn low_goes_first_and_high_last() {
    use Pressure::{Full, None, Tight};
    use Priority::{High, Low, Normal};
    // How many of a limit of 100 may be under way.
    let cases = [
        (Low, None, 75),
        (Low, Tight, 0),
        (Low, Full, 0),
        (Normal, None, 90),
        (Normal, Tight, 50),
        (Normal, Full, 0),
        (High, None, 100),
        (High, Tight, 100),
        (High, Full, 50),
    ];
    for (priority, pressure, most) in cases {
        for in_flight in 0..=101 {
            let let_in = admits(priority, pressure, in_flight, 100);
            assert_eq!(let_in, in_flight < most, "{priority:?} {pressure:?} {in_flight}");
        }
        // One may always be under way, where any may; and nothing overflows without a limit.
        assert_eq!(admits(priority, pressure, 0, 1), most > 0, "{priority:?} {pressure:?}");
        assert_eq!(admits(priority, pressure, 1 << 30, u32::MAX), most > 0, "{priority:?} {pressure:?}");
    }
}

#[test]
fn pressure_is_a_share_of_the_bound() {
    use Pressure::{Full, None, Tight};
    let cases = [
        (0, 100, None),
        (74, 100, None),
        (75, 100, Tight),
        (94, 100, Tight),
        (95, 100, Full),
        (200, 100, Full),
    ];
    for (used, bound, expected) in cases {
        assert_eq!(Pressure::of(used, bound), expected, "{used} of {bound}");
    }
    assert_eq!(Pressure::of(u64::MAX, u64::MAX), Full);
    assert_eq!(Pressure::of(0, 0), Full);
    assert!(Full > Tight && Tight > None && Pressure::default() == None);
}

#[test]
fn gates_count_over_threads() {
    let gate = Gate::new(10);
    let entered: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..100).filter(|_| gate.enter(Priority::High, Pressure::None)).count()))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!((entered, gate.in_flight()), (10, 10));
    assert_eq!(gate.leave(), 10);
    assert!(!gate.enter(Priority::Normal, Pressure::None));
    assert!(gate.enter(Priority::High, Pressure::None));
    gate.set_limit(5);
    assert!(!gate.enter(Priority::High, Pressure::None));
    assert_eq!(gate.limit(), 5);
}

/// Folds windows of requests of one latency each, as many as there are by Little's law; the limit after each.
struct Driver {
    adaptive: Adaptive,
    now: u64,
}

impl Driver {
    fn new(min: u32, max: u32) -> Self {
        Self { adaptive: Adaptive::new(AdaptiveLimit { min, max }, 0), now: 0 }
    }

    fn window(&mut self, latency_ms: u64, in_flight: u32, outcome: Outcome) -> u32 {
        let mut batch = Batch::default();
        for _ in 0..u64::from(in_flight) * 1000 / latency_ms {
            batch.finished(latency_ms * MS, in_flight, outcome);
        }
        // A second of the same, by which any change has settled, and then one that counts.
        for _ in 0..2 {
            self.now += 1000 * MS;
            self.adaptive.fold(&batch, self.now);
        }
        self.adaptive.limit()
    }

    fn answered(&mut self, latency_ms: u64, in_flight: u32) -> u32 {
        self.window(latency_ms, in_flight, Outcome::Answered)
    }
}

#[test]
fn limits_begin_and_stay_within_their_bounds() {
    for (min, max, first) in [(1, 1000, 32), (50, 1000, 50), (1, 8, 8), (3, 3, 3)] {
        let mut driver = Driver::new(min, max);
        assert_eq!(driver.adaptive.limit(), first);
        for _ in 0..60 {
            let limit = driver.adaptive.limit();
            driver.answered(10, limit);
        }
        assert_eq!(driver.adaptive.limit(), max);
        for _ in 0..60 {
            let limit = driver.adaptive.limit();
            driver.window(10, limit, Outcome::Overloaded);
        }
        assert_eq!(driver.adaptive.limit(), min);
    }
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut driver = Driver::new(1, 1000);
    for _ in 0..20 {
        driver.answered(10, 5);
    }
    assert_eq!(driver.adaptive.limit(), 32);
    // What says nothing changes nothing.
    for _ in 0..20 {
        driver.window(10, 32, Outcome::Other);
    }
    assert_eq!(driver.adaptive.limit(), 32);
}

#[test]
fn a_queue_lowers_the_limit_and_a_slower_service_does_not() {
    let mut driver = Driver::new(1, 1000);
    driver.answered(10, 32);
    // A queue: latency follows what is under way.
    let mut limit = driver.adaptive.limit();
    for _ in 0..30 {
        limit = driver.answered(u64::from(limit), limit);
    }
    assert!((10..=15).contains(&limit), "{limit}");
    // Slower by itself: latency stays what it is, however few are under way; the limit comes back.
    let mut lowest = limit;
    for _ in 0..30 {
        limit = driver.answered(100, limit);
        lowest = lowest.min(limit);
    }
    assert!(lowest >= 5, "{lowest}");
    assert!(limit > 50, "{limit}");
}

/// Callers wait for a second, a hundred times what is normal: a queue is cut at once. Refusals as quick as answers are not
/// of a queue. Either way the limit comes back in larger steps than it grows in, until latency says how far.
#[test]
fn time_outs_lower_the_limit_further_than_refusals_do_and_it_comes_back() {
    for (latency_ms, lowered, back) in [(1000, 12, [18, 28, 42, 47]), (10, 28, [43, 48, 54, 61])] {
        let mut driver = Driver::new(1, 1000);
        assert_eq!(driver.answered(10, 32), 36);
        assert_eq!(driver.window(latency_ms, 36, Outcome::Overloaded), lowered, "{latency_ms} ms");
        for expected in back {
            let limit = driver.adaptive.limit();
            assert_eq!(driver.answered(10, limit), expected, "{latency_ms} ms");
        }
    }
    let mut driver = Driver::new(1, 1000);
    driver.answered(10, 32);
    driver.window(1000, 36, Outcome::Overloaded);
    assert_eq!(driver.answered(14, 12), 12, "no room");
    assert_eq!(driver.answered(10, 12), 14, "step by step from here");
}

#[test]
fn few_requests_and_unsettled_ones_say_nothing() {
    let mut adaptive = Adaptive::new(AdaptiveLimit { min: 1, max: 1000 }, 0);
    let mut few = Batch::default();
    for _ in 0..3 {
        few.finished(10 * MS, 32, Outcome::Answered);
    }
    assert_eq!(adaptive.fold(&few, 200 * MS), 32);
    // They add up.
    for step in 3..9 {
        adaptive.fold(&few, step * 100 * MS);
    }
    let grown = adaptive.limit();
    assert!(grown > 32);
    // Within 10 ms of the change, even a thousand time-outs are those of before.
    let mut late = Batch::default();
    for _ in 0..1000 {
        late.finished(10 * MS, 32, Outcome::Overloaded);
    }
    assert_eq!(adaptive.fold(&late, 805 * MS), grown);
}

/// A flood of normal requests, ten at a time for each high one: the high ones get what they need, and the normal ones get
/// their share back when there is room again.
#[test]
fn the_share_of_a_class_shrinks_while_one_above_it_is_turned_away() {
    let gate = Gate::new(10);
    let round = |normals: u32, highs: u32| {
        let count =
            |priority, wanted: u32| (0..wanted).filter(|_| gate.enter(priority, Pressure::None)).count();
        // Normal ones come first, so that high ones find what those left over.
        let found = (count(Priority::Normal, normals), count(Priority::High, highs));
        for _ in 0..found.0 + found.1 {
            gate.leave();
        }
        gate.rebalance(1);
        found
    };
    assert_eq!(round(100, 4), (9, 1), "at first the flood has nine tenths");
    let rounds = |count: usize, highs: u32| {
        let all: Vec<_> = (0..count).map(|_| round(100, highs)).collect();
        all[count - 1]
    };
    let settled = rounds(20, 4);
    assert_eq!(settled.1, 4, "all high ones pass");
    assert!((4..=6).contains(&settled.0), "and the others have the rest: {settled:?}");
    assert_eq!(rounds(50, 0), (9, 0), "which they get back");
    // Low ones yield to both.
    let low = |gate: &Gate| (0..100).filter(|_| gate.enter(Priority::Low, Pressure::None)).count();
    let other = Gate::new(10);
    for _ in 0..30 {
        while other.enter(Priority::Normal, Pressure::None) {}
        while other.in_flight() > 0 {
            other.leave();
        }
        other.rebalance(1);
    }
    assert_eq!(low(&other), 0, "normal ones were turned away");
    other.rebalance(1);
    assert_eq!(low(&other), 1, "a little comes back each time");
    while other.in_flight() > 0 {
        other.leave();
    }
    // The last that was turned away counts for one of the periods only.
    while other.enter(Priority::Normal, Pressure::None) {}
    while other.in_flight() > 0 {
        other.leave();
    }
    other.rebalance(21);
    assert_eq!(low(&other), 5, "2 % for each of the 20 that were quiet, and 1 % that was left");
}
