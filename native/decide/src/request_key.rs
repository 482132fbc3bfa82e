//! What a request is told apart by, as a number.
//!
//! In: the configured key and what a request shows. Out: a 64-bit hash, or none where the request shows no such thing.
//! Before: policy and route. After: rate limits, sticky splits, and balancing by hash.

use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use tulle_snapshot::wire::RequestKey;

/// What a request shows of itself.
pub trait Shown {
    /// The first value of a header; the name is lower-case.
    fn header(&self, lower_name: &str) -> Option<&[u8]>;

    /// The value of the first cookie of this name.
    fn cookie(&self, name: &str) -> Option<&[u8]>;

    /// The client's address.
    fn source(&self) -> Option<IpAddr>;

    /// The normalized path, without the query.
    fn path(&self) -> &[u8];

    /// The caller's SPIFFE ID.
    fn identity(&self) -> Option<&str>;
}

/// What hashes depend on besides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The same in every process: for answers that all proxies of a mesh must agree on. Clients can find keys that
    /// collide, so it is not for tables.
    pub const SHARED: Self = Self(0x7475_6c6c_655f_6b31);

    /// One of this process alone, which clients cannot know: for tables. `random` is drawn once, at the start.
    #[must_use]
    pub fn of_process(random: u64) -> Self {
        Self(random)
    }
}

/// The hash of what `request` shows of `key`; none, where it shows no such thing. An empty value is a value; an IPv4
/// address written as an IPv6 one is the IPv4 address.
///
/// Uniform over all of `u64`. Allocates nothing; costs the look-up in the request, and a few nanoseconds.
#[must_use]
pub fn hash<S: Shown + ?Sized>(key: &RequestKey, request: &S, seed: Seed) -> Option<u64> {
    match key {
        RequestKey::Header { name } => request.header(name).map(|value| hash_bytes(value, seed)),
        RequestKey::Cookie { name } => request.cookie(name).map(|value| hash_bytes(value, seed)),
        RequestKey::Source => request.source().map(|address| hash_source(address, IPV6_BYTES, seed)),
        RequestKey::Path => Some(hash_bytes(request.path(), seed)),
        RequestKey::Identity => request.identity().map(|id| hash_bytes(id.as_bytes(), seed)),
    }
}

/// The same for a limit, where IPv6 addresses with the same first 64 bits are one source: the others are the host's own
/// choice (RFC 4291 section 2.5.1, RFC 8981), for each request another if it likes. Balancing and splits by [`hash`] take
/// the whole address: many addresses gain nothing there, and hosts of one network spread over the endpoints.
#[must_use]
pub fn hash_for_limit<S: Shown + ?Sized>(key: &RequestKey, request: &S, seed: Seed) -> Option<u64> {
    match key {
        RequestKey::Source => request.source().map(|address| hash_source(address, IPV6_NETWORK_BYTES, seed)),
        _ => hash(key, request, seed),
    }
}

const IPV6_BYTES: usize = 16;
const IPV6_NETWORK_BYTES: usize = 8;

/// Of an IPv6 address, the first bytes count; of an IPv4 one, all.
fn hash_source(address: IpAddr, ipv6_bytes: usize, seed: Seed) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => hash_bytes(&v4.octets(), seed),
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            hash_bytes(octets.get(..ipv6_bytes).unwrap_or(&octets), seed)
        }
    }
}

