//! Conditions on paths, compiled: the same for policies and routes, so that both mean the same by `prefix: /v1`.
//!
//! In: [`PathMatch`] of the snapshot, and normalized paths. Out: whether one fits the other.

use regex::bytes::{Regex, RegexBuilder};
use std::collections::HashMap;
use tulle_snapshot::wire::PathMatch;

/// The longest exact path or prefix, in bytes.
const MAX_LITERAL: usize = 2048;
/// The longest regular expression, in bytes of its source.
const MAX_REGEX_SOURCE: usize = 1024;
/// The most that one compiled regular expression may take, in bytes.
const MAX_REGEX_SIZE: usize = 256 * 1024;
/// The most that the lazily built automaton of one regular expression may take, in bytes per thread.
const MAX_REGEX_CACHE: usize = 512 * 1024;

/// Which regular expression of a [`Regexes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegexId(u32);

/// A condition on a normalized path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// The whole path.
    Exact(Box<[u8]>),
    /// Whole segments, without the final `/`; empty fits every path.
    Prefix(Box<[u8]>),
    /// The whole path.
    Regex(RegexId),
}

impl PathPattern {
    /// Compiles `path`; the error says what is wrong with it, in words that follow its place.
    pub fn compile(path: &PathMatch, regexes: &mut RegexCompiler) -> Result<Self, String> {
        match path {
            PathMatch::Exact { value } => exact(value).map(|v| Self::Exact(v.into())),
            PathMatch::Prefix { value } => prefix(value).map(|v| Self::Prefix(v.into())),
            PathMatch::Regex { value } => regexes.add(value).map(Self::Regex),
        }
    }

    /// Whether a normalized path fits. `regexes` are those that this pattern was compiled into.
    #[must_use]
    pub fn matches(&self, path: &[u8], regexes: &Regexes) -> bool {
        match self {
            Self::Exact(value) => **value == *path,
            Self::Prefix(value) => covers(value, path),
            Self::Regex(id) => regexes.is_match(*id, path),
        }
    }
}

/// The bytes of an exact path. An error, if no normalized path is like it.
pub(crate) fn exact(value: &str) -> Result<&[u8], String> {
    literal(value)?;
    Ok(value.as_bytes())
}

/// The bytes of a prefix without its final `/`, so that `/v1/` and `/v1` are the same and `/` is empty.
pub(crate) fn prefix(value: &str) -> Result<&[u8], String> {
    literal(value)?;
    Ok(value.strip_suffix('/').unwrap_or(value).as_bytes())
}

/// Whether `path` lies below `prefix`, which has no final `/`. The empty prefix covers everything, `*` of an OPTIONS
/// request too: otherwise a deny policy for `/` would leave a gap.
fn covers(prefix: &[u8], path: &[u8]) -> bool {
    prefix.is_empty()
        || path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// Refuses what no normalized path can be equal to: a policy that silently never fits would be a hole, and a rewrite
/// to it would send on what nobody normalized.
pub(crate) fn literal(value: &str) -> Result<(), String> {
    let bytes = value.as_bytes();
    if bytes.len() > MAX_LITERAL {
        return Err(format!("is longer than {MAX_LITERAL} bytes"));
    }
    let Some(rest) = bytes.strip_prefix(b"/") else {
        return Err(format!("{value:?} does not begin with /"));
    };
    let foreign = |c: &char| !c.is_ascii_graphic() || matches!(c, '"' | '#' | '<' | '>' | '?' | '\\');
    if let Some(c) = value.chars().find(foreign) {
        return Err(format!("{value:?} is not a normalized path: {c:?} has to be escaped with % there"));
    }
    escapes(value)?;
    let mut segments = rest.split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment == b"." || segment == b".." || (segment.is_empty() && segments.peek().is_some()) {
            return Err(format!("{value:?} is not a normalized path: it has an empty or a dot segment"));
        }
    }
    Ok(())
}

fn escapes(value: &str) -> Result<(), String> {
    let mut rest = value.as_bytes();
    while let Some(at) = memchr::memchr(b'%', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        let [high, low, ..] = rest else {
            return Err(format!("{value:?} is not a normalized path: % begins no escape"));
        };
        let (Some(h), Some(l)) = (hex(*high), hex(*low)) else {
            return Err(format!("{value:?} is not a normalized path: % begins no escape"));
        };
        let byte = h * 16 + l;
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain || byte == 0 || byte == b'\\' || high.is_ascii_lowercase() || low.is_ascii_lowercase() {
            return Err(format!(
                "{value:?} is not a normalized path: escapes are upper-case, and only where they are needed"
            ));
        }
    }
    Ok(())
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Compiles regular expressions, each source once.
#[derive(Debug, Default)]
pub struct RegexCompiler {
    compiled: Vec<Regex>,
    ids: HashMap<String, RegexId>,
}

impl RegexCompiler {
    /// Compiles `source` to fit whole paths only.
    pub fn add(&mut self, source: &str) -> Result<RegexId, String> {
        if let Some(id) = self.ids.get(source) {
            return Ok(*id);
        }
        if source.len() > MAX_REGEX_SOURCE {
            return Err(format!("the regex is longer than {MAX_REGEX_SOURCE} bytes"));
        }
        // First by itself: `a)|(?:b` would be well-formed between the anchors, and not anchored.
        build(source)?;
        let regex = build(&format!("^(?:{source})$"))?;
        let id = RegexId(u32::try_from(self.compiled.len()).map_err(|_| "there are too many regexes")?);
        self.compiled.push(regex);
        self.ids.insert(source.to_owned(), id);
        Ok(id)
    }

    /// What was compiled.
    #[must_use]
    pub fn finish(self) -> Regexes {
        Regexes { compiled: self.compiled.into() }
    }
}

/// Without Unicode classes and with `.` for every byte, so that no byte of a path can slip past a `.*`.
fn build(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(MAX_REGEX_SIZE)
        .dfa_size_limit(MAX_REGEX_CACHE)
        .build()
        .map_err(|error| format!("the regex {source:?} cannot be used: {}", brief(&error)))
}

/// The last line of a regex error says what is wrong; those before draw where.
fn brief(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Compiled regular expressions. Matching takes time linear in the path. A clone has scratch memory of its own: a
/// thread that matches often holds its own clone, and takes no lock then.
#[derive(Debug, Clone, Default)]
pub struct Regexes {
    compiled: Box<[Regex]>,
}

impl Regexes {
    /// Whether the whole of `path` fits.
    #[must_use]
    pub fn is_match(&self, id: RegexId, path: &[u8]) -> bool {
        self.compiled.get(id.0 as usize).is_some_and(|regex| regex.is_match(path))
    }
}
