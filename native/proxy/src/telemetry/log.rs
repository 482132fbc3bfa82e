//! The access log: one JSON object per line, written by a thread of its own.
//!
//! In: finished records, through a bounded queue per worker. Out: lines in a file or on standard output. A worker never
//! waits: a full queue drops the record and counts it. While the writer is busy or gathering, handing over costs the
//! worker no system call.

mod line;
mod sink;
mod writer;

use super::identities::Identities;
use super::metrics::Metrics;
use super::names::{Generations, Names};
use super::record::Record;
use super::worker::WorkerCounters;
use sink::Sink;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use tulle_snapshot::wire::{AccessLog as Settings, LoggedRequests};

/// Records that a worker's queue holds, unless said otherwise: 1.3 MB, touched only as far as it fills.
pub const LOG_BOUND: usize = 4_096;

/// What the writer needs to know beside where to write.
#[derive(Debug)]
pub struct LogSetup {
    /// The names of the running snapshot.
    pub names: Arc<Names>,
    /// The identities that records refer to.
    pub identities: Arc<Identities>,
    /// The wall-clock time, since the Unix epoch, of the records' time 0. Asked for each batch, as clocks are adjusted.
    pub epoch: fn() -> Duration,
    /// Records that each worker's queue holds.
    pub bound: usize,
}

/// The running access log. Dropping it writes what is queued and ends the thread.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A worker's end of the log. Used by its thread alone.
#[derive(Debug)]
pub struct LogHandle {
    queue: rtrb::Producer<Record>,
    counters: Arc<WorkerCounters>,
    shared: Arc<Shared>,
    unannounced: bool,
}

#[derive(Debug)]
struct Shared {
    /// [`LoggedRequests`] as [`level`] writes it.
    level: AtomicU8,
    /// The writer waits to be woken.
    asleep: AtomicBool,
    closing: AtomicBool,
    /// Lines that could not be written.
    lost: AtomicU64,
    orders: Mutex<Orders>,
    writer: OnceLock<Thread>,
}

/// What the writer is told, and looks at before each batch.
#[derive(Debug, Default)]
struct Orders {
    sink: Option<Sink>,
    reopen: bool,
    names: Generations,
}

const fn level(requests: LoggedRequests) -> u8 {
    match requests {
        LoggedRequests::Off => 0,
        LoggedRequests::Errors => 1,
        LoggedRequests::All => 2,
    }
}

impl AccessLog {
    /// Opens the file and starts the writer; returns one handle per worker of `metrics`. An error is the file's.
    pub fn start(
        settings: &Settings,
        setup: LogSetup,
        metrics: &Metrics,
    ) -> io::Result<(Self, Vec<LogHandle>)> {
        let sink = Sink::open(settings)?;
        let mut names = Generations::default();
        names.add(setup.names);
        let shared = Arc::new(Shared {
            level: AtomicU8::new(level(settings.requests)),
            asleep: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            orders: Mutex::new(Orders { names, ..Orders::default() }),
            writer: OnceLock::new(),
        });
        let (handles, queues): (Vec<_>, Vec<_>) = metrics
            .workers()
            .iter()
            .map(|counters| {
                let (queue, reader) = rtrb::RingBuffer::new(setup.bound);
                let (counters, shared) = (Arc::clone(counters), Arc::clone(&shared));
                (LogHandle { queue, counters, shared, unannounced: false }, reader)
            })
            .unzip();
        let writer = writer::Writer::new(Arc::clone(&shared), queues, sink, setup.identities, setup.epoch);
        let thread = std::thread::Builder::new().name("tulle-log".into()).spawn(move || writer.run())?;
        // The cell is new, so it takes the value.
        let _ = shared.writer.set(thread.thread().clone());
        Ok((Self { shared, thread: Mutex::new(Some(thread)) }, handles))
    }

    /// Takes new settings. An error is the new file's, and changes nothing.
    pub fn configure(&self, settings: &Settings) -> io::Result<()> {
        let sink = Sink::open(settings)?;
        self.shared.orders().sink = Some(sink);
        self.shared.level.store(level(settings.requests), Ordering::Relaxed);
        self.shared.wake();
        Ok(())
    }

    /// Takes the names of a snapshot; call it before workers see that snapshot. The last few generations are kept.
    pub fn add_names(&self, names: Arc<Names>) {
        self.shared.orders().names.add(names);
    }

    /// Opens the file again, as after a rotation. Moved files are also noticed without it, at the next line.
    pub fn reopen(&self) {
        self.shared.orders().reopen = true;
        self.shared.wake();
    }

    /// Lines that could not be written; those that found a full queue are counted by the workers.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Writes what is queued and ends the thread. A reader that does not read delays it by a second or two at most.
    pub fn close(&self) {
        self.shared.level.store(level(LoggedRequests::Off), Ordering::Relaxed);
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the writer has lost its lines; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl LogHandle {
    /// Queues the record, if the settings ask for it. Never waits; drops and counts where the queue is full.
    pub fn push(&mut self, record: &Record) {
        let wanted = match self.shared.level.load(Ordering::Relaxed) {
            0 => false,
            1 => record.is_error(),
            _ => true,
        };
        if !wanted {
            return;
        }
        match self.queue.push(*record) {
            Ok(()) => self.unannounced = true,
            Err(_) => self.counters.log_dropped.add(1),
        }
    }

    /// Tells the writer, if it sleeps, that there are records: once per turn of the loop.
    pub fn flush(&mut self) {
        if std::mem::take(&mut self.unannounced) {
            self.shared.announce();
        }
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer if it sleeps. The fence pairs with the one in [`Shared::sleep_unless`]: either we see that it
    /// sleeps, or it sees what we queued.
    fn announce(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Puts the calling thread, the writer, to sleep until it is woken, unless there is work.
    fn sleep_unless(&self, work: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !work() {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}
