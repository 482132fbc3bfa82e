//! A TLS `ClientHello` as it arrives: which name and which protocols it asks for. Nothing is opened or answered.
//!
//! In: the first bytes of a connection. Out: the hello, or why it is none. Source: RFC 8446 sections 4.1.2 and 5.1,
//! RFC 6066 section 3 (SNI), RFC 7301 section 3.1 (ALPN). Before: detect. After: policy, and forward by SNI.

mod reader;

use reader::Reader;

/// How many bytes are read of a connection before its hello is whole, record headers included.
pub const MAX_HELLO: usize = 16 * 1024;

const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
/// A name's labels and dots: RFC 1035 section 2.3.4.
const MAX_NAME: usize = 253;

/// What the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked {
    /// The hello is not whole yet.
    NeedMore,
    /// There is no hello to come. A stable code in `snake_case`.
    Malformed(&'static str),
    /// It is whole.
    Hello(ClientHello),
}

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The host name, in lower case, without a final dot; none: it names none.
    pub sni: Option<Box<str>>,
    /// The protocols it offers, best first; empty: none.
    pub alpn: Vec<Box<[u8]>>,
}

/// Looks at the bytes so far, all of them from the connection's first on.
#[must_use]
pub fn peek(bytes: &[u8]) -> Peeked {
    let found = match gathered(bytes) {
        Ok(Some(message)) => hello(&message).map(Peeked::Hello),
        Ok(None) if bytes.len() >= MAX_HELLO => Err("too_long"),
        Ok(None) => Ok(Peeked::NeedMore),
        Err(code) => Err(code),
    };
    found.unwrap_or_else(Peeked::Malformed)
}

/// The body of the first handshake message, taken out of its records; none: more bytes are needed.
fn gathered(bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut message = Vec::new();
    let mut rest = bytes.get(..MAX_HELLO).unwrap_or(bytes);
    loop {
        if let Some(body) = whole(&message)? {
            return Ok(Some(body.to_vec()));
        }
        let (fragment, behind) = match rest.split_first_chunk::<RECORD_HEADER>() {
            Some(([22, 3, 0..=4, high, low], behind)) => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if length == 0 || length > 1 << 14 {
                    return Err("record_length");
                }
                behind.split_at_checked(length).unwrap_or((behind, &[]))
            }
            Some(([22, ..], _)) => return Err("record_version"),
            None if matches!(rest.first(), None | Some(22)) => return Ok(None),
            Some(_) | None => return Err("not_handshake"),
        };
        if fragment.is_empty() {
            return Ok(None);
        }
        message.extend_from_slice(fragment);
        rest = behind;
    }
}

/// The body of a handshake message, if all of it is there.
fn whole(message: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    if message.first().is_some_and(|kind| *kind != 1) {
        return Err("not_client_hello");
    }
    let Some(([_, a, b, c], body)) = message.split_first_chunk::<MESSAGE_HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    if length > MAX_HELLO - RECORD_HEADER - MESSAGE_HEADER {
        return Err("too_long");
    }
    Ok(body.get(..length))
}

/// Reads a whole body. What is behind the extensions is refused, as is any length that does not fit.
fn hello(body: &[u8]) -> Result<ClientHello, &'static str> {
    let mut reader = Reader::new(body, "bad_hello");
    reader.skip(2 + 32)?; // legacy_version, random
    let session = reader.short()?;
    let suites = reader.long()?;
    let compression = reader.short()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compression.is_empty() {
        return Err("bad_hello");
    }
    let mut hello = ClientHello::default();
    if reader.is_empty() {
        return Ok(hello); // RFC 5246 section 7.4.1.2: there may be none
    }
    let mut extensions = Reader::new(reader.long()?, "bad_extensions");
    if !reader.is_empty() {
        return Err("bad_hello");
    }
    let (mut named, mut offered) = (false, false);
    while !extensions.is_empty() {
        let kind = extensions.number()?;
        let value = extensions.long()?;
        match kind {
            EXTENSION_SERVER_NAME if !std::mem::replace(&mut named, true) => hello.sni = server_name(value)?,
            EXTENSION_ALPN if !std::mem::replace(&mut offered, true) => hello.alpn = protocols(value)?,
            EXTENSION_SERVER_NAME | EXTENSION_ALPN => return Err("repeated_extension"),
            _ => {}
        }
    }
    Ok(hello)
}

/// One host name at most; names of other types are skipped.
fn server_name(value: &[u8]) -> Result<Option<Box<str>>, &'static str> {
    let mut outer = Reader::new(value, "bad_server_name");
    let mut names = Reader::new(outer.long()?, "bad_server_name");
    if !outer.is_empty() || names.is_empty() {
        return Err("bad_server_name");
    }
    let mut found = None;
    while !names.is_empty() {
        let kind = names.byte()?;
        let name = names.long()?;
        if kind == 0 && found.replace(host(name)?).is_some() {
            return Err("bad_server_name");
        }
    }
    Ok(found)
}

/// A host name as it is compared.
fn host(name: &[u8]) -> Result<Box<str>, &'static str> {
    let text = std::str::from_utf8(name).map_err(|_| "bad_server_name")?;
    let text = text.strip_suffix('.').unwrap_or(text);
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| !label.is_empty() && label.bytes().all(legal);
    if text.len() > MAX_NAME || !text.split('.').all(label) {
        return Err("bad_server_name");
    }
    Ok(text.to_ascii_lowercase().into())
}

fn protocols(value: &[u8]) -> Result<Vec<Box<[u8]>>, &'static str> {
    let mut outer = Reader::new(value, "bad_alpn");
    let mut list = Reader::new(outer.long()?, "bad_alpn");
    if !outer.is_empty() || list.is_empty() {
        return Err("bad_alpn");
    }
    let mut found = Vec::new();
    while !list.is_empty() {
        match list.short()? {
            [] => return Err("bad_alpn"),
            name => found.push(name.into()),
        }
    }
    Ok(found)
}
