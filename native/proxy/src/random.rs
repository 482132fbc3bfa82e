//! Fast randomness for picks, jitter and ids; not for secrets. Source: wyrand (wyhash, Wang Yi).

/// A generator seeded from outside.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Seeded from the operating system.
    pub(crate) fn from_os() -> Self {
        let mut seed = [0u8; 8];
        let _read = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
        Self(u64::from_ne_bytes(seed))
    }

    #[cfg(test)]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product are mixed")]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let product = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    }

    /// Sixteen bytes, for an id.
    pub(crate) fn bytes16(&mut self) -> [u8; 16] {
        let value = (u128::from(self.next()) << 64) | u128::from(self.next());
        value.to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_balanced() {
        let mut random = Random::seeded(1);
        let ones: u32 = (0..10_000).map(|_| random.next().count_ones()).sum();
        assert!((315_000..325_000).contains(&ones), "{ones}");
    }
}
