//! Buffers that are owned only while they hold something.

/// How many buffers a worker keeps for reuse.
const KEPT: usize = 256;
/// A buffer that grew past this goes back to the allocator.
const KEPT_BYTES: usize = 64 * 1024;
const FIRST_BYTES: usize = 4 * 1024;

/// A worker's spare buffers.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    free: Vec<Vec<u8>>,
}

impl BufferPool {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(FIRST_BYTES))
    }

    /// Hands one back.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity == 0 || capacity > KEPT_BYTES || self.free.len() >= KEPT {
            return;
        }
        buffer.clear();
        self.free.push(buffer);
    }
}

/// Bytes that wait to be read or written; owns memory only while there are some.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    start: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn push(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        if bytes.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes `count` bytes off the front.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut BufferPool) {
        self.start += count;
        if self.start >= self.bytes.len() {
            self.clear(pool);
        } else if self.start > KEPT_BYTES {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    pub(crate) fn clear(&mut self, pool: &mut BufferPool) {
        self.start = 0;
        pool.give(std::mem::take(&mut self.bytes));
    }

    /// Moves everything to the end of `into`.
    pub(crate) fn drain_into(&mut self, into: &mut Vec<u8>, pool: &mut BufferPool) {
        if !self.is_empty() {
            into.extend_from_slice(self.as_slice());
        }
        if self.bytes.capacity() > 0 {
            self.clear(pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_only_while_there_are_bytes() {
        let mut pool = BufferPool::default();
        let mut pending = Pending::default();
        pending.push(b"hello", &mut pool);
        pending.consume(2, &mut pool);
        assert_eq!(pending.as_slice(), b"llo");
        pending.push(b"!", &mut pool);
        assert_eq!(pending.as_slice(), b"llo!");
        pending.consume(4, &mut pool);
        assert!(pending.is_empty());
        assert_eq!((pending.bytes.capacity(), pool.free.len()), (0, 1));
    }
}
