//! Who a peer is: SPIFFE IDs and trust domains, parsed strictly.
//!
//! In: the text of a URI SAN, or of a configured ID. Out: types that cannot hold a look-alike.
//! Before: TLS, which verifies the certificate. After: policy, which decides by them.
//! Source: the SPIFFE-ID specification, section 2.

use std::fmt;
use std::sync::Arc;

const SCHEME: &[u8] = b"spiffe://";
const MAX_ID: usize = 2048;
const MAX_TRUST_DOMAIN: usize = 255;

/// Why a text is not a SPIFFE ID or trust domain. It does not repeat the text: that came from a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// Longer than 2048 bytes, or a trust domain of more than 255.
    #[error("is too long")]
    TooLong,
    /// It does not begin with `spiffe://`, in lower case.
    #[error("does not begin with spiffe://")]
    Scheme,
    /// The trust domain is empty.
    #[error("has no trust domain")]
    NoTrustDomain,
    /// The trust domain holds something else than `a-z 0-9 . - _`; a port and user information are such.
    #[error("has a character in its trust domain that is not one of a-z 0-9 . - _")]
    TrustDomainCharacter,
    /// A workload's ID needs a path.
    #[error("has no path")]
    NoPath,
    /// `//` in the path, or `/` at its end.
    #[error("has an empty path segment")]
    EmptySegment,
    /// `.` or `..` as a path segment.
    #[error("has a dot segment in its path")]
    DotSegment,
    /// The path holds something else than `a-z A-Z 0-9 . - _`; `%`, `?` and `#` are such.
    #[error("has a character in its path that is not one of a-z A-Z 0-9 . - _")]
    PathCharacter,
    /// A trust domain's own ID has no path.
    #[error("has a path, a trust domain has none")]
    UnexpectedPath,
}

/// The SPIFFE ID of a workload, such as `spiffe://example.test/ns/shop/sa/web`. Cheap to clone. Two are equal when their
/// bytes are: the grammar leaves one spelling.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: Arc<str>,
}

impl SpiffeId {
    /// Parses the ID of a workload; the path is required.
    pub fn parse(id: impl AsRef<[u8]>) -> Result<Self, SpiffeIdError> {
        let text = id.as_ref();
        let (domain, path) = split(text)?;
        trust_domain(domain)?;
        if path.is_empty() {
            return Err(SpiffeIdError::NoPath);
        }
        segments(path)?;
        // The grammar is ASCII, so this cannot fail.
        let text = std::str::from_utf8(text).map_err(|_| SpiffeIdError::PathCharacter)?;
        Ok(Self { text: text.into() })
    }

    /// The whole ID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the trust domain, such as `example.test`.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.parts().0
    }

    /// The path with its leading `/`, such as `/ns/shop/sa/web`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.parts().1
    }

    /// Whether the ID belongs to `domain`.
    #[must_use]
    pub fn is_member_of(&self, domain: &TrustDomain) -> bool {
        self.trust_domain() == domain.as_str()
    }

    fn parts(&self) -> (&str, &str) {
        let rest = self.text.strip_prefix("spiffe://").unwrap_or_default();
        rest.find('/').and_then(|slash| rest.split_at_checked(slash)).unwrap_or((rest, ""))
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.text)
    }
}

/// The name of a trust domain, such as `example.test`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain {
    name: Arc<str>,
}

impl TrustDomain {
    /// Parses a bare name: at most 255 bytes of `a-z 0-9 . - _`.
    pub fn parse(name: impl AsRef<[u8]>) -> Result<Self, SpiffeIdError> {
        let name = name.as_ref();
        trust_domain(name)?;
        // The grammar is ASCII, so this cannot fail.
        let name = std::str::from_utf8(name).map_err(|_| SpiffeIdError::TrustDomainCharacter)?;
        Ok(Self { name: name.into() })
    }

    /// Parses the ID of a trust domain itself, such as `spiffe://example.test`; a CA's certificate carries it.
    pub fn parse_id(id: impl AsRef<[u8]>) -> Result<Self, SpiffeIdError> {
        let (domain, path) = split(id.as_ref())?;
        if !path.is_empty() {
            return Err(SpiffeIdError::UnexpectedPath);
        }
        Self::parse(domain)
    }

    /// The trust domain that `id` belongs to.
    #[must_use]
    pub fn of(id: &SpiffeId) -> Self {
        Self { name: id.trust_domain().into() }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The trust domain and what follows it, `/` included.
fn split(id: &[u8]) -> Result<(&[u8], &[u8]), SpiffeIdError> {
    if id.len() > MAX_ID {
        return Err(SpiffeIdError::TooLong);
    }
    let rest = id.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
    let slash = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    Ok(rest.split_at_checked(slash).unwrap_or((rest, b"")))
}

fn trust_domain(name: &[u8]) -> Result<(), SpiffeIdError> {
    if name.is_empty() {
        return Err(SpiffeIdError::NoTrustDomain);
    }
    if name.len() > MAX_TRUST_DOMAIN {
        return Err(SpiffeIdError::TooLong);
    }
    let legal = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if name.iter().all(legal) { Ok(()) } else { Err(SpiffeIdError::TrustDomainCharacter) }
}

/// `path` begins with `/`.
fn segments(path: &[u8]) -> Result<(), SpiffeIdError> {
    for segment in path.split(|b| *b == b'/').skip(1) {
        match segment {
            b"" => return Err(SpiffeIdError::EmptySegment),
            b"." | b".." => return Err(SpiffeIdError::DotSegment),
            _ if !segment.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) => {
                return Err(SpiffeIdError::PathCharacter);
            }
            _ => {}
        }
    }
    Ok(())
}
