//! One data-plane thread: an event loop over its own sockets, connections, pools and counters.
//!
//! In: readiness, timers, and messages of the engine. Out: bytes, records. Nothing here is shared on the request path.

mod accept;
mod affinity;
mod apply;
mod body;
mod client;
mod config;
mod conn;
mod copies;
mod deadline;
mod dispatch;
mod exchange;
mod filters;
mod finish;
mod first_frames;
mod forward;
mod hedging;
mod hop;
mod ids;
mod local;
mod multiplexed;
mod mux;
mod noted;
mod outcome;
mod permit;
mod request;
mod response;
mod retrying;
mod service;
mod shedding;
mod sides;
mod slots;
mod sniff;
mod spin;
mod stream_tunnel;
mod streams;
mod tunnel;
mod upstream;

pub(crate) use config::WorkerConfig;

use crate::clock::{self, Nanos};
use crate::date::HttpDate;
use crate::engine::Pressure;
use crate::io::{Io, Listening, Poller, Waker};
use crate::mailbox::{Mailbox, Message};
use crate::random::Random;
use crate::running::Running;
use crate::shared::Shared;
use crate::slab::{Id, Slab};
use crate::telemetry::{LogHandle, WorkerMetrics};
use crate::timers::Timers;
use conn::{Conn, Role};
use exchange::Exchange;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use tulle_decide::http::{Block, Fields};

/// Tokens with the top bit set are not connections.
const LISTENER_TOKEN: u64 = 1 << 63;
const WAKER_TOKEN: u64 = u64::MAX;
/// Reads of one connection before the others get their turn.
const TURNS: usize = 16;

/// What a worker is made of; all of it moves into its thread.
pub(crate) struct Setup {
    /// Its clients are traffic, which a drain waits for; admin pages and probes are not.
    pub(crate) counts: bool,
    /// Which of the data-plane workers it is; any other number: none of them.
    pub(crate) index: usize,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Those of all data-plane workers.
    pub(crate) mailboxes: Arc<[Arc<Mailbox>]>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) log: LogHandle,
}

/// A worker's own memory for the message it is looking at.
#[derive(Default)]
struct Scratch {
    read: Vec<u8>,
    head: Vec<u8>,
    path: Vec<u8>,
    target: Vec<u8>,
    fields: Fields,
    text: Vec<u8>,
}

struct OpenListener {
    name: Arc<str>,
    socket: Listening,
    paused: bool,
}

pub(crate) struct Worker {
    setup: Setup,
    poller: Poller,
    waker: Waker,
    listeners: Vec<Option<OpenListener>>,
    conns: Slab<Conn>,
    exchanges: Slab<Exchange>,
    #[expect(clippy::vec_box, reason = "a box goes from here into the slab and back without an allocation")]
    spare: Vec<Box<Exchange>>,
    ready: VecDeque<Id>,
    timers: Timers,
    io: Io,
    scratch: Scratch,
    /// The header list that is being received.
    block: Block,
    /// Connections of HTTP/2 with something to write.
    dirty: Vec<Id>,
    config: Rc<WorkerConfig>,
    pools: upstream::Pools,
    random: Random,
    spin: spin::Spin,
    date: HttpDate,
    /// Requests that wait for room.
    lines: slots::Lines,
    copies: copies::Copies,
    now: Nanos,
    draining: bool,
    pressure: Pressure,
    accept_again: Option<Nanos>,
    stopping: bool,
}

