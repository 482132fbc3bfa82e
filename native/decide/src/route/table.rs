//! The tables behind a router: flat arrays and hash tables keyed by bytes, one cache line or less per entry.
//!
//! Every set of routes that some host has is one [`Bucket`]; paths are found by the bucket's id and their bytes.

use super::RuleId;
use super::conditions::Conditions;
use crate::policy::RegexId;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

/// Part of one of the arrays of [`Tables`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        let start = self.start as usize;
        all.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// A rule that a request matches if the conditions hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) rule: RuleId,
    /// Position in [`Tables::conditions`]; none: nothing more is asked for.
    pub(super) conditions: Option<u32>,
}

/// The rules of one host and path, most specific first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Candidates {
    /// There are none.
    #[default]
    None,
    /// One, without conditions.
    One(RuleId),
    /// In [`Tables::candidates`].
    Several(Span),
}

/// What is known of a host's rules.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    pub(super) id: u32,
    pub(super) has_exact: bool,
    /// Rules for `/` and without a path condition.
    pub(super) root: Candidates,
    /// Bit n: there is a prefix of n bytes; 1 to 63.
    pub(super) prefix_lengths: u64,
    /// What few hosts have, in [`Tables::rare`].
    pub(super) rare: Option<NonZeroU32>,
}

/// What few hosts have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rare {
    /// Lengths of prefixes above 63, longest first, in [`Tables::long_prefixes`].
    pub(super) long_prefixes: Span,
    /// In [`Tables::regexes`].
    pub(super) regexes: Span,
}

/// What a router looks things up in.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) hosts: Hosts,
    pub(super) exact: Paths,
    pub(super) prefix: Paths,
    /// Counted from 1 by [`Bucket::rare`].
    pub(super) rare: Vec<Rare>,
    pub(super) long_prefixes: Vec<u16>,
    pub(super) regexes: Vec<(RegexId, Candidate)>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) conditions: Vec<Conditions>,
}

impl Tables {
    fn rare(&self, bucket: &Bucket) -> Rare {
        let position = bucket.rare.map(|counted| counted.get() as usize - 1);
        position.and_then(|p| self.rare.get(p)).copied().unwrap_or_default()
    }

    /// The regexes of this bucket, in the order they are tried in.
    pub(super) fn regexes(&self, bucket: &Bucket) -> &[(RegexId, Candidate)] {
        self.rare(bucket).regexes.of(&self.regexes)
    }

    /// The lengths, longest first, at which a prefix of this bucket may cover `path`: those that some prefix has and
    /// where a segment of the path ends.
    pub(super) fn prefix_lengths(&self, bucket: &Bucket, path: &[u8]) -> impl Iterator<Item = usize> {
        let long =
            self.rare(bucket).long_prefixes.of(&self.long_prefixes).iter().map(|len| usize::from(*len));
        let ends = |len: &usize| *len == path.len() || path.get(*len) == Some(&b'/');
        long.chain(SetBits(bucket.prefix_lengths)).filter(ends)
    }
}

/// The positions of the bits that are set, highest first.
struct SetBits(u64);

impl Iterator for SetBits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = self.0.checked_ilog2()?;
        self.0 ^= 1 << bit;
        Some(bit as usize)
    }
}

/// Bytes kept in place when they are at most `N`: a look-up then touches one cache line less.
#[derive(Debug)]
enum Key<const N: usize> {
    Short(u8, [u8; N]),
    Long(Box<[u8]>),
}

