//! http → policy → route: one head, from bytes to a decision.
//!
//! In: a head and what came behind it. Out: an exchange that is sent upstream, or an answer of our own. What is decided
//! on here is what is forwarded.

use super::config::WorkerListener;
use super::conn::Phase;
use super::exchange::{Asked, Copied, Exchange};
use super::filters::Lookup;
use super::ids::{hex32, traceparent, websocket_key};
use super::permit::{caller, permitted};
use super::{Scratch, Worker};
use crate::engine::Pressure;
use crate::slab::Id;
use crate::telemetry::admin::{self, Answer, Question};
use crate::telemetry::{Flags, Reason, RequestId};
use std::rc::Rc;
use tulle_decide::fault::Abort;
use tulle_decide::h2::StreamId;
use tulle_decide::http::{
    self as http, Edits, Fields, Forwarded, Framing, HeadLimits, Method, Normalized, Reject, RequestHead,
    RequestParts, Target, client_request_id, client_traceparent,
};
use tulle_decide::policy::{Caller, Permit};
use tulle_decide::rate_limit::Verdict;
use tulle_decide::request_key::{Seed, hash};
use tulle_decide::route::{Choice, Matched, RequestView, RuleAction, redirect_location, rewrite_path};
use tulle_snapshot::wire::Backend;

/// What an upstream may send as a head.
pub(super) const UPSTREAM_HEAD: HeadLimits = HeadLimits { bytes: 128 * 1024, fields: 256 };

/// Why a request is answered by us.
pub(super) enum Refusal {
    Parser(Reject),
    Reason(Reason),
    /// A redirect; where to is in the scratch text.
    Redirect(u16),
    /// A fault on purpose.
    Fault(Abort),
    /// More requests than the rule lets pass.
    Limited(Verdict),
    /// A page of the admin or probes listener.
    Admin(Box<Answer>),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self::Parser(reject)
    }
}

impl Worker {
    /// A head is there, and `rest` behind it.
    pub(super) fn begin(&mut self, id: Id, head: &[u8], rest: &mut [u8]) {
        let Some(exchange) = self.open_exchange(id, None) else { return self.close(id) };
        let mut fields = std::mem::take(&mut self.scratch.fields);
        let limits = self.exchanges.get(exchange).map(|x| x.listener.head);
        let parsed = limits
            .ok_or(Refusal::from(Reason::Internal))
            .and_then(|limits| http::parse_request(head, limits, &mut fields).map_err(Refusal::from));
        let begun = parsed.and_then(|request| self.decide(exchange, (head, &request, &fields)));
        self.scratch.fields = fields;
        let body = if begun.is_ok() { self.first_body_bytes(exchange, rest) } else { Ok(()) };
        let taken = self.exchanges.get(exchange).map_or(0, |x| x.taken);
        if let Some(conn) = self.conns.get_mut(id) {
            conn.link.keep(rest.get(taken..).unwrap_or_default(), &mut self.io);
        }
        self.go_on(exchange, begun, body);
    }

    /// Sends a request upstream, or answers it.
    pub(super) fn go_on(&mut self, exchange: Id, begun: Result<(), Refusal>, body: Result<(), Reason>) {
        match (begun, body) {
            (Ok(()), Ok(())) => {
                self.arm(exchange);
                self.send_copy(exchange);
                if self.exchanges.get(exchange).is_some_and(|x| x.rests_until.is_none()) {
                    self.attempt(exchange, false);
                }
            }
            (Ok(()), Err(reason)) | (Err(Refusal::Reason(reason)), _) => self.answer(exchange, reason),
            (Err(Refusal::Parser(reject)), _) => self.reject(exchange, reject),
            (Err(Refusal::Redirect(status)), _) => self.redirect(exchange, status),
            (Err(Refusal::Fault(abort)), _) => self.abort(exchange, abort),
            (Err(Refusal::Limited(verdict)), _) => self.limited(exchange, &verdict),
            (Err(Refusal::Admin(answer)), _) => self.answer_admin(exchange, &answer),
        }
    }

