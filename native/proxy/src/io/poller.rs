//! Readiness: edge-triggered epoll, one registration per connection's life, and a waker for other threads.

use crate::clock::Nanos;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use std::io;
use std::sync::Arc;

const EVENTS_PER_TURN: usize = 256;

/// What happened to a registered file descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more.
    pub(crate) hup: bool,
    /// The connection is broken both ways.
    pub(crate) error: bool,
}

/// An epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_PER_TURN) })
    }

    /// Registers a connection for its whole life.
    pub(crate) fn add_edge(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), flags)?)
    }

    /// Registers a listener or waker: reported as long as it is readable.
    pub(crate) fn add_level(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)?)
    }

    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits for events until `until` (forever, where there is none).
    pub(crate) fn wait(&mut self, now: Nanos, until: Option<Nanos>) -> io::Result<()> {
        let timeout = until.map(|until| {
            // epoll_wait counts in milliseconds: round up, so that a deadline has passed when we wake.
            let ms = until.0.saturating_sub(now.0).div_ceil(1_000_000);
            let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
            Timespec { tv_sec: seconds, tv_nsec: i64::try_from(ms % 1000).unwrap_or(0) * 1_000_000 }
        });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The events of the last [`Poller::wait`], taken out one by one.
    #[inline]
    pub(crate) fn event(&self, index: usize) -> Option<Event> {
        let raw = self.events.get(index)?;
        let flags = raw.flags;
        // HUP alone is what two proper ends look like.
        let error = flags.contains(EventFlags::ERR);
        let hup = flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
        Some(Event {
            token: raw.data.u64(),
            readable: flags.contains(EventFlags::IN) || hup || error,
            writable: flags.contains(EventFlags::OUT) || error,
            hup,
            error,
        })
    }

    /// Whether the last wait came back full: then there may be more.
    pub(crate) fn count(&self) -> usize {
        self.events.len()
    }
}

/// Wakes a worker from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker {
    fd: Arc<OwnedFd>,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fd: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?) })
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// A full counter means that a wake-up is under way already.
    pub(crate) fn wake(&self) {
        let _full = rustix::io::write(&*self.fd, &1u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        let mut count = [0u8; 8];
        let _empty = rustix::io::read(&*self.fd, &mut count);
    }
}
