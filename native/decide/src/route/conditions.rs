//! What a match asks for beside host and path: method, headers, cookies, query parameters.

use super::{HeaderLookup, RequestView};
use crate::policy::hex;
use tulle_snapshot::wire::Match;

/// Name and value.
type Field = (Box<str>, Box<[u8]>);
/// Name and value, decoded.
type Parameter = (Box<[u8]>, Box<[u8]>);

/// The conditions of one match, all of which must hold.
#[derive(Debug)]
pub(super) struct Conditions {
    /// None: any.
    method: Option<Box<[u8]>>,
    headers: Box<[Field]>,
    query: Box<[Parameter]>,
    cookies: Box<[Parameter]>,
}

impl Conditions {
    /// None, when `wanted` asks for nothing but a path.
    pub(super) fn new(wanted: &Match) -> Option<Self> {
        let parts = wanted.headers.len() + wanted.query.len() + wanted.cookies.len();
        if wanted.method.is_none() && parts == 0 {
            return None;
        }
        let headers = wanted.headers.iter().map(|h| (h.name.as_str().into(), h.value.as_bytes().into()));
        let query = wanted.query.iter().map(|q| (q.name.as_bytes().into(), q.value.as_bytes().into()));
        let cookies = wanted.cookies.iter().map(|c| (c.name.as_bytes().into(), c.value.as_bytes().into()));
        Some(Self {
            cookies: cookies.collect(),
            method: wanted.method.as_ref().map(|m| m.as_bytes().into()),
            headers: headers.collect(),
            query: query.collect(),
        })
    }

    pub(super) fn fit<H: HeaderLookup + ?Sized>(&self, request: &RequestView<'_, H>) -> bool {
        self.method.as_ref().is_none_or(|method| **method == *request.method)
            && self.headers.iter().all(|(name, value)| request.headers.has(name, value))
            && self.cookies.iter().all(|(name, value)| request.headers.cookie(name) == Some(value))
            && self
                .query
                .iter()
                .all(|(name, value)| query_has(request.query.unwrap_or_default(), name, value))
    }
}

/// Whether the first parameter called `name` has exactly `value`, both decoded. Further ones of that name do not count,
/// as in the Gateway API. `+` is a space; a `%` that begins no escape stands for itself.
fn query_has(query: &[u8], name: &[u8], value: &[u8]) -> bool {
    for parameter in query.split(|b| *b == b'&') {
        let equals = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let (found, rest) = parameter.split_at_checked(equals).unwrap_or((parameter, b""));
        if !parameter.is_empty() && Decoded(found).eq(name.iter().copied()) {
            return Decoded(rest.strip_prefix(b"=").unwrap_or(rest)).eq(value.iter().copied());
        }
    }
    false
}

/// The bytes that a part of a query stands for (`application/x-www-form-urlencoded`).
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = rest;
            return Some(high * 16 + low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(if *first == b'+' { b' ' } else { *first })
    }
}

#[cfg(test)]
mod tests {
    use super::query_has;

    #[test]
    fn query_parameters() {
        let cases: &[(&str, &str, &str, bool)] = &[
            ("preview=1", "preview", "1", true),
            ("preview=1&x=2", "x", "2", true),
            ("preview=10", "preview", "1", false),
            ("preview=", "preview", "", true),
            ("preview", "preview", "", true),
            ("", "preview", "", false),
            ("", "", "", false),
            ("&&a=1&", "a", "1", true),
            ("=1", "", "1", true),
            ("Preview=1", "preview", "1", false),
            ("a=1&a=2", "a", "1", true),
            ("a=1&a=2", "a", "2", false),
            ("%61=%31", "a", "1", true),
            ("a=x%20y", "a", "x y", true),
            ("a=x+y", "a", "x y", true),
            ("a=x%2By", "a", "x+y", true),
            ("a+b=1", "a b", "1", true),
            ("a=%C3%A9", "a", "é", true),
            ("a=%c3%a9", "a", "é", true),
            ("a=%", "a", "%", true),
            ("a=%4", "a", "%4", true),
            ("a=%zz", "a", "%zz", true),
            ("a=%+1", "a", "% 1", true),
            ("a=b=c", "a", "b=c", true),
            ("a=1;b=2", "a", "1;b=2", true),
            ("a=1;b=2", "b", "2", false),
            ("a%3D=1", "a=", "1", true),
            ("a%26b=1", "a&b", "1", true),
        ];
        for (query, name, value, expected) in cases {
            let found = query_has(query.as_bytes(), name.as_bytes(), value.as_bytes());
            assert_eq!(found, *expected, "?{query} has {name}={value}");
        }
    }
}
