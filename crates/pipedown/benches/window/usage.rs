//! What a command costs: time, processor time, memory.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::{Failure, myself};

/// The word that makes this program [`watch`].
pub const ROLE: &str = "watch-one";

/// What a command took.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Usage {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time, its own and the kernel's for it; its children's included.
    pub processor: Duration,
    /// Peak of resident memory in KiB, of the largest process.
    pub memory: u64,
    /// The exit status, if no signal ended it.
    pub status: Option<i32>,
}

/// Runs a command to its end in the surroundings of `like` and measures it.
///
/// # Errors
/// When it fails.
pub fn of(like: &Command) -> Result<Usage, Failure> {
    let report = tempfile::NamedTempFile::new()?;
    // getrusage(2) adds up all children of a process: one of their own for each measurement.
    let mut watcher = Command::new(myself()?);
    watcher.arg(ROLE).arg(report.path()).arg(like.get_program()).args(like.get_args());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => watcher.env(name, value),
            None => watcher.env_remove(name),
        };
    }
    let output = watcher.stdin(Stdio::null()).output()?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("{}: {}", shown(like), said()).into());
    }
    let usage: Usage = serde_json::from_slice(&std::fs::read(report.path())?)?;
    if usage.status != Some(0) {
        return Err(format!("{} ended with {:?}:\n{}", shown(like), usage.status, said()).into());
    }
    Ok(usage)
}

fn shown(command: &Command) -> String {
    Path::new(command.get_program()).display().to_string()
}

/// Runs the rest of the arguments and writes what it took into the file that the first one names.
pub fn watch(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let measured = || -> Option<()> {
        let report = args.next()?;
        let begun = Instant::now();
        let status = Command::new(args.next()?).args(args).status().ok()?;
        let wall = begun.elapsed();
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
        let time = |value: nix::sys::time::TimeVal| {
            Duration::from_secs(value.tv_sec().unsigned_abs())
                + Duration::from_micros(value.tv_usec().unsigned_abs())
        };
        let usage = Usage {
            wall,
            processor: time(usage.user_time()) + time(usage.system_time()),
            memory: usage.max_rss().unsigned_abs(),
            status: status.code(),
        };
        let file = std::fs::File::create(report).ok()?;
        serde_json::to_writer(file, &usage).ok()
    };
    if measured().is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
