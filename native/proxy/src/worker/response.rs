//! answer: the upstream's head and body on their way to the client. Before: upstream. After: the record.

use super::affinity::COOKIE_BYTES;
use super::body::{Body, Sink};
use super::exchange::Exchange;
use super::{TURNS, Worker};
use crate::clock;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use std::io::ErrorKind;
use std::rc::Rc;
use tulle_decide::grpc;
use tulle_decide::http::{
    ClientConnection, Edits, FieldKind, Fields, ResponseFraming, ResponseHead, ResponseParts, Version,
    find_head_end, list_response, parse_response, write_response,
};
use tulle_decide::mirror::ANSWER_BYTES;

/// Interim answers passed on for one request.
const INTERIM: u8 = 16;

/// What became of the bytes at hand.
pub(super) enum Took {
    /// So many, and there may be use for more.
    Bytes(usize),
    /// All of them, kept until there are more.
    Kept,
    /// The exchange is over, or waits for someone else.
    Over,
}

impl Worker {
    /// Reads the upstream's answer as far as the client takes it. True: look again at once.
    pub(super) fn read_answer(&mut self, id: Id, exchange: Id) -> bool {
        let Some(x) = self.exchanges.get(exchange) else { return false };
        if x.tunnel.open {
            return self.tunnel_from_upstream(exchange);
        }
        if x.is_connection() {
            return self.server_spoke(id, exchange);
        }
        let head_sent = x.head_sent;
        if head_sent && self.client_room(exchange) == 0 {
            return false; // the client is slower: the kernel keeps what the upstream sends
        }
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if !conn.link.may_read() {
            return self.watch_upstream(id, exchange);
        }
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = conn.link.fill(&mut buffer, &mut self.io);
        let ended = conn.link.at_end();
        let again = match filled {
            Ok(_) if !buffer.is_empty() => self.answer_bytes(id, exchange, &mut buffer, ended),
            Ok(_) if ended => {
                self.upstream_ended(exchange);
                false
            }
            Ok(_) => false,
            Err(_) => {
                self.attempt_failed(exchange, Reason::UpstreamReset);
                false
            }
        };
        self.scratch.read = buffer;
        again
    }

    /// Nothing to read; but is there anyone left to read from?
    fn watch_upstream(&mut self, id: Id, exchange: Id) -> bool {
        if self.conns.get(id).is_some_and(|conn| conn.link.at_end()) {
            self.upstream_ended(exchange);
        }
        false
    }

    /// The upstream closed: the end of a body that lasts until then, otherwise a failure.
    fn upstream_ended(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        if x.head_sent && x.response.is_until_close() {
            self.body_bytes(exchange, &[], &mut [], true);
        } else {
            self.attempt_failed(exchange, Reason::UpstreamReset);
        }
    }

    fn answer_bytes(&mut self, id: Id, exchange: Id, buffer: &mut [u8], ended: bool) -> bool {
        let mut used = 0;
        for _ in 0..TURNS {
            let exchange = self.served_by(id, exchange);
            let head_sent = self.exchanges.get(exchange).is_some_and(|x| x.head_sent);
            let rest = buffer.get_mut(used..).unwrap_or_default();
            let took = if head_sent {
                let room = self.client_room(exchange).min(rest.len());
                let whole = room == rest.len();
                let Some((now, later)) = rest.split_at_mut_checked(room) else { return false };
                if now.is_empty() && !whole {
                    if let Some(conn) = self.conns.get_mut(id) {
                        conn.link.keep(later, &mut self.io);
                    }
                    return false;
                }
                self.body_bytes(exchange, &[], now, ended && whole)
            } else {
                self.answer_head(id, exchange, rest, ended)
            };
            match took {
                Took::Over => return false,
                // A full read or a close may be behind it, which no further event announces.
                Took::Kept => return self.conns.get(id).is_some_and(|conn| conn.link.has_more()),
                Took::Bytes(count) => used += count,
            }
            if used >= buffer.len() {
                return true;
            }
        }
        self.attempt_failed(exchange, Reason::UpstreamProtocolError);
        false
    }

