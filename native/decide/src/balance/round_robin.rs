//! Smooth weighted round-robin.
//!
//! Equal weights: a cursor that moves past whoever was picked. Few weighted ones: each gains its weight per pick, the one
//! that has most is picked and pays the sum. Many: a heap of due times, each picked one due again after 1/weight;
//! O(log n) a pick. When the view changes, those who stay keep their turns.

use super::dice::{Dice, scale};
use super::view::{Pool, Slot};
use super::{Ask, Balancer, Loads, View};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many weighted ones are compared one by one.
const FEW: usize = 16;
/// How far into the first round a worker may begin.
const FIRST_TURNS: u64 = 256;
/// The time between two turns at weight 1. Divisible weights get exact turns; others err by less than one part in a
/// million.
const TURN: u64 = 1 << 40;
/// Where due times begin again, long before they overflow.
const REBASE: u64 = 1 << 62;
/// Turns that are lost by those who were tried or are warming, before chance decides.
const LOST_TURNS: usize = 8;

/// Smooth weighted round-robin over one service or subset.
#[derive(Debug, Default)]
pub struct RoundRobin {
    own: Turns,
    other: Turns,
    all: Turns,
}

/// Turns within a part of the view.
#[derive(Debug, Default)]
struct Turns {
    /// The view that they are about.
    seated_for: Option<u64>,
    cursor: Cursor,
    few: Vec<Credit>,
    many: Schedule,
}

#[derive(Debug, Default)]
struct Cursor {
    next: usize,
    /// The endpoint there: where to go on, when positions change.
    endpoint: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Credit {
    endpoint: u32,
    current: i64,
}

/// A heap of who is due when.
#[derive(Debug, Default)]
struct Schedule {
    due: BinaryHeap<Reverse<Turn>>,
    now: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: u64,
    endpoint: u32,
    weight: u32,
}

impl Balancer for RoundRobin {
    fn pick(&mut self, view: &View, loads: &Loads, ask: &Ask<'_>) -> Option<u32> {
        let mut dice = Dice::new(ask.random);
        let pool = view.pool(loads, ask, &mut dice);
        let turns = match pool {
            Pool::Own => &mut self.own,
            Pool::Other => &mut self.other,
            Pool::All => &mut self.all,
        };
        let (_, part) = view.part(pool);
        let is_even = view.is_even(pool);
        if turns.seated_for != Some(view.fingerprint()) {
            turns.seat(part, is_even, ask.random);
            turns.seated_for = Some(view.fingerprint());
        }
        for _ in 0..LOST_TURNS {
            let Some(endpoint) = turns.next(part, is_even, ask.tried) else {
                break;
            };
            let mut is_warm = || {
                let slot = view.position(endpoint).and_then(|position| view.slot(position));
                slot.is_some_and(|slot| view.is_warm(slot, ask.now, || dice.next()))
            };
            if !ask.tried.contains(&endpoint) && is_warm() {
                return Some(endpoint);
            }
        }
        view.slot(view.fresh(pool, ask, &mut dice, None)?).map(|slot| slot.endpoint)
    }
}

impl Turns {
    /// Who is next. Where that costs little, those who were tried lose no turn.
    fn next(&mut self, part: &[Slot], is_even: bool, tried: &[u32]) -> Option<u32> {
        if is_even {
            self.cursor.next(part)
        } else if part.len() <= FEW {
            turn(&mut self.few, part, tried)
        } else {
            self.many.next()
        }
    }

    fn seat(&mut self, part: &[Slot], is_even: bool, random: u64) {
        let is_first = self.seated_for.is_none();
        if is_even {
            self.cursor.seat(part, is_first.then_some(random));
        } else if part.len() <= FEW {
            self.many = Schedule::default();
            seat_few(&mut self.few, part, is_first.then_some(random));
        } else {
            self.few = Vec::new();
            self.many.seat(part, random);
        }
    }
}

impl Cursor {
    fn next(&mut self, part: &[Slot]) -> Option<u32> {
        let picked = part.get(self.next)?.endpoint;
        self.next = if self.next + 1 == part.len() { 0 } else { self.next + 1 };
        self.endpoint = part.get(self.next).map_or(0, |slot| slot.endpoint);
        Some(picked)
    }

    /// Workers begin at different places, and go on where they were.
    fn seat(&mut self, part: &[Slot], random: Option<u64>) {
        let next = match random {
            Some(random) => scale(random, part.len()),
            None => part.iter().position(|slot| slot.endpoint >= self.endpoint).unwrap_or(0),
        };
        self.next = next;
        self.endpoint = part.get(next).map_or(0, |slot| slot.endpoint);
    }
}

/// Those who stay keep their credit; at first, workers begin at different places of the round.
fn seat_few(credits: &mut Vec<Credit>, part: &[Slot], random: Option<u64>) {
    let before = std::mem::take(credits);
    credits.extend(part.iter().map(|slot| {
        let kept = before.iter().find(|credit| credit.endpoint == slot.endpoint);
        Credit { endpoint: slot.endpoint, current: kept.map_or(0, |credit| credit.current) }
    }));
    let Some(random) = random else {
        return;
    };
    let round: u64 = part.iter().map(|slot| u64::from(slot.weight)).sum();
    for _ in 0..random % round.clamp(1, FIRST_TURNS) {
        turn(credits, part, &[]);
    }
}

fn turn(credits: &mut [Credit], part: &[Slot], tried: &[u32]) -> Option<u32> {
    let mut total = 0;
    let mut best: Option<&mut Credit> = None;
    for (credit, slot) in credits.iter_mut().zip(part) {
        if tried.contains(&slot.endpoint) {
            continue;
        }
        credit.current += i64::from(slot.weight);
        total += i64::from(slot.weight);
        if best.as_ref().is_none_or(|best| credit.current > best.current) {
            best = Some(credit);
        }
    }
    let credit = best?;
    credit.current -= total;
    Some(credit.endpoint)
}

impl Schedule {
    fn next(&mut self) -> Option<u32> {
        if self.now > REBASE {
            let now = std::mem::take(&mut self.now);
            let due = std::mem::take(&mut self.due).into_iter();
            self.due = due.map(|Reverse(turn)| Reverse(Turn { at: turn.at - now, ..turn })).collect();
        }
        let mut top = self.due.peek_mut()?;
        let turn = top.0;
        top.0.at += period(turn.weight);
        self.now = turn.at;
        Some(turn.endpoint)
    }

    /// Those who stay keep their time, unless it lies further ahead than their weight says; others begin within their
    /// first period, differently in each worker.
    fn seat(&mut self, part: &[Slot], random: u64) {
        let mut before: Vec<(u32, u64)> =
            self.due.drain().map(|Reverse(turn)| (turn.endpoint, turn.at)).collect();
        before.sort_unstable();
        let mut dice = Dice::new(random);
        let turns = part.iter().map(|slot| {
            let step = period(slot.weight);
            let ahead = (u128::from(dice.next()) * u128::from(step)) >> 64;
            let new = self.now + u64::try_from(ahead).unwrap_or(0);
            let kept = before.binary_search_by_key(&slot.endpoint, |(endpoint, _)| *endpoint);
            let kept = kept.ok().and_then(|at| before.get(at)).map(|(_, at)| *at);
            let at = kept.filter(|at| *at <= self.now + step).unwrap_or(new);
            Reverse(Turn { at, endpoint: slot.endpoint, weight: slot.weight })
        });
        self.due = turns.collect();
    }
}

fn period(weight: u32) -> u64 {
    TURN / u64::from(weight.max(1))
}
