//! A request and its answer, as a worker holds them: what ties a client's side to an upstream's.
//!
//! In: the head of a request, and all that is found out about it. Out: what every step after it needs to know.

use super::body::Body;
use super::config::{TimeLimits, WorkerConfig, WorkerListener, WorkerRule, WorkerService};
use super::conn::Client;
use crate::clock::Nanos;
use crate::io::Pending;
use crate::line::Stand;
use crate::slab::Id;
use crate::telemetry::{Address, Attempts, Flags, Record};
use std::rc::Rc;
use tulle_decide::circuit::Held;
use tulle_decide::fault::{Abort, Pace};
use tulle_decide::h2::StreamId;
use tulle_decide::http::{Block, Method, ResponseHead, Version};
use tulle_decide::overload::Outcome as Load;
use tulle_decide::route::RuleId;

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
    pub(crate) inbox: Kept,
    /// What the client did not take yet of an answer that came by HTTP/2, or of our own.
    pub(crate) outbox: Kept,
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
    /// What is counted for the rule.
    pub(crate) counts: Option<Rc<WorkerRule>>,
    /// It holds one of the service's retries.
    pub(crate) retrying: Option<Held>,
    /// It counts among those that wait.
    pub(crate) queued: bool,
    /// Where it stands in line, while it waits and was not called.
    pub(crate) stand: Option<Stand>,
    /// It holds one of the service's requests.
    pub(crate) admitted: Option<Held>,
    /// What balancing knows of the present attempt.
    pub(crate) under_way: UnderWay,
    /// What a gRPC call is told, where a fault says so.
    pub(crate) grpc_says: Option<u8>,
    /// A fault on purpose that follows a delay on purpose.
    pub(crate) aborts: Option<Abort>,
    /// What ring hash and Maglev go by.
    pub(crate) key: Option<u64>,
    /// The place that the client's cookie names.
    pub(crate) named: Option<u32>,
    /// The place that it named is gone.
    pub(crate) named_gone: bool,
    /// The client is to be given a cookie that names the place.
    pub(crate) cookie_due: bool,
    /// How fast the answer may go on, where a fault makes it slow.
    pub(crate) pace: Option<Box<Pace>>,
    /// Nothing of the answer goes on until then.
    pub(crate) paced_until: Option<Nanos>,
    /// A second attempt is made beside the first then, unless there is an answer.
    pub(crate) hedges_at: Option<Nanos>,
    /// That second attempt.
    pub(crate) twin: Option<Id>,
    /// Of the second attempt: the first.
    pub(crate) twin_of: Option<Id>,
    /// The head of a gRPC answer, until what follows tells whether the call is made again.
    pub(crate) held_head: Option<Box<(Block, ResponseHead)>>,
    /// A gRPC answer whose head does not say how the call ends.
    pub(crate) said_later: bool,
    /// What becomes of the call, which its last attempt is judged by, is still to come.
    pub(crate) unjudged: bool,
    /// It counts under the service's adaptive limit.
    pub(crate) gated: bool,
    /// How long the answer's head took, and what that says of the service's load.
    pub(crate) load: Option<(u64, Load)>,
    /// It counts among the requests to its place.
    pub(crate) holds_place: Option<Held>,
    /// The present attempt is the one that tells how an ejected endpoint does.
    pub(crate) probes: bool,
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
    /// The attempt runs on a connection that served others before, and that may have been closing already: nothing came
    /// back yet that says otherwise.
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
    /// It rests until then, before it is sent or sent again.
    pub(crate) rests_until: Option<Nanos>,
    /// The next attempt needs a fresh connection.
    pub(crate) fresh: bool,
    /// Nobody waits for its answer: it is a copy of another one.
    pub(crate) detached: bool,
    /// A copy that is to be sent elsewhere, once the request is whole.
    pub(crate) copy: Option<Box<Copied>>,
    /// When the request's last byte was there.
    pub(crate) request_ended: Option<Nanos>,
    /// When bytes last moved.
    pub(crate) moved: Nanos,
    /// When the body-rate window began, and with how many bytes.
    pub(crate) window: (Nanos, u64),
}

