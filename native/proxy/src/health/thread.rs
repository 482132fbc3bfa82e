//! The thread's loop: what is due is begun, what is ready goes on, what takes too long ends.
//!
//! In: the mailbox, readiness, time. Out: calls of the listener.

use super::conversation::{Conversation, Outcome};
use super::targets::{Phase, Targets};
use super::{Listener, Mailbox};
use crate::clock::{self, Nanos};
use crate::io::{Io, Poller};
use crate::random::Random;
use crate::slab::{Id, Slab};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use tulle_decide::health::Schedule;

/// Checks under way at a time. Those beyond wait for their turn, the longest due first.
const AT_ONCE: usize = 256;
/// How often services are looked at that had no traffic.
const LOOK_MS: u32 = 1_000;
/// The token of the mailbox; those of conversations have the highest bit clear.
const WAKER_TOKEN: u64 = u64::MAX;

pub(super) struct Thread {
    pub(super) mailbox: Arc<Mailbox>,
    listener: Arc<dyn Listener>,
    poller: Poller,
    io: Io,
    buffer: Vec<u8>,
    random: Random,
    targets: Targets,
    pub(super) conversations: Slab<Conversation>,
    deadlines: Schedule<Id>,
    /// When to look whether idle services have traffic.
    look: Option<Nanos>,
    now: Nanos,
    stopping: bool,
}

impl Thread {
    /// Prepares the thread from inside.
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        listener: Arc<dyn Listener>,
        random: Random,
    ) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_level(mailbox.waker.fd(), WAKER_TOKEN)?;
        Ok(Self {
            mailbox,
            listener,
            poller,
            io: Io::default(),
            buffer: Vec::new(),
            random,
            targets: Targets::new(),
            conversations: Slab::new(),
            deadlines: Schedule::new(),
            look: None,
            now: clock::now(),
            stopping: false,
        })
    }

    /// Runs until told to stop.
    pub(super) fn run(&mut self) {
        while !self.stopping {
            // What goes wrong outside of a conversation costs one turn.
            let _panicked = catch_unwind(AssertUnwindSafe(|| self.turn()));
        }
    }

    pub(super) fn turn(&mut self) {
        if self.poller.wait(self.now, self.next_wake()).is_err() {
            self.stopping = true;
            return;
        }
        self.now = clock::now();
        // Answers that are here count, however late we come to look at them: events go before deadlines.
        for index in 0..self.poller.count() {
            let Some(event) = self.poller.event(index) else { break };
            if event.token == WAKER_TOKEN {
                self.read_mail();
                continue;
            }
            let id = Id::from_token(event.token);
            let Some(conversation) = self.conversations.get_mut(id) else { continue };
            let (io, buffer) = (&mut self.io, &mut self.buffer);
            // A panic costs the check it happened in, which says nothing of the endpoint.
            let driven =
                catch_unwind(AssertUnwindSafe(|| conversation.drive(&event, (self.now, buffer), io)));
            if let Some(outcome) = driven.unwrap_or(Some(Outcome::Nothing)) {
                self.end(id, outcome);
            }
        }
        while let Some(id) = self.deadlines.take(self.now.0) {
            let Some(conversation) = self.conversations.get_mut(id) else { continue };
            let outcome = conversation.expired();
            conversation.part(&mut self.io);
            self.end(id, outcome);
        }
        self.look();
        while self.conversations.len() < AT_ONCE
            && let Some(target) = self.targets.schedule.take(self.now.0)
        {
            self.begin(target);
        }
    }

    pub(super) fn next_wake(&self) -> Option<Nanos> {
        let due = self.targets.schedule.next().filter(|_| self.conversations.len() < AT_ONCE);
        [due.map(Nanos), self.deadlines.next().map(Nanos), self.look].into_iter().flatten().min()
    }

    pub(super) fn read_mail(&mut self) {
        let mail = self.mailbox.take();
        self.stopping |= mail.stop;
        let Some(running) = mail.running.filter(|_| !self.stopping) else { return };
        let (conversations, deadlines) = (&mut self.conversations, &mut self.deadlines);
        let cut = |id| {
            if let Some(gone) = conversations.remove(id) {
                deadlines.remove(gone.deadline, id);
            }
        };
        self.targets.apply(&running, (self.now.0, &mut self.random), &*self.listener, cut);
    }

    fn begin(&mut self, id: Id) {
        let Some(target) = self.targets.all.get_mut(id) else { return };
        let outcome = match Conversation::begin(id, target, self.now, self.random.next()) {
            Err(outcome) => outcome,
            Ok(conversation) => {
                let deadline = conversation.deadline;
                let conversation_id = self.conversations.insert(Box::new(conversation));
                target.phase = Phase::Asked(conversation_id);
                self.deadlines.put(deadline, conversation_id);
                // What is there already is reported by the first wait.
                let begun = self.conversations.get(conversation_id);
                if begun.is_none_or(|begun| self.poller.add_edge(begun, conversation_id.token()).is_ok()) {
                    return;
                }
                return self.end(conversation_id, Outcome::Nothing);
            }
        };
        self.found(id, self.now.0, outcome);
    }

    fn end(&mut self, id: Id, outcome: Outcome) {
        let Some(conversation) = self.conversations.remove(id) else { return };
        self.deadlines.remove(conversation.deadline, id);
        let (target, began) = (conversation.target, conversation.began);
        drop(conversation);
        self.found(target, began, outcome);
    }

    /// A check has ended: tells what it found, and plans the next one.
    fn found(&mut self, id: Id, began: u64, outcome: Outcome) {
        let Some(target) = self.targets.all.get_mut(id) else { return };
        let service = Rc::clone(&target.service);
        let traffic = service.traffic(&*self.listener);
        let due = service.pace.next(began, self.now.0, traffic, self.random.next());
        target.phase = Phase::Waiting(due);
        self.targets.schedule.put(due, id);
        let Outcome::Found(verdict) = outcome else { return };
        let changed = target.standing.checked(&service.pace, verdict);
        self.listener.checked(&service.name, &target.address, verdict);
        if changed {
            self.listener.changed(&service.name, &target.address, verdict);
        }
    }

    fn look(&mut self) {
        if self.look.is_some_and(|look| look <= self.now) {
            self.look = None;
            self.targets.look(&*self.listener, self.now.0, &mut self.random);
        }
        if self.look.is_none() && self.targets.any_idle() {
            self.look = Some(self.now.after_ms(LOOK_MS));
        }
    }
}
