//! The state directory: where runs live, which storage it is on, and who owns a run.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use pipedown_model::RunId;
use rustix::fs::{FlockOperation, flock};

use crate::EngineError;

/// `$XDG_STATE_HOME/pipedown`: one folder per run below `runs/`.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

/// Whether SQLite's WAL is safe there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// A file system of this machine.
    Local,
    /// Shared over a network, where WAL's shared memory does not work (sqlite.org/wal.html).
    Network,
}

/// Magic numbers from statfs(2) of file systems that other machines may write to.
const NETWORK_MAGICS: [i64; 9] = [
    0x6969,                 // NFS
    0x517B,                 // SMB
    0xFF53_4D42_u32 as i64, // CIFS
    0xFE53_4D42_u32 as i64, // SMB2
    0x6573_5546,            // FUSE: sshfs, GlusterFS, and local ones that cannot be told apart
    0x0102_1997,            // 9P
    0x00C3_6400,            // Ceph
    0x0BD0_0BD0,            // Lustre
    0x4750_4653,            // GPFS
];

impl StorageKind {
    /// Asks statfs(2).
    ///
    /// # Errors
    /// When the path does not exist.
    pub fn of(path: &Path) -> Result<Self, EngineError> {
        let stat = rustix::fs::statfs(path).map_err(|e| file("look at", path, e.into()))?;
        Ok(Self::from_magic(stat.f_type))
    }

    fn from_magic(magic: i64) -> Self {
        if NETWORK_MAGICS.contains(&magic) { Self::Network } else { Self::Local }
    }
}

fn file(act: &'static str, path: &Path, source: std::io::Error) -> EngineError {
    EngineError::File { act, path: path.to_owned(), source }
}

impl StateDir {
    /// Names the state directory; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of a run.
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.0.join("runs").join(run.as_str())
    }

    /// The journal of a run.
    pub fn journal(&self, run: &RunId) -> PathBuf {
        self.run_dir(run).join("journal.db")
    }

    /// What the commands of a run printed, see [`OutputLog`](crate::OutputLog).
    pub fn output(&self, run: &RunId) -> PathBuf {
        self.run_dir(run).join("output")
    }

    /// The control socket of the process that works on a run.
    pub fn socket(&self, run: &RunId) -> PathBuf {
        self.run_dir(run).join("control.sock")
    }

    /// Makes the folder of a run, readable by its owner alone: texts may be confidential.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_run_dir(&self, run: &RunId) -> Result<PathBuf, EngineError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = self.run_dir(run);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| file("make", &path, e))?;
        Ok(path)
    }

    /// All runs, newest first (ids begin with the date).
    ///
    /// # Errors
    /// When the folder exists and cannot be read.
    pub fn runs(&self) -> Result<Vec<RunId>, EngineError> {
        let folder = self.0.join("runs");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(file("read", &folder, e)),
        };
        let mut found: Vec<(std::time::SystemTime, RunId)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let run = RunId::new(entry.file_name().to_str()?).ok()?;
                let born =
                    self.journal(&run).metadata().and_then(|m| m.created().or_else(|_| m.modified())).ok()?;
                Some((born, run))
            })
            .collect();
        found.sort_by(|a, b| b.cmp(a));
        Ok(found.into_iter().map(|(_, run)| run).collect())
    }

    /// Finds a run by its id or by an unambiguous part of it; `last` is the newest.
    ///
    /// # Errors
    /// When none, or more than one, matches.
    pub fn find(&self, text: &str) -> Result<RunId, EngineError> {
        let runs = self.runs()?;
        if let Some(exact) = runs.iter().find(|r| r.as_str() == text) {
            return Ok(exact.clone());
        }
        if let ("last", Some(newest)) = (text, runs.first()) {
            return Ok(newest.clone());
        }
        let mut matching = runs.iter().filter(|r| r.as_str().contains(text));
        match (matching.next(), matching.next()) {
            (Some(run), None) => Ok(run.clone()),
            _ => Err(EngineError::NoSuchRun(text.to_owned(), self.0.clone())),
        }
    }
}

/// The right to work on a run: an flock(2) that dies with the process.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "held for its lock")] std::fs::File);

impl RunLock {
    /// Takes the lock, or says who has it.
    ///
    /// # Errors
    /// [`EngineError::Taken`] when another process has it.
    pub fn take(state: &StateDir, run: &RunId) -> Result<Self, EngineError> {
        let path = state.run_dir(run).join("lock");
        let mut lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| file("open", &path, e))?;
        if let Err(e) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(file("lock", &path, e.into()));
            }
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            return Err(EngineError::Taken { run: run.clone(), holder: holder.trim().to_owned() });
        }
        // The id is only for messages: on a full disk the lock itself still holds.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self(lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_by_their_magic() {
        assert_eq!(StorageKind::from_magic(0x6969), StorageKind::Network);
        assert_eq!(StorageKind::from_magic(0xEF53), StorageKind::Local);
    }

    #[test]
    fn a_run_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let run = RunId::new("r1").unwrap();
        state.create_run_dir(&run).unwrap();
        let held = RunLock::take(&state, &run).unwrap();
        let refused = RunLock::take(&state, &run).unwrap_err();
        assert!(
            matches!(&refused, EngineError::Taken { holder, .. } if *holder == std::process::id().to_string())
        );
        drop(held);
        RunLock::take(&state, &run).unwrap();
    }
}
