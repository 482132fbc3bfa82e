//! Why policies and routes could not be compiled.

/// A rule that cannot be compiled; the snapshot is refused whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct BuildError {
    /// Where, as a path of keys, such as `routes[3].rules[0].matches[0].path`.
    pub at: String,
    /// What is wrong with it.
    pub problem: String,
}

impl BuildError {
    pub(crate) fn new(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into() }
    }
}
