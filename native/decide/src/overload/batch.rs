//! What one worker saw of a service since its batch was last taken: a histogram of latencies, and how many were under
//! way. 900 bytes; recording costs a few nanoseconds.

/// Latencies below this share the first part; 2^14 ns are 16 µs.
const FLOOR_BITS: u32 = 14;
/// Doublings above it that are told apart: up to 2 minutes.
const DOUBLINGS: usize = 23;
/// Parts of equal width within a doubling: 3 bits.
const PARTS: usize = 8;
const PART_BITS: u32 = 3;
const BUCKETS: usize = (DOUBLINGS + 1) * PARTS;

/// How a request that was let in ended, as far as load is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, whatever the status: its latency counts.
    Answered,
    /// It took too long, or the service said that it has too much to do (503 or gRPC status 8 of its own).
    Overloaded,
    /// It says nothing about load: no connection, reset, cancelled by the client, a stream without an end.
    Other,
}

/// A worker's observations of one service.
#[derive(Debug, Clone)]
pub struct Batch {
    counts: [u32; BUCKETS],
    answered: u64,
    overloaded: u64,
    in_flight_sum: u64,
    in_flight_peak: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], answered: 0, overloaded: 0, in_flight_sum: 0, in_flight_peak: 0 }
    }
}

impl Batch {
    /// A request has ended, `latency_ns` after it was sent on, while `in_flight` were under way in the process, itself
    /// included. The latency is that of the response's head.
    pub fn finished(&mut self, latency_ns: u64, in_flight: u32, outcome: Outcome) {
        match outcome {
            Outcome::Other => return,
            Outcome::Overloaded => self.overloaded += 1,
            Outcome::Answered => {
                self.answered += 1;
                if let Some(count) = self.counts.get_mut(bucket(latency_ns)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        self.in_flight_sum += u64::from(in_flight);
        self.in_flight_peak = self.in_flight_peak.max(in_flight);
    }

    /// Adds what another worker saw.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.answered += other.answered;
        self.overloaded += other.overloaded;
        self.in_flight_sum += other.in_flight_sum;
        self.in_flight_peak = self.in_flight_peak.max(other.in_flight_peak);
    }

    /// Requests that said something.
    pub(super) fn samples(&self) -> u64 {
        self.answered + self.overloaded
    }

    /// The share of them that say that there is too much to do.
    #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
    pub(super) fn overloaded_share(&self) -> f64 {
        self.overloaded as f64 / self.samples().max(1) as f64
    }

    /// The mean of those under way as each ended.
    #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
    pub(super) fn in_flight(&self) -> f64 {
        self.in_flight_sum as f64 / self.samples().max(1) as f64
    }

    pub(super) fn in_flight_peak(&self) -> u32 {
        self.in_flight_peak
    }

    /// The median latency in nanoseconds; none without an answer.
    #[expect(clippy::cast_precision_loss, reason = "to within a bucket anyway")]
    pub(super) fn median(&self) -> Option<f64> {
        let half = self.answered as f64 / 2.0;
        let mut below = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(*count);
            if below + count >= half {
                let (from, width) = bounds(bucket);
                return Some(from as f64 + width as f64 * (half - below) / count);
            }
            below += count;
        }
        None
    }
}

/// The first doubling holds everything below the floor; each further one is divided by its highest bits.
fn bucket(latency_ns: u64) -> usize {
    let doubling = (u64::BITS - latency_ns.leading_zeros()).saturating_sub(FLOOR_BITS);
    let shift = (FLOOR_BITS + doubling).saturating_sub(PART_BITS + 1).min(u64::BITS - 1);
    // Above the floor, the highest bit is always set and left out.
    let part = if doubling == 0 { latency_ns >> (FLOOR_BITS - PART_BITS) } else { (latency_ns >> shift) & 7 };
    let index = doubling as usize * PARTS + usize::try_from(part).unwrap_or(0);
    index.min(BUCKETS - 1)
}

/// Where a bucket begins, and how wide it is.
fn bounds(bucket: usize) -> (u64, u64) {
    let (doubling, part) = (bucket / PARTS, (bucket % PARTS) as u64);
    if doubling == 0 {
        let width = 1 << (FLOOR_BITS - PART_BITS);
        return (part * width, width);
    }
    let from = 1_u64 << (FLOOR_BITS as usize + doubling - 1);
    let width = from >> PART_BITS;
    (from + part * width, width)
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Batch, Outcome, bounds, bucket};

    #[test]
    fn buckets_hold_what_their_bounds_say() {
        let mut end = 0;
        for index in 0..BUCKETS {
            let (from, width) = bounds(index);
            assert_eq!(from, end, "{index}");
            end = from + width;
            assert_eq!((bucket(from), bucket(end - 1)), (index, index), "{from} to {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(end > 120_000_000_000);
    }

    #[test]
    fn medians_are_within_a_bucket_and_sums_are_sums() {
        let (mut all, mut one, mut two) = (Batch::default(), Batch::default(), Batch::default());
        assert_eq!(all.median(), None);
        for ms in 1..=1001_u64 {
            let worker = if ms % 2 == 0 { &mut one } else { &mut two };
            worker.finished(ms * 1_000_000, 3, Outcome::Answered);
        }
        two.finished(1, 9, Outcome::Overloaded);
        two.finished(1, 100, Outcome::Other);
        all.add(&one);
        all.add(&two);
        let median = all.median().unwrap() / 1e6;
        assert!((median - 501.0).abs() < 40.0, "{median}");
        assert_eq!((all.samples(), all.in_flight_peak()), (1002, 9));
        assert!((all.overloaded_share() - 1.0 / 1002.0).abs() < 1e-9);
        assert!((all.in_flight() - (1001.0 * 3.0 + 9.0) / 1002.0).abs() < 1e-9);
    }
}