    /// A head that is refused before its end is there.
    pub(super) fn refuse_head(&mut self, id: Id, reject: Reject) {
        match self.open_exchange(id, None) {
            Some(exchange) => self.reject(exchange, reject),
            None => self.close(id),
        }
    }

    /// A place for what is known of the request, tied to the client's connection, or to a stream of it.
    pub(super) fn open_exchange(&mut self, id: Id, stream: Option<StreamId>) -> Option<Id> {
        let now = self.now;
        let client = self.conns.get_mut(id)?.client()?;
        let config = Rc::clone(client.orphan.as_ref().unwrap_or(&self.config));
        if client.generation != config.generation {
            client.generation = config.generation;
            client.listener = Rc::clone(config.listener_named(&client.listener.name)?);
        }
        let began = if matches!(client.phase, Phase::Entry | Phase::Head) { client.head_began } else { now };
        client.scanned = 0;
        let mut opened = Exchange::new(config, id, client, began, now);
        opened.replay = self.io.pool.take();
        opened.client_stream = stream;
        let exchange = self.new_exchange(opened);
        match stream {
            Some(stream) => self.bind_stream(id, stream, exchange),
            None => self.set_phase(id, Phase::Busy(exchange)),
        }
        Some(exchange)
    }

    /// Everything from a parsed head up to the one that goes upstream.
    pub(super) fn decide(
        &mut self,
        exchange: Id,
        (head, request, fields): (&[u8], &RequestHead, &Fields),
    ) -> Result<(), Refusal> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let begun = self.decide_with(exchange, (head, request, fields), &mut scratch);
        self.scratch = scratch;
        begun
    }

    fn decide_with(
        &mut self,
        exchange: Id,
        (head, request, fields): (&[u8], &RequestHead, &Fields),
        scratch: &mut Scratch,
    ) -> Result<(), Refusal> {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal.into()) };
        let listener = Rc::clone(&x.listener);
        x.note(head, request, fields);
        if !listener.kind.is_traffic() {
            let question = Question {
                method: request.method_text.of(head),
                host: request.host.of(head),
                path: request.target.path(head),
            };
            let page = admin::answer(listener.kind, &question, &*self.setup.shared);
            return Err(Refusal::Admin(Box::new(page)));
        }
        allowed_form(request, &listener)?;
        if x.is_stream() && request.upgrade.is_some() && !x.upgrade {
            return Err(Reason::UpgradeRefused.into());
        }
        if self.pressure == Pressure::Full {
            x.record.detail = "memory";
            x.keep_alive = false;
            return Err(Reason::Overload.into());
        }
        if let (Framing::Length(length), Some(most)) = (request.framing, listener.limits.body_bytes)
            && length > most
        {
            return Err(Reason::BodyTooLarge.into());
        }
        let raw = request.target.path(head);
        let path = match request.target {
            Target::Origin { .. } | Target::Absolute { .. } => {
                match http::normalize(raw, &mut scratch.path, listener.paths)? {
                    Normalized::Unchanged => raw,
                    Normalized::Rewritten => &scratch.path,
                }
            }
            Target::Authority(_) | Target::Asterisk => raw,
        };
        let permit = self.authorize(exchange, &listener, request.method_text.of(head), path)?;
        let lookup = Lookup { head, fields, host: request.host.of(head) };
        let mut host = [0; http::HOST_KEY_BYTES];
        let view = RequestView {
            host: http::host_key(request.host.of(head), &mut host),
            method: request.method_text.of(head),
            path,
            query: request.target.query(head),
            headers: &lookup,
        };
        let matched = listener.router.find(&permit, &view).ok_or(Reason::NoRoute)?;
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal.into()) };
        x.asked = (x.upgrade || x.connect)
            .then(|| Box::new(Asked { method: request.method_text.of(head).into(), path: path.into() }));
        x.rule = Some(matched.rule);
        x.record.rule = matched.rule.0;
        x.record.at.routed = self.now.0;
        self.limit(exchange, &lookup, path)?;
        self.injure(exchange, &lookup)?;
        self.route(exchange, matched, (head, request, path, fields), (&mut scratch.target, &mut scratch.text))
    }

    fn authorize(
        &mut self,
        exchange: Id,
        listener: &WorkerListener,
        method: &[u8],
        path: &[u8],
    ) -> Result<Permit, Refusal> {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal.into()) };
        let caller = self.conns.get(x.client).map_or(Caller::Anonymous, caller);
        let verdict = listener.authorizer.decide(&caller, method, path);
        Ok(permitted(x, verdict)?)
    }

    /// What the rule says: a redirect, or a backend and the head for it.
    fn route(
        &mut self,
        exchange: Id,
        matched: Matched,
        (head, request, path, fields): (&[u8], &RequestHead, &[u8], &Fields),
        (target, text): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Result<(), Refusal> {
        let random = self.random.next();
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal.into()) };
        let config = Rc::clone(&x.config);
        let Some(rule) = config.rule(matched.rule) else { return Err(Reason::Internal.into()) };
        let query = request.target.query(head);
        let split = match &rule.action {
            RuleAction::Forward(split) => split,
            RuleAction::Redirect(redirect) => {
                let from = tulle_decide::route::RedirectFrom {
                    scheme: if x.record.flags.contains(Flags::TLS) {
                        tulle_decide::route::Scheme::Https
                    } else {
                        tulle_decide::route::Scheme::Http
                    },
                    authority: request.host.of(head),
                    path,
                    query,
                    prefix_len: matched.prefix_len,
                };
                text.clear();
                redirect_location(redirect, &from, text);
                return Err(Refusal::Redirect(redirect.status));
            }
        };
        let lookup = Lookup { head, fields, host: request.host.of(head) };
        let shown = lookup.with(path, self.conns.get(x.client));
        let sticky = rule.sticky.as_ref().and_then(|key| hash(key, &shown, Seed::SHARED));
        let choice = sticky.map_or(Choice::Drawn(random), Choice::Sticky);
        let usable = |backend: &Backend| {
            let service = config.services.get(backend.service as usize);
            service.is_some_and(|service| service.is_usable(backend.subset))
        };
        let backend = split.pick_usable(choice, usable);
        let Some(service) = config.services.get(backend.service as usize) else {
            return Err(Reason::Internal.into());
        };
        x.key = service.key.as_ref().and_then(|key| hash(key, &shown, Seed::SHARED));
        x.read_affinity_cookie(service, &lookup);
        let mirror = rule.mirror.as_ref().filter(|mirror| !x.is_tunnel() && mirror.draws(self.random.next()));
        let mirrored = mirror.and_then(|m| Some((config.services.get(m.service as usize)?, m.subset)));
        x.copy = mirrored.map(|(service, subset)| {
            Box::new(Copied { service: Rc::clone(service), subset, head: Vec::new() })
        });
        x.service = Some(Rc::clone(service));
        if service.http2 {
            x.request.send_as_stream();
            // What an HTTP/1 client asks for goes on as extended CONNECT, where it is a WebSocket; other upgrades may be
            // ignored (RFC 9110 section 7.8).
            x.upgrade &= x.is_stream() || x.websocket_key.is_some();
            if x.connect {
                return Err(Reason::MethodNotAllowed.into());
            }
        } else if x.is_stream() && x.is_tunnel() {
            x.request.send_raw();
        }
        x.subset = backend.subset;
        x.record.service = service.index;
        let rewrite = rule.rewrite.as_deref();
        let asked = match rewrite.and_then(|rewrite| rewrite.path.as_ref()) {
            Some(edit) => {
                target.clear();
                rewrite_path(edit, path, matched.prefix_len, target);
                target.as_slice()
            }
            None => path,
        };
        let host =
            rewrite.and_then(|rewrite| rewrite.host.as_deref()).map_or(request.host.of(head), str::as_bytes);
        let edits = config.edits(matched.rule).map_or(Edits::NONE, |(request, _)| request);
        self.write_head(exchange, (head, request, fields), (asked, query, host), edits);
        Ok(())
    }

    /// Writes the head that goes upstream; it is kept for as long as it may have to be sent again.
    fn write_head(
        &mut self,
        exchange: Id,
        (head, request, fields): (&[u8], &RequestHead, &Fields),
        (path, query, host): (&[u8], Option<&[u8]>, &[u8]),
        edits: &Edits,
    ) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let listener = &x.listener;
        let Some(conn) = self.conns.get_mut(x.client) else { return };
        let Some(client) = conn.client() else { return };
        let own_id = (listener.forwarded.request_id && client_request_id(head, fields).is_none())
            .then(|| self.random.bytes16());
        if let Some(id) = own_id {
            x.record.request_id = RequestId::Generated(id);
        }
        let begun = listener.forwarded.trace && client_traceparent(head, fields).is_none();
        let trace = begun.then(|| {
            x.record.trace_id = self.random.bytes16();
            x.record.span_id = self.random.next().to_ne_bytes();
            traceparent(x.record.trace_id, x.record.span_id)
        });
        let own_id = own_id.as_ref().map(hex32);
        // HTTP/2 has no key (RFC 8441 section 5): HTTP/1 wants one.
        let key = (x.is_stream() && x.upgrade).then(|| websocket_key(&self.random.bytes16()));
        let parts = RequestParts {
            head,
            request,
            fields,
            path,
            query,
            host,
            framing: request.framing,
            edits,
            forwarded: Forwarded {
                for_ip: client.ip.as_bytes(),
                proto: if client.sealed { b"https" } else { b"http" },
                host: request.host.of(head),
                trust: listener.forwarded.trust,
                enabled: listener.forwarded.forwarded_for,
            },
            request_id: own_id.as_ref().map(<[u8; 32]>::as_slice),
            traceparent: trace.as_ref().map(<[u8; 55]>::as_slice),
            via: listener.forwarded.via.as_deref().map(str::as_bytes),
            own_deadline: x.grpc
                && x.call_ends.is_some()
                && x.service.as_ref().is_some_and(|service| service.http2),
            websocket_key: key.as_ref().map(<[u8; 24]>::as_slice),
            identity: client.identity.as_deref().filter(|_| listener.forward_identity),
            upgrade: x.upgrade,
        };
        match &x.service {
            Some(service) if service.http2 => {
                let scheme: &[u8] = if service.tls.is_some() { b"https" } else { b"http" };
                http::list_request(&mut x.replay, &parts, scheme);
            }
            _ => http::write_request(&mut x.replay, &parts),
        }
        x.replay_head = x.replay.len();
        if let Some(copy) = x.copy.as_deref_mut() {
            copy.write_head(&parts);
        }
    }

    /// What came of the body along with the head goes along with it, too.
    fn first_body_bytes(&mut self, exchange: Id, rest: &mut [u8]) -> Result<(), Reason> {
        let Some(x) = self.exchanges.get_mut(exchange) else { return Ok(()) };
        if x.request.is_done() || rest.is_empty() {
            return Ok(());
        }
        let step = x.request.step(rest, false).map_err(|_| Reason::BadRequest)?;
        if x.has_too_much_body() {
            return Err(Reason::BodyTooLarge);
        }
        x.taken = step.consumed;
        let mut prefix = [0; 18];
        for part in x.request.frame(step, step.content(rest), &mut prefix) {
            x.replay.extend_from_slice(part);
        }
        Ok(())
    }
}

/// Requests that no route is asked about.
fn allowed_form(request: &RequestHead, listener: &WorkerListener) -> Result<(), Refusal> {
    match request.method {
        Method::Connect if !listener.connect => Err(Reason::MethodNotAllowed.into()),
        // RFC 9110 section 7.6.2: the last one asked answers. We have nothing to say to TRACE.
        Method::Trace if request.max_forwards == Some(0) => Err(Reason::MethodNotAllowed.into()),
        Method::Options if request.max_forwards == Some(0) => Err(Reason::NoRoute.into()),
        _ => Ok(()),
    }
}
