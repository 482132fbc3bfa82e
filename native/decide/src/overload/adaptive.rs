//! A limit on requests under way that follows the latency.
//!
//! Of the kind of TCP Vegas (Brakmo, Peterson 1995): the median now against the median without a queue. Probing for the
//! latter by holding requests back, in windows, costs those requests, and waiting for it to expire lets the limit creep
//! up under a load that lasts. Here it falls with what is seen, and rises on evidence only: where the limit was lowered
//! by a third and the latency did not follow, the latency is not a queue's, and is what the service takes now.

use super::Batch;
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
/// A limit that is used less than this does not grow.
const USED: f64 = 0.7;
/// More than this share of time-outs and refusals lowers the limit whatever the latency is.
const TOO_MANY: f64 = 0.1;
/// A median that is so many times the one before is still on its way up.
const STILL_RISING: f64 = 1.2;
/// By how much less under way has to be until its effect is judged.
const JUDGED: f64 = 0.7;

/// The limit of one service, kept by the thread that folds the workers' batches.
#[derive(Debug)]
pub struct Adaptive {
    bounds: AdaptiveLimit,
    limit: f64,
    /// The median without a queue, in nanoseconds.
    base: Option<f64>,
    /// Where the limit was when its effect was last judged, since it began to fall.
    falling: Option<Point>,
    window: Batch,
    /// What ends before this says nothing about the present limit.
    settled_at: u64,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    in_flight: f64,
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
            falling: None,
            window: Batch::default(),
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
        if now < self.settled_at {
            return self.limit();
        }
        self.window.add(seen);
        let age = now - self.settled_at;
        if age >= WINDOW_NS && self.window.samples() >= SAMPLES {
            let window = std::mem::take(&mut self.window);
            self.decide(&window);
            let settle = window.median().map_or(WINDOW_NS, nanoseconds);
            self.settled_at = now.saturating_add(settle.min(SETTLE_MAX_NS));
        } else if age >= STALE_NS {
            self.window = Batch::default();
            self.settled_at = now;
        }
        self.limit()
    }

    fn decide(&mut self, window: &Batch) {
        let peak = f64::from(window.in_flight_peak());
        if window.overloaded_share() > TOO_MANY {
            self.falling = None;
            self.set(self.limit.min(peak) * 0.8);
            return;
        }
        let Some(median) = window.median() else { return };
        let base = match self.base {
            Some(base) if base <= median => base,
            // Half of the way, so that one odd window does not count for all.
            Some(base) => f64::midpoint(base, median),
            None => median,
        };
        self.base = Some(base);
        if median > QUEUE * base {
            self.lower(Point { in_flight: window.in_flight(), median }, base, peak);
            return;
        }
        self.falling = None;
        if median <= ROOM * base && peak >= USED * self.limit {
            self.set(self.limit + (self.limit / 8.0).max(1.0));
        }
    }

    fn lower(&mut self, here: Point, base: f64, peak: f64) {
        let rises = |before: &Point| here.median > STILL_RISING * before.median;
        if self.falling.as_ref().is_none_or(rises) {
            // What was seen so far is of a service that had not yet become as slow as it is.
            self.falling = Some(here);
        }
        let before = self.falling.unwrap_or(here);
        let less = here.in_flight / before.in_flight.max(1.0);
        let at_bottom = self.limit <= f64::from(self.bounds.min);
        if less <= JUDGED || at_bottom {
            // A queue's latency falls as what is under way does; half of that is evidence enough of a queue.
            let expected = before.median * f64::midpoint(1.0, less.min(1.0));
            if at_bottom || here.median > expected {
                self.base = Some(here.median);
                self.falling = None;
                return;
            }
            self.falling = Some(here);
        }
        // Towards the middle between room and queue, in steps that can be judged.
        let aim = f64::midpoint(ROOM, QUEUE) * base / here.median;
        self.set(self.limit.min(peak) * aim.clamp(0.7, 0.95));
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.bounds.min), f64::from(self.bounds.max));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a latency: saturates")]
fn nanoseconds(median: f64) -> u64 {
    median as u64
}
