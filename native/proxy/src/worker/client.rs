//! The client's side of HTTP/1: handshake, heads, and the body of the request under way.
//!
//! In: readiness of a client's connection. Out: a parsed head for `request`, or body bytes for the upstream.

use super::conn::{Phase, Role};
use super::{TURNS, Worker};
use crate::io::LinkError;
use crate::slab::Id;
use crate::telemetry::Reason;
use crate::tls::Peer;
use std::io::ErrorKind;
use tulle_decide::http::{find_head_end, head_too_large};

/// How a client that knows that we speak HTTP/2 begins (RFC 9113 section 3.4): so much of it that no HTTP/1 head begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// What a client may still send after its last answer, while it reads that.
const LINGER_MS: u32 = 1_000;

impl Worker {
    pub(super) fn drive_client(&mut self, id: Id) {
        for _ in 0..TURNS {
            let Some(conn) = self.conns.get_mut(id) else { return };
            if conn.link.is_blocked() {
                if conn.link.flush(&mut self.io).is_err() {
                    return self.abandon(id);
                }
                if !conn.link.is_blocked() {
                    self.client_flushed(id);
                    continue;
                }
                // A client that takes nothing may go on sending, where the two have nothing to do with each other.
                if !self.is_tunnel(id) {
                    return;
                }
            }
            let Some(conn) = self.conns.get_mut(id) else { return };
            let Role::Client(client) = &conn.role else { return };
            let again = match client.phase {
                Phase::Entry => self.sniff(id),
                Phase::Handshake | Phase::Idle | Phase::Head => self.read_head(id),
                Phase::Busy(exchange) => self.drive_exchange_input(id, exchange),
                Phase::Lingering => self.linger(id),
                Phase::Mux => self.drive_mux(id),
            };
            if !again {
                return;
            }
        }
        self.queue(id);
    }

    /// The client took what waited: the answer may go on.
    fn client_flushed(&mut self, id: Id) {
        let exchange = match self.phase(id) {
            Some(Phase::Busy(exchange)) => exchange,
            Some(Phase::Lingering) => return self.set_deadline(id, self.now.after_ms(LINGER_MS)),
            Some(Phase::Mux) => return self.mark_dirty(id),
            _ => return,
        };
        self.answer_may_go_on(exchange);
    }

    pub(super) fn phase(&mut self, id: Id) -> Option<Phase> {
        self.conns.get_mut(id)?.client().map(|client| client.phase)
    }

    pub(super) fn set_phase(&mut self, id: Id, phase: Phase) {
        if let Some(client) = self.conns.get_mut(id).and_then(|conn| conn.client()) {
            client.phase = phase;
        }
    }

