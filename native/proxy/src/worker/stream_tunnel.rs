//! Tunnels by streams of HTTP/2: the other protocol travels as the bodies of a request and of its answer (RFC 8441 for
//! upgrades, RFC 9113 section 8.5 for CONNECT), so that windows, limits and ends are those of any exchange.
//!
//! In: an upstream that has agreed. Out: an exchange whose bytes go on as they are, until both sides have ended.

use super::Worker;
use super::body::Body;
use super::exchange::Exchange;
use super::ids::websocket_accept;
use super::response::Took;
use crate::clock;
use crate::slab::Id;
use crate::telemetry::Flags;
use tulle_decide::http::{Fields, list_agreed, write_agreed};

impl Worker {
    /// Whether a client of HTTP/2 has asked for what an upstream agrees to.
    pub(super) fn may_agree(&self, exchange: Id) -> bool {
        self.exchanges.get(exchange).is_some_and(|x| x.is_stream() && x.upgrade)
    }

    /// An HTTP/1.1 upstream has agreed, or is connected to; `rest` is what it has said behind that.
    pub(super) fn agree_to_stream(
        &mut self,
        exchange: Id,
        (head, fields): (&[u8], &Fields),
        rest: &mut [u8],
    ) -> Took {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        x.record.status = 200;
        x.response = Body::of_tunnel();
        x.tunnelled();
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        list_agreed(&mut out, head, fields);
        let took = self.body_bytes(exchange, &out, &mut [], false);
        self.scratch.head = out;
        self.request_wanted(exchange);
        match took {
            Took::Bytes(_) if rest.is_empty() => Took::Bytes(head.len()),
            Took::Bytes(_) => {
                let count = self.client_room(exchange).min(rest.len());
                match self.body_bytes(exchange, &[], rest.get_mut(..count).unwrap_or_default(), false) {
                    Took::Bytes(count) => Took::Bytes(count + head.len()),
                    other => other,
                }
            }
            other => other,
        }
    }
}

impl Worker {
    /// An upstream of HTTP/2 has agreed to the WebSocket of an HTTP/1.1 client, who hears 101.
    pub(super) fn agree_to_text(&mut self, exchange: Id, (head, fields): (&[u8], &Fields)) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.status = 101;
        x.keep_alive = false;
        x.ends_by_close = true;
        x.request = Body::of_tunnel();
        x.response = Body::of_stream(None, false);
        x.response.send_raw();
        x.tunnelled();
        let accept = x.websocket_key.as_ref().map(websocket_accept);
        let client = x.client;
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        write_agreed(&mut out, accept.as_ref().map_or(b"", |accept| accept.as_slice()), head, fields);
        self.body_bytes(exchange, &out, &mut [], false);
        self.scratch.head = out;
        self.queue(client);
    }
}

impl Exchange {
    /// From now on its bodies are another protocol.
    pub(super) fn tunnelled(&mut self) {
        self.head_sent = true;
        self.tunnel.streamed = true;
        self.record.flags.insert(Flags::UPGRADE);
        let now = clock::now().0;
        self.record.at.response = now;
        self.record.at.first_out = now;
    }
}
