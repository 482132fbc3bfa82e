//! A body at a given rate, in pieces that are worth a system call.

/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;
/// The largest piece that is waited for.
const PIECE: u64 = 16 * 1024;
/// Pieces go this many times a second at least, where the rate gives a byte each time.
const PIECES_PER_SECOND: u64 = 10;

/// How much of a body may go, and when.
///
/// A piece is a tenth of a second's worth, at least 1 byte and at most 16 KiB. A piece that is not
/// sent in time is kept, and a tenth of a second's worth besides, so that a late timer costs nothing; a longer pause
/// earns no burst.
#[derive(Debug, Clone)]
pub struct Pace {
    bytes_per_second: u64,
    began: u64,
    /// Bytes sent since `began`, and those forfeited by pauses.
    spent: u64,
}

impl Pace {
    /// Begins at `now` nanoseconds; the first piece is earned from then on. A rate of 0 counts as 1.
    #[must_use]
    pub fn new(bytes_per_second: u32, now: u64) -> Self {
        Self { bytes_per_second: u64::from(bytes_per_second.max(1)), began: now, spent: 0 }
    }

    /// How many bytes may go now: 0, or a piece or more.
    #[must_use]
    pub fn allowance(&mut self, now: u64) -> usize {
        let earned = self.earned(now);
        let kept = self.piece() + (self.bytes_per_second / PIECES_PER_SECOND).max(1);
        self.spent = self.spent.max(earned.saturating_sub(kept));
        let left = earned.saturating_sub(self.spent);
        if left < self.piece() { 0 } else { usize::try_from(left).unwrap_or(usize::MAX) }
    }

    /// So many bytes were sent.
    pub fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes as u64);
    }

    /// From when on, in nanoseconds, the next piece may go; in the past, if it may already.
    #[must_use]
    pub fn next(&self) -> u64 {
        let needed = u128::from(self.spent) + u128::from(self.piece());
        let after = (needed * SECOND).div_ceil(u128::from(self.bytes_per_second));
        self.began.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    fn piece(&self) -> u64 {
        (self.bytes_per_second / PIECES_PER_SECOND).clamp(1, PIECE)
    }

    fn earned(&self, now: u64) -> u64 {
        let passed = u128::from(now.saturating_sub(self.began));
        u64::try_from(passed * u128::from(self.bytes_per_second) / SECOND).unwrap_or(u64::MAX)
    }
}
