//! Bounded text: the first bytes of what a peer sent, with a mark where the rest was cut off.

const CUT: u8 = 0x80;

/// At most `N` bytes (`N` below 128), not necessarily UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    /// The length, and [`CUT`] where there was more.
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    /// The first `N` bytes of `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        const { assert!(N < CUT as usize) };
        let mut text = Self::EMPTY;
        for (to, from) in text.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        let kept = bytes.len().min(N);
        text.len = u8::try_from(kept).unwrap_or(0) | if bytes.len() > N { CUT } else { 0 };
        text
    }

    /// What was kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len & !CUT)).unwrap_or_default()
    }

    /// True where there was more.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.len & CUT != 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}{}", String::from_utf8_lossy(self.as_bytes()), if self.is_cut() { "…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_bytes_and_says_so() {
        for (input, kept, cut) in [
            ("", "", false),
            ("GET", "GET", false),
            ("OPTIONS", "OPTIONS", false),
            ("PROPFIND", "PROPFIN", true),
        ] {
            let text = Text::<7>::new(input.as_bytes());
            assert_eq!((text.as_bytes(), text.is_cut()), (kept.as_bytes(), cut), "{input}");
        }
        let long = Text::<120>::new(&[b'x'; 4096]);
        assert_eq!((long.as_bytes().len(), long.is_cut()), (120, true));
    }
}
