//! The cookie that has a client stay with an endpoint.
//!
//! In: the place that was picked for a client without a cookie that names it. Out: a `Set-Cookie` for the answer. Before:
//! balance. After: answer.

use super::config::WorkerService;
use super::exchange::Exchange;
use super::filters::Lookup;
use crate::telemetry::{Flags, ServiceEvent};
use tulle_decide::route::HeaderLookup;

/// Room for the longest `Set-Cookie`: the name has at most 128 bytes.
pub(super) const COOKIE_BYTES: usize = 256;

impl Exchange {
    /// Finds the place that the client's cookie names, where the service has one.
    pub(super) fn read_affinity_cookie(&mut self, service: &WorkerService, headers: &Lookup<'_>) {
        let Some((name, _)) = &service.affinity else { return };
        let Some(value) = headers.cookie(name.as_bytes()) else { return };
        let known = &service.places.affinity;
        self.named = known.find(value);
        self.named_gone = self.named.is_none() && known.is_gone(value);
    }

    /// The value of `Set-Cookie`, if the client is to be given one. It is for us alone, so scripts do not see it.
    pub(super) fn affinity_cookie<'a>(&mut self, out: &'a mut [u8; COOKIE_BYTES]) -> Option<&'a [u8]> {
        if !std::mem::take(&mut self.cookie_due) {
            return None;
        }
        let service = self.service.as_ref()?;
        let (name, max_age) = service.affinity.as_ref()?;
        let mut value = [0; 16];
        service.places.affinity.cookie_of(self.place, &mut value)?;
        if self.named.is_some() || self.named_gone {
            service.counters.happened(ServiceEvent::AffinityLost);
        }
        write(out, (name, &value), *max_age, self.record.flags.contains(Flags::TLS))
    }
}

/// The value of `Set-Cookie`. `max_age` in seconds; 0: for as long as the browser is open.
fn write<'a>(
    out: &'a mut [u8; COOKIE_BYTES],
    (name, value): (&str, &[u8; 16]),
    max_age: u32,
    secure: bool,
) -> Option<&'a [u8]> {
    let mut digits = itoa::Buffer::new();
    let age: [&[u8]; 2] =
        if max_age > 0 { [b"; Max-Age=", digits.format(max_age).as_bytes()] } else { [b"", b""] };
    let secure: &[u8] = if secure { b"; Secure" } else { b"" };
    let parts: [&[u8]; 7] =
        [name.as_bytes(), b"=", value, b"; Path=/; HttpOnly; SameSite=Lax", secure, age[0], age[1]];
    let mut len = 0;
    for part in parts {
        out.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    out.get(..len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, max_age: u32, secure: bool) -> String {
        let mut out = [0; COOKIE_BYTES];
        let value = write(&mut out, (name, b"0123456789abcdef"), max_age, secure).unwrap();
        String::from_utf8(value.to_vec()).unwrap()
    }

    #[test]
    fn a_cookie_says_how_long_and_where_it_may_go() {
        let plain = "lb=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(written("lb", 0, false), plain);
        assert_eq!(written("lb", 0, true), format!("{plain}; Secure"));
        assert_eq!(written("lb", 3600, true), format!("{plain}; Secure; Max-Age=3600"));
        assert_eq!(written("lb", u32::MAX, false), format!("{plain}; Max-Age=4294967295"));
    }

    #[test]
    fn the_longest_one_fits() {
        assert!(written(&"n".repeat(128), u32::MAX, true).ends_with("; Secure; Max-Age=4294967295"));
    }
}
