//! The rules of a listener's policies, found by caller: the cost of a decision does not grow with the number of callers.

use super::{BuildError, Caller, PathPattern, PolicyId, RegexCompiler, Regexes};
use crate::identity::SpiffeId;
use std::collections::HashMap;
use tulle_snapshot::wire::{Action, Mode, Policy, PolicyRule};

/// What a policy does, and whether it is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deny,
    Allow,
    ShadowDeny,
    ShadowAllow,
}

impl Kind {
    fn of(policy: &Policy) -> Self {
        match (policy.mode, policy.action) {
            (Mode::Enforce, Action::Deny) => Self::Deny,
            (Mode::Enforce, Action::Allow) => Self::Allow,
            (Mode::Shadow, Action::Deny) => Self::ShadowDeny,
            (Mode::Shadow, Action::Allow) => Self::ShadowAllow,
        }
    }
}

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    Request {
        method: &'a [u8],
        path: &'a [u8],
    },
    /// To be connected; what is said then is not looked at.
    Connection,
}

/// One rule without its `from`, which is what it is found by.
#[derive(Debug)]
struct Conditions {
    policy: PolicyId,
    /// None: any.
    methods: Option<Box<[Box<[u8]>]>>,
    /// None: any.
    paths: Option<Box<[PathPattern]>>,
}

impl Conditions {
    fn fit(&self, kind: Kind, asked: Asked<'_>, regexes: &Regexes) -> bool {
        let Asked::Request { method, path } = asked else {
            // What cannot be looked at does not let anyone in, and keeps nobody out of a refusal.
            let unconditional = self.methods.is_none() && self.paths.is_none();
            return unconditional || matches!(kind, Kind::Deny | Kind::ShadowDeny);
        };
        self.methods.as_ref().is_none_or(|list| list.iter().any(|m| **m == *method))
            && self.paths.as_ref().is_none_or(|list| list.iter().any(|p| p.matches(path, regexes)))
    }
}

/// Positions in [`Index::rules`], ascending, for each [`Kind`].
#[derive(Debug, Default)]
struct ByKind {
    deny: Vec<u32>,
    allow: Vec<u32>,
    shadow_deny: Vec<u32>,
    shadow_allow: Vec<u32>,
}

impl ByKind {
    fn of(&self, kind: Kind) -> &[u32] {
        match kind {
            Kind::Deny => &self.deny,
            Kind::Allow => &self.allow,
            Kind::ShadowDeny => &self.shadow_deny,
            Kind::ShadowAllow => &self.shadow_allow,
        }
    }

    fn push(&mut self, kind: Kind, rule: u32) {
        let list = match kind {
            Kind::Deny => &mut self.deny,
            Kind::Allow => &mut self.allow,
            Kind::ShadowDeny => &mut self.shadow_deny,
            Kind::ShadowAllow => &mut self.shadow_allow,
        };
        // A caller that `from` names twice.
        if list.last() != Some(&rule) {
            list.push(rule);
        }
    }
}

/// The rules of one listener.
#[derive(Debug, Default)]
pub(super) struct Index {
    rules: Vec<Conditions>,
    by_caller: HashMap<SpiffeId, ByKind, foldhash::fast::RandomState>,
    for_everybody: ByKind,
    /// The first enforced allow policy: its presence refuses whoever none fits.
    pub(super) first_allow: Option<PolicyId>,
    pub(super) first_shadow_allow: Option<PolicyId>,
    pub(super) has_shadow: bool,
    pub(super) has_path_conditions: bool,
}

impl Index {
    pub(super) fn build(
        policies: &[Policy],
        listener: u32,
        regexes: &mut RegexCompiler,
    ) -> Result<Self, BuildError> {
        let mut index = Self::default();
        for (id, policy) in (0..).zip(policies) {
            if policy.listeners.contains(&listener) {
                index.add(PolicyId(id), policy, regexes)?;
            }
        }
        Ok(index)
    }

