//! A limit on requests under way that follows the latency.
//!
//! Of the kind of TCP Vegas (Brakmo, Peterson 1995): the median now against the median without a queue. Probing for the
//! latter by holding requests back, in windows, costs those requests, and waiting for it to expire lets the limit creep
//! up under a load that lasts. Here it falls with what is seen, and what that does to the throughput tells whose the
//! latency is (`evidence`): the service's own is what it takes now, and the limit goes back to where it was, on trial. In
//! doubt it falls: that heals by itself, and a queue that is taken for normal does not.

mod evidence;

use super::Batch;
use evidence::{Evidence, Verdict};
use std::cmp::Ordering;
use tulle_snapshot::wire::AdaptiveLimit;

/// The least time over which is observed.
const WINDOW_NS: u64 = 100_000_000;
/// Fewer requests say nothing.
const SAMPLES: u64 = 20;
/// Observations of fewer are thrown away after this.
const STALE_NS: u64 = 5_000_000_000;
/// How long a change takes at most until what is observed is due to it.
const SETTLE_MAX_NS: u64 = 1_000_000_000;
/// Begins here, within its bounds.
const FIRST: u32 = 32;
/// A median above so many times that without a queue is a queue.
const QUEUE: f64 = 1.5;
/// Up to here there is room for more.
const ROOM: f64 = 1.25;
/// A limit is lowered towards the middle of the two.
const AIM: f64 = f64::midpoint(ROOM, QUEUE);
/// A limit that is used less than this does not grow.
const USED: f64 = 0.7;
/// More than this share of time-outs and refusals lowers the limit whatever the latency is.
const TOO_MANY: f64 = 0.1;
/// To this share of what it is.
const STEP_TOO_MANY: f64 = 0.8;
/// More than this share leaves too few that were answered in time for a median: what is under way tells the latency.
const MOST: f64 = 0.5;
/// How much a limit grows that finds room, and one that time-outs and refusals took it from.
const GROWTH: f64 = 0.125;
const GROWTH_BACK: f64 = 0.5;
/// A median below so much of that without a queue is of a service that has become faster.
const FASTER: f64 = 0.7;
/// How far a lower median takes the one without a queue along, so that one odd window does not count for all.
const DOWN: f64 = 0.5;
/// How far a higher one does where the limit holds nobody back: else it would be the least that chance ever showed.
const UP: f64 = 0.1;
/// A step down lowers the limit to no less than this share, while it is open whose the latency is.
const STEP: f64 = 0.6;
/// And where it is known to be a queue's: nothing is lost by fewer under way.
const STEP_QUEUE: f64 = 0.35;
/// After a step down, throughput follows sooner than latency: wait for this share of the median.
const SETTLE_DOWN: f64 = 0.5;
/// A trial that is open after so many windows is over.
const TRIAL_WINDOWS: u32 = 20;

/// The limit of one service, kept by the thread that folds the workers' batches.
#[derive(Debug)]
pub struct Adaptive {
    bounds: AdaptiveLimit,
    limit: f64,
    /// The median without a queue, in nanoseconds.
    base: Option<f64>,
    /// The last window looked like a queue: one alone may be a stall, or half before and half after a change.
    suspected: bool,
    fall: Option<Fall>,
    /// The limit before time-outs and refusals lowered it, until a latency shows that there is no room for it; or 0.
    lost: f64,
    window: Batch,
    /// When the window began.
    since: u64,
    /// What began before this says nothing about the present limit.
    settled_at: u64,
}

/// From the first step down until the latency is normal again, or the trial of what is taken for normal is over.
#[derive(Debug)]
struct Fall {
    /// The limit before it.
    from: f64,
    evidence: Evidence,
    is_queue: bool,
    trial: Option<Trial>,
}

/// The latency was taken for the service's own.
#[derive(Debug)]
struct Trial {
    /// What was normal before, which it is again if there is a queue after all.
    base: f64,
    windows: u32,
}

