//! Why a snapshot was refused.

/// A snapshot that cannot be used. The running one keeps serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a snapshot: bad JSON, an unknown or missing key, a wrong type.
    #[error("the snapshot does not parse: {0}")]
    Parse(#[from] serde_json::Error),
    /// The snapshot is of a format that this build does not read.
    #[error("the snapshot has format {found}, this build reads {expected}")]
    Format {
        /// What the bytes say.
        found: u32,
        /// What this build reads.
        expected: u32,
    },
    /// A value is outside its bounds or refers to nothing.
    #[error("{at}: {problem}")]
    Invalid {
        /// Where, as a path of keys, such as `routes[3].backends[0].service`.
        at: String,
        /// What is wrong.
        problem: String,
    },
}
