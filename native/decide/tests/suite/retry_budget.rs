//! The retry budget: its window, its bounds, and what holds with several threads.

use crate::counting::allocations;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use tulle_decide::retry::{Budget, BudgetUse, WorkerBudget};
use tulle_snapshot::wire::RetryBudget;

const SECOND: u64 = 1_000_000_000;

fn budget(percent: u32, min_per_second: u32, workers: usize) -> (Arc<Budget>, Vec<WorkerBudget>) {
    let budget = Arc::new(Budget::new(RetryBudget { percent, min_per_second }, workers));
    let handles = (0..workers).map(|worker| budget.handle(worker).unwrap()).collect();
    (budget, handles)
}

fn charges(worker: &mut WorkerBudget, now: u64, wanted: u32) -> u64 {
    (0..wanted).map(|_| u64::from(worker.charge(now))).sum()
}

#[test]
fn a_share_of_the_requests_and_a_floor() {
    for (percent, floor, requests, allowed) in [
        (0, 0, 1000, 0),
        (20, 0, 0, 0),
        (20, 0, 4, 0),
        (20, 0, 5, 1),
        (20, 0, 1000, 200),
        (20, 10, 1000, 300),
        (0, 10, 1000, 100),
        (100, 0, 50, 50),
    ] {
        let (shared, mut workers) = budget(percent, floor, 1);
        let now = 77 * SECOND;
        (0..requests).for_each(|_| workers[0].request(now));
        assert_eq!(charges(&mut workers[0], now, 2000), allowed, "{percent} {floor} {requests}");
        let expected = BudgetUse { requests, retries: allowed, allowed };
        assert_eq!(shared.now(now), expected, "what is refused is not counted");
    }
}

#[test]
fn there_is_one_budget_however_many_workers() {
    let (shared, mut workers) = budget(20, 0, 4);
    for worker in &mut workers {
        (0..100).for_each(|_| worker.request(SECOND));
    }
    // All the failures may well be on one worker.
    assert_eq!(charges(&mut workers[3], SECOND, 500), 80);
    assert_eq!(charges(&mut workers[0], SECOND, 500), 0);
    assert!(shared.handle(4).is_none());
}

#[test]
fn the_window_slides_by_seconds() {
    for begin in [0, 3 * SECOND, 1_000_000 * SECOND] {
        let (shared, mut workers) = budget(50, 0, 1);
        let worker = &mut workers[0];
        for second in 0..10 {
            (0..10).for_each(|_| worker.request(begin + second * SECOND));
        }
        let at = |second: u64| shared.now(begin + second * SECOND + SECOND / 2).requests;
        let seen: Vec<u64> = [9, 10, 11, 18, 19, 1000].map(at).to_vec();
        assert_eq!(seen, [100, 90, 80, 10, 0, 0]);
        assert_eq!(charges(worker, begin + 9 * SECOND, 100), 50);
        // Retries leave the window as requests do.
        assert_eq!(shared.now(begin + 18 * SECOND).retries, 50);
        assert_eq!(shared.now(begin + 19 * SECOND).retries, 0);
    }
}

/// The clock of a worker is read once per turn: one that is a turn behind neither loses nor invents anything.
#[test]
fn a_clock_that_lags_sees_what_others_counted_later() {
    let (shared, mut workers) = budget(20, 0, 2);
    (0..50).for_each(|_| workers[0].request(8 * SECOND));
    assert_eq!(charges(&mut workers[1], 8 * SECOND - 1, 100), 10);
    assert_eq!(charges(&mut workers[0], 8 * SECOND, 100), 0);
    assert_eq!(shared.now(7 * SECOND).requests, 50);
}

#[test]
fn threads_that_ask_at_once_never_exceed_the_budget() {
    const THREADS: usize = 4;
    const WANTED: u64 = 2000;
    for round in 0..8 {
        let (shared, workers) = budget(20, 0, THREADS);
        let (taken, barrier) = (AtomicU64::new(0), Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for mut worker in workers {
                let (taken, barrier) = (&taken, &barrier);
                scope.spawn(move || {
                    (0..500).for_each(|_| worker.request(SECOND));
                    barrier.wait();
                    for _ in 0..WANTED {
                        if worker.charge(SECOND) {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let taken = taken.into_inner();
        assert_eq!(shared.now(SECOND), BudgetUse { requests: 2000, retries: taken, allowed: 400 });
        // Each asks often enough that what one round refuses too much the next one gives.
        assert!(taken <= 400 && taken > 400 - THREADS as u64, "round {round}: {taken}");
    }
}

/// Counting and asking go on together: no more than a fifth of what was counted in the end is ever given.
#[test]
fn threads_that_count_and_ask_stay_within_the_budget() {
    const THREADS: u64 = 4;
    const REQUESTS: u64 = 20_000;
    let (shared, workers) = budget(20, 0, 4);
    std::thread::scope(|scope| {
        for mut worker in workers {
            scope.spawn(move || {
                for i in 0..REQUESTS {
                    worker.request(i * SECOND / REQUESTS);
                    let _ = worker.charge(i * SECOND / REQUESTS);
                }
            });
        }
    });
    let window = shared.now(SECOND);
    assert_eq!(window.requests, THREADS * REQUESTS);
    assert!(window.retries <= window.allowed, "{window:?}");
    assert!(window.retries >= window.allowed * 9 / 10, "{window:?}");
}

#[test]
fn counting_and_asking_allocate_nothing() {
    let (_, mut workers) = budget(20, 0, 2);
    let before = allocations();
    for i in 0..10_000 {
        workers[0].request(i * SECOND / 100);
        let _ = workers[1].charge(i * SECOND / 100);
    }
    assert_eq!(allocations(), before);
}
