//! detect: what a connection begins with, before it is known what it is: a PROXY header, TLS, a protocol.
//!
//! In: connections of listeners that take more than requests, and the first bytes of each. Out: a TLS handshake, a first
//! head, or a connection to `forward`. Before: listen. Bytes that were looked at stay with the link: whoever comes next
//! reads them first.

use super::Worker;
use super::conn::{Client, Conn, Phase};
use super::exchange::Carries;
use super::forward::Target;
use crate::slab::Id;
use crate::telemetry::{Reason, Text};
use std::net::SocketAddr;
use tulle_decide::client_hello::{ClientHello, Peeked, peek};
use tulle_decide::detect::{Detected, detect};
use tulle_decide::forward::Forward;
use tulle_decide::proxy_protocol::{Addresses, Header, Parsed, parse};
use tulle_snapshot::wire::ListenerKind;

/// How long a client may take to say what it speaks, where its server may have to speak first.
const SHORT_MS: u32 = 100;

/// How long to wait for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// A server may be the one to speak.
    Short,
    /// It is the client's turn; as long as a head may take.
    Long,
}

/// Whether there may be more than the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    More,
    /// The client has ended.
    End,
    /// Its time is up.
    Timeout,
}

/// What follows from the bytes so far.
enum Look {
    Wait(Wait),
    /// HTTP, by the same path as everywhere.
    Requests,
    /// TLS, ended here.
    Seal,
    Forward(Target),
    Refuse(Reason, &'static str),
    /// Nothing was said.
    Close,
}

impl Worker {
    /// A new connection of a listener that does not take requests alone.
    pub(super) fn enter(&mut self, id: Id) {
        let Some(client) = self.conns.get_mut(id).and_then(Conn::client) else { return };
        match client.listener.proxies.as_deref() {
            Some(proxies) if proxies.networks.contains(client.peer.ip()) => client.header_pending = true,
            Some(proxies) if !proxies.optional => {
                return self.refuse(id, Reason::ProxyProtocolRefused, "");
            }
            Some(_) | None => {}
        }
        self.sniffed(id, &[], false);
    }

    /// Some bytes may be there. True: look again at once.
    pub(super) fn sniff(&mut self, id: Id) -> bool {
        let readable = self.conns.get(id).is_some_and(|conn| conn.link.may_read());
        readable && self.sniff_until(id, Until::More)
    }

    /// No more came in time.
    pub(super) fn entry_due(&mut self, id: Id) {
        if self.draining {
            return self.close(id);
        }
        if self.sniff_until(id, Until::Timeout) {
            self.queue(id);
        }
    }

    fn sniff_until(&mut self, id: Id, until: Until) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let until = if conn.link.at_end() { Until::End } else { until };
        let again = if filled.is_ok() {
            let (used, look) = self.look(id, &buffer, until);
            self.follow(id, look, buffer.get(used..).unwrap_or_default())
        } else {
            self.abandon(id);
            false
        };
        self.scratch.read = buffer;
        again
    }

    /// Looks at bytes that were read already.
    pub(super) fn sniffed(&mut self, id: Id, buffer: &[u8], ended: bool) -> bool {
        let (used, look) = self.look(id, buffer, if ended { Until::End } else { Until::More });
        self.follow(id, look, buffer.get(used..).unwrap_or_default())
    }

    /// What the bytes say, and how many of them were a PROXY header.
    fn look(&mut self, id: Id, bytes: &[u8], until: Until) -> (usize, Look) {
        let Some(client) = self.conns.get_mut(id).and_then(Conn::client) else { return (0, Look::Close) };
        let used = match proxy_header(client, bytes, until) {
            Ok(used) => used,
            Err(look) => return (0, look),
        };
        (used, classify(client, bytes.get(used..).unwrap_or_default(), until))
    }

    /// Goes on as it was found to be; `rest` is what was read and is still to be used.
    fn follow(&mut self, id: Id, look: Look, rest: &[u8]) -> bool {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        conn.link.keep(rest, &mut self.io);
        let more = conn.link.has_more();
        let Some(client) = conn.client() else { return false };
        let limits = &client.listener.limits;
        match look {
            Look::Wait(wait) => {
                let latest = client.head_began.after_ms(limits.header_timeout_ms);
                let due = if wait == Wait::Short { latest.min(now.after_ms(SHORT_MS)) } else { latest };
                self.set_deadline(id, due);
                more
            }
            Look::Requests => {
                client.phase = Phase::Idle;
                let timeout = if rest.is_empty() { limits.idle_timeout_ms } else { limits.header_timeout_ms };
                self.set_deadline(id, now.after_ms(timeout));
                true
            }
            Look::Seal => self.seal(id),
            Look::Forward(target) => {
                self.forward(id, &target);
                false
            }
            Look::Refuse(reason, detail) => {
                self.refuse(id, reason, detail);
                false
            }
            Look::Close => {
                self.close(id);
                false
            }
        }
    }

