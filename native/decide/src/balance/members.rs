//! The endpoints of a service or subset, and sets of them.
//!
//! In: the snapshot and what DNS resolved. Out: members, from which views, hash tables and cookies are made.

use super::dice::mix;

/// One endpoint that may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its index within the service, below 2^20.
    pub endpoint: u32,
    /// Its relative share, 0 to 1,000,000. 0 is draining: only those whose cookie names it get there.
    pub weight: u32,
}

/// Where a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Its zone, seen from here.
    pub zone: Zone,
    /// [`super::stable_hash`] of its address: what ring hash, Maglev and cookies know it by, in every process.
    pub identity: u64,
}

/// A zone, seen from this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The proxy's own.
    Own,
    /// Another one.
    Other,
    /// The endpoint's or the proxy's is not known; counts as another.
    Unknown,
}

/// The endpoints of a service or subset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    list: Box<[(Member, Site)]>,
}

impl Members {
    /// Members without a site: no zone, and known by their index. For services that neither prefer a zone, nor hash,
    /// nor set cookies.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let site = |m: &Member| Site { zone: Zone::Unknown, identity: mix(m.endpoint.into()) };
        Self { list: members.into_iter().map(|member| (member, site(&member))).collect() }
    }

    /// Members and where they are; each endpoint at most once.
    #[must_use]
    pub fn with_sites(members: impl IntoIterator<Item = (Member, Site)>) -> Self {
        Self { list: members.into_iter().collect() }
    }

    /// The members.
    #[must_use]
    pub fn as_slice(&self) -> &[(Member, Site)] {
        &self.list
    }

    /// One more than the highest endpoint.
    pub(super) fn bound(&self) -> usize {
        self.list.iter().map(|(m, _)| m.endpoint as usize + 1).max().unwrap_or(0).min(MOST)
    }

    /// Members with a share, in an order that is the same wherever the same addresses are: `(identity, member)`.
    /// An address that is there twice has two identities.
    pub(super) fn by_identity(&self) -> Vec<(u64, Member)> {
        let mut seats: Vec<(u64, Member)> =
            self.list.iter().filter(|(m, _)| m.weight > 0).map(|(m, site)| (site.identity, *m)).collect();
        seats.sort_unstable_by_key(|(identity, m)| (*identity, m.endpoint));
        let (mut last, mut again) = (None, 0);
        for (identity, _) in &mut seats {
            again = if last == Some(*identity) { again + 1 } else { 0 };
            last = Some(*identity);
            *identity = mix(identity.wrapping_add(again));
        }
        seats
    }
}

/// More endpoints than this a service does not have.
pub(super) const MOST: usize = 1 << 20;

/// A set of endpoints of one service, by their index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointSet {
    words: Vec<u64>,
}

impl EndpointSet {
    /// Adds an endpoint; an index of 2^20 or more is no endpoint and is left out.
    pub fn insert(&mut self, endpoint: u32) {
        let word = endpoint as usize / 64;
        if endpoint as usize >= MOST {
            return;
        }
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (endpoint % 64);
        }
    }

    /// Takes an endpoint out.
    pub fn remove(&mut self, endpoint: u32) {
        if let Some(word) = self.words.get_mut(endpoint as usize / 64) {
            *word &= !(1 << (endpoint % 64));
        }
    }

    /// Whether the endpoint is in the set.
    #[must_use]
    pub fn contains(&self, endpoint: u32) -> bool {
        self.words.get(endpoint as usize / 64).is_some_and(|word| word & (1 << (endpoint % 64)) != 0)
    }
}

impl FromIterator<u32> for EndpointSet {
    fn from_iter<I: IntoIterator<Item = u32>>(endpoints: I) -> Self {
        let mut set = Self::default();
        endpoints.into_iter().for_each(|endpoint| set.insert(endpoint));
        set
    }
}
