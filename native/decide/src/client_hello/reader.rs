//! Reads what TLS writes: numbers in network order, and vectors with their length in front (RFC 8446 section 3.4).

/// The rest of some bytes; running past their end is the error that it was made with.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    error: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], error: &'static str) -> Self {
        Self { rest: bytes, error }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.error)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), &'static str> {
        self.take(count).map(|_| ())
    }

    pub(super) fn byte(&mut self) -> Result<u8, &'static str> {
        self.take(1)?.first().copied().ok_or(self.error)
    }

    pub(super) fn number(&mut self) -> Result<u16, &'static str> {
        let bytes = self.take(2)?.try_into().map_err(|_| self.error)?;
        Ok(u16::from_be_bytes(bytes))
    }

    /// A vector of at most 255 bytes.
    pub(super) fn short(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    /// A vector of at most 65,535 bytes.
    pub(super) fn long(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}
