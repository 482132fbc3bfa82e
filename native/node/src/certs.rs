//! `tulle certs`, as the command line calls it.

use crate::{caught, refused};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Result, Task};
use napi_derive::napi;
use std::path::PathBuf;
use tulle_authority::Written;

/// One file of `tulle certs`.
#[napi(object)]
pub struct CertificateFile {
    /// Its absolute path.
    pub path: String,
    /// True: it was there, is good, and stays as it was.
    pub kept: bool,
}

/// Writes `DIR/certs`: a CA, leaves and a revocation list. `now` is in seconds since 1970.
#[napi(catch_unwind, ts_return_type = "Promise<Array<CertificateFile>>")]
#[must_use]
pub fn write_certs(dir: String, force: bool, now: u32) -> AsyncTask<WriteCerts> {
    AsyncTask::new(WriteCerts { dir: PathBuf::from(dir), force, now: u64::from(now) })
}

/// [`write_certs`] off the main thread: keys take a while.
pub struct WriteCerts {
    dir: PathBuf,
    force: bool,
    now: u64,
}

impl Task for WriteCerts {
    type Output = Vec<Written>;
    type JsValue = Vec<CertificateFile>;

    fn compute(&mut self) -> Result<Self::Output> {
        caught(|| tulle_authority::write_certs(&self.dir, self.force, self.now).map_err(refused))
    }

    fn resolve(&mut self, _env: Env, written: Self::Output) -> Result<Self::JsValue> {
        let files = written.into_iter();
        Ok(files
            .map(|Written { path, kept }| CertificateFile { path: path.display().to_string(), kept })
            .collect())
    }
}
