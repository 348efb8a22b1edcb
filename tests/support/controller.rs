//! A machine that pipedown is run on: its own home, state directory, current folder, clock zone and user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pipedown_model::{Event, RunId};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::LONG;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Insists on an exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The events of `--json`.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }

    /// Insists that standard error holds a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in\n{}", self.err);
        self
    }
}

/// A controller.
pub struct Controller {
    dir: TempDir,
}

impl Controller {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pipedown-e2e.").tempdir().unwrap();
        for folder in ["home", "here"] {
            let path = dir.path().join(folder);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { dir }
    }

    /// The current folder of its commands.
    pub fn here(&self) -> PathBuf {
        self.dir.path().join("here")
    }

    /// Everything that it has.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file in the current folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::io::Write;
        let path = self.here().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    /// A command with a clean environment; the line is split as a shell would. The machine's ssh_config counts only
    /// for lines that speak of one.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipedown"));
        if !line.is_empty() && !line.contains("-F ") {
            command.args(["-F", "none"]);
        }
        command.args(shlex::split(line).unwrap()).current_dir(self.here()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.dir().join("home"));
        command.env("TZ", "UTC").env("USER", "ops").env("TERM", "xterm");
        command
            .env("COLUMNS", "100")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, line: &str) -> Said {
        self.run_within(LONG, line).await
    }

    /// Runs a command that may take its time.
    pub async fn run_within(&self, patience: Duration, line: &str) -> Said {
        let output = timeout(patience, self.command(line).output()).await;
        let output = output.unwrap_or_else(|_| panic!("never ended: {line}")).unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command and leaves it running.
    pub fn start(&self, line: &str) -> Running {
        let mut child = self.command(line).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, out, err, printed: String::new(), said: String::new() }
    }

    /// The only run that is recorded.
    pub fn only_run(&self) -> RunId {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// The run that was recorded last.
    pub async fn newest_run(&self) -> RunId {
        let listed = self.run("runs --json -n 1").await.code(0);
        let row: serde_json::Value = serde_json::from_str(listed.out.trim()).unwrap();
        RunId::new(row["run"].as_str().unwrap()).unwrap()
    }

    /// The recorded runs, in the order of their ids.
    pub fn runs(&self) -> Vec<RunId> {
        let Ok(entries) = std::fs::read_dir(self.dir().join("home/.local/state/pipedown/runs")) else {
            return Vec::new();
        };
        let mut runs: Vec<RunId> =
            entries.map(|e| RunId::new(e.unwrap().file_name().to_str().unwrap()).unwrap()).collect();
        runs.sort();
        runs
    }
}

/// A command at work.
pub struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
    printed: String,
    said: String,
}

impl Running {
    /// Reads what it says until a line holds the text.
    pub async fn until(&mut self, text: &str) -> String {
        let reading = async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                self.said.push_str(&line);
                self.said.push('\n');
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        match timeout(LONG, reading).await {
            Ok(Some(line)) => line,
            ended => panic!("{text:?} was never said ({ended:?}):\n{}", self.said),
        }
    }

    /// Reads what it prints until a line holds the text.
    pub async fn printed(&mut self, text: &str) {
        let reading = async {
            while let Some(line) = self.out.next_line().await.unwrap() {
                self.printed.push_str(&line);
                self.printed.push('\n');
                if line.contains(text) {
                    return true;
                }
            }
            false
        };
        let found = timeout(LONG, reading).await;
        assert!(found == Ok(true), "{text:?} was never printed:\n{}", self.printed);
    }

    /// Reads the events of `--json` up to the one that is waited for.
    pub async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let reading = async {
            while let Some(line) = self.out.next_line().await.unwrap() {
                self.printed.push_str(&line);
                self.printed.push('\n');
                let event: Event = serde_json::from_str(&line).unwrap();
                if wanted(&event) {
                    return Some(event);
                }
            }
            None
        };
        match timeout(LONG, reading).await {
            Ok(Some(event)) => event,
            ended => panic!("the event never came ({ended:?}):\n{}", self.printed),
        }
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Ends it as init would.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Ends it with SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for the end.
    pub async fn end(mut self) -> Said {
        let ending = async {
            tokio::join!(read_on(&mut self.err, &mut self.said), read_on(&mut self.out, &mut self.printed));
            self.child.wait().await.unwrap().code().unwrap_or(-1)
        };
        let Ok(code) = timeout(LONG, ending).await else {
            panic!("never ended:\n{}\n{}", self.printed, self.said);
        };
        Said { code, out: self.printed, err: self.said }
    }
}

async fn read_on(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, text: &mut String) {
    while let Some(line) = lines.next_line().await.unwrap() {
        text.push_str(&line);
        text.push('\n');
    }
}
