//! Thousands of endpoints under health checks: their schedules as the health thread drives them, in simulated time.

use crate::health_fixture::check;
use tulle_decide::health::{Pace, Schedule, Standing, Traffic, Verdict, Why};
use tulle_snapshot::wire::HealthProbe;

const MS: u64 = 1_000_000;
const ENDPOINTS: usize = 5_000;
/// Checks under way at a time.
const AT_ONCE: usize = 256;
/// The least time that the simulation tells apart.
const TICK: u64 = 10 * MS;

/// What happens to a check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    /// Answers within this many ns.
    Well(u64),
    /// No answer within the timeout.
    Black,
}

struct Endpoint {
    standing: Standing,
    began: u64,
    changed: Option<u64>,
}

struct Sim {
    pace: Pace,
    random: u64,
    now: u64,
    due: Schedule<usize>,
    ends: Schedule<usize>,
    under_way: usize,
    endpoints: Vec<Endpoint>,
    /// Checks begun, by 100 ms.
    begun: Vec<usize>,
    most: usize,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let pace = Pace::new(&check(HealthProbe::Tcp));
        let mut sim = Self {
            pace,
            random: seed,
            now: 0,
            due: Schedule::new(),
            ends: Schedule::new(),
            under_way: 0,
            endpoints: Vec::new(),
            begun: Vec::new(),
            most: 0,
        };
        for id in 0..ENDPOINTS {
            let due = pace.soon(0, sim.next());
            sim.due.put(due, id);
            sim.endpoints.push(Endpoint { standing: Standing::default(), began: 0, changed: None });
        }
        sim
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn run(&mut self, until: u64, traffic: Traffic, world: impl Fn(usize) -> World) {
        while self.now < until {
            while let Some(id) = self.ends.take(self.now) {
                self.under_way -= 1;
                let verdict =
                    if world(id) == World::Black { Verdict::Unwell(Why::Timeout) } else { Verdict::Well };
                let random = self.next();
                let endpoint = &mut self.endpoints[id];
                if endpoint.standing.checked(&self.pace, verdict) {
                    endpoint.changed = Some(self.now);
                }
                self.due.put(self.pace.next(endpoint.began, self.now, traffic, random), id);
            }
            while self.under_way < AT_ONCE
                && let Some(id) = self.due.take(self.now)
            {
                self.under_way += 1;
                self.endpoints[id].began = self.now;
                let takes = match world(id) {
                    World::Well(most) => self.next() % most,
                    World::Black => 2_000 * MS,
                };
                self.ends.put(self.now + takes, id);
                let slot = usize::try_from(self.now / (100 * MS)).unwrap();
                self.begun.resize(self.begun.len().max(slot + 1), 0);
                self.begun[slot] += 1;
            }
            self.most = self.most.max(self.under_way);
            self.now += TICK;
        }
    }
}

#[test]
fn checks_of_5000_endpoints_are_spread_evenly() {
    for seed in [1, 2] {
        let mut sim = Sim::new(seed);
        sim.run(60_000 * MS, Traffic::Busy, |_| World::Well(20 * MS));
        // 5,000 in 5 s are 100 in 100 ms.
        let (least, most) = (sim.begun.iter().min().unwrap(), sim.begun.iter().max().unwrap());
        assert!(*least >= 60 && *most <= 145, "{least} to {most}");
        let all: usize = sim.begun.iter().sum();
        assert!((59_000..=61_500).contains(&all), "{all}");
        assert!(sim.most < AT_ONCE, "{}", sim.most);
        assert!(sim.endpoints.iter().all(|endpoint| endpoint.changed.is_none()));
    }
}

#[test]
fn without_traffic_there_are_few() {
    let mut sim = Sim::new(3);
    sim.run(300_000 * MS, Traffic::Idle, |_| World::Well(20 * MS));
    // The first round takes an interval; from then on it is 5,000 in 60 s.
    let later = &sim.begun[600..];
    let (all, most) = (later.iter().sum::<usize>(), later.iter().max().unwrap());
    assert!((19_000..=21_000).contains(&all), "{all}");
    assert!(*most <= 60, "{most}");
}

#[test]
fn an_outage_of_one_half_hides_neither_half_and_ends_without_a_burst() {
    let mut sim = Sim::new(4);
    let odd = |id: usize| if id % 2 == 1 { World::Black } else { World::Well(20 * MS) };
    sim.run(20_000 * MS, Traffic::Busy, |_| World::Well(20 * MS));
    sim.run(140_000 * MS, Traffic::Busy, odd);
    // 2,500 that take 2 s each are too many at a time: all take their turns, and the well ones stay well.
    for (id, endpoint) in sim.endpoints.iter().enumerate() {
        assert_eq!(endpoint.standing.is_healthy(), id % 2 == 0, "{id}");
    }
    let slowest = sim.endpoints.iter().filter_map(|endpoint| endpoint.changed).max().unwrap();
    assert!(slowest < (20_000 + 75_000) * MS, "{} s", slowest / MS / 1000);
    assert_eq!(sim.most, AT_ONCE);
    sim.run(200_000 * MS, Traffic::Busy, |_| World::Well(20 * MS));
    assert!(sim.endpoints.iter().all(|endpoint| endpoint.standing.is_healthy()));
    let settled = &sim.begun[1_600..];
    let (least, most) = (settled.iter().min().unwrap(), settled.iter().max().unwrap());
    assert!(*least >= 15 && *most <= 220, "{least} to {most}");
}
