//! What else happened to a request: a set of bits with names.

/// A set of flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $name:ident = $bit:literal, $text:literal;)+) => {
        impl Flags {
            $($(#[doc = $doc])+ pub const $name: Self = Self(1 << $bit);)+

            /// Every flag and its name in logs.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),+];
        }
    };
}

flags! {
    /// The client spoke TLS.
    TLS = 0, "tls";
    /// The client showed a certificate.
    MTLS = 1, "mtls";
    /// The client spoke HTTP/2.
    H2 = 2, "h2";
    /// The connection became a tunnel.
    UPGRADE = 3, "upgrade";
    /// We answered ourselves.
    LOCAL_REPLY = 4, "local_reply";
    /// More than one attempt was made.
    RETRIED = 5, "retried";
    /// The client ended it early.
    CLIENT_ABORT = 6, "client_abort";
    /// The upstream ended it early.
    UPSTREAM_ABORT = 7, "upstream_abort";
    /// A time limit ended it.
    TIMEOUT = 8, "timeout";
    /// The answer was cut short after its head was sent.
    TRUNCATED = 9, "truncated";
    /// The upstream connection came out of the pool.
    POOLED = 10, "pooled";
    /// The shadow policy would have refused it.
    SHADOW_DENIED = 11, "shadow_denied";
    /// The client's connection is closed after it.
    CLOSE = 12, "close";
    /// It is a whole connection, forwarded or refused as one; no request was read.
    CONNECTION = 13, "connection";
    /// A fault on purpose was done to it.
    FAULT = 14, "fault";
    /// A second attempt was made beside a slow first one.
    HEDGED = 15, "hedged";
}

impl Flags {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Adds those of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of those in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_own_bit_and_name() {
        let mut all = Flags::EMPTY;
        for (i, (flag, name)) in Flags::ALL.iter().enumerate() {
            assert!(!all.contains(*flag), "{name} shares its bit");
            assert!(Flags::ALL.iter().skip(i + 1).all(|(_, other)| other != name), "{name} twice");
            all.insert(*flag);
        }
        assert_eq!(all.names().count(), Flags::ALL.len());
        assert_eq!(Flags::TLS.with(Flags::RETRIED).names().collect::<Vec<_>>(), ["tls", "retried"]);
        assert!(!Flags::TLS.contains(Flags::TLS.with(Flags::H2)));
    }
}
