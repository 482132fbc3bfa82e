//! Files written whole or not at all, and read if they are there.

use crate::Error;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner alone (0600).
    Private,
    /// Everybody (0644).
    Public,
}

/// A file's content; none if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

/// Makes `path` and what is above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(Error::io(path, "make the directory"))
}

/// Puts `content` at `path`: into a new file beside it, synced, which then takes the name; the directory is synced last.
/// At no time can anybody see a part of it, or a private file with wider access.
pub(crate) fn write(path: &Path, content: &[u8], access: Access) -> Result<(), Error> {
    let (temporary, mut file) = create_beside(path, access)?;
    let result = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(Error::io(path, "write"));
    if result.is_err() {
        // Best effort: the error that matters is the first.
        let _ = std::fs::remove_file(&temporary);
        return result;
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(Error::io(directory, "sync"))
}

/// A file that did not exist, in the same directory.
fn create_beside(path: &Path, access: Access) -> Result<(PathBuf, File), Error> {
    let mode = match access {
        Access::Private => 0o600,
        Access::Public => 0o644,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut last = std::io::Error::from(ErrorKind::AlreadyExists);
    for attempt in 0..100 {
        let temporary = path.with_file_name(format!(".{name}.{}.{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(Error::io(path, "write")(error)),
        }
    }
    Err(Error::io(path, "write")(last))
}
