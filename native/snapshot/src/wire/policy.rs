//! Authorization policies: who may call what.

use super::route::PathMatch;
use serde::{Deserialize, Serialize};

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The operator's name for it.
    pub name: String,
    /// Indices of the listeners it guards, ascending, not empty.
    pub listeners: Vec<u32>,
    /// Allow or deny.
    pub action: Action,
    /// Enforce, or only record.
    pub mode: Mode,
    /// The policy fits a request when one of these does.
    pub rules: Vec<PolicyRule>,
}

/// What a policy does with requests that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Lets them in, and everyone else not.
    Allow,
    /// Refuses them, whatever allows them.
    Deny,
}

/// Whether a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It decides.
    Enforce,
    /// It only records what it would have done.
    Shadow,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// SPIFFE IDs, one of which the caller must have. Null: any authenticated caller for allow (any caller where the
    /// listener asks for no client certificate), everybody for deny.
    pub from: Option<Vec<String>>,
    /// Methods, case-sensitive; null: any.
    pub methods: Option<Vec<String>>,
    /// On the normalized path; null: any.
    pub paths: Option<Vec<PathMatch>>,
}
