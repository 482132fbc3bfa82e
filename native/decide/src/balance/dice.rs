//! Chance and hashes of balancing: from one random number many, from bytes the same number in every process.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Numbers that follow from one random number (`SplitMix64`: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(random: u64) -> Self {
        Self(random)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform over `0..below`; 0, where that is empty.
    pub(super) fn below(&mut self, below: usize) -> usize {
        scale(self.next(), below)
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: f32) -> bool {
        unit(self.next()) < probability
    }
}

/// A uniform number as an index in `0..below`.
#[expect(clippy::cast_possible_truncation, reason = "less than `below`")]
pub(super) fn scale(uniform: u64, below: usize) -> usize {
    ((u128::from(uniform) * below as u128) >> 64) as usize
}

/// A uniform number in 0..1.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
pub(super) fn unit(uniform: u64) -> f32 {
    (uniform >> 40) as f32 * (1.0 / (1 << 24) as f32)
}

/// Each bit of the result depends on each bit of the value; no two values have the same result.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A hash that is the same in every process, on every machine and in every version: of addresses, and of the keys of
/// requests. It is no secret, and not made against those who choose bytes to collide.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * 0xE703_7ED1_A0B4_28DB;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let folded = product as u64 ^ (product >> 64) as u64;
        folded ^ hash.rotate_left(29)
    };
    let seed = GOLDEN ^ (bytes.len() as u64);
    let hash = words.iter().fold(seed, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    mix(fold(hash, u64::from_le_bytes(last)))
}
