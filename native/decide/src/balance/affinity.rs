//! Session affinity: the value of the cookie that names an endpoint.
//!
//! In: the cookie of a request. Out: the endpoint that it named, as long as it may be used, be it draining; otherwise
//! one that the policy picks, and whether a new cookie is due. Values are made from addresses: they hold across restarts,
//! processes, and any order of endpoints. They carry no proof: one of an endpoint that is gone is known by memory alone.

use super::dice::{mix, stable_hash};
use super::{Ask, Balancer, Loads, Members, View};
use hashbrown::HashMap;

/// Tells cookies from the hashes that keys are placed by.
const COOKIE: u64 = 0x5AFE_C00C_1E5A_17ED;

/// Values of endpoints that are gone that are kept; whoever went before them is forgotten.
const GONE: usize = 1024;

/// Which endpoint each value names. It is made for the members of a whole service, where they change.
#[derive(Debug, Default)]
pub struct Affinity {
    by_value: HashMap<u64, u32, foldhash::fast::RandomState>,
    by_endpoint: Box<[u64]>,
    /// What named endpoints that are gone, the last ones first; [`GONE`] at most.
    gone: Box<[u64]>,
}

impl Affinity {
    /// From all members, draining ones included, and what was known `before` of those that are gone.
    #[must_use]
    pub fn new(members: &Members, before: Option<&Self>) -> Self {
        let mut by_endpoint = vec![0; members.bound()].into_boxed_slice();
        let mut by_value = HashMap::default();
        for (member, site) in members.as_slice() {
            let value = value(site.identity);
            by_value.entry(value).or_insert(member.endpoint);
            if let Some(entry) = by_endpoint.get_mut(member.endpoint as usize) {
                *entry = value;
            }
        }
        let earlier = before.into_iter().flat_map(|before| before.by_endpoint.iter().chain(&before.gone));
        let gone = earlier
            .filter(|value| **value != 0 && !by_value.contains_key(*value))
            .take(GONE)
            .copied()
            .collect();
        Self { by_value, by_endpoint, gone }
    }

    /// The endpoint that a cookie's value names; none for what is no such value, or names nobody who is still there.
    #[must_use]
    pub fn find(&self, cookie: &[u8]) -> Option<u32> {
        self.by_value.get(&parse(cookie)?).copied()
    }

    /// Whether a cookie's value named an endpoint that is gone: one of the last 1024 that were there since this process
    /// began. A value that none of them had cannot be told from one that somebody made up.
    #[must_use]
    pub fn is_gone(&self, cookie: &[u8]) -> bool {
        parse(cookie).is_some_and(|value| self.gone.contains(&value))
    }

    /// Writes the value that names an endpoint; none, where it is not a member.
    pub fn cookie_of(&self, endpoint: u32, out: &mut [u8; 16]) -> Option<()> {
        let value = self.by_endpoint.get(endpoint as usize)?;
        write(*value, out);
        Some(())
    }
}

/// The value that names the endpoint of an identity: 16 lower-case hex digits. It shows neither address nor index.
/// It is not a secret either: who guesses an address can tell whether it is the one.
pub fn cookie_value(identity: u64, out: &mut [u8; 16]) {
    write(value(identity), out);
}

/// The endpoint that the request's cookie named, or one that the balancer picks: where the named one may not be used,
/// was tried or full, or there was none.
pub fn pick(
    named: Option<u32>,
    balancer: &mut dyn Balancer,
    view: &View,
    loads: &Loads,
    ask: &Ask<'_>,
) -> Option<u32> {
    let usable = named.filter(|endpoint| view.admits(*endpoint));
    if let Some(endpoint) = usable.filter(|endpoint| !ask.tried.contains(endpoint)) {
        return Some(endpoint);
    }
    // Draining or tried, and alone: better than nobody.
    balancer.pick(view, loads, ask).or(usable)
}

/// Whether a client that goes to `endpoint` is to be given a cookie that names it: it has none that names one that may be
/// used. One that is only full, or failed once, stays its own: the request goes elsewhere, the session does not. (A proxy
/// that lets it wait instead, as `HAProxy` does, has one client's requests wait while other endpoints have room.)
#[must_use]
pub fn is_cookie_due(named: Option<u32>, endpoint: u32, view: &View) -> bool {
    named.is_none_or(|named| named != endpoint && !view.admits(named))
}

fn parse(cookie: &[u8]) -> Option<u64> {
    let digits: &[u8; 16] = cookie.try_into().ok()?;
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    digits.iter().try_fold(0_u64, |value, byte| Some(value << 4 | u64::from(digit(*byte)?)))
}

fn value(identity: u64) -> u64 {
    stable_hash(&mix(identity ^ COOKIE).to_le_bytes())
}

fn write(value: u64, out: &mut [u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (at, digit) in (0..16).zip(out) {
        let four = value >> (60 - 4 * at) & 0xF;
        *digit = DIGITS.get(usize::try_from(four).unwrap_or(0)).copied().unwrap_or(b'0');
    }
}
