//! Programs that print an inventory, as Ansible has them: run with `--list`, they answer in JSON.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pipedown_plan::files::Located;
use rustix::process::{Pid, Signal, kill_process};

use crate::stop::Stop;

/// A cloud with many hosts takes its time; who hangs is not waited for.
const LONGEST: Duration = Duration::from_secs(120);

/// More than this is not an inventory.
const MOST: u64 = 512 << 20;

/// Runs the program, without a shell, and returns what it prints. What it says on standard error is shown.
///
/// # Errors
/// When others could change the program, or it fails, takes too long or prints no text.
pub fn output(located: &Located) -> Result<String, Stop> {
    let path = &located.path;
    if let Some(why) = &located.exposed {
        return Err(Stop::bad_input(format!("{} is not run: others can change it: {why}", path.display()))
            .hint(
                "a program that gives the inventory must belong to you or root, in a folder that does too",
            ));
    }
    let (bytes, status) = run(path, LONGEST)?;
    if !status.success() {
        return Err(Stop::bad_input(format!("{} --list: {status}", path.display())));
    }
    String::from_utf8(bytes)
        .map_err(|_| Stop::bad_input(format!("{} --list prints bytes that are no UTF-8", path.display())))
}

fn run(path: &Path, longest: Duration) -> Result<(Vec<u8>, ExitStatus), Stop> {
    let failed = |error: std::io::Error| Stop::failed(format!("run {} --list: {error}", path.display()));
    let mut child = Command::new(path)
        .arg("--list")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, receiver) = sync_channel(1);
    // A thread, for whoever reads and waits cannot watch the clock as well.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = match child.stdout.take() {
            Some(stdout) => stdout.take(MOST).read_to_end(&mut bytes),
            None => Ok(0),
        };
        let ended = read.and_then(|_| child.wait()).map(|status| (bytes, status));
        // Nobody listens any more when it took too long.
        let _ = sender.send(ended);
    });
    match receiver.recv_timeout(longest) {
        Ok(ended) => ended.map_err(failed),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            if let Some(id) = id {
                // It may have ended just now.
                let _ = kill_process(id, Signal::KILL);
            }
            let seconds = longest.as_secs();
            Err(Stop::failed(format!("read {} --list: no end within {seconds} s", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn program(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        // Not written by this process: what it has open for writing, the programs that other tests start at the same
        // time have open too, for a moment, and what is open for writing cannot be run.
        let line = "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let wrote = Command::new("sh").args(["-c", line, "sh"]).arg(&path).arg(text).status().unwrap();
        assert!(wrote.success());
        (folder, path)
    }

    fn located(path: PathBuf, exposed: Option<String>) -> Located {
        Located { path, format: None, exposed, notices: Vec::new() }
    }

    #[test]
    fn what_it_prints_is_taken_when_it_succeeds() {
        let (_folder, path) = program("#!/bin/sh\nprintf '%s' \"$1\"\n");
        assert_eq!(output(&located(path, None)).unwrap(), "--list");
        let (_folder, path) = program("#!/bin/sh\necho x\nexit 3\n");
        assert!(output(&located(path, None)).unwrap_err().render(false).contains("exit status: 3"));
        let (_folder, path) = program("#!/bin/sh\nprintf '\\377'\n");
        assert!(output(&located(path, None)).unwrap_err().render(false).contains("UTF-8"));
    }

    #[test]
    fn what_others_can_change_is_not_run() {
        let (folder, path) = program("#!/bin/sh\n>\"$0.ran\"\n");
        let stop = output(&located(path, Some("it is writable".to_owned()))).unwrap_err();
        assert!(stop.render(false).contains("is not run"));
        assert!(!folder.path().join("hosts.ran").exists());
    }

    #[test]
    fn who_hangs_is_not_waited_for() {
        let (_folder, path) = program("#!/bin/sh\nexec sleep 1000\n");
        let stop = run(&path, Duration::from_millis(300)).unwrap_err();
        assert!(stop.render(false).contains("no end within"), "{}", stop.render(false));
    }
}
