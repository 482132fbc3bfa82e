//! Which certificate a server shows: chosen by the name the client asks for (SNI).
//!
//! Exact names win over wildcards, longer wildcards over shorter, the first certificate in the file over later ones.
//! Nothing matches, or no name is asked for: the first certificate.

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

/// Certificates by name.
pub(super) struct ByName {
    default: Arc<CertifiedKey>,
    exact: HashMap<Box<str>, Candidates>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<Box<str>, Candidates>,
}

/// Certificates for one name, in the order of the file (say, one ECDSA and one RSA).
type Candidates = Vec<Arc<CertifiedKey>>;

impl ByName {
    /// `certificates` with the DNS names each is for; the first is the default. None when there is none.
    pub(super) fn new(certificates: Vec<(Arc<CertifiedKey>, Vec<String>)>) -> Option<Self> {
        let default = certificates.first()?.0.clone();
        let mut by_name = Self { default, exact: HashMap::new(), wildcard: HashMap::new() };
        for (key, names) in certificates {
            for name in names {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let (map, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut by_name.wildcard, suffix.into()),
                    None => (&mut by_name.exact, name.into_boxed_str()),
                };
                map.entry(name).or_default().push(key.clone());
            }
        }
        Some(by_name)
    }

    fn candidates(&self, name: &str) -> Option<&Candidates> {
        if let Some(found) = self.exact.get(name) {
            return Some(found);
        }
        let mut rest = name;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(found) = self.wildcard.get(suffix) {
                return Some(found);
            }
            rest = suffix;
        }
        None
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let candidates = name.as_deref().and_then(|name| self.candidates(name));
        note(name);
        let schemes = hello.signature_schemes();
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let chosen = match candidates.map(Vec::as_slice) {
            Some([only]) => Some(only),
            Some(keys) => keys.iter().find(usable).or(keys.first()),
            None => None,
        };
        Some(chosen.unwrap_or(&self.default).clone())
    }
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByName")
            .field("exact", &self.exact.keys())
            .field("wildcard", &self.wildcard.keys())
            .finish_non_exhaustive()
    }
}

// An unbuffered rustls server connection does not say which name was asked for: only this resolver hears it. The
// session that is processing the `ClientHello`, further up on the same stack, picks it up here.
thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

fn note(name: Option<String>) {
    if WATCHED.get() {
        NAME.set(name.map(String::into_boxed_str));
    }
}

/// Catches the name of a `ClientHello` processed while this lives.
pub(super) struct Watch(());

/// Begins to watch, if `wanted`.
pub(super) fn watch(wanted: bool) -> Option<Watch> {
    wanted.then(|| {
        WATCHED.set(true);
        Watch(())
    })
}

impl Watch {
    /// The name asked for since `watch` began.
    pub(super) fn take(watch: Self) -> Option<Box<str>> {
        let name = NAME.take();
        drop(watch);
        name
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(false);
        NAME.set(None);
    }
}
