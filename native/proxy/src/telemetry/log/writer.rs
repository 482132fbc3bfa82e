//! The writer's loop: gather, render, write, sleep.

use super::super::identities::Identities;
use super::super::names::Generations;
use super::super::record::Record;
use super::line;
use super::sink::Sink;
use super::{Orders, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// After a batch, more is gathered for this long, so that workers need not wake the writer for each line.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that are rendered before they are written.
const BATCH: usize = 64 * 1024;

pub(super) struct Writer {
    shared: Arc<Shared>,
    queues: Vec<rtrb::Consumer<Record>>,
    sink: Sink,
    identities: Arc<Identities>,
    epoch: fn() -> Duration,
    names: Generations,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queues: Vec<rtrb::Consumer<Record>>,
        sink: Sink,
        identities: Arc<Identities>,
        epoch: fn() -> Duration,
    ) -> Self {
        Self { shared, queues, sink, identities, epoch, names: Generations::default(), buffer: Vec::new() }
    }

    /// Until the log is closed and its queues are empty.
    pub(super) fn run(mut self) {
        loop {
            // Read before the queues are: what was queued before the close is written.
            let closing = self.shared.closing.load(Ordering::Acquire);
            self.follow_orders();
            let written = self.drain();
            if closing {
                return;
            }
            if written {
                std::thread::park_timeout(GATHER);
            } else {
                self.buffer = Vec::new();
                let Self { shared, queues, .. } = &self;
                shared.sleep_unless(|| {
                    shared.closing.load(Ordering::Acquire)
                        || shared.orders().waiting()
                        || queues.iter().any(|queue| !queue.is_empty())
                });
            }
        }
    }

    fn follow_orders(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut orders = shared.orders();
        if let Some(sink) = orders.sink.take() {
            self.sink = sink;
        }
        let reopen = std::mem::take(&mut orders.reopen);
        self.names.clone_from(&orders.names);
        drop(orders);
        if reopen {
            self.sink.reopen();
        }
    }

    /// Writes what is queued now; true if there was anything.
    fn drain(&mut self) -> bool {
        let waiting: Vec<usize> = self.queues.iter().map(rtrb::Consumer::slots).collect();
        if waiting.iter().all(|count| *count == 0) {
            return false;
        }
        self.sink.follow_moved_file();
        let epoch = (self.epoch)();
        let mut queues = std::mem::take(&mut self.queues);
        for (queue, count) in queues.iter_mut().zip(waiting) {
            for _ in 0..count {
                let Ok(record) = queue.pop() else { break };
                let facts = line::Facts {
                    names: self.names.find(record.generation).map(AsRef::as_ref),
                    identities: &self.identities,
                    epoch,
                };
                line::render(&mut self.buffer, &record, &facts);
                if self.buffer.len() >= BATCH {
                    self.write();
                }
            }
        }
        self.queues = queues;
        self.write();
        true
    }

    fn write(&mut self) {
        let lost = self.sink.write(&self.buffer);
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        self.buffer.clear();
    }
}

impl Orders {
    fn waiting(&self) -> bool {
        self.sink.is_some() || self.reopen
    }
}