    /// Reads until a head is whole. True: look again at once.
    fn read_head(&mut self, id: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if !conn.link.may_read() {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let again = match filled {
            Ok(count) => self.head_bytes(id, &mut buffer, count),
            Err(error) => {
                self.client_failed(id, &error);
                false
            }
        };
        self.scratch.read = buffer;
        again
    }

    fn head_bytes(&mut self, id: Id, buffer: &mut [u8], count: usize) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let (ended, handshaking) = (conn.link.at_end(), conn.link.is_handshaking());
        if handshaking {
            if ended {
                self.abandon_handshake(id);
            }
            return count > 0;
        }
        if self.phase(id) == Some(Phase::Handshake) {
            self.handshake_done(id);
        }
        if self.phase(id) == Some(Phase::Entry) {
            return self.sniffed(id, buffer, ended);
        }
        match self.is_http2(id, buffer) {
            Some(true) => {
                self.begin_mux(id);
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.link.keep(buffer, &mut self.io);
                }
                return true;
            }
            Some(false) if !buffer.is_empty() && self.wants_http2(id) => {
                self.record_broken(id, Reason::Http2Error, "not_http2");
                self.close(id);
                return false;
            }
            Some(false) => {}
            None => return self.partial_head(id, buffer, ended),
        }
        if buffer.is_empty() {
            if ended {
                self.close(id);
            }
            return false;
        }
        let Some(client) = self.conns.get_mut(id).and_then(|conn| conn.client()) else { return false };
        let from = client.scanned.min(buffer.len());
        match find_head_end(buffer, from) {
            Some(end) => {
                let (head, rest) = buffer.split_at_mut(end);
                self.begin(id, head, rest);
                true
            }
            None => self.partial_head(id, buffer, ended),
        }
    }

    /// Whether a connection that has said this much speaks HTTP/2: agreed by ALPN or, without that, by its preface. None:
    /// more must be seen.
    fn is_http2(&mut self, id: Id, buffer: &[u8]) -> Option<bool> {
        let Some(conn) = self.conns.get_mut(id) else { return Some(false) };
        let alpn = conn.link.session().and_then(|session| session.alpn()).map(|protocol| protocol == b"h2");
        let Some(client) = conn.client() else { return Some(false) };
        if !std::mem::take(&mut client.fresh) || !client.listener.kind.is_traffic() {
            return Some(false);
        }
        if let Some(agreed) = alpn {
            return Some(agreed);
        }
        if buffer.len() >= PREFACE.len() {
            return Some(buffer.starts_with(PREFACE));
        }
        let may_be = PREFACE.starts_with(buffer);
        client.fresh = may_be;
        if may_be && !buffer.is_empty() { None } else { Some(false) }
    }

    /// Whether its listener takes HTTP/2 only.
    fn wants_http2(&mut self, id: Id) -> bool {
        self.conns.get_mut(id).and_then(|conn| conn.client()).is_some_and(|client| !client.listener.http1)
    }

    /// Some of a head is there: keep it, unless it can come to nothing.
    fn partial_head(&mut self, id: Id, buffer: &mut [u8], ended: bool) -> bool {
        if ended {
            self.close(id); // nobody reads what half a head would be answered with
            return false;
        }
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let Role::Client(client) = &mut conn.role else { return false };
        let limits = &client.listener.limits;
        if buffer.len() > limits.header_bytes as usize {
            let too_large = head_too_large(buffer, client.listener.head);
            self.refuse_head(id, too_large);
            return false;
        }
        client.scanned = buffer.len();
        let timeout = limits.header_timeout_ms;
        let began = std::mem::replace(&mut client.phase, Phase::Head) == Phase::Head;
        if !began {
            client.head_began = now;
        }
        conn.link.keep(buffer, &mut self.io);
        let more = conn.link.has_more();
        if !began {
            self.set_deadline(id, now.after_ms(timeout));
        }
        more
    }

    /// The client went away before it was done.
    fn abandon_handshake(&mut self, id: Id) {
        let closed = LinkError::Io(ErrorKind::UnexpectedEof.into());
        self.client_failed(id, &closed);
    }

    fn handshake_done(&mut self, id: Id) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(session) = conn.link.session() else { return };
        let resumed = session.resumed();
        let known = session.peer().map(|peer| {
            (client_cert_header(peer), self.setup.shared.identities.number(peer.spiffe.as_str()))
        });
        let Role::Client(client) = &mut conn.role else { return };
        if let Some((header, number)) = known {
            client.identity = client.listener.forward_identity.then(|| header.into());
            client.identity_number = number;
        }
        client.phase = if client.listener.forward.is_some() { Phase::Entry } else { Phase::Idle };
        client.head_began = now;
        client.listener.counters.tls_done(resumed);
        let timeout = client.listener.limits.header_timeout_ms;
        self.set_deadline(id, now.after_ms(timeout));
    }

    fn client_failed(&mut self, id: Id, error: &LinkError) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let LinkError::Tls(_) = error {
            let _peer_is_gone = conn.link.flush(&mut self.io); // the alert says why
        }
        if let Role::Client(client) = &conn.role
            && client.phase == Phase::Handshake
        {
            client.listener.counters.tls_failed();
            let detail = if let LinkError::Tls(error) = error { error.reason() } else { "closed" };
            return self.handshake_failed(id, detail);
        }
        self.abandon(id);
    }

    /// The client may send: body bytes, a tunnel's bytes, or its end.
    fn drive_exchange_input(&mut self, id: Id, exchange: Id) -> bool {
        let Some(x) = self.exchanges.get(exchange) else { return false };
        if self.conns.get(id).is_some_and(|conn| conn.link.is_broken()) {
            if x.tunnel.open {
                self.tunnel_broke(exchange, true);
            } else {
                self.abandon(id);
            }
            return false;
        }
        if x.tunnel.open {
            return self.tunnel_from_client(exchange);
        }
        if x.is_connection() {
            return self.sniff_ahead(id, exchange);
        }
        // A half-closed client still waits for its answer.
        !x.request.is_done() && self.pump_request(exchange)
    }

    /// Sends what the client has of its body to the upstream. True: look again at once.
    pub(super) fn pump_request(&mut self, exchange: Id) -> bool {
        let room = self.upstream_room(exchange);
        let Some(x) = self.exchanges.get(exchange) else { return false };
        let client = x.client;
        if x.request.is_done() || room == 0 {
            return false;
        }
        let Some(conn) = self.conns.get_mut(client) else { return false };
        if !conn.link.may_read() {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let ended = conn.link.at_end();
        let again = match filled {
            Ok(0) if !ended => false,
            Ok(_) => {
                let now = room.min(buffer.len());
                let ended = ended && now == buffer.len();
                let taken = self.request_bytes(exchange, buffer.get_mut(..now).unwrap_or_default(), ended);
                if let (Some(taken), Some(conn)) = (taken, self.conns.get_mut(client)) {
                    conn.link.keep(buffer.get(taken..).unwrap_or_default(), &mut self.io);
                }
                taken.is_some_and(|taken| taken > 0)
            }
            Err(_) => {
                self.end_exchange(exchange, Reason::ClientClosed);
                self.abandon(client);
                false
            }
        };
        self.scratch.read = buffer;
        again
    }

    /// Sends bytes of a body on, for all of which there is room. How many belonged to it; none: the exchange is over.
    pub(super) fn request_bytes(&mut self, exchange: Id, buffer: &mut [u8], ended: bool) -> Option<usize> {
        let x = self.exchanges.get_mut(exchange)?;
        let step = match x.request.step(buffer, ended) {
            Ok(step) => step,
            Err(error) => {
                self.bad_request_body(exchange, &error);
                return None;
            }
        };
        if x.has_too_much_body() {
            self.answer(exchange, Reason::BodyTooLarge);
            return None;
        }
        self.forward_request_bytes(exchange, step, step.content(buffer));
        self.credit_client(exchange, step.consumed);
        self.rearm(exchange);
        Some(step.consumed)
    }

    /// Half a body, or a malformed one: the upstream must not take it for a whole one.
    fn bad_request_body(&mut self, exchange: Id, error: &std::io::Error) {
        self.drop_upstream(exchange);
        let Some(x) = self.exchanges.get(exchange) else { return };
        if x.is_stream() {
            self.malformed(exchange, tulle_decide::http::reason::LENGTH_AGAINST_BODY);
        } else if error.kind() == ErrorKind::UnexpectedEof {
            let client = self.exchanges.get(exchange).map(|x| x.client);
            self.end_exchange(exchange, Reason::ClientClosed);
            if let Some(client) = client {
                self.abandon(client);
            }
        } else {
            self.answer(exchange, Reason::BadRequest);
        }
    }

    /// Reads and throws away, until the client closes or its time is up.
    fn linger(&mut self, id: Id) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let over = filled.is_err() || conn.link.at_end();
        self.scratch.read = buffer;
        if over {
            self.close(id);
        }
        !over && matches!(filled, Ok(count) if count > 0)
    }

    /// Our last bytes were handed over: says so, and gives the client a moment to read them.
    pub(super) fn begin_lingering(&mut self, id: Id) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let ended = conn.link.at_end();
        let blocked = conn.link.is_blocked();
        // A client that has ended may still have to take what waits for it.
        if (ended && !blocked) || conn.link.finish(&mut self.io).is_err() {
            return self.close(id);
        }
        let Role::Client(client) = &mut conn.role else { return };
        client.phase = Phase::Lingering;
        // The moment begins when everything was handed over; a client that takes nothing is cut like an idle one.
        let patience = if blocked { client.listener.limits.idle_timeout_ms } else { LINGER_MS };
        self.set_deadline(id, self.now.after_ms(patience));
        self.queue(id);
    }
}

/// The value of `x-forwarded-client-cert`, as Envoy writes it: the certificate's SHA-256, its subject, its SPIFFE ID.
fn client_cert_header(peer: &Peer) -> Vec<u8> {
    let escaped = peer.subject.replace('\\', "\\\\").replace('"', "\\\"");
    let text =
        ["Hash=", &peer.fingerprint_hex(), ";Subject=\"", &escaped, "\";URI=", peer.spiffe.as_str()].concat();
    text.bytes().filter(|byte| !byte.is_ascii_control()).collect()
}
