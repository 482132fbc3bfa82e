//! What can go wrong at the rim, in words an operator can act on.

/// Why the engine did not start or a snapshot was not applied. Each displays as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The snapshot itself.
    #[error(transparent)]
    Snapshot(#[from] tulle_snapshot::Error),
    /// A listener could not be opened, or its certificates not be used.
    #[error("listener {listener}: {problem}")]
    Listener {
        /// The listener's name.
        listener: String,
        /// What is wrong.
        problem: String,
    },
    /// A service's certificates could not be used.
    #[error("service {service}: {problem}")]
    Service {
        /// The service's name.
        service: String,
        /// What is wrong.
        problem: String,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What we wanted.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
    /// A change that needs a restart.
    #[error("{0} cannot change while running: restart to apply it")]
    NeedsRestart(&'static str),
}