/// A body's bytes that wait for the side they go to. No more than a stream's window of them.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) bytes: Pending,
    /// Nothing comes behind them.
    pub(crate) ended: bool,
}

/// What a copy of a request needs beside its body.
pub(crate) struct Copied {
    pub(crate) service: Rc<WorkerService>,
    pub(crate) subset: Option<u32>,
    /// The head, for what the service speaks.
    pub(crate) head: Vec<u8>,
}

/// What balancing knows of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnderWay {
    /// There is none.
    Nothing,
    /// It was begun.
    Begun,
    /// Its answer, or its failure, was told; it still holds its place.
    Told,
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
        let closing = client.orphan.is_some();
        Self { closing, ..Self::blank(config, listener, (id, record), now) }
    }

    /// One that nobody waits for: the same request once more, elsewhere.
    pub(crate) fn detached(of: &Self, now: Nanos) -> Self {
        let record = Record { attempts: Attempts::EMPTY, ..of.record };
        let (config, listener) = (Rc::clone(&of.config), Rc::clone(&of.listener));
        Self {
            detached: true,
            ghost: true,
            method: of.method,
            grpc: of.grpc,
            ..Self::blank(config, listener, (Id::NONE, record), now)
        }
    }

    /// Whether it is a copy for a mirror; what else is detached is a hedge.
    pub(crate) fn is_copy(&self) -> bool {
        self.detached && self.twin_of.is_none()
    }

    fn blank(
        config: Rc<WorkerConfig>,
        listener: Rc<WorkerListener>,
        (client, record): (Id, Record),
        now: Nanos,
    ) -> Self {
        Self {
            config,
            listener,
            client,
            upstream: None,
            client_stream: None,
            upstream_stream: None,
            inbox: Kept::default(),
            outbox: Kept::default(),
            ghost: false,
            websocket_key: None,
            due: None,
            grpc: false,
            call_ends: None,
            record,
            rule: None,
            counts: None,
            retrying: None,
            queued: false,
            stand: None,
            admitted: None,
            under_way: UnderWay::Nothing,
            grpc_says: None,
            aborts: None,
            key: None,
            named: None,
            named_gone: false,
            cookie_due: false,
            pace: None,
            paced_until: None,
            hedges_at: None,
            twin: None,
            twin_of: None,
            held_head: None,
            said_later: false,
            unjudged: false,
            gated: false,
            load: None,
            holds_place: None,
            probes: false,
            service: None,
            subset: None,
            place: 0,
            tried: Vec::new(),
            attempts: 0,
            attempt_began: now,
            method: Method::Get,
            version: Version::Http11,
            keep_alive: false,
            closing: false,
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
            rests_until: None,
            fresh: false,
            detached: false,
            copy: None,
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
            return Some(TimeLimits { request: None, stream_idle, per_try: None });
        }
        let rule = self.config.rule(self.rule?)?;
        Some(TimeLimits {
            request: rule.request_timeout,
            stream_idle: rule.stream_idle,
            per_try: rule.per_try_timeout,
        })
    }

    /// When the whole request has to be answered, over all attempts; none: whenever, or not yet known.
    pub(crate) fn answer_due(&self, limits: &TimeLimits) -> Option<Nanos> {
        let from = if self.grpc { Some(Nanos(self.record.at.head)) } else { self.request_ended };
        let request = from.zip(limits.request).map(|(from, limit)| from.after(limit));
        request.into_iter().chain(self.call_ends).min()
    }

    /// When the present attempt has to be answered.
    pub(crate) fn try_due(&self, limits: &TimeLimits) -> Option<Nanos> {
        let per_try = limits.per_try.filter(|_| self.upstream.is_some() && !self.head_sent)?;
        let whole = if self.grpc { Some(self.attempt_began) } else { self.request_ended };
        whole.map(|ended| ended.max(self.attempt_began).after(per_try))
    }
}