impl<const N: usize> Key<N> {
    fn new(bytes: &[u8]) -> Self {
        let mut short = [0; N];
        match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(bytes);
                Self::Short(len, short)
            }
            _ => Self::Long(bytes.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
struct PathEntry {
    path: Key<46>,
    bucket: u32,
    candidates: Candidates,
}

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
struct HostEntry {
    name: Key<30>,
    bucket: Bucket,
}

/// Candidates by bucket and path.
#[derive(Debug, Default)]
pub(super) struct Paths {
    entries: HashTable<PathEntry>,
    random: RandomState,
}

impl Paths {
    fn hash(random: &RandomState, bucket: u32, path: &[u8]) -> u64 {
        let mut hasher = random.build_hasher();
        hasher.write_u32(bucket);
        hasher.write(path);
        hasher.finish()
    }

    /// `path` must not be there yet.
    pub(super) fn insert(&mut self, bucket: u32, path: &[u8], candidates: Candidates) {
        let Self { entries, random } = self;
        let hash = Self::hash(random, bucket, path);
        let entry = PathEntry { path: Key::new(path), bucket, candidates };
        entries.insert_unique(hash, entry, |other| Self::hash(random, other.bucket, other.path.bytes()));
    }

    pub(super) fn find(&self, bucket: u32, path: &[u8]) -> Option<Candidates> {
        let hash = Self::hash(&self.random, bucket, path);
        let same = |entry: &PathEntry| entry.bucket == bucket && entry.path.bytes() == path;
        self.entries.find(hash, same).map(|entry| entry.candidates)
    }
}

/// A set of lengths up to 255.
#[derive(Debug, Default)]
struct Lengths([u64; 4]);

impl Lengths {
    fn insert(&mut self, len: usize) {
        if let Some(word) = self.0.get_mut(len / 64) {
            *word |= 1 << (len % 64);
        }
    }

    fn has(&self, len: usize) -> bool {
        self.0.get(len / 64).is_some_and(|word| word & (1 << (len % 64)) != 0)
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// Which hosts a bucket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HostPattern<'a> {
    /// Exactly this one.
    Exact(&'a [u8]),
    /// One or more labels in front of `.` and this.
    Below(&'a [u8]),
    /// All.
    Any,
}

/// Buckets by host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashTable<HostEntry>,
    below: HashTable<HostEntry>,
    below_lengths: Lengths,
    any: Option<Bucket>,
    random: RandomState,
}

impl Hosts {
    /// The longest host name that is looked for, in bytes.
    pub(super) const MAX: usize = 255;

    /// `host` must not be there yet, and not be longer than [`Hosts::MAX`].
    pub(super) fn insert(&mut self, host: HostPattern<'_>, bucket: Bucket) {
        let (table, name) = match host {
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::Below(name) => {
                self.below_lengths.insert(name.len());
                (&mut self.below, name)
            }
            HostPattern::Any => {
                self.any = Some(bucket);
                return;
            }
        };
        let random = &self.random;
        let entry = HostEntry { name: Key::new(name), bucket };
        table.insert_unique(random.hash_one(name), entry, |other| random.hash_one(other.name.bytes()));
    }

    fn find<'a>(&self, table: &'a HashTable<HostEntry>, name: &[u8]) -> Option<&'a Bucket> {
        if table.is_empty() {
            return None;
        }
        let found = table.find(self.random.hash_one(name), |entry| entry.name.bytes() == name);
        found.map(|entry| &entry.bucket)
    }

    pub(super) fn exact(&self, host: &[u8]) -> Option<&Bucket> {
        self.find(&self.exact, host)
    }

    /// Those whose wildcard fits `host`, longest first.
    pub(super) fn wildcards<'a>(&'a self, host: &'a [u8]) -> impl Iterator<Item = &'a Bucket> {
        // A leading dot would leave an empty label in front.
        let mut rest =
            if self.below_lengths.is_empty() { b"" } else { host.strip_prefix(b".").unwrap_or(host) };
        let suffixes = std::iter::from_fn(move || {
            let dot = memchr::memchr(b'.', rest)?;
            rest = rest.get(dot + 1..)?;
            Some(rest)
        });
        suffixes
            .filter(|suffix| self.below_lengths.has(suffix.len()))
            .filter_map(|suffix| self.find(&self.below, suffix))
    }

    pub(super) fn any(&self) -> Option<&Bucket> {
        self.any.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::{HostEntry, Key, PathEntry, SetBits};

    #[test]
    fn an_entry_is_a_cache_line() {
        assert_eq!(size_of::<HostEntry>(), 64);
        assert_eq!(size_of::<PathEntry>(), 64);
    }

    #[test]
    fn keys_keep_their_bytes() {
        for len in 0..64 {
            let bytes: Vec<u8> = (0..len).collect();
            assert_eq!(Key::<30>::new(&bytes).bytes(), bytes);
        }
    }

    #[test]
    fn bits_come_highest_first() {
        assert_eq!(SetBits(0).count(), 0);
        assert_eq!(SetBits(1 << 63 | 0b1010).collect::<Vec<_>>(), [63, 3, 1]);
    }
}
