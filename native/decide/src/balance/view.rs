//! Who of a service or subset may be picked now, in the form that picking needs.
//!
//! In: members, which of them are usable, since when. Out: draws by chance and weight, of the own zone, of others or of
//! all, in constant time. A worker makes a view anew when members, health or ejections change; never per request.

use super::alias::Alias;
use super::dice::{Dice, mix, scale, unit};
use super::members::{EndpointSet, MOST};
use super::{Ask, Loads, Member, Members, Zone};
use tulle_snapshot::wire::LoadBalancing;

/// What an endpoint gets of its share when it is new or came back.
const SLOW_START_FROM: f32 = 0.1;
/// The own zone keeps everything while its usable weight times this is all of its weight.
const OVERPROVISIONED: f64 = 1.4;
/// Of the own zone's requests one in so many goes to another zone, so that it is known how fast others are.
const ONE_LOOKS_ELSEWHERE: f32 = 1.0 / 128.0;
/// Draws until one is taken that is neither tried nor warming, before looking one by one.
const DRAWS: usize = 12;
/// Up to so many are weighed one by one, where some do not count.
const FEW: usize = 16;

/// How a service wants its endpoints picked, beside the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The own zone is preferred.
    pub prefer_zone: bool,
    /// An endpoint that is new or came back gets its full share after so many nanoseconds; 0: at once.
    pub slow_start: u64,
}

impl Settings {
    /// From the snapshot.
    #[must_use]
    pub fn new(wire: &LoadBalancing) -> Self {
        Self { prefer_zone: wire.prefer_zone, slow_start: u64::from(wire.slow_start_ms) * 1_000_000 }
    }
}

/// Who may be picked.
#[derive(Debug)]
pub struct View {
    /// Usable and of some weight: the own zone first, if it is preferred; each part by endpoint.
    slots: Box<[Slot]>,
    /// How many of them are the own zone's.
    own: usize,
    /// What the own zone can carry of what comes here.
    own_carries: f32,
    /// To draw from the own zone, from others, from all; none: all weights are the same.
    draws: [Option<Alias>; 3],
    /// By endpoint: where in `slots`.
    positions: Box<[u32]>,
    /// Usable, of weight 0.
    draining: EndpointSet,
    slow_start: u64,
    /// When the first and the last have their full share.
    warm: (u64, u64),
    /// Tells this view from another, without looking at each slot.
    fingerprint: u64,
}

/// One that may be picked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) endpoint: u32,
    pub(super) weight: u32,
    /// When it has its full share.
    warm: u64,
}

/// A part of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    Own,
    Other,
    All,
}

const NOWHERE: u32 = u32::MAX;

impl View {
    /// From members, those of them that may be used (none: all), and since when, in monotonic nanoseconds, an endpoint
    /// is there or back (none: since ever). In a panic, `usable` has the ejected ones in it.
    #[must_use]
    pub fn new(
        members: &Members,
        usable: Option<&EndpointSet>,
        settings: Settings,
        since: impl Fn(u32) -> Option<u64>,
    ) -> Self {
        let is_own = |zone| settings.prefer_zone && zone == Zone::Own;
        let is_usable = |m: &Member| {
            (m.endpoint as usize) < MOST && usable.is_none_or(|usable| usable.contains(m.endpoint))
        };
        let (mut slots, mut others, mut draining) = (Vec::new(), Vec::new(), EndpointSet::default());
        let mut whole = 0;
        for (member, site) in members.as_slice() {
            let own = is_own(site.zone);
            whole += if own { u64::from(member.weight) } else { 0 };
            if !is_usable(member) {
                continue;
            }
            let warm = match since(member.endpoint) {
                Some(since) if settings.slow_start > 0 => since.saturating_add(settings.slow_start),
                _ => 0,
            };
            let slot = Slot { endpoint: member.endpoint, weight: member.weight, warm };
            match (member.weight, own) {
                (0, _) => draining.insert(member.endpoint),
                (_, true) => slots.push(slot),
                (_, false) => others.push(slot),
            }
        }
        slots.sort_unstable_by_key(|slot| slot.endpoint);
        others.sort_unstable_by_key(|slot| slot.endpoint);
        let own = slots.len();
        let carries = carries(slots.iter().map(|slot| u64::from(slot.weight)).sum(), whole);
        slots.append(&mut others);
        Self {
            own,
            own_carries: carries,
            draining,
            ..Self::from_slots(slots, own, settings, members.bound())
        }
    }

