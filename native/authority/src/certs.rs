//! The files of `tulle certs`: made once, kept while they are good.

use crate::Error;
use crate::authority::{Authority, Pair, Purpose, Revoked};
use crate::files::{self, Access};
use std::path::{Path, PathBuf};

/// A file of `DIR/certs/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// True: it was there, is good, and stays as it was.
    pub kept: bool,
}

/// The leaves that the example files name.
const LEAVES: [Purpose; 3] = [
    Purpose { name: "edge", spiffe: None },
    Purpose { name: "client", spiffe: Some("spiffe://example.test/ns/shop/sa/web") },
    Purpose { name: "server", spiffe: Some("spiffe://example.test/ns/shop/sa/reviews") },
];

/// Writes what is missing in `dir/certs/` or is not good any more: a CA, leaves and a revocation list. `force` replaces
/// everything. `now` is Unix seconds.
///
/// A leaf is good when its certificate parses, is in time, is signed by the CA that is there and not revoked by it, and has
/// the key beside it. A list that is ours is never emptied without `force`: one that is late is signed anew.
pub fn write_certs(dir: &Path, force: bool, now: u64) -> Result<Vec<Written>, Error> {
    let dir = dir.join("certs");
    files::make_directory(&dir)?;
    let mut written = Vec::new();
    let present = if force { None } else { load_authority(&dir, now)? };
    let kept = present.is_some();
    let authority = if let Some(authority) = present {
        authority
    } else {
        let (authority, pair) = Authority::create(now)?;
        write_pair(&dir, "ca", &pair)?;
        authority
    };
    note_pair(&mut written, &dir, "ca", kept);
    let path = dir.join("crl.pem");
    let (revoked, late) = match read_list(&path, force)?.and_then(|list| authority.revoked_by(&list, now)) {
        Some((revoked, in_time)) => (revoked, !in_time),
        None => (Revoked::none(), true),
    };
    for purpose in &LEAVES {
        let kept = kept && is_good(&authority, &revoked, &dir, purpose.name, now)?;
        if !kept {
            write_pair(&dir, purpose.name, &authority.issue(purpose, now)?)?;
        }
        note_pair(&mut written, &dir, purpose.name, kept);
    }
    if late {
        files::write(&path, authority.sign_list(revoked, now)?.as_bytes(), Access::Public)?;
    }
    written.push(Written { path, kept: !late });
    Ok(written)
}

/// Adds a certificate that the CA in `dir/certs/` signed to its revocation list; false when it was there already. `now` is
/// Unix seconds.
pub fn revoke(dir: &Path, certificate: &Path, now: u64) -> Result<bool, Error> {
    let dir = dir.join("certs");
    let authority = load_authority(&dir, now)?.ok_or_else(|| Error::NoAuthority(dir.clone()))?;
    let pem = files::read(certificate)?.ok_or_else(|| Error::NotACertificate(certificate.to_path_buf()))?;
    let serial = authority
        .serial_of(&pem)
        .ok_or_else(|| Error::NotOurs { certificate: certificate.to_path_buf(), authority: dir.clone() })?;
    let path = dir.join("crl.pem");
    let mut revoked = match files::read(&path)?.filter(|list| !list.trim_ascii().is_empty()) {
        Some(list) => authority.revoked_by(&list, now).ok_or_else(|| Error::NotAList(path.clone()))?.0,
        None => Revoked::none(),
    };
    let added = revoked.add(serial, now)?;
    if added {
        files::write(&path, authority.sign_list(revoked, now)?.as_bytes(), Access::Public)?;
    }
    Ok(added)
}

fn paths(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")))
}

/// A certificate and its key as they are on disk.
type Found = (Vec<u8>, Vec<u8>);

fn read_pair(dir: &Path, name: &str) -> Result<Option<Found>, Error> {
    let (certificate, key) = paths(dir, name);
    Ok(files::read(&certificate)?.zip(files::read(&key)?))
}

fn load_authority(dir: &Path, now: u64) -> Result<Option<Authority>, Error> {
    let pair = read_pair(dir, "ca")?;
    Ok(pair.and_then(|(certificate, key)| Authority::load(&certificate, &key, now)))
}

fn is_good(
    authority: &Authority,
    revoked: &Revoked,
    dir: &Path,
    name: &str,
    now: u64,
) -> Result<bool, Error> {
    let good = |(certificate, key): Found| {
        authority.vouches_for(&certificate, &key, now) && !authority.revokes(revoked, &certificate)
    };
    Ok(read_pair(dir, name)?.is_some_and(good))
}

/// The key first: a certificate is never seen without its key.
fn write_pair(dir: &Path, name: &str, pair: &Pair) -> Result<(), Error> {
    let (certificate, key) = paths(dir, name);
    files::write(&key, pair.key.as_bytes(), Access::Private)?;
    files::write(&certificate, pair.certificate.as_bytes(), Access::Public)
}

fn note_pair(written: &mut Vec<Written>, dir: &Path, name: &str, kept: bool) {
    let (certificate, key) = paths(dir, name);
    written.extend([certificate, key].map(|path| Written { path, kept }));
}

fn read_list(path: &Path, force: bool) -> Result<Option<Vec<u8>>, Error> {
    if force { Ok(None) } else { files::read(path) }
}
