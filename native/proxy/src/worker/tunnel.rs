//! A connection that became a tunnel: bytes both ways, half-close kept, ended by silence or by either side.

use super::Worker;
use super::exchange::Exchange;
use super::response::Took;
use crate::clock;
use crate::slab::Id;
use crate::telemetry::{Flags, Reason};
use tulle_decide::http::{Fields, ResponseHead};

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Worker {
    pub(super) fn tunnel_from_client(&mut self, exchange: Id) -> bool {
        self.copy(exchange, Way::Up)
    }

    pub(super) fn tunnel_from_upstream(&mut self, exchange: Id) -> bool {
        self.copy(exchange, Way::Down)
    }

    /// A 101: passed on if it was asked for, and then both sides speak another protocol.
    pub(super) fn switch(
        &mut self,
        exchange: Id,
        (head, parsed, fields): (&[u8], &ResponseHead, &Fields),
        rest: &[u8],
    ) -> Took {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Took::Over };
        if !x.upgrade || !x.request.is_done() {
            x.record.detail = "unasked_upgrade";
            self.attempt_failed(exchange, Reason::UpstreamProtocolError);
            return Took::Over;
        }
        x.record.status = 101;
        x.tunnel.from_upstream += rest.len() as u64;
        let Some(length) = self.pass_head(exchange, (head, parsed, fields), rest) else { return Took::Over };
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.record.head_out = u32::try_from(length).unwrap_or(u32::MAX);
        }
        self.open_tunnel(exchange);
        Took::Over
    }

    /// CONNECT, and there is a connection: says so, and then both sides speak what they like.
    pub(super) fn open_connect_tunnel(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.status = 200;
        if self.send_to_client(exchange, &[b"HTTP/1.1 200 OK\r\n\r\n"]) {
            self.open_tunnel(exchange);
        }
    }

    /// From now on both sides speak another protocol.
    pub(super) fn open_tunnel(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.flags.insert(Flags::UPGRADE);
        x.record.at.response = clock::now().0;
        self.begin_copying(exchange);
    }

    /// Bytes go both ways until both sides are done.
    pub(super) fn begin_copying(&mut self, exchange: Id) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.tunnel.open = true;
        x.head_sent = true;
        x.keep_alive = false;
        let (client, upstream) = (x.client, x.upstream);
        self.rearm(exchange);
        self.queue(client);
        if let Some(upstream) = upstream {
            self.queue(upstream);
        }
    }

    /// Copies one read's worth. True: look again at once.
    fn copy(&mut self, exchange: Id, way: Way) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        let Some(upstream) = x.upstream else { return false };
        let (from, to) = if way == Way::Up { (x.client, upstream) } else { (upstream, x.client) };
        if self.conns.get(to).is_none_or(|conn| conn.link.is_blocked()) {
            return false;
        }
        let Some(conn) = self.conns.get_mut(from) else { return false };
        let mut buffer = std::mem::take(&mut self.scratch.read);
        buffer.clear();
        let filled = if conn.link.may_read() { conn.link.fill(&mut buffer, &mut self.io) } else { Ok(0) };
        let (ended, broken) = (conn.link.at_end(), conn.link.is_broken());
        let sent = match (&filled, self.conns.get_mut(to)) {
            (Ok(count), Some(conn)) if *count > 0 => conn.link.send(&[&buffer], &mut self.io).is_ok(),
            _ => true,
        };
        let count = buffer.len();
        self.scratch.read = buffer;
        if filled.is_err() || !sent || broken {
            let at_client = (way == Way::Up) == sent;
            self.tunnel_broke(exchange, at_client);
            return false;
        }
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.count(way, count);
        }
        if ended {
            return self.half_close(exchange, way, to);
        }
        if count > 0 {
            self.rearm(exchange);
        }
        count > 0
    }

    /// One side said its last: so does our other half; when both did, it is over.
    fn half_close(&mut self, exchange: Id, way: Way, to: Id) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        let ended = if way == Way::Up { &mut x.tunnel.client_ended } else { &mut x.tunnel.upstream_ended };
        let first = !std::mem::replace(ended, true);
        let both = x.tunnel.client_ended && x.tunnel.upstream_ended;
        let upstream = x.upstream;
        let finished = match self.conns.get_mut(to).filter(|_| first) {
            Some(conn) => conn.link.finish(&mut self.io),
            None => Ok(()),
        };
        // What the upstream has not taken yet would be lost with its connection; the client's outlives this.
        let waits = upstream.and_then(|id| self.conns.get(id)).is_some_and(|conn| conn.link.is_blocked());
        if finished.is_err() || (both && !waits) {
            self.close_tunnel(exchange, Reason::Ok, false);
        }
        false
    }

    /// One side is gone. A request that became a tunnel was answered whole; of a connection it is said who ended it.
    pub(super) fn tunnel_broke(&mut self, exchange: Id, at_client: bool) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let reason = match (x.is_connection(), at_client) {
            (false, _) => Reason::Ok,
            (true, true) => Reason::ClientClosed,
            (true, false) => Reason::UpstreamReset,
        };
        self.close_tunnel(exchange, reason, true);
    }

    /// Ends both sides.
    pub(super) fn close_tunnel(&mut self, exchange: Id, reason: Reason, broken: bool) {
        let Some(x) = self.exchanges.get(exchange) else { return };
        let (client, upstream) = (x.client, x.upstream);
        let sides = [Some(client), upstream];
        if broken {
            // What one side cannot be told, the other side should not take for a proper end.
            for conn in sides.into_iter().flatten() {
                if let Some(conn) = self.conns.get_mut(conn) {
                    conn.link.break_off();
                }
            }
        }
        self.end_exchange(exchange, reason);
        if broken {
            self.abandon(client);
        } else {
            self.begin_lingering(client);
        }
    }
}

impl Exchange {
    fn count(&mut self, way: Way, bytes: usize) {
        match way {
            Way::Up => self.tunnel.from_client += bytes as u64,
            Way::Down => self.tunnel.from_upstream += bytes as u64,
        }
    }
}
