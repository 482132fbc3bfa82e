//! gRPC: an answer whose head says that all is well and whose trailers, without a message before them, say that it is not.
//!
//! In: the head of such an answer, then what follows it. Out: another attempt, or the head on its way to the client. Only
//! rules that retry a gRPC status have heads wait, and only as long as the call can be made again.

use super::Worker;
use super::request::UPSTREAM_HEAD;
use crate::clock;
use crate::slab::Id;
use crate::telemetry::Reason;
use tulle_decide::grpc;
use tulle_decide::http::{Block, ResponseHead, trailers_of};
use tulle_decide::retry::{Advice, Failure};

impl Worker {
    /// Keeps the head for now, if what follows may have the call made again.
    pub(super) fn holds_head(&mut self, exchange: Id, parsed: &ResponseHead, block: &mut Block) -> bool {
        let Some(x) = self.exchanges.get_mut(exchange) else { return false };
        let Some(rule) = x.rule.and_then(|rule| x.config.rule(rule)) else { return false };
        let retried = rule.retry.looks_at_grpc() && x.attempts <= rule.retry.attempts();
        let plain = x.grpc && !x.ghost && parsed.status == 200 && x.held_head.is_none();
        if !plain
            || !retried
            || !x.replayable
            || block.fields().values(block.head(), b"grpc-status").next().is_some()
        {
            return false;
        }
        x.held_head = Some(Box::new((std::mem::take(block), *parsed)));
        // What follows may come in the same read, into a block that has the bounds of the one that is kept.
        block.clear(UPSTREAM_HEAD);
        true
    }

    /// A message follows, or the end: the head goes on.
    pub(super) fn pass_held_head(&mut self, exchange: Id) {
        let held = self.exchanges.get_mut(exchange).and_then(|x| x.held_head.take());
        if let Some(held) = held {
            let (block, parsed) = *held;
            self.final_head(exchange, (block.head(), &parsed, block.fields()), &mut [], false);
        }
    }

    /// Trailers follow: true, if the call is made again. Otherwise the head has gone on.
    pub(super) fn call_again(&mut self, exchange: Id, block: &Block) -> bool {
        let mut trailers = self.io.pool.take();
        let status = trailers_of(block, &mut trailers).ok().and_then(|()| grpc::status_in(&trailers));
        self.io.pool.give(trailers);
        let failure = status.filter(|status| *status != 0).map(Failure::Grpc);
        if let Some(failure) = failure {
            let value = |name| block.fields().values(block.head(), name).next();
            let advice = Advice::of(None, value(b"grpc-retry-pushback-ms"), clock::wall().as_secs());
            let is_error = true;
            if self.covers(exchange, failure)
                && let Some(again) = self.another_try(exchange, failure, advice)
            {
                self.note_answer(exchange, (is_error, false), None);
                if let Some(x) = self.exchanges.get_mut(exchange) {
                    x.held_head = None;
                }
                self.record_attempt(exchange, Reason::UpstreamStatus);
                self.drop_upstream(exchange);
                self.go_again(exchange, &again);
                return true;
            }
        }
        self.pass_held_head(exchange);
        false
    }
}
