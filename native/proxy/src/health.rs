//! Active health checks: a thread of their own asks endpoints whether they are well, so that a worker that is busy, or
//! none of whose requests go to an endpoint, changes nothing about what is known of it.
//!
//! In: configurations. Out: verdicts and changes, to a [`Listener`]. What is asked when, and what answers mean, is decided
//! by `tulle_decide::health`.

mod conversation;
mod targets;
mod thread;

#[cfg(test)]
mod tests;

use crate::io::Waker;
use crate::random::Random;
use crate::running::{Address, Running};
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use thread::Thread;

pub(crate) use tulle_decide::health::{Verdict, Why};

/// Stack of the thread. The deepest path is a TLS handshake.
const STACK: usize = 512 * 1024;

/// Who is told what checks find. Called on the health thread, which waits meanwhile.
pub(crate) trait Listener: Send + Sync {
    /// One check has ended.
    fn checked(&self, service: &str, address: &Address, verdict: Verdict);

    /// As many checks in a row as it takes found the same: the endpoint is used from now on ([`Verdict::Well`]), or is no
    /// more.
    fn changed(&self, service: &str, address: &Address, verdict: Verdict);

    /// The endpoint is not checked any more, or is asked something else: what was said of it holds no longer, and it
    /// counts as healthy.
    fn forgotten(&self, service: &str, address: &Address);

    /// Whether the service has had requests of late.
    fn has_traffic(&self, service: &str) -> bool;
}

/// The running thread. Without anything to check it sleeps, and holds nothing but its stack.
pub(crate) struct Health {
    mailbox: Arc<Mailbox>,
    join: Mutex<Option<JoinHandle<()>>>,
}

impl Health {
    /// Starts the thread, which checks nothing yet.
    pub(crate) fn start(listener: Arc<dyn Listener>) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox { mail: Mutex::default(), waker: Waker::new()? });
        let (told, ready) = sync_channel(1);
        let mail = Arc::clone(&mailbox);
        let body = move || match Thread::new(mail, listener, Random::from_os()) {
            Ok(mut thread) => {
                let _starter_is_waiting = told.send(Ok(()));
                thread.run();
            }
            Err(error) => {
                let _starter_is_waiting = told.send(Err(error));
            }
        };
        let join = std::thread::Builder::new().name("tulle-health".into()).stack_size(STACK).spawn(body)?;
        ready.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))?;
        Ok(Self { mailbox, join: Mutex::new(Some(join)) })
    }

    /// Checks by this configuration from now on; returns at once. Endpoints that are new are checked soon, those that are
    /// gone are forgotten, and those that stay keep what is known of them, unless they are asked something else.
    pub(crate) fn apply(&self, running: &Arc<Running>) {
        self.mailbox.tell(|mail| mail.running = Some(Arc::clone(running)));
    }

    /// Ends and joins the thread. Also done by drop.
    pub(crate) fn stop(&self) {
        self.mailbox.tell(|mail| mail.stop = true);
        if let Some(join) = self.join.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It holds nothing that its panic could have harmed.
            let _ = join.join();
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread is told: of several configurations the last one counts, so that nothing piles up.
struct Mailbox {
    mail: Mutex<Mail>,
    waker: Waker,
}

#[derive(Default)]
struct Mail {
    running: Option<Arc<Running>>,
    stop: bool,
}

impl Mailbox {
    fn tell(&self, write: impl FnOnce(&mut Mail)) {
        write(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        self.waker.wake();
    }

    fn take(&self) -> Mail {
        self.waker.clear();
        std::mem::take(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
