//! What was built from certificate files, and how it is built again when they change.
//!
//! In: a [`Source`], and a call now and then from a thread that may read files. Out: a build with the content it was made
//! of, or why a newer one cannot be made. Before: apply and the keeper. After: [`super::Session`].

use super::clock::WallClock;
use super::configs::Source;
use super::error::TlsConfigError;
use super::material::{Fingerprints, Material};
use std::sync::atomic::{AtomicU64, Ordering};

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A TLS configuration with the settings and the files it was built from. Never changes: [`Loaded::renew`] makes another.
#[derive(Debug)]
pub struct Loaded<S: Source> {
    source: S,
    clock: WallClock,
    seen: Fingerprints,
    /// What handshakes run on.
    pub built: S::Built,
    /// Different for each build in the process, never 0: connections made under another one are not reused.
    pub serial: u64,
}

/// What [`Loaded::renew`] found.
#[derive(Debug)]
pub enum Renewal<T> {
    /// The files hold what the build was made from.
    Unchanged,
    /// They hold something else, and this is built from it.
    Rebuilt(T),
    /// They hold something else, which cannot be used: the build at hand stays. Said each time, as long as it is so.
    Failed(TlsConfigError),
}

impl<S: Source> Loaded<S> {
    /// Reads the files and builds from them. `clock` judges certificates now and in handshakes.
    pub fn load(source: S, clock: WallClock) -> Result<Self, TlsConfigError> {
        let material = Material::read(source.files());
        Self::build(source, clock, &material, material.fingerprints())
    }

    fn build(
        source: S,
        clock: WallClock,
        material: &Material,
        seen: Fingerprints,
    ) -> Result<Self, TlsConfigError> {
        let built = source.build(material, &clock)?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        Ok(Self { source, clock, seen, built, serial })
    }

    /// Whether loading `source` now would give the same: the same settings, and the files as they were. Reads the files.
    #[must_use]
    pub fn is_current(&self, source: &S) -> bool
    where
        S: PartialEq,
    {
        self.source == *source && !self.seen.changed()
    }

    /// Reads the files once, and builds from exactly what was read if the content of one differs.
    #[must_use]
    pub fn renew(&self) -> Renewal<Self>
    where
        S: Clone,
    {
        let material = Material::read(self.source.files());
        let found = material.fingerprints();
        if found == self.seen {
            return Renewal::Unchanged;
        }
        match Self::build(self.source.clone(), self.clock.clone(), &material, found) {
            Ok(fresh) => Renewal::Rebuilt(fresh),
            Err(problem) => Renewal::Failed(problem),
        }
    }
}