/// What a window comes to.
struct Seen {
    in_flight: f64,
    peak: f64,
    samples: f64,
    /// Answers per second.
    throughput: f64,
    /// In nanoseconds.
    median: f64,
}

impl Adaptive {
    /// Begins at 32, within the bounds of the snapshot.
    #[must_use]
    pub fn new(bounds: AdaptiveLimit, now: u64) -> Self {
        let bounds = AdaptiveLimit { min: bounds.min.max(1), max: bounds.max.max(bounds.min).max(1) };
        Self {
            bounds,
            limit: f64::from(FIRST.clamp(bounds.min, bounds.max)),
            base: None,
            suspected: false,
            fall: None,
            lost: 0.0,
            window: Batch::default(),
            since: now,
            settled_at: now,
        }
    }

    /// Other bounds; what was learned stays.
    pub fn set_bounds(&mut self, bounds: AdaptiveLimit) {
        self.bounds = bounds;
        self.set(self.limit);
    }

    /// Requests that may be under way.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within bounds that are u32; rounded down"
    )]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Takes in what the workers saw since the last call, some 100 ms ago, and gives the limit. One call, with the sum
    /// of the batches; `now` in nanoseconds.
    pub fn fold(&mut self, seen: &Batch, now: u64) -> u32 {
        if self.since < self.settled_at {
            self.since = now;
            return self.limit();
        }
        self.window.add(seen);
        let age = now.saturating_sub(self.since);
        if age >= WINDOW_NS && self.window.samples() >= SAMPLES {
            let window = std::mem::take(&mut self.window);
            let before = self.limit;
            self.decide(&window, age);
            self.since = now;
            self.settled_at = now.saturating_add(self.settles_in(&window, age, before));
        } else if age >= STALE_NS {
            self.window = Batch::default();
            self.since = now;
        }
        self.limit()
    }

    /// How long it takes until what is seen is due to the limit that was `before` what it is now.
    fn settles_in(&self, window: &Batch, took: u64, before: f64) -> u64 {
        let share = match self.limit.total_cmp(&before) {
            Ordering::Less if window.overloaded_share() > MOST => {
                // Those that were let in before are late as well.
                return nanoseconds(time_under_way(window, took)).min(SETTLE_MAX_NS);
            }
            Ordering::Less => SETTLE_DOWN,
            Ordering::Equal => return 0,
            Ordering::Greater => 1.0,
        };
        window.median().map_or(WINDOW_NS, |median| nanoseconds(share * median)).min(SETTLE_MAX_NS)
    }

    /// Lowers the limit for time-outs and refusals. Where they are most, as far as for a queue: a little at a time takes a
    /// service that ends few per second longer than its callers wait.
    fn back_off(&mut self, window: &Batch, took: u64) {
        self.fall = None;
        self.suspected = false;
        self.lost = self.lost.max(self.limit);
        let step = match self.base {
            Some(base) if window.overloaded_share() > MOST => {
                (AIM * base / time_under_way(window, took)).clamp(STEP_QUEUE, STEP_TOO_MANY)
            }
            _ => STEP_TOO_MANY,
        };
        self.set(self.limit.min(f64::from(window.in_flight_peak())) * step);
    }

    fn decide(&mut self, window: &Batch, took: u64) {
        if window.overloaded_share() > TOO_MANY {
            self.back_off(window, took);
            return;
        }
        let Some(seen) = Seen::of(window, took) else { return };
        let base = self.learn(&seen);
        let above = seen.median > QUEUE * base;
        if seen.median > ROOM * base {
            self.lost = 0.0;
        }
        let confirmed = std::mem::replace(&mut self.suspected, above) && above;
        if confirmed && self.fall.is_none() {
            let evidence = Evidence::default();
            self.fall = Some(Fall { from: self.limit, evidence, is_queue: false, trial: None });
        }
        if self.judge(&seen, base, confirmed) {
            return;
        }
        if confirmed {
            self.lower(&seen);
        } else if !above {
            self.fall.take_if(|fall| fall.trial.is_none());
            if seen.median <= ROOM * self.base.unwrap_or(base) && seen.peak >= USED * self.limit {
                let share = if self.limit < self.lost { GROWTH_BACK } else { GROWTH };
                self.set(self.limit + (self.limit * share).max(1.0));
            }
        }
    }

    /// The median without a queue, as far as this window shows it.
    fn learn(&mut self, seen: &Seen) -> f64 {
        let median = seen.median;
        let before = self.base.unwrap_or(median);
        let is_free = seen.peak < USED * self.limit;
        // What is above by more than chance is not learned here.
        let share = match median / before {
            ratio if ratio < FASTER => 1.0,
            ratio if ratio <= 1.0 => DOWN,
            ratio if ratio <= QUEUE && is_free => UP,
            _ => 0.0,
        };
        let base = before + share * (median - before);
        self.base = Some(base);
        base
    }

    /// Weighs what this window adds to a fall, or to the trial after it. Whether that settles it: the latency is the
    /// service's own.
    fn judge(&mut self, seen: &Seen, base: f64, confirmed: bool) -> bool {
        let Some(fall) = self.fall.as_mut().filter(|fall| confirmed || fall.trial.is_some()) else {
            return false;
        };
        if fall.evidence.add(seen.in_flight, seen.throughput, seen.samples) {
            fall.is_queue = false;
        }
        match (fall.evidence.verdict(), &mut fall.trial) {
            (Verdict::Own, None) => {
                // A queue that was taken for normal would show at once where the limit was.
                fall.evidence = Evidence::beginning(seen.in_flight, seen.throughput, seen.samples);
                fall.trial = Some(Trial { base, windows: 0 });
                let from = fall.from;
                self.accept(seen.median);
                self.set(from);
                return true;
            }
            (Verdict::Own, Some(_)) => {
                self.fall = None;
                self.suspected = false;
                if confirmed {
                    self.accept(seen.median);
                }
                return confirmed;
            }
            (Verdict::Queue, trial) => {
                // Anew from here: the service may have become slower as well, which shows below its queue.
                fall.evidence = Evidence::beginning(seen.in_flight, seen.throughput, seen.samples);
                fall.is_queue = true;
                if let Some(Trial { base: before, .. }) = trial.take() {
                    self.base = Some(before.min(base));
                }
            }
            (Verdict::Open, Some(trial)) => {
                trial.windows += 1;
                if trial.windows > TRIAL_WINDOWS {
                    self.fall = None;
                }
            }
            (Verdict::Open, None) => {}
        }
        false
    }

    fn lower(&mut self, seen: &Seen) {
        if self.limit <= f64::from(self.bounds.min) {
            self.fall = None;
            self.accept(seen.median);
            return;
        }
        // In steps that can be judged.
        let aim = AIM * self.base.unwrap_or(seen.median) / seen.median;
        let is_queue = self.fall.as_ref().is_some_and(|fall| fall.is_queue);
        let step = aim.clamp(if is_queue { STEP_QUEUE } else { STEP }, 0.95);
        self.set(self.limit.min(seen.peak) * step);
    }

    /// This is what the service takes now.
    fn accept(&mut self, median: f64) {
        self.base = Some(median);
        self.suspected = false;
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.bounds.min), f64::from(self.bounds.max));
    }
}

impl Seen {
    /// Of a window that took so many nanoseconds; none without an answer.
    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a window")]
    fn of(window: &Batch, took: u64) -> Option<Self> {
        let samples = window.samples() as f64;
        Some(Self {
            in_flight: window.in_flight().max(1.0),
            peak: f64::from(window.in_flight_peak()),
            samples,
            throughput: samples * 1e9 / took as f64,
            median: window.median()?,
        })
    }
}

/// How many nanoseconds a request is under way by Little's law, in a window that took so many: of those that nobody waits
/// for any more, too, whose latency is cut off.
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a window")]
fn time_under_way(window: &Batch, took: u64) -> f64 {
    window.in_flight() * took as f64 / window.samples().max(1) as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a latency: saturates")]
fn nanoseconds(median: f64) -> u64 {
    median as u64
}
