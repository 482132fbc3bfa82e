//! What a worker holds: connections on both sides, and the exchanges that tie them together.

use super::body::Body;
use super::config::{TimeLimits, WorkerConfig, WorkerListener, WorkerService};
use super::mux::Mux;
use crate::clock::Nanos;
use crate::io::{Link, Pending};
use crate::slab::Id;
use crate::telemetry::{Address, Flags, Record, Text};
use crate::timers::Deadline;
use std::net::SocketAddr;
use std::rc::Rc;
use tulle_decide::h2::StreamId;
use tulle_decide::http::{Method, Version};
use tulle_decide::route::RuleId;

/// A connection of either side.
pub(crate) struct Conn {
    pub(crate) link: Link,
    pub(crate) deadline: Deadline,
    pub(crate) role: Role,
    /// HTTP/2, once that is what is spoken.
    pub(crate) mux: Option<Box<Mux>>,
    /// It stands in the worker's queue of things to look at again.
    pub(crate) queued: bool,
}

pub(crate) enum Role {
    Client(Client),
    Upstream(Upstream),
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) listener: Rc<WorkerListener>,
    /// The configuration that `listener` is of.
    pub(crate) generation: u32,
    /// Nothing was received that tells which protocol it speaks.
    pub(crate) fresh: bool,
    /// Its listener is gone: the connection ends with its next answer, by the last configuration that named it.
    pub(crate) orphan: Option<Rc<WorkerConfig>>,
    pub(crate) peer: SocketAddr,
    /// The peer's IP address as text.
    pub(crate) ip: Text<45>,
    /// The value of `x-forwarded-client-cert`, where the listener sends one.
    pub(crate) identity: Option<Box<[u8]>>,
    /// The peer's SPIFFE ID, as records name it.
    pub(crate) identity_number: u32,
    pub(crate) phase: Phase,
    /// A PROXY header may be what comes first.
    pub(crate) header_pending: bool,
    /// TLS ends here: what is read was sealed.
    pub(crate) sealed: bool,
    /// What the client connected to, as a PROXY header says.
    pub(crate) destination: Option<Box<SocketAddr>>,
    /// The first byte of the head that is being read.
    pub(crate) head_began: Nanos,
    /// How far the head that is being read was searched for its end.
    pub(crate) scanned: usize,
}

/// Where a client's connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What it speaks is not known yet: a PROXY header may come, or a look at the first bytes tells.
    Entry,
    /// TLS first.
    Handshake,
    /// Between requests.
    Idle,
    /// Some of a head is there.
    Head,
    /// A request is under way.
    Busy(Id),
    /// Answered; what the client still sends is thrown away for a while, so that it can read the answer.
    Lingering,
    /// Requests are streams of HTTP/2.
    Mux,
}

/// A connection to an endpoint.
pub(crate) struct Upstream {
    pub(crate) pool: Id,
    pub(crate) service: Rc<WorkerService>,
    /// What TLS verified, where there is TLS.
    pub(crate) host: Option<Box<str>>,
    pub(crate) state: State,
    pub(crate) requests: u32,
}

/// Where an upstream connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// TCP, then TLS, for this exchange.
    Connecting(Id),
    /// In its pool.
    Idle,
    /// Serving this exchange.
    Busy(Id),
    /// TCP, then TLS, for the exchanges that wait at its [`Mux`].
    Opening,
    /// Serving streams of HTTP/2, or none.
    Mux,
}