    fn from_slots(slots: Vec<Slot>, own: usize, settings: Settings, bound: usize) -> Self {
        let mut positions = vec![NOWHERE; bound].into_boxed_slice();
        for (slot, position) in slots.iter().zip(0u32..) {
            if let Some(at) = positions.get_mut(slot.endpoint as usize) {
                *at = position;
            }
        }
        let (near, far) = slots.split_at_checked(own).unwrap_or((&[], &slots));
        let parts_differ = !near.is_empty() && !far.is_empty();
        let part = |part| if parts_differ { draws(part) } else { None };
        let draws = [part(near), part(far), draws(&slots)];
        let warm = (
            slots.iter().map(|slot| slot.warm).min().unwrap_or(0),
            slots.iter().map(|slot| slot.warm).max().unwrap_or(0),
        );
        let fingerprint = slots.iter().fold(mix(own as u64), |hash, slot| {
            mix(hash ^ (u64::from(slot.endpoint) << 32 | u64::from(slot.weight)))
        });
        Self {
            slots: slots.into_boxed_slice(),
            own,
            own_carries: 1.0,
            draws,
            positions,
            draining: EndpointSet::default(),
            slow_start: settings.slow_start,
            warm,
            fingerprint,
        }
    }

    /// How many may be picked, those of weight 0 left out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nobody may be picked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether a request that names this endpoint may go there: it is usable, be its weight 0.
    #[must_use]
    pub fn admits(&self, endpoint: u32) -> bool {
        self.position(endpoint).is_some() || self.draining.contains(endpoint)
    }

    /// All that may be picked, those of weight 0 left out, each once; `random` says with which it begins.
    pub fn endpoints(&self, random: u64) -> impl Iterator<Item = u32> + '_ {
        let start = scale(random, self.slots.len());
        let (before, from) = self.slots.split_at_checked(start).unwrap_or((&[], &self.slots));
        from.iter().chain(before).map(|slot| slot.endpoint)
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn position(&self, endpoint: u32) -> Option<usize> {
        self.positions.get(endpoint as usize).filter(|position| **position != NOWHERE).map(|p| *p as usize)
    }

    pub(super) fn slot(&self, position: usize) -> Option<&Slot> {
        self.slots.get(position)
    }

    /// The part of the view that a request goes to; a retry may go anywhere.
    pub(super) fn pool(&self, loads: &Loads, ask: &Ask<'_>, dice: &mut Dice) -> Pool {
        if self.own == 0 || self.own == self.slots.len() || !ask.tried.is_empty() {
            return Pool::All;
        }
        let keeps = self.own_carries.min(loads.own_keeps()) * (1.0 - ONE_LOOKS_ELSEWHERE);
        if dice.happens(keeps) { Pool::Own } else { Pool::Other }
    }

    /// The slots of a pool, and the position of the first.
    pub(super) fn part(&self, pool: Pool) -> (usize, &[Slot]) {
        let (own, other) = self.slots.split_at_checked(self.own).unwrap_or((&[], &self.slots));
        match pool {
            Pool::Own => (0, own),
            Pool::Other => (self.own, other),
            Pool::All => (0, &self.slots),
        }
    }

    /// Whether all of a pool have the same weight.
    pub(super) fn is_even(&self, pool: Pool) -> bool {
        let [own, other, all] = &self.draws;
        match pool {
            Pool::Own => own.is_none(),
            Pool::Other => other.is_none(),
            Pool::All => all.is_none(),
        }
    }

