//! What rules count over all workers: retry budgets and rate limits. Made when a rule is first used, kept by the route's
//! name and the rule's place in it over configuration changes.

use crate::clock;
use crate::running::Core;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tulle_decide::rate_limit::LocalLimiter;
use tulle_decide::retry::{Budget, Hedger};
use tulle_decide::route::RuleId;
use tulle_snapshot::wire::{Hedge, RateLimit, RetryBudget, Rule};

/// What one rule counts.
#[derive(Debug)]
pub(crate) struct RuleCounts {
    pub(crate) budget: Arc<Budget>,
    pub(crate) limiter: Option<LocalLimiter>,
    /// One per worker, locked by that worker alone; none, where the rule does not hedge.
    hedgers: Box<[Mutex<Hedger>]>,
    made_of: Made,
}

/// What counts are made of: others are made when it changes.
type Made = (RetryBudget, Option<RateLimit>, Option<Hedge>);

/// A route's name, and the place of one of its rules.
type RuleKey = (Arc<str>, u32);

/// The counts of all rules that were used.
#[derive(Debug)]
pub(crate) struct RuleBook {
    workers: usize,
    /// Each with the generation of the configuration that it was made for.
    used: Mutex<HashMap<RuleKey, (u32, Arc<RuleCounts>)>>,
}

impl RuleBook {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, used: Mutex::default() }
    }

    /// What a rule counts. Its numbers may have changed since it was last asked for; what was counted stays.
    pub(crate) fn counts(&self, core: &Core, rule: RuleId) -> Option<Arc<RuleCounts>> {
        let (route, position) = core.names.rule(rule.0)?;
        let wire = core.wire_rule(rule)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(route), position);
        let known = used.get(&key);
        if let Some((_, known)) = known
            && known.made_of == made_of(wire)
        {
            return Some(Arc::clone(known));
        }
        let fresh = Arc::new(RuleCounts::new(wire, known.map(|(_, known)| &**known), self.workers));
        let generation = core.names.generation();
        // Who still serves by an earlier configuration does not replace what the others count by now.
        if known.is_none_or(|(of, _)| *of <= generation) {
            used.insert(key, (generation, Arc::clone(&fresh)));
        }
        Some(fresh)
    }

    /// Forgets what no rule of this configuration counts.
    pub(crate) fn retain(&self, core: &Core) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let lengths: HashMap<&str, usize> =
            core.snapshot.routes.iter().map(|route| (route.name.as_str(), route.rules.len())).collect();
        used.retain(|(route, position), _| {
            lengths.get(&**route).is_some_and(|rules| (*position as usize) < *rules)
        });
    }
}

fn made_of(wire: &Rule) -> Made {
    (wire.retry.budget, wire.rate_limit.clone(), wire.retry.hedge)
}

impl RuleCounts {
    fn new(wire: &Rule, before: Option<&Self>, workers: usize) -> Self {
        let same = before.filter(|before| before.made_of.0 == wire.retry.budget);
        let budget = same.map_or_else(
            || Arc::new(Budget::new(wire.retry.budget, workers)),
            |before| Arc::clone(&before.budget),
        );
        let limiter = wire.rate_limit.as_ref().map(|limit| {
            let before =
                before.and_then(|before| Some((before.limiter.as_ref()?, before.made_of.1.as_ref()?)));
            before.map_or_else(|| LocalLimiter::new(limit), |(before, old)| before.with_limits(old, limit))
        });
        let hedger = |hedge| Mutex::new(Hedger::new(hedge, clock::now().0));
        let hedgers = wire.retry.hedge.map(|hedge| (0..workers).map(|_| hedger(hedge)).collect());
        Self { budget, limiter, hedgers: hedgers.unwrap_or_default(), made_of: made_of(wire) }
    }

    /// A worker's own.
    pub(crate) fn hedger(&self, worker: usize) -> Option<MutexGuard<'_, Hedger>> {
        Some(self.hedgers.get(worker)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{core, rule, service};
    use serde_json::{Value, json};
    use tulle_decide::rate_limit::{Limiter, Verdict};

    /// A rule that lets so many requests pass at once, and none after that for long.
    fn limited(burst: u32) -> Value {
        let limit = json!({ "requestsPerSecond": 1, "burst": burst, "key": null, "keys": 1000 });
        rule(&[("/rateLimit", limit)])
    }

    fn config(generation: u32, rules: &[Value]) -> Core {
        core(generation, rules, &[service("api", &[])])
    }

    fn counts(book: &RuleBook, core: &Core, index: u32) -> Arc<RuleCounts> {
        book.counts(core, RuleId(index)).unwrap()
    }

    /// How many of ten requests at this time pass.
    fn passing(counts: &RuleCounts, now: u64) -> usize {
        let limiter = counts.limiter.as_ref().unwrap();
        (0..10).filter(|_| matches!(limiter.decide(None, now), Verdict::Pass { .. })).count()
    }

    #[test]
    fn what_was_counted_stays_while_the_numbers_change() {
        let book = RuleBook::new(2);
        let first = config(1, &[limited(3)]);
        let before = counts(&book, &first, 0);
        assert_eq!(passing(&before, 1), 3);
        // The same rule in another configuration is the same.
        let same = counts(&book, &config(2, &[limited(3)]), 0);
        assert!(Arc::ptr_eq(&before, &same));
        // Another limit, of which three are used up; and the budget of old.
        let wider = counts(&book, &config(3, &[limited(5)]), 0);
        assert_eq!(passing(&wider, 2), 2);
        assert!(Arc::ptr_eq(&before.budget, &wider.budget));
        let budget = json!({ "percent": 10, "minPerSecond": 1 });
        let other = rule(&[("/retry/budget", budget)]);
        let changed = counts(&book, &config(4, &[other]), 0);
        assert!(!Arc::ptr_eq(&before.budget, &changed.budget) && changed.limiter.is_none());
    }

    #[test]
    fn who_serves_by_an_earlier_configuration_replaces_nothing() {
        let book = RuleBook::new(2);
        let (old, new) = (config(1, &[limited(3)]), config(2, &[limited(5)]));
        let present = counts(&book, &new, 0);
        let late = counts(&book, &old, 0);
        assert!(!Arc::ptr_eq(&present, &late));
        assert!(Arc::ptr_eq(&present, &counts(&book, &new, 0)), "all workers count in one place");
    }

    #[test]
    fn rules_that_are_gone_are_forgotten_and_others_are_not() {
        let book = RuleBook::new(2);
        let both = config(1, &[limited(3), limited(3)]);
        let (first, second) = (counts(&book, &both, 0), counts(&book, &both, 1));
        book.retain(&config(2, &[limited(3)]));
        assert!(Arc::ptr_eq(&first, &counts(&book, &both, 0)));
        assert!(!Arc::ptr_eq(&second, &counts(&book, &both, 1)));
    }

    #[test]
    fn each_worker_has_a_hedger_of_its_own() {
        let hedge = json!({ "percentile": 95, "maxPercent": 5 });
        let book = RuleBook::new(2);
        let core = config(1, &[rule(&[("/retry/hedge", hedge)]), rule(&[])]);
        let counts = |index| book.counts(&core, RuleId(index)).unwrap();
        let hedged = counts(0);
        let first = hedged.hedger(0);
        assert!(first.is_some() && hedged.hedger(1).is_some() && hedged.hedger(2).is_none());
        assert!(counts(1).hedger(0).is_none());
    }
}