/// A request and its answer.
pub(crate) struct Exchange {
    pub(crate) config: Rc<WorkerConfig>,
    pub(crate) listener: Rc<WorkerListener>,
    pub(crate) client: Id,
    pub(crate) upstream: Option<Id>,
    /// Which stream of the client's connection it is, in HTTP/2.
    pub(crate) client_stream: Option<StreamId>,
    /// Which stream of the upstream's connection it is, in HTTP/2.
    pub(crate) upstream_stream: Option<StreamId>,
    /// What an HTTP/2 client sent of its body and the upstream did not take yet.
    pub(crate) inbox: Held,
    /// What the client did not take yet of an answer that came by HTTP/2, or of our own.
    pub(crate) outbox: Held,
    /// The client has reset its stream; the upstream may still be at work.
    pub(crate) ghost: bool,
    /// What an HTTP/1 client wants to see proven when its WebSocket is agreed to.
    pub(crate) websocket_key: Option<[u8; 24]>,
    /// What it is due for, in HTTP/2: its connection looks after the first of all its streams.
    pub(crate) due: Option<Nanos>,
    /// gRPC: refusals of ours are told as such, and the status is read from the trailers.
    pub(crate) grpc: bool,
    /// When the time is up that the client gave its call.
    pub(crate) call_ends: Option<Nanos>,
    pub(crate) record: Record,
    pub(crate) rule: Option<RuleId>,
    /// Picked once; the place is picked per attempt.
    pub(crate) service: Option<Rc<WorkerService>>,
    pub(crate) subset: Option<u32>,
    pub(crate) place: u32,
    /// Places that failed.
    pub(crate) tried: Vec<u32>,
    /// Attempts made, the present one included.
    pub(crate) attempts: u32,
    pub(crate) attempt_began: Nanos,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// The client's connection outlives this request.
    pub(crate) keep_alive: bool,
    /// The client's connection was to end anyway.
    pub(crate) closing: bool,
    /// The request asks for another protocol, and may have it.
    pub(crate) upgrade: bool,
    pub(crate) connect: bool,
    pub(crate) idempotency_key: bool,
    pub(crate) request: Body,
    pub(crate) response: Body,
    /// How much of what came behind the head was used at once.
    pub(crate) taken: usize,
    /// What was sent upstream so far, as long as all of it is here: the head as text or, for HTTP/2, as a list of lines,
    /// and body bytes as they are framed.
    pub(crate) replay: Vec<u8>,
    /// Where in it the body begins.
    pub(crate) replay_head: usize,
    /// How much at its end an HTTP/2 upstream did not take yet.
    pub(crate) unsent: usize,
    pub(crate) replayable: bool,
    /// Any byte of this attempt was handed to the kernel.
    pub(crate) sent: bool,
    /// The attempt runs on a connection that served others before.
    pub(crate) reused: bool,
    /// The request was sent again because a pooled connection had died.
    pub(crate) resent: bool,
    /// The upstream takes no more of the request.
    pub(crate) request_broken: bool,
    /// The head of the final answer is on its way to the client.
    pub(crate) head_sent: bool,
    /// Nothing but the connection's end tells the client where the answer ends.
    pub(crate) ends_by_close: bool,
    pub(crate) upstream_keep_alive: bool,
    pub(crate) interim: u8,
    pub(crate) tunnel: Tunnel,
    pub(crate) carries: Carries,
    /// What policy was asked about a tunnel: it is asked again when the configuration changes.
    pub(crate) asked: Option<Box<Asked>>,
    /// It is cut then, whatever moves.
    pub(crate) ends_at: Option<Nanos>,
    /// How far the response head was searched for its end.
    pub(crate) scanned: usize,
    /// It waits for a connection until then.
    pub(crate) waits_until: Option<Nanos>,
    /// When the request's last byte was there.
    pub(crate) request_ended: Option<Nanos>,
    /// When bytes last moved.
    pub(crate) moved: Nanos,
    /// When the body-rate window began, and with how many bytes.
    pub(crate) window: (Nanos, u64),
}

/// A body's bytes that wait for the side they go to. No more than a stream's window of them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) bytes: Pending,
    /// Nothing comes behind them.
    pub(crate) ended: bool,
}

/// What an exchange carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// A request, and what it may become.
    Request,
    /// A connection, as it is.
    Connection,
    /// A connection whose client has not spoken: dialled, so that the server may. It becomes one of the above.
    Ahead,
}

