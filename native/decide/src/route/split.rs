//! Backends by weight.

use crate::chance::{again, below};
use tulle_snapshot::wire::Backend;

/// The backends of a rule, by weight.
#[derive(Debug)]
pub struct Split {
    first: Part,
    /// Further backends, ascending by the weights before them.
    others: Box<[Part]>,
    total: u64,
}

#[derive(Debug)]
struct Part {
    /// The sum of the weights before it.
    before: u64,
    /// Tells places in the list of the snapshot apart.
    salt: u64,
    backend: Backend,
}

/// What decides between backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A random number, uniform over all of `u64`: each request is drawn anew.
    Drawn(u64),
    /// A hash of what the request shows, with a seed that all proxies share: the same goes to the same backend.
    Sticky(u64),
}

impl Split {
    /// None, if no backend has a weight. Those of weight 0 are left out.
    pub(crate) fn new(backends: &[Backend]) -> Option<Self> {
        let mut total = 0;
        let mut parts = Vec::with_capacity(backends.len());
        for (place, backend) in (0..).zip(backends).filter(|(_, backend)| backend.weight > 0) {
            parts.push(Part { before: total, salt: again(place), backend: backend.clone() });
            total += u64::from(backend.weight);
        }
        let mut parts = parts.into_iter();
        Some(Self { first: parts.next()?, others: parts.collect(), total })
    }

    /// The backend for one request. `random` is uniform over all of `u64`; each backend gets its exact share of that
    /// range, to within one part in 2^64 of it per backend.
    #[must_use]
    pub fn pick(&self, random: u64) -> &Backend {
        if self.others.is_empty() {
            return &self.first.backend;
        }
        let scaled = below(random, self.total);
        let reached = self.others.partition_point(|part| part.before <= scaled);
        &self.others.get(..reached).and_then(<[_]>::last).unwrap_or(&self.first).backend
    }

    /// The backend for all requests of one hash.
    ///
    /// By weighted rendezvous (Thaler, Ravishankar 1998; the weighting is the race of exponential clocks, -ln(u)/w):
    /// each backend draws from the hash and its place in the list, and the earliest wins. Its share is its weight's.
    /// Where weights change, a key moves only to a backend whose share of the weights grew, or away from one whose share
    /// shrank: a canary that grows keeps all it had, which ranges over the hash give for two backends only. A backend
    /// that is added goes to the end of the list, one that is taken out gets weight 0.
    #[must_use]
    pub fn pick_sticky(&self, hash: u64) -> &Backend {
        if self.others.is_empty() {
            return &self.first.backend;
        }
        self.earliest(hash, |_| true).unwrap_or(&self.first.backend)
    }

    /// As `choice` says; but where the picked backend has `fallback` and is not usable, one of those that are, by their
    /// weights. The picked one, where none is, or where it has no `fallback`: its share does not move.
    pub fn pick_usable(&self, choice: Choice, usable: impl Fn(&Backend) -> bool) -> &Backend {
        let picked = match choice {
            Choice::Drawn(random) => self.pick(random),
            Choice::Sticky(hash) => self.pick_sticky(hash),
        };
        if !picked.fallback || usable(picked) {
            return picked;
        }
        match choice {
            Choice::Drawn(random) => self.among(again(random), usable),
            Choice::Sticky(hash) => self.earliest(hash, usable),
        }
        .unwrap_or(picked)
    }

    /// Every backend that has a weight, in the order of the snapshot.
    pub fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.parts().map(|part| &part.backend)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn among(&self, random: u64, usable: impl Fn(&Backend) -> bool) -> Option<&Backend> {
        // Asked once per backend: the answer may differ a moment later.
        let mut total = 0;
        let mut kept = None;
        let mut random = random;
        for backend in self.backends().filter(|backend| usable(backend)) {
            // A reservoir of one (Chao 1982): each newcomer replaces what is kept with the share of its weight so far.
            total += u64::from(backend.weight);
            random = again(random);
            if below(random, total) < u64::from(backend.weight) {
                kept = Some(backend);
            }
        }
        kept
    }

    fn earliest(&self, hash: u64, usable: impl Fn(&Backend) -> bool) -> Option<&Backend> {
        let mut best: Option<(f64, &Backend)> = None;
        for Part { salt, backend, .. } in self.parts().filter(|part| usable(&part.backend)) {
            let due = -uniform(again(hash ^ salt)).ln() / f64::from(backend.weight);
            if best.is_none_or(|(earliest, _)| due < earliest) {
                best = Some((due, backend));
            }
        }
        best.map(|(_, backend)| backend)
    }
}

/// A number above 0 and below 1, from the upper 52 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits are held exactly")]
fn uniform(random: u64) -> f64 {
    (((random >> 12) << 1) | 1) as f64 / (1_u64 << 53) as f64
}