    /// A position by chance and weight.
    fn draw(&self, pool: Pool, random: u64) -> usize {
        let (first, part) = self.part(pool);
        let [own, other, all] = &self.draws;
        let alias = match pool {
            Pool::Own => own,
            Pool::Other => other,
            Pool::All => all,
        };
        first + alias.as_ref().map_or_else(|| scale(random, part.len()), |alias| alias.draw(random))
    }

    /// A position by chance and weight, among those that were not tried, `except` left out; one that was tried, where
    /// there is no other.
    pub(super) fn fresh(
        &self,
        pool: Pool,
        ask: &Ask<'_>,
        dice: &mut Dice,
        except: Option<usize>,
    ) -> Option<usize> {
        let (first, part) = self.part(pool);
        let is_open = |position: usize, slot: &Slot| {
            Some(position) != except && (ask.tried.is_empty() || !ask.tried.contains(&slot.endpoint))
        };
        let is_weighed = part.len() <= FEW && !self.is_even(pool);
        if is_weighed && (except.is_some() || !ask.tried.is_empty()) {
            let open = || (first..).zip(part).filter(|(position, slot)| is_open(*position, slot));
            if let Some(position) = self.weigh(open, ask.now, dice) {
                return Some(position);
            }
        } else {
            for _ in 0..DRAWS {
                let position = self.draw(pool, dice.next());
                let slot = self.slots.get(position)?;
                if is_open(position, slot) && self.is_warm(slot, ask.now, || dice.next()) {
                    return Some(position);
                }
            }
        }
        // So many in a row cannot all be closed, if one is open.
        let closed = ask.tried.len() + usize::from(except.is_some());
        let start = dice.below(part.len());
        let (before, from) = part.split_at_checked(start)?;
        let row = (first + start..).zip(from).chain((first..).zip(before)).take(closed + 1);
        let mut open = row.filter(|(position, slot)| is_open(*position, slot)).map(|(position, _)| position);
        open.next().or_else(|| except.is_none().then(|| self.draw(pool, dice.next())))
    }

    /// One of a few, by chance and what share each has now.
    fn weigh<'a, I>(&self, open: impl Fn() -> I, now: u64, dice: &mut Dice) -> Option<usize>
    where
        I: Iterator<Item = (usize, &'a Slot)>,
    {
        #[expect(clippy::cast_precision_loss, reason = "at most 1,000,000")]
        let share = |slot: &Slot| slot.weight as f32 * self.warmth(slot, now);
        let sum: f32 = open().map(|(_, slot)| share(slot)).sum();
        let mut left = unit(dice.next()) * sum;
        let mut last = None;
        for (position, slot) in open() {
            left -= share(slot);
            last = Some(position);
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// The part of its share that a slot gets now; 1 for the one that is longest there.
    fn warmth(&self, slot: &Slot, now: u64) -> f32 {
        let (first, last) = self.warm;
        if last <= now || slot.warm <= now {
            return 1.0;
        }
        self.warming(slot.warm, now) / self.warming(first, now)
    }

    #[expect(clippy::cast_precision_loss, reason = "a part of a time")]
    fn warming(&self, warm: u64, now: u64) -> f32 {
        let left = warm.saturating_sub(now).min(self.slow_start);
        1.0 - (1.0 - SLOW_START_FROM) * (left as f32 / self.slow_start.max(1) as f32)
    }

    /// Whether a slot takes what falls to it: always, unless it is warming. `random` is uniform.
    pub(super) fn is_warm(&self, slot: &Slot, now: u64, random: impl FnOnce() -> u64) -> bool {
        self.warm.1 <= now || slot.warm <= now || unit(random()) < self.warmth(slot, now)
    }
}

/// What a zone of this weight carries of its requests when so much of it is usable.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a share")]
fn carries(usable: u64, whole: u64) -> f32 {
    (OVERPROVISIONED * usable as f64 / whole.max(1) as f64).min(1.0) as f32
}

fn draws(part: &[Slot]) -> Option<Alias> {
    let even = part.windows(2).all(|pair| matches!(pair, [a, b] if a.weight == b.weight));
    (!even).then(|| Alias::new(part.iter().map(|slot| slot.weight)))
}
