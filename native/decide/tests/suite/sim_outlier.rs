//! Ejection over hours: thousands of endpoints that fail and recover, with fixed seeds.
#![expect(clippy::cast_possible_truncation, reason = "numbers of endpoints and requests are small")]

use crate::outlier_table::{policy, wire};
use crate::sim_retry::Random;
use tulle_decide::outlier::{Accrual, Change, OutlierPolicy, Standing, State, Window};
use tulle_snapshot::wire::OutlierDetection;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const HOUR: u64 = 3600 * SECOND;

struct Endpoint {
    accrual: Accrual,
    window: Window,
    streak: u32,
    /// The share of its requests that fail, in percent.
    fails: u64,
    probes: u32,
}

#[derive(Default, Debug)]
struct Totals {
    requests: u64,
    failed: u64,
    panics: u64,
    ejected: u64,
    readmitted: u64,
}

struct Service {
    policy: OutlierPolicy,
    endpoints: Vec<Endpoint>,
    random: Random,
    totals: Totals,
}

impl Service {
    fn new(wire: &OutlierDetection, endpoints: usize, seed: u64) -> Self {
        let policy = OutlierPolicy::new(wire);
        let endpoint = || Endpoint {
            accrual: Accrual::new(0),
            window: policy.window().unwrap(),
            streak: 0,
            fails: 0,
            probes: 0,
        };
        let endpoints = (0..endpoints).map(|_| endpoint()).collect();
        Self { policy, endpoints, random: Random(seed), totals: Totals::default() }
    }

    fn standing(&self) -> Standing {
        let ejected = self.endpoints.iter().filter(|e| e.accrual.is_out()).count();
        Standing { total: self.endpoints.len() as u32, ejected: ejected as u32, unhealthy: 0 }
    }

    /// A turn of the fold: time passes, and each endpoint in use gets some requests.
    fn turn(&mut self, now: u64, each: u32) {
        let panics = self.policy.panics(self.standing());
        self.totals.panics += u64::from(panics);
        let in_use = self.endpoints.iter().filter(|e| panics || !e.accrual.is_out()).count();
        assert!(in_use > 0, "the service is empty");
        let policy = self.policy;
        for endpoint in &mut self.endpoints {
            let change = endpoint.accrual.tick(now);
            if change == Some(Change::ProbeDue) {
                assert!(endpoint.accrual.take_probe(now) && !endpoint.accrual.take_probe(now));
                endpoint.probes += 1;
                let success = self.random.next() % 100 >= endpoint.fails;
                self.totals.requests += 1;
                self.totals.failed += u64::from(!success);
                let change = endpoint.accrual.probe(success, &policy, now, self.random.next());
                match change {
                    Some(Change::Readmitted) => {
                        (endpoint.streak, self.totals.readmitted) = (0, self.totals.readmitted + 1);
                        endpoint.window.clear();
                    }
                    other => assert!(matches!(other, Some(Change::EjectedAgain { .. }))),
                }
            } else if panics || !endpoint.accrual.is_out() {
                endpoint.serve(now, each, &mut self.random, &mut self.totals);
                let streak = endpoint.streak;
                let one = &mut endpoint.accrual;
                let change = one.errors_in_a_row(streak, &policy, now, self.random.next());
                let change = change
                    .or_else(|| one.window(endpoint.window.tally(now), &policy, now, self.random.next()));
                self.totals.ejected += u64::from(change.is_some());
            }
        }
    }
}

impl Endpoint {
    fn serve(&mut self, now: u64, each: u32, random: &mut Random, totals: &mut Totals) {
        // A draw per turn is enough where nothing or everything fails.
        let failed = match self.fails {
            0 => 0,
            100 => each,
            fails => (0..each).filter(|_| random.next() % 100 < fails).count() as u32,
        };
        self.streak = if failed == each { self.streak + failed } else { 0 };
        self.window.add(each - failed, failed, now);
        totals.requests += u64::from(each);
        totals.failed += u64::from(failed);
    }
}

