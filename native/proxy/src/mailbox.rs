//! How the engine talks to a worker: a bounded list of rare messages, and a wake-up.

use crate::engine::Pressure;
use crate::io::{Listening, Waker};
use crate::line::For;
use crate::running::Running;
use crate::shared::ServiceCounts;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use tulle_decide::circuit::Held;

/// What a worker is told.
pub(crate) enum Message {
    /// Serve by this configuration from now on; with the sockets of listeners that are new.
    Apply {
        running: Arc<Running>,
        /// By index of the listener in the configuration.
        sockets: Vec<(usize, Listening)>,
        /// Told when it is so.
        done: SyncSender<()>,
    },
    /// Another worker's request waits for a connection to this service: close one that is idle, or ask the next worker.
    MakeRoom {
        /// The service's name.
        service: Arc<str>,
        /// Of whose places; none: any.
        subset: Option<u32>,
        /// How many more workers may be asked.
        left: usize,
    },
    /// Who comes first of those that wait for this waits here, and something was freed.
    Room {
        /// Those of the service.
        counts: Arc<ServiceCounts>,
        /// What they wait for.
        waits_for: For,
    },
    /// A request to a service has ended, and its place is for who waits here.
    Place {
        /// Those of the service.
        counts: Arc<ServiceCounts>,
        /// Where they stood in line.
        number: u64,
        /// The place.
        held: Held,
    },
    /// The process comes near its memory limit, or leaves it.
    Press(Pressure),
    /// Accept no more, and end connections as they become idle.
    Drain {
        /// Told when nothing is accepted any more.
        done: SyncSender<()>,
    },
    /// End at once.
    Stop,
}

/// One worker's messages: a handful of the engine's, and one for each request that ends while others wait here, of which
/// there are no more than were under way.
pub(crate) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    waker: Waker,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { messages: Mutex::new(Vec::new()), waker: Waker::new()? })
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn send(&self, message: Message) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        self.waker.wake();
    }

    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
