//! Smooth weighted round-robin.
//!
//! Equal weights: a cursor that moves past whoever was picked, so that those left over share evenly when some are not
//! usable. Few weighted members: each gains its weight per pick, the one that has most is picked and pays the sum. Many:
//! a heap of due times, each picked member due again after 1/weight; O(log n) a pick.

use super::{Balancer, Candidates, Member, Members};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Up to this many weighted members are compared one by one.
const FEW: usize = 16;
/// How far into the first round a worker may begin.
const FIRST_TURNS: u64 = 256;
/// The time between two turns of a member of weight 1. Divisible weights get exact turns; others err by less than one
/// part in a million.
const TURN: u64 = 1 << 40;

/// Smooth weighted round-robin over one set of members. When the members change, it begins anew.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// Which members the state below is about.
    begun_for: Option<u64>,
    cursor: Cursor,
    few: Vec<Credit>,
    many: Schedule,
}

#[derive(Debug, Default)]
struct Cursor {
    next: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Credit {
    weight: u32,
    current: i64,
}

/// Members by when they are due.
#[derive(Debug, Default)]
struct Schedule {
    due: BinaryHeap<Reverse<Turn>>,
    /// Members passed over during one pick.
    passed: Vec<Turn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: u128,
    position: usize,
}

impl Balancer for RoundRobin {
    fn pick(&mut self, candidates: &Candidates<'_>, random: u64) -> Option<usize> {
        let fresh = self.pick_where(candidates, random, |m| candidates.is_fresh(m.endpoint));
        if fresh.is_some() || candidates.tried.is_empty() {
            return fresh;
        }
        self.pick_where(candidates, random, |m| candidates.is_usable(m.endpoint))
    }
}

impl RoundRobin {
    fn pick_where(
        &mut self,
        candidates: &Candidates<'_>,
        random: u64,
        may: impl Fn(&Member) -> bool,
    ) -> Option<usize> {
        let members = candidates.members;
        let list = members.as_slice();
        if self.begun_for != Some(members.fingerprint) {
            self.begun_for = Some(members.fingerprint);
            self.begin(members, random);
        }
        let picked = if members.equal {
            self.cursor.pick(list, may)
        } else if list.len() <= FEW {
            turn(&mut self.few, list, may)
        } else {
            self.many.pick(list, may)
        };
        picked.map(|endpoint| endpoint as usize)
    }

    fn begin(&mut self, members: &Members, random: u64) {
        let list = members.as_slice();
        if members.equal {
            // Workers begin at different members.
            self.cursor.next = usize::try_from(random % (list.len().max(1) as u64)).unwrap_or(0);
        } else if list.len() <= FEW {
            begin_few(&mut self.few, list, random);
        } else {
            self.many.begin(list, random);
        }
    }
}

impl Cursor {
    fn pick(&mut self, list: &[Member], may: impl Fn(&Member) -> bool) -> Option<u32> {
        let (before, from) = list.split_at_checked(self.next).unwrap_or((list, &[]));
        let base = before.len();
        let (position, member) = match from.iter().position(&may) {
            Some(at) => (base + at, from.get(at)?),
            None => before.iter().enumerate().find(|(_, m)| may(m))?,
        };
        self.next = if position + 1 == list.len() { 0 } else { position + 1 };
        Some(member.endpoint)
    }
}

/// Credits at the beginning; workers begin at different places of the first round.
fn begin_few(credits: &mut Vec<Credit>, list: &[Member], random: u64) {
    credits.clear();
    credits.extend(list.iter().map(|m| Credit { weight: m.weight, current: 0 }));
    let round: u64 = list.iter().map(|m| u64::from(m.weight)).sum();
    for _ in 0..random % round.clamp(1, FIRST_TURNS) {
        turn(credits, list, |_| true);
    }
}

fn turn(credits: &mut [Credit], list: &[Member], may: impl Fn(&Member) -> bool) -> Option<u32> {
    let mut total = 0;
    let mut best: Option<(&mut Credit, u32)> = None;
    for (credit, member) in credits.iter_mut().zip(list) {
        if !may(member) {
            continue;
        }
        credit.current += i64::from(credit.weight);
        total += i64::from(credit.weight);
        if best.as_ref().is_none_or(|(b, _)| credit.current > b.current) {
            best = Some((credit, member.endpoint));
        }
    }
    let (credit, endpoint) = best?;
    credit.current -= total;
    Some(endpoint)
}

impl Schedule {
    fn pick(&mut self, list: &[Member], may: impl Fn(&Member) -> bool) -> Option<u32> {
        self.passed.clear();
        let picked = loop {
            let Some(mut top) = self.due.peek_mut() else {
                break None;
            };
            let turn = top.0;
            match list.get(turn.position) {
                Some(member) if may(member) => {
                    top.0.at += period(*member);
                    break Some((member.endpoint, turn.at));
                }
                _ => self.passed.push(PeekMut::pop(top).0),
            }
        };
        // Who was passed over does not save up turns: it is due again within one period of now.
        for turn in self.passed.drain(..) {
            let now = picked.map_or(turn.at, |(_, at)| at);
            let behind = now.saturating_sub(turn.at);
            let step = list.get(turn.position).copied().map_or(1, period);
            let at = turn.at + behind.div_ceil(step) * step;
            self.due.push(Reverse(Turn { at, ..turn }));
        }
        picked.map(|(endpoint, _)| endpoint)
    }

    fn begin(&mut self, list: &[Member], random: u64) {
        self.due.clear();
        self.passed.clear();
        self.passed.reserve(list.len());
        self.due.extend(list.iter().enumerate().map(|(position, member)| {
            // Spread over the first period, differently in each worker.
            let step = period(*member);
            let mixed = (random ^ position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let at = (u128::from(mixed) * step) >> 64;
            Reverse(Turn { at, position })
        }));
    }
}

fn period(member: Member) -> u128 {
    u128::from(TURN / u64::from(member.weight.max(1)))
}