    /// TLS ends here, from the bytes that were kept on.
    fn seal(&mut self, id: Id) -> bool {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let Some(client) = conn.client() else { return false };
        let timeout = client.listener.limits.header_timeout_ms;
        let session = client.listener.tls.as_ref().map(|tls| tls.built.session());
        let Some(Ok(session)) = session else {
            self.close(id);
            return false;
        };
        client.sealed = true;
        client.phase = Phase::Handshake;
        conn.link.secure(Box::new(session));
        self.set_deadline(id, now.after_ms(timeout));
        true
    }

    /// The client of a connection that was dialled ahead may have spoken. True: look again at once.
    pub(super) fn sniff_ahead(&mut self, id: Id, exchange: Id) -> bool {
        let waits = self.exchanges.get(exchange).is_some_and(|x| x.carries == Carries::Ahead);
        let readable = self.conns.get(id).is_some_and(|conn| conn.link.may_read());
        waits && readable && self.ahead_until(id, exchange, Until::More)
    }

    /// A connection that was dialled ahead stands still: what its client said will have to do, or it is over.
    pub(super) fn ahead_due(&mut self, exchange: Id) {
        let Some(client) = self.exchanges.get(exchange).map(|x| x.client) else { return };
        if !self.conns.get(client).is_some_and(|conn| conn.link.has_kept()) {
            return self.end_connection(exchange, Reason::StreamIdle);
        }
        if self.ahead_until(client, exchange, Until::Timeout) {
            self.queue(client);
        }
    }

    fn ahead_until(&mut self, id: Id, exchange: Id, until: Until) -> bool {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let first = !conn.link.has_kept();
        if let Some(client) = conn.client().filter(|_| first) {
            client.head_began = now;
        }
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let until = if conn.link.at_end() { Until::End } else { until };
        let again = match filled {
            Ok(0) if until != Until::End => false,
            Ok(_) => self.ahead_bytes(id, exchange, &buffer, until),
            Err(_) => {
                self.abandon(id);
                false
            }
        };
        self.scratch.read = buffer;
        again
    }

    /// Opaque bytes go to the connection that is there; anything else goes its own way.
    fn ahead_bytes(&mut self, id: Id, exchange: Id, bytes: &[u8], until: Until) -> bool {
        let (used, look) = self.look(id, bytes, until);
        let rest = bytes.get(used..).unwrap_or_default();
        match look {
            Look::Wait(_) => self.follow(id, look, rest),
            Look::Forward(Target::Opaque(_) | Target::Ahead) => {
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.link.keep(rest, &mut self.io);
                }
                self.settle(exchange);
                true
            }
            _ => {
                self.withdraw(exchange);
                self.follow(id, look, rest)
            }
        }
    }
}

/// How long the PROXY header at the front is, if there may be one; it says where the client comes from.
fn proxy_header(client: &mut Client, bytes: &[u8], until: Until) -> Result<usize, Look> {
    if !client.header_pending {
        return Ok(0);
    }
    let optional = client.listener.proxies.as_ref().is_some_and(|proxies| proxies.optional);
    let signed = match parse(bytes) {
        Parsed::Header(Header { len, addresses }) => {
            client.header_pending = false;
            if let Some(addresses) = addresses {
                client.comes_from(addresses);
            }
            return Ok(len);
        }
        Parsed::Malformed(code) => return Err(Look::Refuse(Reason::ProxyProtocolMalformed, code)),
        Parsed::Absent if optional => {
            client.header_pending = false;
            return Ok(0);
        }
        Parsed::Absent => return Err(Look::Refuse(Reason::ProxyProtocolMissing, "")),
        Parsed::NeedMore { signed } => signed,
    };
    match until {
        Until::More if optional && !signed && server_may_begin(client) => Err(Look::Wait(Wait::Short)),
        Until::More => Err(Look::Wait(Wait::Long)),
        // It may still come, as long as nobody has spoken.
        Until::Timeout | Until::End if optional && !signed => Ok(0),
        Until::Timeout => Err(Look::Refuse(Reason::DetectionTimeout, "")),
        Until::End if bytes.is_empty() => Err(Look::Close),
        Until::End if signed => Err(Look::Refuse(Reason::ProxyProtocolMalformed, "cut_short")),
        Until::End => Err(Look::Refuse(Reason::ProxyProtocolMissing, "")),
    }
}