    /// A head, if it is whole; with as much of the body as came along.
    fn answer_head(&mut self, id: Id, exchange: Id, buffer: &mut [u8], ended: bool) -> Took {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        x.reused &= buffer.is_empty(); // a connection that closes for its age brings no part of an answer
        let Some(end) = find_head_end(buffer, x.scanned.min(buffer.len())) else {
            x.scanned = buffer.len();
            let too_long = buffer.len() > super::request::UPSTREAM_HEAD.bytes as usize;
            if too_long {
                self.attempt_failed(exchange, Reason::UpstreamProtocolError);
            } else if ended {
                self.attempt_failed(exchange, Reason::UpstreamReset);
            } else if let Some(conn) = self.conns.get_mut(id) {
                conn.link.keep(buffer, &mut self.io);
                return Took::Kept;
            }
            return Took::Over;
        };
        x.scanned = 0;
        let (head, rest) = buffer.split_at_mut(end);
        let mut fields = std::mem::take(&mut self.scratch.fields);
        let parsed = parse_response(head, super::request::UPSTREAM_HEAD, x.method, &mut fields);
        let took = match parsed {
            Ok(parsed) if parsed.status == 101 && self.may_agree(exchange) => {
                self.answered(exchange, (head, &parsed, &fields));
                self.agree_to_stream(exchange, (head, &fields), rest)
            }
            Ok(parsed) if parsed.status == 101 => {
                self.answered(exchange, (head, &parsed, &fields));
                self.switch(exchange, (head, &parsed, &fields), rest)
            }
            Ok(parsed) if parsed.is_interim() => self.interim(exchange, head, &parsed, &fields),
            Ok(parsed) => self.final_head(exchange, (head, &parsed, &fields), rest, ended),
            Err(bad) => {
                if let Some(x) = self.exchanges.get_mut(exchange) {
                    x.record.detail = bad.reason;
                }
                self.attempt_failed(exchange, Reason::UpstreamProtocolError);
                Took::Over
            }
        };
        self.scratch.fields = fields;
        took
    }

    /// 100, 103 and their like: passed on to clients that know them.
    pub(super) fn interim(
        &mut self,
        exchange: Id,
        head: &[u8],
        parsed: &ResponseHead,
        fields: &Fields,
    ) -> Took {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        x.interim += 1;
        if x.interim > INTERIM {
            self.attempt_failed(exchange, Reason::UpstreamProtocolError);
            return Took::Over;
        }
        if x.version == Version::Http10 {
            return Took::Bytes(head.len());
        }
        match self.pass_head(exchange, (head, parsed, fields), b"") {
            Some(_) => Took::Bytes(head.len()),
            None => Took::Over,
        }
    }

    /// Passes a head that no body follows on, and what came `behind` it. Its length; none: the client is gone.
    pub(super) fn pass_head(
        &mut self,
        exchange: Id,
        (head, response, fields): (&[u8], &ResponseHead, &Fields),
        behind: &[u8],
    ) -> Option<usize> {
        let framing = ResponseFraming::None;
        let connection = ClientConnection::Implicit;
        let edits = Edits::NONE;
        let parts = ResponseParts {
            head,
            response,
            fields,
            framing,
            connection,
            edits,
            via: None,
            cookie: None,
            date: None,
        };
        let x = self.exchanges.get(exchange)?;
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        let sent = match x.client_stream {
            _ if x.ghost => true,
            Some(stream) => {
                let client = x.client;
                list_response(&mut out, &parts);
                if let Some(mux) = self.mux(client) {
                    mux.send_head(stream, [&out, b""], false);
                }
                self.mark_dirty(client);
                true
            }
            None => {
                write_response(&mut out, &parts);
                self.send_to_client(exchange, &[&out, behind])
            }
        };
        let length = out.len();
        self.scratch.head = out;
        sent.then_some(length)
    }

    /// Sends to the client; false: it is gone, and so is the exchange.
    pub(super) fn send_to_client(&mut self, exchange: Id, parts: &[&[u8]]) -> bool {
        let Some(client) = self.exchanges.get(exchange).map(|x| x.client) else { return false };
        let sent = self.conns.get_mut(client).map(|conn| conn.link.send(parts, &mut self.io));
        if matches!(sent, Some(Ok(()))) {
            return true;
        }
        self.end_exchange(exchange, Reason::ClientClosed);
        self.abandon(client);
        false
    }