/// A request that opened a tunnel, as policy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: Box<[u8]>,
    pub(crate) path: Box<[u8]>,
}

/// A tunnel: what went which way, and which directions have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tunnel {
    pub(crate) open: bool,
    /// It is open, and its bytes are the bodies of a request and its answer, by HTTP/2.
    pub(crate) streamed: bool,
    pub(crate) client_ended: bool,
    pub(crate) upstream_ended: bool,
    pub(crate) from_client: u64,
    pub(crate) from_upstream: u64,
}

impl Conn {
    pub(crate) fn client(&mut self) -> Option<&mut Client> {
        match &mut self.role {
            Role::Client(client) => Some(client),
            Role::Upstream(_) => None,
        }
    }

    /// Where an upstream's connection stands.
    pub(crate) fn state(&self) -> Option<State> {
        match &self.role {
            Role::Upstream(upstream) => Some(upstream.state),
            Role::Client(_) => None,
        }
    }

    pub(crate) fn upstream(&mut self) -> Option<&mut Upstream> {
        match &mut self.role {
            Role::Upstream(upstream) => Some(upstream),
            Role::Client(_) => None,
        }
    }
}

impl Exchange {
    /// One that knows where it comes from, and when its first byte and its head were there.
    pub(crate) fn new(config: Rc<WorkerConfig>, id: Id, client: &Client, began: Nanos, now: Nanos) -> Self {
        let listener = Rc::clone(&client.listener);
        let mut record = Record::new(config.generation, listener.index, began.0);
        record.at.head = now.0;
        record.peer = Address::from(client.peer);
        record.identity = client.identity_number;
        if let Some(tls) = listener.tls.as_ref().filter(|_| client.sealed) {
            let mutual = tls.built.trust_domain().is_some();
            record.flags.insert(if mutual { Flags::TLS.with(Flags::MTLS) } else { Flags::TLS });
        }
        Self {
            config,
            listener,
            client: id,
            upstream: None,
            client_stream: None,
            upstream_stream: None,
            inbox: Held::default(),
            outbox: Held::default(),
            ghost: false,
            websocket_key: None,
            due: None,
            grpc: false,
            call_ends: None,
            record,
            rule: None,
            service: None,
            subset: None,
            place: 0,
            tried: Vec::new(),
            attempts: 0,
            attempt_began: now,
            method: Method::Get,
            version: Version::Http11,
            keep_alive: false,
            closing: client.orphan.is_some(),
            upgrade: false,
            connect: false,
            idempotency_key: false,
            request: Body::empty(),
            response: Body::empty(),
            taken: 0,
            replay: Vec::new(),
            replay_head: 0,
            unsent: 0,
            replayable: true,
            sent: false,
            reused: false,
            resent: false,
            request_broken: false,
            head_sent: false,
            ends_by_close: false,
            upstream_keep_alive: false,
            interim: 0,
            tunnel: Tunnel::default(),
            carries: Carries::Request,
            asked: None,
            ends_at: None,
            scanned: 0,
            waits_until: None,
            request_ended: None,
            moved: now,
            window: (now, 0),
        }
    }

    /// Bytes both ways, of a connection that was never a request.
    pub(crate) fn is_connection(&self) -> bool {
        self.carries != Carries::Request
    }

    /// The time limits of its rule, or of its listener.
    pub(crate) fn limits(&self) -> Option<TimeLimits> {
        if self.is_connection() {
            let stream_idle = self.listener.forward.as_ref().and_then(|forward| forward.stream_idle);
            return Some(TimeLimits { request: None, stream_idle });
        }
        let rule = self.config.rule(self.rule?)?;
        Some(TimeLimits { request: rule.request_timeout, stream_idle: rule.stream_idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        // It is a `Conn` and nothing else; an exchange is there only while there is a request.
        assert!(size_of::<Conn>() <= 456, "{} bytes", size_of::<Conn>());
        assert!(size_of::<Exchange>() <= 896, "{} bytes", size_of::<Exchange>());
    }
}
