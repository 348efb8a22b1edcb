//! Keys that are never trusted: the files of `RevokedHostKeys` (ssh_config(5)).

use std::path::{Path, PathBuf};

use super::krl::Krl;
use super::{HostKey, HostKeyProblem, Place, read_keys};
use crate::error::io_text;

/// Some files of revoked keys, each a list of public keys or a key revocation list (`ssh-keygen -k`).
#[derive(Debug, Clone, Default)]
pub struct RevokedKeys {
    files: Vec<(PathBuf, Result<Content, String>)>,
}

#[derive(Debug, Clone)]
enum Content {
    Lines(Vec<(Place, HostKey)>),
    Krl(Krl),
}

impl RevokedKeys {
    /// Reads the files. One that cannot be read revokes every key: nobody knows what stands in it.
    pub fn read(files: &[PathBuf]) -> Self {
        let read = |file: &PathBuf| {
            let bytes = std::fs::read(file).map_err(|e| io_text(&e));
            (file.clone(), bytes.and_then(|bytes| parse(file, &bytes)))
        };
        Self { files: files.iter().map(read).collect() }
    }

    /// The files when reading them was stopped: every key is revoked.
    pub(crate) fn unread(files: &[PathBuf]) -> Self {
        let stopped = |file: &PathBuf| (file.clone(), Err("reading it was stopped".to_owned()));
        Self { files: files.iter().map(stopped).collect() }
    }

    /// Why a key, or a certificate, its key or its authority, must not be trusted; `None` if nothing is against it.
    pub fn objection(&self, key: &HostKey) -> Option<HostKeyProblem> {
        self.files.iter().find_map(|(file, content)| match content {
            Err(reason) => {
                Some(HostKeyProblem::RevocationUnknown { file: file.clone(), reason: reason.clone() })
            }
            Ok(Content::Lines(lines)) => {
                let plain = key.plain();
                let authority = key.certificate().map(|certificate| certificate.authority);
                let place = lines.iter().find(|(_, revoked)| {
                    let revoked = revoked.plain();
                    revoked == plain || Some(&revoked) == authority.as_ref()
                });
                place.map(|(place, _)| HostKeyProblem::Revoked { place: place.clone() })
            }
            Ok(Content::Krl(krl)) => krl
                .revokes(key)
                .then(|| HostKeyProblem::Revoked { place: Place { file: file.clone(), line: 0 } }),
        })
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Content, String> {
    if Krl::is_one(bytes) {
        return Krl::parse(bytes).map(Content::Krl).map_err(str::to_owned);
    }
    Ok(Content::Lines(read_keys(file, bytes).into_iter().map(|listed| (listed.place, listed.key)).collect()))
}

#[cfg(test)]
#[path = "revoked_tests.rs"]
mod tests;
