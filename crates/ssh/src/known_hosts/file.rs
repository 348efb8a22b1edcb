//! Changing known_hosts files: whole or not at all, and nothing but what was meant.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::line::{Line, parse_line};
use crate::error::SshError;

/// The mode of a file that did not exist.
const MODE: u32 = 0o600;
/// The mode of its folder, if that did not exist either.
const FOLDER_MODE: u32 = 0o700;
/// More symbolic links than that are a loop.
const MOST_LINKS: usize = 40;

/// A known_hosts file that is being changed.
///
/// From [`open`](Self::open) on other changes of ours wait (flock(2) on the folder: the file itself is replaced).
/// [`save`](Self::save) looks whether others, who know nothing of this, have changed it meanwhile.
#[derive(Debug)]
pub struct KnownHostsFile {
    /// As it was named.
    path: PathBuf,
    /// Where symbolic links lead.
    target: PathBuf,
    before: Option<Vec<u8>>,
    lines: Vec<Raw>,
    _lock: File,
}

/// A line with its end, byte for byte; `None` once it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw(Option<Vec<u8>>);

impl KnownHostsFile {
    /// Reads a file and keeps others from changing it. A missing file is an empty one. May wait for others.
    ///
    /// # Errors
    /// When the file or its folder cannot be read.
    pub fn open(path: &Path) -> Result<Self, SshError> {
        let failed = |source| SshError::File { doing: "read", path: path.to_owned(), source };
        let target = follow(path).map_err(failed)?;
        let lock = lock(&target).map_err(failed)?;
        let before = read(&target).map_err(failed)?;
        let lines = split(before.as_deref().unwrap_or_default());
        Ok(Self { path: path.to_owned(), target, before, lines, _lock: lock })
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.before.is_some()
    }

    /// The lines with their numbers, without their ends; lossy where a line is not UTF-8.
    pub fn lines(&self) -> impl Iterator<Item = (usize, String)> {
        self.raw().map(|(number, bytes)| {
            let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            (number, String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned())
        })
    }

    fn raw(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let numbered = (1..).zip(&self.lines);
        numbered.filter_map(|(number, Raw(bytes))| Some((number, bytes.as_deref()?)))
    }

    /// The lines that name keys, with what they say.
    pub(super) fn parsed(&self) -> impl Iterator<Item = (usize, Result<Line, &'static str>)> {
        self.lines().filter_map(|(number, text)| Some((number, parse_line(&text).transpose()?)))
    }

    /// Adds a line at the end, with the line end that the file uses.
    pub fn add(&mut self, line: &str) {
        let is_crlf = self.lines.iter().filter_map(|Raw(bytes)| bytes.as_ref()).any(|l| l.ends_with(b"\r\n"));
        let end: &[u8] = if is_crlf { b"\r\n" } else { b"\n" };
        let last = self.lines.iter_mut().rev().find_map(|Raw(bytes)| bytes.as_mut());
        if let Some(last) = last.filter(|last| !last.ends_with(b"\n")) {
            last.extend(end);
        }
        self.lines.push(Raw(Some([line.as_bytes(), end].concat())));
    }

    /// Removes a line. Says whether it was there.
    pub fn remove(&mut self, number: usize) -> bool {
        self.line_mut(number).is_some_and(|Raw(bytes)| bytes.take().is_some())
    }

    /// Puts other lines in the place of one, with its line end. Says whether it was there.
    pub fn replace(&mut self, number: usize, with: &[String]) -> bool {
        let Some(Raw(Some(bytes))) = self.line_mut(number) else { return false };
        let end: &[u8] = match bytes.as_slice() {
            crlf if crlf.ends_with(b"\r\n") => b"\r\n",
            _ => b"\n",
        };
        let is_last_open = !bytes.ends_with(b"\n");
        let mut text: Vec<u8> = with.iter().flat_map(|line| [line.as_bytes(), end].concat()).collect();
        if is_last_open {
            text.truncate(text.len().saturating_sub(end.len()));
        }
        *bytes = text;
        true
    }

    fn line_mut(&mut self, number: usize) -> Option<&mut Raw> {
        number.checked_sub(1).and_then(|index| self.lines.get_mut(index))
    }

    /// What the file would hold.
    pub fn bytes(&self) -> Vec<u8> {
        self.lines.iter().filter_map(|Raw(bytes)| bytes.as_deref()).collect::<Vec<_>>().concat()
    }

    /// Writes the changes, all or none: a temporary file beside the file, synced and renamed, with the mode and the
    /// owner of the old one. Says whether there was anything to write.
    ///
    /// # Errors
    /// When the file was changed by others meanwhile ([`SshError::FileChanged`]), or cannot be written.
    pub fn save(&self) -> Result<bool, SshError> {
        let bytes = self.bytes();
        if bytes == self.before.as_deref().unwrap_or_default() {
            return Ok(false);
        }
        let failed = |source| SshError::File { doing: "write", path: self.path.clone(), source };
        let now = read(&self.target).map_err(failed)?;
        if now != self.before {
            return Err(SshError::FileChanged(self.path.clone()));
        }
        write(&self.target, &bytes).map_err(failed)?;
        Ok(true)
    }

    /// Copies what the file held before to a file beside it, `NAME.old`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn back_up(&self) -> Result<PathBuf, SshError> {
        let mut name = self.target.clone().into_os_string();
        name.push(".old");
        let old = PathBuf::from(name);
        write(&old, self.before.as_deref().unwrap_or_default()).map_err(|source| SshError::File {
            doing: "write",
            path: old.clone(),
            source,
        })?;
        Ok(old)
    }
}

/// Splits after each newline; together the parts are the whole.
fn split(bytes: &[u8]) -> Vec<Raw> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| Raw(Some(line.to_vec()))).collect()
}

/// The file that symbolic links lead to, there or not.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&at) {
            // An absolute link replaces the path, as it should.
            Ok(to) => at = folder(&at).join(to),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(at);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(Errno::LOOP))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Locks the folder, which is made if it is missing.
fn lock(target: &Path) -> io::Result<File> {
    let folder = folder(target);
    let open = match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            std::fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?;
            File::open(folder)?
        }
        opened => opened?,
    };
    loop {
        match flock(&open, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            // Some network file systems cannot; the look before the rename is what remains.
            Ok(()) | Err(Errno::BADF | Errno::INVAL | Errno::NOTSUP | Errno::NOLCK) => return Ok(open),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder(target);
    let mut file = tempfile::Builder::new().prefix(".known_hosts.").tempfile_in(folder)?;
    let mode = match std::fs::metadata(target) {
        Ok(old) => {
            let new = file.as_file().metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
            }
            old.permissions().mode() & 0o7777
        }
        Err(_) => MODE,
    };
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    // The name is safe once the folder is.
    File::open(folder)?.sync_all()
}