    fn add(&mut self, id: PolicyId, policy: &Policy, regexes: &mut RegexCompiler) -> Result<(), BuildError> {
        let kind = Kind::of(policy);
        match kind {
            Kind::Allow => self.first_allow = self.first_allow.or(Some(id)),
            Kind::ShadowAllow => self.first_shadow_allow = self.first_shadow_allow.or(Some(id)),
            Kind::Deny | Kind::ShadowDeny => {}
        }
        self.has_shadow |= matches!(kind, Kind::ShadowAllow | Kind::ShadowDeny);
        for (i, rule) in policy.rules.iter().enumerate() {
            let at = format!("authorization[{}].rules[{i}]", id.0);
            let position = u32::try_from(self.rules.len())
                .map_err(|_| BuildError::new(&at, "there are too many rules"))?;
            self.rules.push(conditions(id, rule, &at, regexes)?);
            self.has_path_conditions |= rule.paths.is_some();
            match &rule.from {
                Some(from) => self.callers(from, kind, position, &at)?,
                // Where clients must show certificates, whoever shows none is refused before rules are looked at.
                None => self.for_everybody.push(kind, position),
            }
        }
        Ok(())
    }

    fn callers(&mut self, from: &[String], kind: Kind, rule: u32, at: &str) -> Result<(), BuildError> {
        filled(from, &format!("{at}.from"))?;
        for (i, text) in from.iter().enumerate() {
            let id = SpiffeId::parse(text)
                .map_err(|e| BuildError::new(format!("{at}.from[{i}]"), format!("{text:?} {e}")))?;
            self.by_caller.entry(id).or_default().push(kind, rule);
        }
        Ok(())
    }

    /// What may fit `caller`.
    pub(super) fn rules_for(&self, caller: Caller<'_>) -> RulesFor<'_> {
        let named = match caller {
            Caller::Anonymous => None,
            Caller::Peer(id) => self.by_caller.get(id),
        };
        RulesFor { index: self, lists: [named, Some(&self.for_everybody)] }
    }
}

fn conditions(
    policy: PolicyId,
    rule: &PolicyRule,
    at: &str,
    regexes: &mut RegexCompiler,
) -> Result<Conditions, BuildError> {
    if let Some(methods) = &rule.methods {
        filled(methods, &format!("{at}.methods"))?;
    }
    let methods = rule
        .methods
        .as_ref()
        .map(|list| list.iter().map(|m| m.as_bytes().into()).collect::<Box<[Box<[u8]>]>>());
    let Some(paths) = &rule.paths else {
        return Ok(Conditions { policy, methods, paths: None });
    };
    filled(paths, &format!("{at}.paths"))?;
    let mut patterns = Vec::with_capacity(paths.len());
    for (i, path) in paths.iter().enumerate() {
        let pattern = PathPattern::compile(path, regexes);
        patterns.push(pattern.map_err(|problem| BuildError::new(format!("{at}.paths[{i}]"), problem))?);
    }
    Ok(Conditions { policy, methods, paths: Some(patterns.into()) })
}

/// An empty list would fit nothing: a deny policy with one would silently let everything pass.
fn filled<T>(list: &[T], at: &str) -> Result<(), BuildError> {
    if list.is_empty() { Err(BuildError::new(at, "is empty: null means any")) } else { Ok(()) }
}

/// The rules that one caller's requests may fit.
pub(super) struct RulesFor<'a> {
    index: &'a Index,
    lists: [Option<&'a ByKind>; 2],
}

impl RulesFor<'_> {
    /// The first policy of `kind`, in the order of the snapshot, that fits.
    pub(super) fn first(&self, kind: Kind, asked: Asked<'_>, regexes: &Regexes) -> Option<PolicyId> {
        let fitting = |position: &u32| {
            let rule = self.index.rules.get(*position as usize)?;
            rule.fit(kind, asked, regexes).then_some(rule.policy)
        };
        let lists = self.lists.iter().flatten();
        lists.filter_map(|list| list.of(kind).iter().find_map(fitting)).min()
    }
}
