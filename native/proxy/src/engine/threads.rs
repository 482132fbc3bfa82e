//! The worker threads: started together, told together, ended together.

use super::Pressure;
use super::sockets::Opened;
use crate::Error;
use crate::mailbox::{Mailbox, Message};
use crate::random::Random;
use crate::running::Running;
use crate::shared::Shared;
use crate::telemetry::{LogHandle, WorkerMetrics};
use crate::worker::{Setup, Worker};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a worker may take to swap its configuration before the engine goes on without waiting.
const SWAP: Duration = Duration::from_secs(10);

/// Stack of a worker. The deepest path is a TLS handshake.
const STACK: usize = 512 * 1024;

struct Thread {
    mailbox: Arc<Mailbox>,
    join: Option<JoinHandle<()>>,
}

/// Data-plane workers, and last the one for admin pages and probes.
pub(super) struct Threads(Vec<Thread>);

impl Threads {
    pub(super) fn start(
        shared: &Arc<Shared>,
        running: &Arc<Running>,
        metrics: Vec<WorkerMetrics>,
        logs: Vec<LogHandle>,
        opened: Vec<Opened>,
    ) -> Result<Self, Error> {
        let mut threads = Self(Vec::new());
        let (told, ready) = sync_channel(metrics.len());
        let data = metrics.len() - 1;
        let io = |source| Error::Io { what: "worker thread".into(), source };
        let all: Vec<_> =
            metrics.iter().map(|_| Mailbox::new().map(Arc::new)).collect::<Result<_, _>>().map_err(io)?;
        let mailboxes: Arc<[_]> = all.iter().take(data).cloned().collect();
        for (index, ((metrics, log), mailbox)) in metrics.into_iter().zip(logs).zip(all).enumerate() {
            let (shared, mailboxes) = (Arc::clone(shared), Arc::clone(&mailboxes));
            let counts = index < data;
            let setup =
                Setup { counts, index, mailbox: Arc::clone(&mailbox), mailboxes, shared, metrics, log };
            let (running, told) = (Arc::clone(running), told.clone());
            let name = if counts { format!("tulle-{index}") } else { "tulle-admin".into() };
            let body = move || run(setup, &running, &told);
            let join = std::thread::Builder::new().name(name).stack_size(STACK).spawn(body).map_err(io)?;
            threads.0.push(Thread { mailbox, join: Some(join) });
        }
        for _ in &threads.0 {
            // A thread that ended without a word has dropped its sender: that is an error, too.
            let result = ready.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone)));
            result.map_err(|source| Error::Io { what: "worker".into(), source })?;
        }
        threads.apply(running, opened);
        Ok(threads)
    }

    /// Hands a configuration to every worker; they serve by it when this returns.
    pub(super) fn apply(&self, running: &Arc<Running>, opened: Vec<Opened>) {
        let (done, acknowledged) = sync_channel(self.0.len());
        let mut sockets: Vec<Vec<_>> = self.0.iter().map(|_| Vec::new()).collect();
        let admin = self.0.len().saturating_sub(1);
        for Opened { listener, worker, socket } in opened {
            if let Some(list) = sockets.get_mut(worker.unwrap_or(admin)) {
                list.push((listener, socket));
            }
        }
        for (thread, sockets) in self.0.iter().zip(sockets) {
            thread.mailbox.send(Message::Apply { running: Arc::clone(running), sockets, done: done.clone() });
        }
        wait(&acknowledged, self.0.len());
    }

    /// Tells the data-plane workers to accept no more.
    pub(super) fn drain(&self) {
        let (done, acknowledged) = sync_channel(self.0.len());
        let data = self.0.len().saturating_sub(1);
        for thread in self.0.iter().take(data) {
            thread.mailbox.send(Message::Drain { done: done.clone() });
        }
        wait(&acknowledged, data);
    }

    /// Tells the data-plane workers how near the process is to its memory limit; admin pages and probes are answered
    /// all the same.
    pub(super) fn press(&self, pressure: Pressure) {
        for thread in self.0.iter().take(self.0.len().saturating_sub(1)) {
            thread.mailbox.send(Message::Press(pressure));
        }
    }

    /// Ends and joins all.
    pub(super) fn stop(&mut self) {
        for thread in &self.0 {
            thread.mailbox.send(Message::Stop);
        }
        for join in self.0.iter_mut().filter_map(|thread| thread.join.take()) {
            // What a worker panicked about, it has counted; there is nobody left to tell.
            let _ = join.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait(acknowledged: &Receiver<()>, count: usize) {
    for _ in 0..count {
        if acknowledged.recv_timeout(SWAP).is_err() {
            return;
        }
    }
}

fn run(setup: Setup, running: &Arc<Running>, told: &SyncSender<std::io::Result<()>>) {
    match Worker::new(setup, running, Random::from_os()) {
        Ok(mut worker) => {
            let _engine_is_waiting = told.send(Ok(()));
            worker.run();
        }
        Err(error) => {
            let _engine_is_waiting = told.send(Err(error));
        }
    }
}
