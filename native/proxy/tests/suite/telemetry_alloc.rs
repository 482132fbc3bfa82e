//! Observing a request allocates nothing once its series exists, and costs little.

use crate::counting::allocations;
use crate::fixture::{Shape, record};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tulle_proxy::telemetry::{AccessLog, Identities, LogSetup, Metrics, Reason, Record, Text};
use tulle_snapshot::wire::{AccessLog as Settings, LoggedRequests};

/// Calls of the allocator that `work` makes on this thread.
fn calls(work: impl FnOnce()) -> u64 {
    let before = allocations();
    work();
    allocations() - before
}

const SHAPE: Shape<'_> =
    Shape { listeners: &["web", "secure"], routes: &[("a", 100)], services: &["api", "files"] };

/// Requests of several routes and classes, some denied, some retried.
fn requests() -> Vec<Record> {
    let statuses = [200, 204, 301, 404, 503];
    let mut records = Vec::new();
    for i in 0..100u16 {
        let mut record = record(1, (i % 2, u32::from(i), i % 2), statuses[usize::from(i % 5)], 1 << (i % 36));
        record.path = Text::new(b"/some/longer/path/of/a/request/that/someone/made/today/and/more");
        record.policy = 0;
        if i % 10 == 0 {
            record.reason = Reason::UpstreamReset;
            record.attempts.push(0, Reason::UpstreamReset, 5);
            record.attempts.push(1, Reason::UpstreamReset, 5);
        }
        records.push(record);
    }
    records
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| drop(black_box(vec![1u8; 100]))), 1);
}

#[test]
fn observing_and_logging_allocate_nothing_in_steady_state() {
    let names = SHAPE.names(1);
    let (metrics, mut workers) = Metrics::new(&names, 1);
    let setup =
        LogSetup { names, identities: Arc::new(Identities::default()), epoch: || Duration::ZERO, bound: 512 };
    let settings = Settings { requests: LoggedRequests::All, file: "/dev/null".into() };
    let (_log, mut handles) = AccessLog::start(&settings, setup, &metrics).unwrap();
    let records = requests();
    let mut turn = || {
        for record in &records {
            workers[0].observe(record);
            handles[0].push(record);
        }
        handles[0].flush();
    };
    assert!(calls(&mut turn) > 0, "the first use makes the series");
    let steady = calls(|| (0..20).for_each(|_| turn()));
    assert_eq!(steady, 0, "calls of the allocator for 2,000 requests");
}

#[test]
fn observing_costs_little() {
    let (_metrics, mut workers) = Metrics::new(&SHAPE.names(1), 1);
    let records = requests();
    let mut best = u128::MAX;
    for _ in 0..20 {
        #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
        let began = std::time::Instant::now();
        for _ in 0..100 {
            for record in &records {
                workers[0].observe(black_box(record));
            }
        }
        best = best.min(began.elapsed().as_nanos() / 10_000);
    }
    println!("{best} ns per observe");
    assert!(best < 5_000, "{best} ns per observe, even without optimization");
}
