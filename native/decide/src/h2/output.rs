//! What is to be sent. In: frames, appended; out: one run of bytes, written once a turn; and how many answers the
//! peer has made us queue that it does not read.

/// Unsent bytes at which no more DATA is taken.
const FULL: usize = 256 * 1024;
/// A buffer no larger than this is kept.
const KEPT: usize = 4096;
/// Answers that may wait: a peer that reads gets nowhere near.
const ANSWERS: u32 = 1000;
/// A sent front of this size is cut off when it is the larger part.
const COMPACT: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How much of the front was sent.
    sent: usize,
    /// Answers among the next `mark` unsent bytes.
    older: u32,
    /// Answers behind them.
    newer: u32,
    mark: usize,
}

impl Output {
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The same, for an answer that the peer's frames make us give.
    pub(super) fn answer(&mut self) -> &mut Vec<u8> {
        self.newer = self.newer.saturating_add(1);
        &mut self.bytes
    }

    /// The peer makes us answer and does not read.
    pub(super) fn is_flooded(&self) -> bool {
        self.older.saturating_add(self.newer) > ANSWERS
    }

    pub(super) fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn waiting(&self) -> usize {
        self.bytes.len().saturating_sub(self.sent)
    }

    /// Bytes of DATA that are taken now.
    pub(super) fn room(&self) -> usize {
        FULL.saturating_sub(self.waiting())
    }

    /// True when it had been full and is not any more.
    pub(super) fn sent(&mut self, len: usize) -> bool {
        let was_full = self.room() == 0;
        let len = len.min(self.waiting());
        self.sent += len;
        if self.waiting() == 0 {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent >= COMPACT && self.sent * 2 >= self.bytes.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.mark = self.mark.saturating_sub(len);
        if self.mark == 0 {
            self.older = std::mem::take(&mut self.newer);
            self.mark = self.waiting();
            if self.mark == 0 {
                self.older = 0;
            }
        }
        was_full && self.room() > 0
    }

    pub(super) fn lend(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        if self.bytes.capacity() >= buffer.capacity() {
            return buffer;
        }
        buffer.clear();
        buffer.extend_from_slice(self.unsent());
        self.sent = 0;
        let mut own = std::mem::replace(&mut self.bytes, buffer);
        own.clear();
        own
    }

    pub(super) fn reclaim(&mut self) -> Option<Vec<u8>> {
        (self.waiting() == 0 && self.bytes.capacity() > 0).then(|| {
            self.sent = 0;
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            bytes
        })
    }

    pub(super) fn shrink(&mut self) {
        if self.waiting() <= KEPT && self.bytes.capacity() > KEPT {
            self.bytes.drain(..self.sent);
            self.sent = 0;
            self.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_that_was_sent_does_not_stay_for_long() {
        let mut output = Output::default();
        let (mut next, mut expected) = (0_u64, 0_u64);
        for _ in 0..5000 {
            while output.room() > 0 {
                output.bytes_mut().extend_from_slice(&next.to_be_bytes());
                next += 1;
            }
            for _ in 0..100 {
                assert_eq!(output.unsent().first_chunk(), Some(&expected.to_be_bytes()));
                output.sent(8);
                expected += 1;
            }
            assert!(output.bytes.len() <= 2 * FULL + 8, "{}", output.bytes.len());
        }
        output.sent(FULL);
        assert_eq!((output.unsent(), output.bytes.len(), output.sent), (&[][..], 0, 0));
        output.shrink();
        assert_eq!(output.bytes.capacity(), 0);
    }

    #[test]
    fn answers_are_forgotten_once_they_are_read() {
        let mut output = Output::default();
        for n in 0..10 * ANSWERS {
            output.answer().push(0);
            assert!(!output.is_flooded(), "{n}");
            // Nine of ten are read at once.
            if n % 1000 != 0 {
                output.sent(1);
            }
        }
        for _ in 0..=ANSWERS {
            output.answer().push(0);
        }
        assert!(output.is_flooded());
        output.sent(usize::MAX);
        assert!(!output.is_flooded());
    }
}
