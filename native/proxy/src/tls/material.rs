//! The files that certificates come from, read once for a whole build, and how a change of them is noticed.
//!
//! In: paths. Out: their bytes for [`super::configs`], and digests of exactly these bytes.

use super::error::TlsConfigError;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A larger file is refused: lists of revoked certificates are the largest there are.
const MAX_FILE: u64 = 64 * 1024 * 1024;

type Digest = [u8; 32];

/// The files of one configuration, as they were at one time.
pub struct Material {
    files: BTreeMap<PathBuf, Result<(Vec<u8>, Digest), String>>,
}

impl Material {
    /// Reads each file. A file that cannot be read is noted, not an error yet.
    pub fn read<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        let one = |path: P| (path.as_ref().to_path_buf(), read(path.as_ref()));
        Self { files: paths.into_iter().map(one).collect() }
    }

    /// The bytes of a file that was read.
    pub fn bytes(&self, path: &Path) -> Result<&[u8], TlsConfigError> {
        match self.files.get(path) {
            Some(Ok((bytes, _))) => Ok(bytes),
            Some(Err(reason)) => Err(TlsConfigError::new(path, reason)),
            None => Err(TlsConfigError::new(path, "was not read")),
        }
    }

    /// Digests of what was read.
    #[must_use]
    pub fn fingerprints(&self) -> Fingerprints {
        let one = |(path, file): (&PathBuf, &Result<(Vec<u8>, Digest), String>)| {
            (path.clone(), file.as_ref().map(|(_, digest)| *digest).map_err(Clone::clone))
        };
        Fingerprints(self.files.iter().map(one).collect())
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

/// What a set of files held: a SHA-256 of each, or why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints(BTreeMap<PathBuf, Result<Digest, String>>);

impl Fingerprints {
    /// Reads the files again: true when the content of one differs. Names, times and inodes do not matter.
    #[must_use]
    pub fn changed(&self) -> bool {
        Material::read(self.0.keys()).fingerprints() != *self
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, Digest), String> {
    let mut bytes = Vec::new();
    // Looked at before it is opened: opening a pipe would wait for somebody to write.
    if !std::fs::metadata(path).map_err(|error| reason(&error))?.is_file() {
        return Err("is not a file".into());
    }
    let file = std::fs::File::open(path).map_err(|error| reason(&error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is larger than 64 MiB".into());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes).as_ref());
    Ok((bytes, digest))
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".into(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".into(),
        _ => format!("cannot be read: {error}"),
    }
}
