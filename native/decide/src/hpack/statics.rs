//! The static table (RFC 7541 appendix A). In: an index → an entry; a name → its first index. Used by the decoder and
//! the encoder.

use super::lookup::same;
use crate::http::FieldKind;
use FieldKind as K;

/// How many entries there are; index [`LEN`] + 1 is the newest of the dynamic table.
pub(super) const LEN: usize = 61;

/// One entry.
pub(super) struct Static {
    pub(super) name: &'static [u8],
    pub(super) value: &'static [u8],
    /// `FieldKind::of(name)`, which cannot run at compile time; a test compares.
    pub(super) kind: FieldKind,
}

const fn entry(name: &'static [u8], value: &'static [u8], kind: FieldKind) -> Static {
    Static { name, value, kind }
}

static TABLE: [Static; LEN] = [
    entry(b":authority", b"", K::Other),
    entry(b":method", b"GET", K::Other),
    entry(b":method", b"POST", K::Other),
    entry(b":path", b"/", K::Other),
    entry(b":path", b"/index.html", K::Other),
    entry(b":scheme", b"http", K::Other),
    entry(b":scheme", b"https", K::Other),
    entry(b":status", b"200", K::Other),
    entry(b":status", b"204", K::Other),
    entry(b":status", b"206", K::Other),
    entry(b":status", b"304", K::Other),
    entry(b":status", b"400", K::Other),
    entry(b":status", b"404", K::Other),
    entry(b":status", b"500", K::Other),
    entry(b"accept-charset", b"", K::Other),
    entry(b"accept-encoding", b"gzip, deflate", K::Other),
    entry(b"accept-language", b"", K::Other),
    entry(b"accept-ranges", b"", K::Other),
    entry(b"accept", b"", K::Other),
    entry(b"access-control-allow-origin", b"", K::Other),
    entry(b"age", b"", K::Other),
    entry(b"allow", b"", K::Other),
    entry(b"authorization", b"", K::EndToEnd),
    entry(b"cache-control", b"", K::EndToEnd),
    entry(b"content-disposition", b"", K::EndToEnd),
    entry(b"content-encoding", b"", K::EndToEnd),
    entry(b"content-language", b"", K::EndToEnd),
    entry(b"content-length", b"", K::ContentLength),
    entry(b"content-location", b"", K::EndToEnd),
    entry(b"content-range", b"", K::EndToEnd),
    entry(b"content-type", b"", K::EndToEnd),
    entry(b"cookie", b"", K::EndToEnd),
    entry(b"date", b"", K::Date),
    entry(b"etag", b"", K::Other),
    entry(b"expect", b"", K::Expect),
    entry(b"expires", b"", K::Other),
    entry(b"from", b"", K::Other),
    entry(b"host", b"", K::Host),
    entry(b"if-match", b"", K::Other),
    entry(b"if-modified-since", b"", K::Other),
    entry(b"if-none-match", b"", K::Other),
    entry(b"if-range", b"", K::Other),
    entry(b"if-unmodified-since", b"", K::Other),
    entry(b"last-modified", b"", K::Other),
    entry(b"link", b"", K::Other),
    entry(b"location", b"", K::Other),
    entry(b"max-forwards", b"", K::MaxForwards),
    entry(b"proxy-authenticate", b"", K::ProxyAuthenticate),
    entry(b"proxy-authorization", b"", K::ProxyAuthorization),
    entry(b"range", b"", K::Other),
    entry(b"referer", b"", K::Other),
    entry(b"refresh", b"", K::Other),
    entry(b"retry-after", b"", K::Other),
    entry(b"server", b"", K::Server),
    entry(b"set-cookie", b"", K::EndToEnd),
    entry(b"strict-transport-security", b"", K::Other),
    entry(b"transfer-encoding", b"", K::TransferEncoding),
    entry(b"user-agent", b"", K::Other),
    entry(b"vary", b"", K::Other),
    entry(b"via", b"", K::Via),
    entry(b"www-authenticate", b"", K::EndToEnd),
];

/// Index of the first entry of each name, at the place that [`place`] gives the name; 0 elsewhere.
static PLACES: [u8; 128] = {
    let mut places = [0; 128];
    let mut i = LEN;
    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "runs at compile time, where out of bounds is an error; indices are below 62"
    )]
    while i > 0 {
        places[place(TABLE[i - 1].name)] = i as u8;
        i -= 1;
    }
    places
};

/// A place below 128 for a name; the factors were searched such that no two names of the table share one.
const fn place(name: &[u8]) -> usize {
    let ([first, ..], [.., last]) = (name, name) else { return 0 };
    let (_, half) = name.split_at(name.len() / 2);
    let [middle, ..] = half else { return 0 };
    (name.len() * 57 + *first as usize * 25 + *middle as usize * 96 + *last as usize * 89) % 128
}

/// The entry of an index, 1 to [`LEN`].
#[inline]
pub(super) fn get(index: usize) -> Option<&'static Static> {
    TABLE.get(index.wrapping_sub(1))
}

/// The first index of a name.
#[inline]
pub(super) fn find(name: &[u8]) -> Option<usize> {
    let index = usize::from(PLACES.get(place(name)).copied()?);
    get(index).is_some_and(|entry| same(entry.name, name)).then_some(index)
}

/// The index of a name, given by its first index, with this value.
#[inline]
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    // Only these names have several entries: method, path, scheme and status.
    let count = match first {
        2 | 4 | 6 => 2,
        8 => 7,
        _ => 1,
    };
    (first..first + count).find(|&index| get(index).is_some_and(|entry| same(entry.value, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_the_names() {
        for entry in &TABLE {
            assert_eq!(entry.kind, FieldKind::of(entry.name), "{}", entry.name.escape_ascii());
        }
    }

    #[test]
    fn every_entry_is_found() {
        for (index, entry) in (1..).zip(&TABLE) {
            let first = find(entry.name).unwrap();
            assert_eq!(find_value(first, entry.value), Some(index), "{}", entry.name.escape_ascii());
            assert_eq!(find_value(first, b"none of these"), None);
            let mut other = entry.name.to_vec();
            other[0] ^= 0x20;
            assert_eq!(find(&other), None);
        }
        assert_eq!((find(b""), find(b"te"), find(b":protocol")), (None, None, None));
    }
}
