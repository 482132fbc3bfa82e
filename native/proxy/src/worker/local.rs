//! Answers of our own: refusals, redirects, admin pages. Each says why in a code, never the cause behind it.

use super::Worker;
use super::body::Body;
use super::exchange::Exchange;
use crate::clock;
use crate::slab::Id;
use crate::telemetry::admin::Answer;
use crate::telemetry::{Flags, Reason};
use tulle_decide::fault::Abort;
use tulle_decide::grpc;
use tulle_decide::http::{
    Local, Method, Reject, Version, list_grpc_status, list_local, reason_phrase, write_local,
};
use tulle_decide::rate_limit::{Verdict, each_field};

/// What is said, before the connection's own lines.
struct Saying<'a> {
    status: u16,
    code: &'a str,
    content_type: &'a str,
    headers: &'a [(&'a [u8], &'a [u8])],
    body: &'a [u8],
}

impl Worker {
    /// Answers for a reason of our own, or cuts an answer that has begun.
    pub(super) fn answer(&mut self, exchange: Id, reason: Reason) {
        if self.exchanges.get(exchange).is_some_and(Exchange::is_connection) {
            return self.end_connection(exchange, reason);
        }
        let status = reason.status();
        self.answer_with(exchange, reason, status, reason.code());
    }

    /// Refuses what the parser refused. Nothing can be known of what follows it, so the connection ends.
    pub(super) fn reject(&mut self, exchange: Id, reject: Reject) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.detail = reject.reason;
        x.keep_alive = false;
        let reason = match reject.status {
            414 => Reason::UriTooLong,
            417 => Reason::ExpectationFailed,
            431 => Reason::HeaderTooLarge,
            501 => Reason::NotImplemented,
            505 => Reason::VersionNotSupported,
            _ => Reason::BadRequest,
        };
        self.answer_with(exchange, reason, reject.status, reject.reason);
    }

    /// Sends the client to where the scratch text says.
    pub(super) fn redirect(&mut self, exchange: Id, status: u16) {
        let location = std::mem::take(&mut self.scratch.text);
        let location = location.as_slice();
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.reason = Reason::Redirect;
        let saying =
            Saying { status, code: "", content_type: "", headers: &[(b"Location", location)], body: b"" };
        self.say(exchange, &saying);
    }

    /// Answers with the status that a fault on purpose says.
    pub(super) fn abort(&mut self, exchange: Id, abort: Abort) {
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.record.flags.insert(Flags::FAULT);
            x.grpc_says = Some(abort.grpc_status.unwrap_or_else(|| grpc::of_http(abort.status)));
        }
        self.answer_with(exchange, Reason::Fault, abort.status, Reason::Fault.code());
    }

    /// Turns a request away that is one too many for its rule, and says when the next one passes.
    pub(super) fn limited(&mut self, exchange: Id, verdict: &Verdict) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.reason = Reason::RateLimited;
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        each_field(verdict, |name, value| fields.push((name.to_vec(), value.to_vec())));
        let headers: Vec<(&[u8], &[u8])> =
            fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        self.say_why(exchange, (Reason::RateLimited.status(), Reason::RateLimited.code()), &headers);
    }

    fn answer_with(&mut self, exchange: Id, reason: Reason, status: u16, code: &str) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        if x.head_sent {
            return self.attempt_failed(exchange, reason);
        }
        if x.detached {
            return self.end_exchange(exchange, reason);
        }
        x.record.reason = reason;
        // 5xx that retrying may mend; a client that is told so does not have to guess.
        let retry: &[(&[u8], &[u8])] = match reason {
            Reason::Overload
            | Reason::Shed
            | Reason::Draining
            | Reason::PendingFull
            | Reason::QueueTimeout => &[(b"Retry-After", b"1")],
            _ => &[],
        };
        self.say_why(exchange, (status, code), retry);
    }

    fn say_why(&mut self, exchange: Id, (status, code): (u16, &str), headers: &[(&[u8], &[u8])]) {
        let body =
            [itoa::Buffer::new().format(status), " ", reason_phrase(status), ": ", code, "\n"].concat();
        let content_type = "text/plain; charset=utf-8";
        self.say(exchange, &Saying { status, code, content_type, headers, body: body.as_bytes() });
    }

    /// An admin or probe page.
    pub(super) fn answer_admin(&mut self, exchange: Id, answer: &Answer) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        x.record.reason = answer.reason;
        x.keep_alive &= !answer.close;
        let headers: [(&[u8], &[u8]); 2] =
            [(b"Cache-Control", b"no-store"), (b"X-Content-Type-Options", b"nosniff")];
        let saying = Saying {
            status: answer.status,
            code: if answer.reason == Reason::Ok { "" } else { answer.reason.code() },
            content_type: answer.content_type,
            headers: &headers,
            body: &answer.body,
        };
        self.say(exchange, &saying);
    }

    fn say(&mut self, exchange: Id, saying: &Saying<'_>) {
        self.drop_upstream(exchange);
        self.give_up_waiting(exchange);
        let draining = self.draining;
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        // A client of HTTP/2 may take its time for the answer; no attempt is made meanwhile.
        x.rests_until = None;
        x.keep_alive &= x.request.is_done() && !draining;
        x.head_sent = true;
        x.record.status = saying.status;
        x.record.flags.insert(Flags::LOCAL_REPLY);
        x.record.at.first_out = self.now.0;
        let grpc = x.grpc.then(|| x.grpc_says.unwrap_or(x.record.reason.facts().grpc));
        if let Some(status) = grpc {
            x.record.status = 200;
            x.record.grpc_status = status;
        }
        let local = Local {
            status: if grpc.is_some() { 200 } else { saying.status },
            reason: saying.code,
            date: self.date.at(clock::wall()),
            content_type: if grpc.is_some() { "application/grpc" } else { saying.content_type },
            headers: saying.headers,
            body: if grpc.is_some() { b"" } else { saying.body },
            close: !x.keep_alive,
            keep_alive: x.version == Version::Http10,
            head_only: x.method == Method::Head,
        };
        let content = local.content();
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        let client = x.client;
        if let Some(stream) = x.client_stream {
            list_local(&mut out, &local);
            if let Some(status) = grpc {
                list_grpc_status(&mut out, status, saying.code);
            }
            x.record.head_out = u32::try_from(out.len()).unwrap_or(u32::MAX);
            let ended = content.is_empty();
            x.response = Body::of_stream(None, ended);
            x.outbox.bytes.clear(&mut self.io.pool);
            x.outbox.bytes.push(content, &mut self.io.pool);
            x.outbox.ended = true;
            if let Some(mux) =
                self.conns.get_mut(client).and_then(|conn| conn.mux.as_mut()).filter(|_| !x.ghost)
            {
                mux.send_head(stream, [&out, b""], ended);
            }
            self.scratch.head = out;
            self.mark_dirty(client);
            if ended {
                return self.finish(exchange);
            }
            self.arm(exchange);
            return self.pump_outbox(exchange);
        }
        write_local(&mut out, &local);
        x.record.head_out = u32::try_from(out.len() - content.len()).unwrap_or(u32::MAX);
        x.response.bytes = content.len() as u64;
        let sent = self.send_to_client(exchange, &[&out]);
        self.scratch.head = out;
        if sent {
            self.finish(exchange);
        }
    }

    /// The head did not come in time.
    pub(super) fn refuse_slow_head(&mut self, id: Id) {
        match self.open_exchange(id, None) {
            Some(exchange) => self.answer(exchange, Reason::HeaderTimeout),
            None => self.close(id),
        }
    }
}
