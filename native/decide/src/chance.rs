//! Draws: what is made of the uniform random numbers that are passed in.

/// All of it, in parts per million.
const WHOLE: u64 = 1_000_000;

/// Another number, as uniform as `random` and unrelated to it: the finalizer of `SplitMix64` (Steele, Lea, Flood: Fast
/// splittable pseudorandom number generators, 2014).
#[must_use]
pub fn again(random: u64) -> u64 {
    let mut z = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Whether something happens that happens to `per_million` of a million: 0 never, 1,000,000 always. `random` is uniform
/// over all of `u64`.
#[must_use]
pub fn hit(random: u64, per_million: u32) -> bool {
    below(random, WHOLE) < u64::from(per_million)
}

/// `random` as a number below `bound`; each comes equally often, to within one part in 2^64 of it.
#[must_use]
pub(crate) fn below(random: u64, bound: u64) -> u64 {
    // The product shifted by 64 is below `bound`.
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

/// `random` as an index of a list of `len`; 0 for an empty one.
#[must_use]
pub(crate) fn index(random: u64, len: usize) -> usize {
    usize::try_from(below(random, len as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{below, hit};

    #[test]
    fn never_and_always_hold_at_the_ends() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!hit(random, 0));
            assert!(hit(random, 1_000_000));
        }
        // One in a million is the first 2^64 / 10^6 numbers.
        assert!(hit(18_446_744_073_709, 1));
        assert!(!hit(18_446_744_073_710, 1));
        assert_eq!(below(u64::MAX, 7), 6);
    }
}
