//! Durations in fixed buckets, as Prometheus reads them.

use super::counter::Counter;

/// Upper bounds in nanoseconds, inclusive; a last bucket takes what is above.
pub(super) const BOUNDS: [u64; 16] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// How many durations fell into each bucket, and their sum. One writer; cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    sum: Counter,
}

impl Histogram {
    /// Counts one duration.
    pub(super) fn observe(&self, nanos: u64) {
        if let Some(bucket) = self.buckets.get(BOUNDS.partition_point(|bound| *bound < nanos)) {
            bucket.add(1);
        }
        self.sum.add(nanos);
    }

    /// What it holds.
    pub(super) fn read(&self) -> Distribution {
        Distribution {
            buckets: std::array::from_fn(|i| self.buckets.get(i).map_or(0, Counter::read)),
            sum: self.sum.read(),
        }
    }
}

/// A histogram's content at some moment; several add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    buckets: [u64; BOUNDS.len() + 1],
    /// Nanoseconds.
    pub(super) sum: u64,
}

impl Distribution {
    /// How many durations.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (to, from) in self.buckets.iter_mut().zip(&other.buckets) {
            *to += from;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// How many were at most each bound, rising; without the last bucket.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        BOUNDS.iter().zip(&self.buckets).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound, *below))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_agree_with_counting_one_by_one() {
        let mut durations = vec![0, 1, u64::MAX >> 8];
        for bound in BOUNDS {
            durations.extend([bound - 1, bound, bound + 1]);
        }
        let mut state = 88_172_645_463_325_252u64;
        for _ in 0..5_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            durations.push(state >> (20 + state % 30));
        }
        let histogram = Histogram::default();
        for duration in &durations {
            histogram.observe(*duration);
        }
        let read = histogram.read();
        assert_eq!(read.count(), durations.len() as u64);
        assert_eq!(read.sum, durations.iter().fold(0u64, |sum, d| sum.wrapping_add(*d)));
        for (bound, below) in read.cumulative() {
            assert_eq!(below, durations.iter().filter(|d| **d <= bound).count() as u64, "{bound}");
        }
    }

    #[test]
    fn distributions_add_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        for duration in [100, 2_000_000] {
            one.observe(duration);
        }
        for duration in [3_000_000_000, 100] {
            two.observe(duration);
        }
        let mut sum = one.read();
        sum.add(&two.read());
        assert_eq!((sum.count(), sum.sum), (4, 3_002_000_200));
        assert_eq!(sum.cumulative().next(), Some((BOUNDS[0], 2)));
    }
}