/// A client of this listener may have to wait for its server to speak.
fn server_may_begin(client: &Client) -> bool {
    let opens_tls = client.listener.tls.is_some() && !client.sealed;
    client.listener.forward.as_ref().is_some_and(|forward| forward.takes_opaque())
        && !(opens_tls && client.listener.kind == ListenerKind::Tcp)
}

/// What is to become of a connection that begins with these bytes, a PROXY header left out.
fn classify(client: &Client, bytes: &[u8], until: Until) -> Look {
    let listener = &client.listener;
    let opens_tls = listener.tls.is_some() && !client.sealed;
    let Some(forward) = listener.forward.as_deref() else {
        return if opens_tls { Look::Seal } else { Look::Requests };
    };
    match listener.kind {
        ListenerKind::TlsPassthrough => match hello(bytes, until) {
            Ok(hello) => Look::Forward(Target::Named(hello.sni)),
            Err(look) => look,
        },
        ListenerKind::Auto if !forward.server_first => detected(client, forward, bytes, until),
        _ if opens_tls => Look::Seal,
        _ if client.header_pending && bytes.is_empty() && until == Until::Timeout => {
            Look::Forward(Target::Ahead)
        }
        _ => Look::Forward(Target::Opaque(None)),
    }
}

fn detected(client: &Client, forward: &Forward, bytes: &[u8], until: Until) -> Look {
    let takes_opaque = forward.takes_opaque();
    match detect(bytes) {
        Detected::NeedMore => match until {
            // Nothing else begins like a handshake where one is expected.
            Until::More if bytes.first() == Some(&0x16) || !takes_opaque => Look::Wait(Wait::Long),
            Until::More => Look::Wait(Wait::Short),
            Until::Timeout if takes_opaque && bytes.is_empty() => Look::Forward(Target::Ahead),
            _ if takes_opaque => Look::Forward(Target::Opaque(None)),
            Until::Timeout => Look::Refuse(Reason::DetectionTimeout, ""),
            Until::End if bytes.is_empty() => Look::Close,
            Until::End => Look::Refuse(Reason::ProtocolUnknown, "cut_short"),
        },
        Detected::Tls if !client.sealed => match hello(bytes, until) {
            Ok(ClientHello { sni, .. }) => {
                if sni.as_ref().is_some_and(|name| forward.names(name)) {
                    Look::Forward(Target::Named(sni))
                } else if client.listener.tls.is_some() {
                    Look::Seal
                } else if takes_opaque {
                    Look::Forward(Target::Opaque(sni))
                } else {
                    Look::Forward(Target::Named(sni))
                }
            }
            Err(look) => look,
        },
        Detected::Http1 | Detected::Http2Preface => Look::Requests,
        Detected::Tls | Detected::Opaque if takes_opaque => Look::Forward(Target::Opaque(None)),
        Detected::Tls | Detected::Opaque => Look::Refuse(Reason::ProtocolUnknown, ""),
    }
}

fn hello(bytes: &[u8], until: Until) -> Result<ClientHello, Look> {
    match (peek(bytes), until) {
        (Peeked::Hello(hello), _) => Ok(hello),
        (Peeked::Malformed(code), _) => Err(Look::Refuse(Reason::ClientHelloMalformed, code)),
        (Peeked::NeedMore, Until::More) => Err(Look::Wait(Wait::Long)),
        (Peeked::NeedMore, Until::Timeout) => Err(Look::Refuse(Reason::DetectionTimeout, "")),
        (Peeked::NeedMore, Until::End) if bytes.is_empty() => Err(Look::Close),
        (Peeked::NeedMore, Until::End) => Err(Look::Refuse(Reason::ClientHelloMalformed, "cut_short")),
    }
}

impl Client {
    /// The connection is someone else's, handed on to us.
    fn comes_from(&mut self, addresses: Addresses) {
        let Addresses { source, destination } = addresses;
        self.peer = source;
        self.ip = Text::new(source.ip().to_string().as_bytes());
        self.destination = Some(Box::<SocketAddr>::new(destination));
    }
}
