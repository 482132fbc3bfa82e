//! Numbers for peers' identities, so that a record can name one.
//!
//! In: a verified SPIFFE ID, once per connection. Out: a number for the record, and the text for whoever renders it.

use super::record::NONE_32;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Identities that one process numbers; records of further ones name none.
pub const IDENTITY_BOUND: usize = 65_536;

/// SPIFFE IDs seen by this process. Locked for a moment at each handshake, never per request.
#[derive(Debug)]
pub struct Identities {
    bound: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    ids: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Default for Identities {
    fn default() -> Self {
        Self::bounded(IDENTITY_BOUND)
    }
}

impl Identities {
    /// At most `bound` of them.
    #[must_use]
    pub fn bounded(bound: usize) -> Self {
        Self { bound, table: Mutex::default() }
    }

    /// The number of an identity, or [`NONE_32`] beyond the bound.
    #[must_use]
    pub fn number(&self, identity: &str) -> u32 {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = table.ids.get(identity) {
            return *id;
        }
        let Some(id) = u32::try_from(table.texts.len()).ok().filter(|_| table.texts.len() < self.bound)
        else {
            return NONE_32;
        };
        let text: Arc<str> = identity.into();
        table.texts.push(Arc::clone(&text));
        table.ids.insert(text, id);
        id
    }

    /// The identity behind a number.
    #[must_use]
    pub fn text(&self, id: u32) -> Option<Arc<str>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).texts.get(id as usize).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_identity_keeps_its_number_and_the_bound_holds() {
        let identities = Identities::bounded(2);
        let (a, b) = (identities.number("spiffe://x/a"), identities.number("spiffe://x/b"));
        assert_ne!(a, b);
        assert_eq!(identities.number("spiffe://x/c"), NONE_32);
        assert_eq!(identities.number("spiffe://x/a"), a);
        assert_eq!(identities.text(b).as_deref(), Some("spiffe://x/b"));
        assert_eq!((identities.text(NONE_32), identities.text(2)), (None, None));
    }
}
