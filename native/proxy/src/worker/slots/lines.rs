//! Those of one worker that wait, by what they wait for.
//!
//! In: word that something was freed. Out: who tries next, or that it is another worker's turn. Before: a worker's mailbox,
//! and what ends there. After: `slots`.

use super::super::exchange::Exchange;
use super::super::service::WorkerService;
use crate::clock::Nanos;
use crate::line::{For, Stand};
use crate::shared::ServiceCounts;
use crate::slab::{Id, Slab};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Those of this worker that wait.
#[derive(Default)]
pub(in super::super) struct Lines {
    pub(super) list: Vec<OwnLine>,
    /// Those that were handed a place over.
    pub(super) called: VecDeque<Id>,
    /// Something is to be tried.
    pub(super) due: bool,
    /// When all look, whatever they were told.
    looks_at: Nanos,
}

/// How often those that wait look, should ever a word that something was freed be lost, in nanoseconds: so that the price
/// is a short wait and no refusal.
pub(super) const LOOKS: Duration = Duration::from_millis(100);

/// Those of this worker that wait for one thing.
pub(super) struct OwnLine {
    pub(super) counts: Arc<ServiceCounts>,
    pub(super) waits_for: For,
    /// By number.
    pub(super) list: VecDeque<(u64, Id)>,
    /// Something was freed since the first one of all found no room.
    freed: bool,
    /// Something was freed that only this worker can use: a connection, or room on one.
    freed_here: bool,
}

/// What a line does next.
pub(super) enum Turn {
    /// This one tries; it is the first one of all workers, or not.
    Try(Id, Stand, bool),
    /// It is another worker's turn.
    Elsewhere,
    /// Nothing.
    Over,
}

impl Lines {
    /// Whether someone is to try.
    pub(in super::super) fn is_due(&self) -> bool {
        self.due
    }

    /// A connection of this pool serves its request no more. Where connections are what is waited for, it is for who waits here;
    /// true: for nobody here, but someone waits with another worker, or has waited there for much longer.
    pub(in super::super) fn connection_freed(
        &mut self,
        service: &WorkerService,
        pool: Id,
        exchanges: &Slab<Exchange>,
    ) -> bool {
        let counts = &service.counts;
        if counts.waiting.0.now() == 0 || !service.is_short_of_connections() {
            return false;
        }
        let here = |line: &&mut OwnLine| Arc::ptr_eq(&line.counts, counts) && line.waits_for != For::Request;
        let own = self.list.iter_mut().filter(here).filter_map(|line| line.first(exchanges));
        let own = own.map(|(_, stand)| stand.number).min();
        if counts.line.is_overdue(own.unwrap_or(u64::MAX), |of, _| service.is_room_for(pool, of)) {
            return true;
        }
        if own.is_some() {
            self.freed_here(Some(counts));
        }
        false
    }

    /// Something was freed that only this worker can use; of the service, or (none) of any.
    pub(in super::super) fn freed_here(&mut self, counts: Option<&Arc<ServiceCounts>>) {
        for line in &mut self.list {
            if counts.is_none_or(|counts| Arc::ptr_eq(&line.counts, counts)) {
                line.freed_here = true;
                self.due = true;
            }
        }
    }

    /// When those that wait look next, or the next ejection ends where they wait; none: nobody waits.
    pub(in super::super) fn wakes_at(&self) -> Option<Nanos> {
        let lines = self.list.iter().filter(|line| !line.list.is_empty());
        lines.map(|line| Nanos(line.counts.roster.next_due()).min(self.looks_at)).min()
    }

    /// Has those try that wait where an ejection has ended by now, and now and then all.
    pub(super) fn wake(&mut self, now: Nanos) {
        let all = self.looks_at <= now;
        for line in &mut self.list {
            let ended = line.counts.roster.next_due() <= now.0;
            line.freed_here |= ended;
            line.freed |= all;
            self.due |= ended || all;
        }
        if all {
            self.looks_at = now.after(LOOKS);
        }
    }

    /// What is due of services that are no more is nobody's.
    pub(super) fn forget_ejections(&self, now: Nanos) {
        for line in &self.list {
            line.counts.roster.is_due(now);
        }
    }

    pub(super) fn of(&mut self, counts: &Arc<ServiceCounts>, waits_for: For) -> Option<&mut OwnLine> {
        self.list.iter_mut().find(|line| line.waits_for == waits_for && Arc::ptr_eq(&line.counts, counts))
    }

    pub(super) fn join(&mut self, counts: &Arc<ServiceCounts>, stand: Stand, exchange: Id) {
        if self.of(counts, stand.waits_for).is_none() {
            self.list.push(OwnLine {
                counts: Arc::clone(counts),
                waits_for: stand.waits_for,
                list: VecDeque::new(),
                freed: false,
                freed_here: false,
            });
        }
        if let Some(line) = self.of(counts, stand.waits_for) {
            line.list.push_back((stand.number, exchange));
        }
    }

    /// Takes out who stands there, if they do.
    pub(super) fn leave(&mut self, counts: &Arc<ServiceCounts>, stand: Stand) -> Option<Id> {
        let line = self.of(counts, stand.waits_for)?;
        let at = line.list.binary_search_by_key(&stand.number, |(number, _)| *number).ok()?;
        line.list.remove(at).map(|(_, exchange)| exchange)
    }

    /// Something was freed, and it is a turn of this worker's. False: nobody waits here any more.
    pub(super) fn freed(&mut self, counts: &Arc<ServiceCounts>, waits_for: For) -> bool {
        let Some(line) = self.of(counts, waits_for).filter(|line| !line.list.is_empty()) else {
            return false;
        };
        line.freed = true;
        self.due = true;
        true
    }
}

impl OwnLine {
    /// The first that has not left.
    fn first(&mut self, exchanges: &Slab<Exchange>) -> Option<(Id, Stand)> {
        while let Some((number, id)) = self.list.front().copied() {
            let stand = Stand { waits_for: self.waits_for, number };
            if exchanges.get(id).is_some_and(|x| x.stand == Some(stand)) {
                return Some((id, stand));
            }
            self.list.pop_front();
        }
        None
    }

    pub(super) fn turn(&mut self, exchanges: &Slab<Exchange>) -> Turn {
        if !self.freed && !self.freed_here {
            return Turn::Over;
        }
        let first = self.first(exchanges).map(|(id, stand)| (id, stand, self.is_first(stand)));
        match first {
            Some((id, stand, is_first)) if is_first || self.freed_here => Turn::Try(id, stand, is_first),
            _ => {
                self.freed_here = false;
                if std::mem::take(&mut self.freed) { Turn::Elsewhere } else { Turn::Over }
            }
        }
    }

    /// Whether it is the first one of all workers.
    fn is_first(&self, stand: Stand) -> bool {
        self.counts.line.first(self.waits_for).is_some_and(|(number, _)| number == stand.number)
    }

    /// Someone has tried. There may be room for the next one, too, where the first one of all found it; what that one cannot
    /// use nobody can, for now.
    pub(super) fn tried(&mut self, was_first: bool, still_waits: bool) {
        if was_first {
            self.freed = !still_waits;
        }
        self.freed_here &= !still_waits;
    }
}
