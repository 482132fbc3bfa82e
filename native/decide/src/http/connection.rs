//! What the Connection field decides. In: parsed fields; out: persistence, an upgrade, and the nominated fields marked.

use super::bytes::{is_token, list};
use super::{FieldKind, Fields, Reject, Span, reason};

/// More options than this are an attack on our time, not a message.
const OPTIONS: usize = 64;

/// What the Connection options say together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Options {
    /// Whether another message may follow (RFC 9112 section 9.3).
    pub(super) fn persistent(self, minor: u8) -> bool {
        !self.close && (minor > 0 || self.keep_alive)
    }

    /// Whether Connection nominates Upgrade.
    pub(super) fn wants_upgrade(self) -> bool {
        self.upgrade
    }

    /// The value of Upgrade, if it is meant and one that we tunnel: `Connection: upgrade`, HTTP/1.1, one field, and
    /// neither HTTP itself nor TLS, whose requests would evade policy. Anything else is as if it were not there
    /// (RFC 9110 section 7.8: a server may ignore it).
    pub(super) fn upgrade(self, head: &[u8], fields: &Fields, minor: u8) -> Option<Span> {
        if !self.upgrade || minor == 0 {
            return None;
        }
        let field = fields.only(FieldKind::Upgrade)?;
        let value = field.value.of(head);
        if list(value).next().is_some() && list(value).all(tunnelled) { Some(field.value) } else { None }
    }
}

fn tunnelled(protocol: &[u8]) -> bool {
    let mut parts = protocol.split(|&b| b == b'/');
    let name = parts.next().unwrap_or_default();
    let version_fits = parts.next().is_none_or(is_token) && parts.next().is_none();
    let refused = [&b"h2c"[..], b"h2", b"http", b"tls"];
    is_token(name) && version_fits && !refused.iter().any(|r| name.eq_ignore_ascii_case(r))
}

/// Reads all Connection fields and marks what they nominate.
pub(super) fn options(head: &[u8], fields: &mut Fields) -> Result<Options, Reject> {
    let mut options = Options::default();
    if !fields.has(FieldKind::Connection) {
        return Ok(options);
    }
    // What nearly every message says.
    if let Some(field) = fields.only(FieldKind::Connection) {
        let value = field.value.of(head);
        options.keep_alive = value.eq_ignore_ascii_case(b"keep-alive");
        options.close = value.eq_ignore_ascii_case(b"close");
        if options.keep_alive || options.close {
            return Ok(options);
        }
    }
    let mut count = 0;
    for i in 0..fields.len() {
        let Some(field) = fields.iter().nth(i).copied().filter(|field| field.kind == FieldKind::Connection)
        else {
            continue;
        };
        for option in list(field.value.of(head)) {
            count += 1;
            if count > OPTIONS || !is_token(option) {
                return Err(reason::BAD_CONNECTION);
            }
            options.take(head, fields, option);
        }
    }
    Ok(options)
}

impl Options {
    fn take(&mut self, head: &[u8], fields: &mut Fields, option: &[u8]) {
        if option.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
        } else if option.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else {
            fields.nominate(head, option);
        }
    }
}