impl Worker {
    /// Prepares the worker inside its own thread.
    pub(crate) fn new(setup: Setup, running: &Arc<Running>, random: Random) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        let config = WorkerConfig::new(running, &setup.metrics, setup.index, None);
        let waker = setup.mailbox.waker().clone();
        poller.add_level(waker.fd(), WAKER_TOKEN)?;
        let mut worker = Self {
            setup,
            poller,
            waker,
            listeners: Vec::new(),
            conns: Slab::new(),
            exchanges: Slab::new(),
            spare: Vec::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            io: Io::default(),
            scratch: Scratch::default(),
            block: Block::new(),
            dirty: Vec::new(),
            config: Rc::new(config),
            pools: upstream::Pools::new(),
            random,
            spin: spin::Spin::default(),
            date: HttpDate::default(),
            lines: slots::Lines::default(),
            copies: copies::Copies::default(),
            now: clock::now(),
            draining: false,
            pressure: Pressure::Calm,
            accept_again: None,
            stopping: false,
        };
        worker.bind_pools();
        Ok(worker)
    }

    /// Runs until told to stop.
    pub(crate) fn run(&mut self) {
        while !self.stopping {
            // What goes wrong outside of a connection costs one turn.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                self.setup.metrics.panicked();
            }
        }
    }

    fn turn(&mut self) {
        let at_rest = self.ready.is_empty() && self.dirty.is_empty() && !self.lines.is_due();
        let until = if at_rest { self.next_timer() } else { Some(self.now) };
        if self.wait(until).is_err() {
            self.stopping = true;
            return;
        }
        for index in 0..self.poller.count() {
            let Some(event) = self.poller.event(index) else { break };
            if event.token == WAKER_TOKEN {
                self.read_mail();
            } else if event.token & LISTENER_TOKEN != 0 {
                self.accept(usize::try_from(event.token & !LISTENER_TOKEN).unwrap_or(usize::MAX));
            } else {
                let id = Id::from_token(event.token);
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.link.note(&event);
                    self.guarded(id);
                }
            }
        }
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            if let Some(conn) = self.conns.get_mut(id) {
                conn.queued = false;
                self.guarded(id);
            }
        }
        self.serve_waiting();
        self.fire_timers();
        self.flush_muxes();
        self.setup.log.flush();
    }

    /// Waits for events, awake at first where that pays off.
    fn wait(&mut self, until: Option<Nanos>) -> std::io::Result<()> {
        if until.is_none_or(|until| until > self.now) && self.spin.is_worth_it(self.conns.len()) {
            let began = clock::now();
            loop {
                self.poller.wait(began, Some(began))?;
                self.now = clock::now();
                if self.poller.count() > 0 || spin::is_over(began, self.now) {
                    break;
                }
            }
            let paid_off = self.poller.count() > 0;
            self.spin.note(paid_off);
            if paid_off {
                return Ok(());
            }
        }
        self.poller.wait(self.now, until)?;
        self.now = clock::now();
        Ok(())
    }

    fn next_timer(&self) -> Option<Nanos> {
        let waiting = self.lines.wakes_at();
        [self.timers.next(), self.accept_again, self.copies.due(), waiting].into_iter().flatten().min()
    }

    /// A panic costs the connection it happened on, and is counted.
    fn guarded(&mut self, id: Id) {
        if catch_unwind(AssertUnwindSafe(|| self.drive(id))).is_err() {
            self.setup.metrics.panicked();
            self.abandon(id);
        }
    }

    fn drive(&mut self, id: Id) {
        match self.conns.get_mut(id).map(|conn| &conn.role) {
            Some(Role::Client(_)) => self.drive_client(id),
            Some(Role::Upstream(_)) => self.drive_upstream(id),
            None => {}
        }
    }

    /// Has a connection looked at again after the others had their turn.
    fn queue(&mut self, id: Id) {
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push_back(id);
        }
    }

    fn read_mail(&mut self) {
        self.waker.clear();
        for message in self.setup.mailbox.take() {
            match message {
                Message::Apply { running, sockets, done } => {
                    self.apply(&running, sockets);
                    let _engine_waits_no_longer = done.try_send(());
                }
                Message::MakeRoom { service, subset, left } => self.asked_for_room(&service, subset, left),
                Message::Drain { done } => {
                    self.drain();
                    let _engine_waits_no_longer = done.try_send(());
                }
                Message::Place { counts, number, held } => self.handed_over(&counts, number, held),
                Message::Room { counts, waits_for } => self.room_made(&counts, waits_for),
                Message::Press(pressure) => self.press(pressure),
                Message::Stop => {
                    self.cut_off();
                    self.stopping = true;
                }
            }
        }
    }
}
