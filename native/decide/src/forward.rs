//! Where a connection goes that is forwarded as it is: by the listener, or by the name that its TLS asks for.
//!
//! In: the [`Permit`] of the connection, and its SNI. Out: the backends. Before: policy. After: balance.

use crate::policy::{BuildError, Permit};
use crate::route::{Split, host_problem, milliseconds};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::time::Duration;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::Backend;

/// What a listener forwards, and where to.
#[derive(Debug)]
pub struct Forward {
    opaque: Option<Split>,
    exact: HashMap<Box<str>, usize, RandomState>,
    /// By what stands behind `*.`.
    below: HashMap<Box<str>, usize, RandomState>,
    splits: Vec<Split>,
    /// The listener's port is of a protocol whose server speaks first.
    pub server_first: bool,
    /// A connection without a byte either way ends after this; none: no limit.
    pub stream_idle: Option<Duration>,
}

impl Forward {
    /// Compiles `forward` of a listener, an index of the snapshot's; none: the listener forwards nothing.
    pub fn new(snapshot: &Checked, listener: u32) -> Result<Option<Self>, BuildError> {
        let wire = snapshot.listeners.get(listener as usize).and_then(|listener| listener.forward.as_ref());
        let Some(wire) = wire else { return Ok(None) };
        let mut forward = Self {
            opaque: Split::new(&wire.backends),
            exact: HashMap::default(),
            below: HashMap::default(),
            splits: Vec::with_capacity(wire.sni.len()),
            server_first: wire.server_first,
            stream_idle: milliseconds(wire.stream_idle_timeout_ms),
        };
        for (i, route) in wire.sni.iter().enumerate() {
            let at = format!("listeners[{listener}].forward.sni[{i}]");
            forward.add(&at, &route.hostnames, &route.backends)?;
        }
        Ok(Some(forward))
    }

    fn add(&mut self, at: &str, hostnames: &[String], backends: &[Backend]) -> Result<(), BuildError> {
        let split = Split::new(backends);
        let split = split.ok_or_else(|| BuildError::new(format!("{at}.backends"), "the weights sum to 0"))?;
        let position = self.splits.len();
        self.splits.push(split);
        for (i, name) in hostnames.iter().enumerate() {
            let wrong =
                |problem| BuildError::new(format!("{at}.hostnames[{i}]"), format!("{name:?} {problem}"));
            let (names, bare) = match name.strip_prefix("*.") {
                Some(below) => (&mut self.below, below),
                None => (&mut self.exact, name.as_str()),
            };
            if let Some(problem) = host_problem(bare) {
                return Err(wrong(problem));
            }
            if names.insert(bare.into(), position).is_some() {
                return Err(wrong("is there already"));
            }
        }
        Ok(())
    }

    /// Whether anything but TLS by name is taken.
    #[must_use]
    pub fn takes_opaque(&self) -> bool {
        self.opaque.is_some()
    }

    /// Where a connection goes whatever it speaks; none: nowhere.
    #[must_use]
    pub fn opaque(&self, _permit: &Permit) -> Option<&Split> {
        self.opaque.as_ref()
    }

    /// Whether TLS that asks for `sni` is passed through unopened.
    #[must_use]
    pub fn names(&self, sni: &str) -> bool {
        self.position(sni).is_some()
    }

    /// Where TLS goes that asks for `sni` (lower case, no final dot): the exact name wins, then the longest wildcard.
    #[must_use]
    pub fn by_name(&self, _permit: &Permit, sni: &str) -> Option<&Split> {
        self.splits.get(self.position(sni)?)
    }

    fn position(&self, sni: &str) -> Option<usize> {
        if let Some(position) = self.exact.get(sni) {
            return Some(*position);
        }
        let mut rest = sni;
        while let Some((_, below)) = rest.split_once('.') {
            if let Some(position) = self.below.get(below) {
                return Some(*position);
            }
            rest = below;
        }
        None
    }
}