    pub(super) fn final_head(
        &mut self,
        exchange: Id,
        (head, parsed, fields): (&[u8], &ResponseHead, &Fields),
        rest: &mut [u8],
        ended: bool,
    ) -> Took {
        let is_error = self.answered(exchange, (head, parsed, fields));
        let Some(exchange) = self.heir(exchange, is_error) else { return Took::Over };
        if self.tries_again_after(exchange, (head, parsed, fields), rest, ended) {
            return Took::Over;
        }
        self.learn_latency(exchange);
        let draining = self.draining;
        let now = clock::now();
        let mut cookie = [0; COOKIE_BYTES];
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        let cookie = x.affinity_cookie(&mut cookie);
        let framing = parsed.framing_for(x.version);
        let sink = match framing {
            _ if x.is_stream() => Sink::Stream,
            ResponseFraming::Chunked => Sink::Chunked,
            ResponseFraming::None | ResponseFraming::Length(_) | ResponseFraming::Close => Sink::Plain,
        };
        x.ends_by_close = framing == ResponseFraming::Close;
        x.keep_alive &= !x.ends_by_close && !draining && x.request.is_done();
        x.upstream_keep_alive = parsed.keep_alive;
        x.response = Body::of_response(parsed.framing, sink);
        x.head_sent = true;
        x.record.status = parsed.status;
        x.record.at.response = now.0;
        x.record.at.first_out = now.0;
        if x.is_stream() && x.upgrade && (200..300).contains(&parsed.status) {
            x.tunnelled(); // both sides speak HTTP/2, and the upstream has agreed
        }
        if x.grpc
            && let Some(status) = fields.values(head, b"grpc-status").next()
        {
            x.record.grpc_status = grpc::status(status); // an answer of trailers only
        }
        let config = Rc::clone(&x.config);
        let listener = Rc::clone(&x.listener);
        let edits = x.rule.and_then(|rule| config.edits(rule)).map_or(Edits::NONE, |(_, response)| response);
        let parts = ResponseParts {
            head,
            response: parsed,
            fields,
            framing,
            connection: connection_line(x),
            edits,
            via: listener.forwarded.via.as_deref().map(str::as_bytes),
            cookie,
            date: if fields.has(FieldKind::Date) { None } else { Some(self.date.at(clock::wall())) },
        };
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        if x.is_stream() {
            list_response(&mut out, &parts);
        } else {
            write_response(&mut out, &parts);
        }
        x.record.head_out = u32::try_from(out.len()).unwrap_or(u32::MAX);
        let room = self.client_room(exchange).min(rest.len());
        let whole = room == rest.len();
        let now = rest.get_mut(..room).unwrap_or_default();
        let took = self.body_bytes(exchange, &out, now, ended && whole);
        self.scratch.head = out;
        match took {
            Took::Bytes(count) => Took::Bytes(count + head.len()),
            other => other,
        }
    }

    /// Sends a head, if there is one, and what there is of the body, in one write.
    pub(super) fn body_bytes(&mut self, exchange: Id, head: &[u8], buffer: &mut [u8], ended: bool) -> Took {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        let step = match x.response.step(buffer, ended) {
            Ok(step) => step,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return self.cut(exchange, head, Reason::UpstreamReset);
            }
            Err(_) => return self.cut(exchange, head, Reason::UpstreamProtocolError),
        };
        if step.done {
            self.judge_call(exchange);
            // Before the client has its last byte: its next request then finds the connection warm.
            self.let_go_of_upstream(exchange, step.consumed == buffer.len());
        } else {
            self.credit_upstream(exchange, step.consumed);
        }
        let sent = self.send_answer(exchange, head, step, buffer);
        self.after_answer_bytes(exchange, !sent, step.done, step.consumed)
    }

    fn after_answer_bytes(&mut self, exchange: Id, failed: bool, done: bool, consumed: usize) -> Took {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        if failed {
            let client = x.client;
            self.end_exchange(exchange, Reason::ClientClosed);
            self.abandon(client);
            return Took::Over;
        }
        if done {
            if x.grpc
                && let Some(status) = grpc::status_in(x.response.trailers())
            {
                x.record.grpc_status = status;
            }
            self.finish(exchange);
            return Took::Over;
        }
        if x.is_copy() && x.response.bytes > ANSWER_BYTES {
            self.end_exchange(exchange, Reason::ClientClosed);
            return Took::Over;
        }
        self.rearm(exchange);
        Took::Bytes(consumed)
    }

    /// The answer breaks off: what came is passed on, and the client is made to see that it is not all.
    fn cut(&mut self, exchange: Id, head: &[u8], reason: Reason) -> Took {
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.record.flags.insert(Flags::TRUNCATED);
            let (client, stream) = (x.client, x.client_stream);
            if let Some(conn) = self.conns.get_mut(client)
                && !head.is_empty()
            {
                match (stream, conn.mux.as_mut()) {
                    (Some(stream), Some(mux)) => mux.send_head(stream, [head, b""], false),
                    _ => {
                        let _client_is_gone = conn.link.send(&[head], &mut self.io);
                    }
                }
            }
        }
        self.attempt_failed(exchange, reason);
        Took::Over
    }
}

/// What the client is told of its connection.
pub(super) fn connection_line(x: &Exchange) -> ClientConnection {
    match (x.keep_alive, x.version) {
        (false, _) => ClientConnection::Close,
        (true, Version::Http10) => ClientConnection::KeepAlive,
        (true, Version::Http11 | Version::Http2) => ClientConnection::Implicit,
    }
}