/// The hash of some bytes: of an endpoint's name on a ring, for example.
#[must_use]
pub fn hash_bytes(bytes: &[u8], seed: Seed) -> u64 {
    let mut hasher = FixedState::with_seed(seed.0).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{Seed, Shown, hash, hash_bytes, hash_for_limit};
    use std::net::IpAddr;
    use tulle_snapshot::wire::RequestKey;

    #[derive(Default)]
    struct Request {
        header: Option<&'static str>,
        cookie: Option<&'static str>,
        source: Option<IpAddr>,
        identity: Option<&'static str>,
    }

    impl Shown for Request {
        fn header(&self, lower_name: &str) -> Option<&[u8]> {
            self.header.filter(|_| lower_name == "x-user").map(str::as_bytes)
        }
        fn cookie(&self, name: &str) -> Option<&[u8]> {
            self.cookie.filter(|_| name == "Session").map(str::as_bytes)
        }
        fn source(&self) -> Option<IpAddr> {
            self.source
        }
        fn path(&self) -> &[u8] {
            b"/a"
        }
        fn identity(&self) -> Option<&str> {
            self.identity
        }
    }

    #[test]
    fn keys_see_their_part_of_the_request_and_nothing_else() {
        let header = RequestKey::Header { name: "x-user".to_owned() };
        let cookie = RequestKey::Cookie { name: "Session".to_owned() };
        let full = Request {
            header: Some("ann"),
            cookie: Some("c1"),
            source: Some("192.0.2.1".parse().unwrap()),
            identity: Some("spiffe://mesh.test/ns/a/sa/b"),
        };
        let cases: &[(&RequestKey, Option<&[u8]>)] = &[
            (&header, Some(b"ann")),
            (&cookie, Some(b"c1")),
            (&RequestKey::Source, Some(&[192, 0, 2, 1])),
            (&RequestKey::Path, Some(b"/a")),
            (&RequestKey::Identity, Some(b"spiffe://mesh.test/ns/a/sa/b")),
        ];
        for (key, shown) in cases {
            let expected = shown.map(|bytes| hash_bytes(bytes, Seed::SHARED));
            assert_eq!(hash(key, &full, Seed::SHARED), expected, "{key:?}");
            let nothing = hash(key, &Request::default(), Seed::SHARED);
            assert_eq!(nothing.is_some(), **key == RequestKey::Path, "{key:?}");
        }
    }

    #[test]
    fn empty_values_are_values_and_mapped_addresses_are_ipv4() {
        let header = RequestKey::Header { name: "x-user".to_owned() };
        let empty = Request { header: Some(""), ..Request::default() };
        assert!(hash(&header, &empty, Seed::SHARED).is_some());
        let of = |ip: &str| {
            let request = Request { source: Some(ip.parse().unwrap()), ..Request::default() };
            hash(&RequestKey::Source, &request, Seed::SHARED)
        };
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }

    #[test]
    fn a_limit_takes_an_ipv6_network_for_one_source_and_balancing_does_not() {
        let request = |ip: &str| Request { source: Some(ip.parse().unwrap()), ..Request::default() };
        let limited = |ip: &str| hash_for_limit(&RequestKey::Source, &request(ip), Seed::SHARED).unwrap();
        let balanced = |ip: &str| hash(&RequestKey::Source, &request(ip), Seed::SHARED).unwrap();
        let cases = [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("::ffff:192.0.2.1", "::1", false),
        ];
        for (one, other, same) in cases {
            assert_eq!(limited(one) == limited(other), same, "{one} and {other}");
            let mapped = one.starts_with("::ffff") && same;
            assert_eq!(balanced(one) == balanced(other), mapped, "{one} and {other}");
        }
        for key in [RequestKey::Path, RequestKey::Identity, RequestKey::Header { name: "x-user".to_owned() }]
        {
            let request =
                Request { header: Some("ann"), identity: Some("spiffe://a/b"), ..Request::default() };
            let same = hash(&key, &request, Seed::SHARED);
            assert_eq!(hash_for_limit(&key, &request, Seed::SHARED), same, "{key:?}");
        }
    }

    /// Proxies of one mesh must agree, whenever they were built.
    #[test]
    fn shared_hashes_never_change() {
        let hashes = [&b""[..], b"ann", b"a key that is longer than sixteen bytes"]
            .map(|bytes| hash_bytes(bytes, Seed::SHARED));
        assert_eq!(hashes, [6_232_365_952_178_333_527, 4_516_756_526_631_610_854, 6_355_943_437_160_640_017]);
        assert_ne!(hash_bytes(b"ann", Seed::SHARED), hash_bytes(b"ann", Seed::of_process(1)));
    }
}
