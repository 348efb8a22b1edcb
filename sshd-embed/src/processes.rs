//! The processes of embedded hosts: those whose environment names the host's directory.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, Signal, getpid, kill_process};

/// Passes over the process table after which a fork bomb has won.
const PASSES: usize = 100;

/// Kills every process whose `PIPEDOWN_ROOT` satisfies `chosen`, until none is left.
///
/// Detached ones are found as well: a host that goes down takes everything along. It reads `/proc`, so
/// call it where blocking is allowed. On systems without `/proc` it finds nothing.
pub(crate) fn kill_rooted(chosen: impl Fn(&Path) -> bool) {
    for _ in 0..PASSES {
        let found = rooted(&chosen);
        if found.is_empty() {
            return;
        }
        for pid in found {
            // Gone already, or it becomes nobody's in a moment.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::yield_now();
    }
    log::error!("processes of an embedded host do not end");
}

/// Lists the living processes of the chosen hosts.
fn rooted(chosen: impl Fn(&Path) -> bool) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|&pid| pid != getpid())
        // A zombie has no environment any more, and other users' cannot be read.
        .filter(|pid| root_of(*pid).is_some_and(|root| chosen(&root)))
        .collect()
}

fn root_of(pid: Pid) -> Option<std::path::PathBuf> {
    let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).ok()?;
    let value = environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"PIPEDOWN_ROOT="))?;
    Some(Path::new(OsStr::from_bytes(value)).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn only_the_processes_of_the_host_are_killed() {
        let sleep = |root: &str| Command::new("sleep").arg("60").env("PIPEDOWN_ROOT", root).spawn().unwrap();
        let (mut ours, mut other) = (sleep("/nonexistent/host-a"), sleep("/nonexistent/host-ab"));
        kill_rooted(|root| root == Path::new("/nonexistent/host-a"));
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
