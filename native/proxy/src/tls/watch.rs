//! Notices that certificate files changed, and builds again from them.
//!
//! In: a [`Source`] and a call now and then, from a thread that may read files. Out: a new build, or why the old one stays.

use super::clock::WallClock;
use super::configs::Source;
use super::error::TlsConfigError;
use super::material::{Fingerprints, Material};

/// Keeps what was built from files current.
#[derive(Debug)]
pub struct Watcher<S> {
    source: S,
    clock: WallClock,
    seen: Fingerprints,
    /// What was wrong at the last look, not reported yet: the files may be half replaced.
    unsettled: Option<TlsConfigError>,
    failure: Option<TlsConfigError>,
}

/// What a look at the files found.
#[derive(Debug)]
pub enum Change<T> {
    /// They hold what they held.
    None,
    /// They changed, and this is built from them.
    Rebuilt(T),
    /// They changed, and cannot be used: the old build stays. Said once per change; [`Watcher::failure`] keeps it.
    Failed(TlsConfigError),
}

impl<S: Source> Watcher<S> {
    /// Builds for the first time.
    pub fn start(source: S, clock: WallClock) -> Result<(Self, S::Built), TlsConfigError> {
        let material = Material::read(source.files());
        let built = source.build(&material, &clock)?;
        let seen = material.fingerprints();
        Ok((Self { source, clock, seen, unsettled: None, failure: None }, built))
    }

    /// Reads the files and builds again when the content of one differs from the last look. Files are rarely replaced all
    /// at once, so a failure is reported when the next look finds the same content.
    pub fn poll(&mut self) -> Change<S::Built> {
        let material = Material::read(self.source.files());
        let found = material.fingerprints();
        if found == self.seen {
            return match self.unsettled.take() {
                Some(error) => {
                    self.failure = Some(error.clone());
                    Change::Failed(error)
                }
                None => Change::None,
            };
        }
        self.seen = found;
        match self.source.build(&material, &self.clock) {
            Ok(built) => {
                self.unsettled = None;
                self.failure = None;
                Change::Rebuilt(built)
            }
            Err(error) => {
                self.unsettled = Some(error);
                Change::None
            }
        }
    }

    /// Why the files as they are now cannot be used; none when they are in use.
    pub fn failure(&self) -> Option<&TlsConfigError> {
        self.failure.as_ref()
    }

    /// What it builds from.
    pub fn source(&self) -> &S {
        &self.source
    }
}
