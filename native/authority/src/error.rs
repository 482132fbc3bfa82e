//! Why certificates could not be made. Each displays as one line, without a file's content.

use std::path::{Path, PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{}: cannot {what}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What we wanted.
        what: &'static str,
        /// Its answer.
        source: std::io::Error,
    },
    /// A key or certificate could not be made.
    #[error("cannot make {what}: {source}")]
    Make {
        /// What we wanted.
        what: &'static str,
        /// Why not.
        source: rcgen::Error,
    },
    /// The time lies outside what certificates can say.
    #[error("the clock says {0} s since 1970: no certificate can begin then")]
    Time(u64),
    /// There is no CA to revoke with.
    #[error("{}: no usable CA: `ca.crt` and `ca.key` are missing, do not belong together or have expired", .0.display())]
    NoAuthority(PathBuf),
    /// The file holds no certificate.
    #[error("{}: there is no certificate in it", .0.display())]
    NotACertificate(PathBuf),
    /// The certificate is another CA's.
    #[error("{}: not signed by the CA in {}", .certificate.display(), .authority.display())]
    NotOurs {
        /// The certificate's file.
        certificate: PathBuf,
        /// The directory of the CA.
        authority: PathBuf,
    },
    /// The revocation list cannot be added to: adding would forget what it revokes.
    #[error("{}: not a revocation list of this CA", .0.display())]
    NotAList(PathBuf),
}

impl Error {
    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, what, source }
    }

    pub(crate) fn make(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Make { what, source }
    }
}
