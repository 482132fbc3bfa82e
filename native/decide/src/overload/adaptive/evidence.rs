//! Whether a latency is a queue's or the service's own, told by what fewer under way do to the throughput.
//!
//! In: for each window, how many were under way and how many were answered per second. Out: a [`Verdict`]. By Little's
//! law (1961), latency is what is under way by throughput: of a queue, fewer under way leave the throughput as it is; of
//! a service that takes longer, it falls as they do. So the slope of ln throughput over ln under way is 0 or 1, and a
//! weighted least-squares fit is held against one half.

/// More answers than this in a window do not make it more certain: services are not ideal.
const CREDIBLE: f64 = 200.0;
/// So many standard errors from one half are enough.
const ENOUGH: f64 = 1.5;
/// Where latency has risen so many times, though no more are under way, the service has changed since the window before.
const CHANGED: f64 = 1.4;

/// What the windows say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is lost by fewer under way.
    Queue,
    /// Throughput falls with what is under way.
    Own,
    /// It may be chance, either way.
    Open,
}

/// The sums of the fit, and the last window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    /// Under way, and the latency by Little's law; 0 before the first window.
    last: (f64, f64),
}

impl Evidence {
    /// Of one window; as [`Self::add`].
    pub(super) fn beginning(in_flight: f64, throughput: f64, samples: f64) -> Self {
        let mut evidence = Self::default();
        evidence.add(in_flight, throughput, samples);
        evidence
    }

    /// Takes in a window: how many were under way on average, answers per second, and their number. All above zero.
    /// Whether the service has changed since the window before: what was before is forgotten.
    pub(super) fn add(&mut self, in_flight: f64, throughput: f64, samples: f64) -> bool {
        let latency = in_flight / throughput;
        let (in_flight_before, latency_before) = self.last;
        let has_changed = in_flight <= in_flight_before && latency > CHANGED * latency_before;
        if has_changed {
            *self = Self::default();
        }
        self.last = (in_flight, latency);
        let (x, y, weight) = (in_flight.ln(), throughput.ln(), samples.min(CREDIBLE));
        self.weight += weight;
        self.x += weight * x;
        self.y += weight * y;
        self.xx += weight * x * x;
        self.xy += weight * x * y;
        has_changed
    }

    /// Counts vary as those of a Poisson process do, at most: the logarithm of one by 1 / samples.
    pub(super) fn verdict(&self) -> Verdict {
        let spread = self.xx - self.x * self.x / self.weight;
        // Windows with the same number under way say nothing; what is left of them is rounding.
        if spread.is_nan() || spread <= 1e-9 * self.xx {
            return Verdict::Open;
        }
        let slope = (self.xy - self.x * self.y / self.weight) / spread;
        let errors = (slope - 0.5) * spread.sqrt();
        if errors >= ENOUGH {
            Verdict::Own
        } else if errors <= -ENOUGH {
            Verdict::Queue
        } else {
            Verdict::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Verdict};

    /// What windows say in which so many were under way, each by a tenth or so fewer or more than it should be.
    fn of(windows: &[f64], samples: f64, throughput: impl Fn(f64) -> f64) -> Verdict {
        let mut evidence = Evidence::default();
        for (index, in_flight) in windows.iter().enumerate() {
            let off = if index % 2 == 0 { 1.0 } else { 1.05 };
            evidence.add(*in_flight, off * throughput(*in_flight), samples);
        }
        evidence.verdict()
    }

    #[test]
    fn throughput_that_stays_is_a_queue_and_one_that_falls_is_not() {
        let falls = [20.0, 12.0, 7.0, 4.0];
        assert_eq!(of(&falls, 20.0, |_| 33.0), Verdict::Queue);
        assert_eq!(of(&falls, 20.0, |in_flight| in_flight / 0.06), Verdict::Own);
        // A few answers more or less are chance, but not of many.
        for (samples, queue, own) in
            [(20.0, Verdict::Open, Verdict::Open), (200.0, Verdict::Queue, Verdict::Own)]
        {
            assert_eq!(of(&falls[..2], samples, |_| 33.0), queue, "{samples}");
            assert_eq!(of(&falls[..2], samples, |in_flight| in_flight / 0.06), own, "{samples}");
        }
        // More than are credible do not make it more certain.
        let close = [20.0, 17.0];
        assert_eq!(of(&close, 1e9, |_| 33.0), Verdict::Open);
        // Rising limits say the same as falling ones.
        assert_eq!(of(&[4.0, 7.0, 12.0, 20.0], 20.0, |_| 33.0), Verdict::Queue);
    }

    #[test]
    fn without_a_difference_nothing_is_said() {
        assert_eq!(Evidence::default().verdict(), Verdict::Open);
        assert_eq!(Evidence::beginning(20.0, 33.0, 200.0).verdict(), Verdict::Open);
        assert_eq!(of(&[7.3; 50], 200.0, |_| 33.0), Verdict::Open);
    }

    #[test]
    fn what_was_before_a_change_is_forgotten() {
        let mut evidence = Evidence::beginning(20.0, 533.0, 200.0);
        // Throughput falls by far more than what is under way: else it would look like the service's own.
        assert!(evidence.add(12.0, 33.0, 200.0));
        assert_eq!(evidence.verdict(), Verdict::Open);
        assert!(!evidence.add(7.0, 33.0, 200.0));
        assert_eq!(evidence.verdict(), Verdict::Queue);
    }
}