/// Two thousand endpoints, four hours, half a percent of which break at a time and are mended after some minutes.
#[test]
fn thousands_of_endpoints_over_hours() {
    let mut service = Service::new(&wire(), 2000, 1);
    let mut broken: Vec<(usize, u64)> = Vec::new();
    let mut now = 0;
    while now < 4 * HOUR {
        now += 10 * SECOND;
        broken.retain(|(i, until)| {
            let mended = now >= *until;
            if mended {
                service.endpoints[*i].fails = 0;
            }
            !mended
        });
        while broken.len() < 10 {
            let i = service.random.next() as usize % 2000;
            service.endpoints[i].fails = 100;
            broken.push((i, now + 60 * SECOND + service.random.next() % (600 * SECOND)));
        }
        service.turn(now, 10);
    }
    let totals = &service.totals;
    assert_eq!(totals.panics, 0, "{totals:?}");
    assert!(totals.ejected > 300 && totals.readmitted + 20 >= totals.ejected, "{totals:?}");
    // Of what would have failed without ejection (10 in 2,000) less than a tenth.
    assert!(totals.failed * 10 < totals.requests * 10 / 2000, "{totals:?}");
    let healthy_but_out = service.endpoints.iter().filter(|e| e.fails == 0 && e.accrual.is_out()).count();
    assert!(healthy_but_out <= 10, "{healthy_but_out}");
}

/// Everything fails for a while: all are out, all are used all the same, and all are back in time.
#[test]
fn ejection_never_empties_a_service() {
    for endpoints in [1, 2, 3, 10, 100] {
        let mut service = Service::new(&wire(), endpoints, endpoints as u64);
        let mut now = 0;
        let mut step = |service: &mut Service, seconds: u64, fails: u64| {
            service.endpoints.iter_mut().for_each(|e| e.fails = fails);
            for _ in 0..seconds * 10 {
                now += 100 * MS;
                service.turn(now, 2);
            }
        };
        step(&mut service, 60, 0);
        assert_eq!(service.totals.ejected, 0);
        step(&mut service, 300, 100);
        assert_eq!(service.standing().ejected as usize, endpoints);
        assert!(service.totals.panics > 2900, "{:?}", service.totals);
        step(&mut service, 61, 0);
        assert_eq!(service.standing().ejected, 0);
    }
}

/// An endpoint that is down for an hour costs one request per minute, and one that fails half the time next to nothing.
#[test]
fn what_stays_broken_is_asked_less_and_less() {
    let mut service = Service::new(&wire(), 10, 3);
    service.endpoints[0].fails = 100;
    service.endpoints[1].fails = 50;
    let mut now = 0;
    while now < HOUR {
        now += 100 * MS;
        service.turn(now, 5);
    }
    let probes = service.endpoints[0].probes;
    // 1 + 2 + 4 + 8 + 16 + 32 seconds, then a minute less up to a tenth.
    assert!((6 + 58..=6 + 68).contains(&probes), "{probes}");
    let [down, flaky] = [0, 1].map(|i| &service.endpoints[i]);
    assert!(down.accrual.times(&service.policy, now) == 7 && down.accrual.is_out());
    assert!(matches!(down.accrual.state(), State::Ejected { .. }));
    assert!(flaky.probes > 50, "{}", flaky.probes);
    let share = service.totals.failed * 1000 / service.totals.requests;
    assert!(share <= 5, "{share} of 1,000 failed, where 150 would have");
}

/// Fifty endpoints that break at the same time do not come back at the same time.
#[test]
fn endpoints_that_fall_together_return_apart() {
    let policy = policy();
    let mut random = Random(4);
    let mut ends: Vec<u64> = (0..50)
        .map(|_| match Accrual::new(0).errors_in_a_row(5, &policy, 0, random.next()) {
            Some(Change::Ejected { until_ns, .. }) => until_ns / MS,
            other => panic!("{other:?}"),
        })
        .collect();
    ends.sort_unstable();
    assert!(ends[0] >= 900 && ends[49] <= 1100 && ends[49] - ends[0] > 150, "{ends:?}");
    assert!(ends.windows(10).all(|ten| ten[9] - ten[0] > 5), "{ends:?}");
}
