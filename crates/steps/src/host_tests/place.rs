//! A folder that stands for a host without systemd, with a closed PATH.

use std::collections::BTreeMap;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::{
    Become, FindingCode, HostName, HostPlan, HostStep, Limits, Message, Operator, Plan, PlaybookSource,
    Presence, RunId, ShutdownHow, StepId, StepSpec, Target, TextId, TimeSource,
};
use pipedown_ssh::Exec;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::agenda::{AgendaFiles, Owner, render};
use crate::{
    ArmReport, CancelReport, ChangeName, Changer, HostShell, Looker, NologinFiles, ReplaceMode, Seen,
    ShellOptions, StepError, Which, arm, cancel, command, fragment, library, look,
};

const TOOLS: &[&str] = &[
    "sleep",
    "setsid",
    "date",
    "cat",
    "mv",
    "cp",
    "rm",
    "rmdir",
    "mkdir",
    "ln",
    "chmod",
    "id",
    "sha256sum",
    "readlink",
    "tr",
    "sed",
    "grep",
    "awk",
    "sync",
    "stat",
    "find",
    "uname",
    "getent",
];

/// What an embedded host provides instead of the machine's own.
const PROVIDED: &[(&str, &str)] = &[
    ("shutdown", "printf '%s %s\\n' \"$(date +%s.%N)\" \"$*\" >>\"$PIPEDOWN_ROOT/var/log/down\""),
    ("logger", "printf '%s\\n' \"$*\" >>\"$PIPEDOWN_ROOT/var/log/syslog\""),
    ("who", "[ ! -r \"$PIPEDOWN_ROOT/run/users\" ] || cat \"$PIPEDOWN_ROOT/run/users\""),
    ("hostname", "echo testhost"),
];

pub(super) struct Place {
    dir: TempDir,
    pub(super) shell: &'static str,
}

/// One for each shell that hosts have and this machine too. Only a few tests have theirs at the same time: what
/// happens at a time must not wait for what others do.
pub(super) async fn places() -> Places {
    static TURNS: Semaphore = Semaphore::const_new(3);
    let turn = TURNS.acquire().await.unwrap();
    let places: Vec<Place> = ["dash", "busybox"].into_iter().filter_map(Place::with).collect();
    Places { places: places.into_iter(), _turn: turn }
}

pub(super) struct Places {
    places: std::vec::IntoIter<Place>,
    _turn: SemaphorePermit<'static>,
}

impl Iterator for Places {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        self.places.next()
    }
}

pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.exists())
}

impl Place {
    /// None, with a line about it, where this machine has no such shell.
    pub(super) fn with(shell: &'static str) -> Option<Self> {
        let path = find_program(shell);
        if path.is_none() {
            println!("skipped, not installed: {shell}");
        }
        Some(Self::new(shell, &path?))
    }

    fn new(shell: &'static str, path: &Path) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path();
        for folder in ["bin", "etc", "run", "var/lib", "var/log", "proc/sys/kernel/random", "dev"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        symlink(path, root.join("bin/sh")).unwrap();
        for tool in TOOLS {
            if let Some(path) = find_program(tool) {
                symlink(path, root.join("bin").join(tool)).unwrap();
            }
        }
        let place = Self { dir, shell };
        for (name, script) in PROVIDED {
            place.provide(name, script);
        }
        place.write("etc/motd", "welcome to testhost\n");
        place.write("etc/machine-id", "30e062ffeb734759a9ff0e737008a780\n");
        place.boot('1');
        place
    }

    /// Puts a program there, instead of one that is.
    pub(super) fn provide(&self, name: &str, script: &str) {
        let path = self.root().join("bin").join(name);
        let _ = std::fs::remove_file(&path);
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.create_new(true).write(true).mode(0o755).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let mut file = std::fs::File::create(self.root().join(path)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    /// Empty when it is not there.
    pub(super) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap_or_default()
    }

    pub(super) fn mode(&self, path: &str) -> u32 {
        std::fs::metadata(self.root().join(path)).unwrap().permissions().mode() & 0o7777
    }

    /// The tombstone's first word.
    pub(super) fn grave(&self, run: &str) -> String {
        let text = self.read(&format!("var/lib/pipedown/ended/{run}"));
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// Another boot id, as after a reboot.
    pub(super) fn boot(&self, digit: char) {
        let id: String = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".replace('x', &digit.to_string());
        self.write("proc/sys/kernel/random/boot_id", &format!("{id}\n"));
    }

    /// Path and content of every file but the log's: what must be as before.
    pub(super) fn listing(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for part in ["etc", "run", "var/lib"] {
            self.collect(&self.root().join(part), &mut found);
        }
        found
    }

    fn collect(&self, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(self.root()).unwrap().display().to_string();
            if path.is_dir() {
                self.collect(&path, found);
                found.insert(format!("{name}/"), String::new());
            } else {
                let text = std::fs::read(&path).unwrap_or_default();
                found.insert(name, String::from_utf8_lossy(&text).into_owned());
            }
        }
    }

    fn environment(&self, program: &mut Command) {
        program.env_clear().env("PATH", self.root().join("bin")).env("PIPEDOWN_ROOT", self.root());
    }

    pub(super) async fn open(&self) -> HostShell {
        let mut program = Command::new(self.root().join("bin/sh"));
        program.args(["-c", &command(Become::None, false)]);
        self.environment(&mut program);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = tokio::process::Command::from(program).spawn().unwrap();
        let exec = Exec::from_child(child, 8 * 1024 * 1024).unwrap();
        let options = ShellOptions { run: Some(run_id("run-a")), ..ShellOptions::default() };
        HostShell::open(exec, Become::None, None, library(), options).await.unwrap()
    }

    /// Starts a fragment without the driver, in a process group of its own.
    pub(super) fn spawn(&self, source: &str, args: &[&str]) -> std::process::Child {
        use std::os::unix::process::CommandExt as _;
        let mut program = Command::new(self.root().join("bin/sh"));
        program.args(["-c", &format!("{}\n{source}", library()), "pipedown"]).args(args);
        self.environment(&mut program);
        program.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        program.spawn().unwrap()
    }

    /// Starts the agenda as the unit would after a reboot.
    pub(super) fn come_back(&self) -> std::process::Child {
        let mut program = Command::new(self.root().join("bin/sh"));
        program.arg(self.root().join("var/lib/pipedown/window/agenda.sh"));
        self.environment(&mut program);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        program.spawn().unwrap()
    }

    pub(super) async fn arm(&self, files: &AgendaFiles, mode: &ReplaceMode) -> Result<ArmReport, StepError> {
        let mut shell = self.open().await;
        let mut changer = Changer::new(&mut shell, name(files.run().as_str()));
        arm(&mut changer, files, mode, NologinFiles::Run).await
    }

    /// Arms a window that is still ahead afterwards, also on a machine that has a lot to do; tells its run and time.
    pub(super) async fn arm_ahead(
        &self,
        build: impl Fn(&str, DateTime<Utc>) -> AgendaFiles,
    ) -> (String, DateTime<Utc>) {
        for seconds in [5, 20, 80] {
            let (run, at) = (format!("run-{seconds}"), from_now(seconds));
            match self.arm(&build(&run, at), &ReplaceMode::Fresh).await {
                Ok(_) if wall_clock() + TimeDelta::seconds(1) < at => return (run, at),
                Ok(_) | Err(StepError::Refused { code: FindingCode::PastDue, .. }) => {}
                Err(StepError::Host { text, .. }) if text.contains("it ended at once") => {}
                Err(error) => panic!("{error}"),
            }
            let _ = self.cancel_run(&run).await;
            self.cut_power();
            for path in ["var/log/down", "run/nologin"] {
                let _ = std::fs::remove_file(self.root().join(path));
            }
        }
        panic!("this machine has too much to do");
    }

    pub(super) async fn cancel(&self, which: &Which) -> Result<CancelReport, StepError> {
        let mut shell = self.open().await;
        let mut changer = Changer::new(&mut shell, name("run-a"));
        cancel(&mut changer, which, None).await
    }

    pub(super) async fn cancel_run(&self, run: &str) -> CancelReport {
        self.cancel(&Which::Run(run_id(run))).await.unwrap()
    }

    pub(super) async fn look(&self) -> Seen {
        let mut shell = self.open().await;
        look(&mut Looker::new(&mut shell), &wall_clock).await.unwrap()
    }

    /// The process that executes the agenda.
    pub(super) fn agenda_process(&self) -> u32 {
        let line = self.read("var/lib/pipedown/window/pid");
        line.split(' ').next().unwrap().parse().unwrap()
    }

    /// Every process that lives in this place.
    fn processes(&self) -> Vec<u32> {
        let mark = format!("PIPEDOWN_ROOT={}", self.root().display());
        let entries = std::fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
    }

    /// Ends every process there, as a power cut would.
    pub(super) fn cut_power(&self) {
        for pid in self.processes() {
            signal("KILL", &pid.to_string());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.cut_power();
    }
}

pub(super) fn signal(name: &str, target: &str) {
    let _ = Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
}

#[expect(clippy::disallowed_methods, reason = "agendas of real processes go by the machine's clock")]
pub(super) fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

/// Waits until something holds, at most for `limit`.
pub(super) async fn until(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) async fn until_clock(at: DateTime<Utc>) {
    let rest = at.signed_duration_since(wall_clock()).to_std().unwrap_or_default();
    tokio::time::sleep(rest).await;
}

pub(super) fn run_id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

fn name(run: &str) -> ChangeName {
    ChangeName { run: run_id(run), operator: Operator::new("carol", "desk"), reason: "called off".to_owned() }
}

/// A plan in the making.
pub(crate) struct Draft {
    plan: Plan,
    steps: Vec<HostStep>,
    window: Option<DateTime<Utc>>,
}

impl Draft {
    pub(crate) fn new() -> Self {
        let playbook = PlaybookSource {
            name: "test".to_owned(),
            origin: "built in".to_owned(),
            text: String::new(),
            vars: BTreeMap::new(),
        };
        let plan = Plan {
            v: Plan::FORMAT,
            compiled: wall_clock(),
            playbook,
            reason: "new disks".to_owned(),
            window: None,
            time: TimeSource { given: "18:00".to_owned(), zone: "Etc/UTC".to_owned(), explicit: false },
            local: Vec::new(),
            batches: Vec::new(),
            max_failures: None,
            limits: Limits::default(),
            texts: BTreeMap::new(),
            hosts: Vec::new(),
        };
        Self { plan, steps: Vec::new(), window: None }
    }

    pub(crate) fn text(&mut self, text: &str) -> TextId {
        let id = TextId::of(text.as_bytes());
        self.plan.texts.insert(id, text.to_owned());
        id
    }

    pub(crate) fn step(mut self, id: &str, spec: StepSpec) -> Self {
        self.steps.push(HostStep { id: StepId::new(id).unwrap(), spec });
        self
    }

    pub(crate) fn broadcast(mut self, at: DateTime<Utc>, text: &str) -> Self {
        let text = self.text(text);
        let not_after = Some(at + TimeDelta::seconds(60));
        let messages = vec![Message { at: Some(at), not_after, text }];
        self.step("broadcast", StepSpec::Broadcast { messages })
    }

    pub(crate) fn nologin(mut self, at: DateTime<Utc>, text: &str) -> Self {
        let text = self.text(text);
        self.step("nologin", StepSpec::Nologin { at: Some(at), presence: Presence::Present, text })
    }

    pub(crate) fn motd(mut self, at: DateTime<Utc>, text: &str) -> Self {
        let text = self.text(text);
        self.step("motd", StepSpec::Motd { at: Some(at), presence: Presence::Present, text })
    }

    pub(crate) fn ends_at(mut self, at: DateTime<Utc>) -> Self {
        self.window = Some(at);
        self
    }

    pub(crate) fn shutdown(mut self, at: DateTime<Utc>, not_after: TimeDelta) -> Self {
        let cancelled = self.text("The maintenance is called off.\n");
        self.window = Some(at);
        let spec = StepSpec::Shutdown {
            at,
            not_after: at + not_after,
            how: ShutdownHow::Poweroff,
            announce_in_logind: false,
            cancelled,
        };
        self.step("shutdown", spec)
    }

    pub(crate) fn plan(mut self, user: &str) -> Plan {
        let target = Target {
            logins: Vec::new(),
            address: "10.0.0.1".to_owned(),
            port: 22,
            user: user.to_owned(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            r#become: Become::None,
        };
        self.plan.window = self.window;
        self.plan.hosts = vec![HostPlan {
            host: HostName::new("login01").unwrap(),
            target,
            zone: "Etc/UTC".to_owned(),
            window: self.window,
            steps: self.steps.into(),
        }];
        self.plan
    }

    pub(crate) fn files(self, run: &str) -> AgendaFiles {
        let plan = self.plan("root");
        render(&plan, &plan.hosts[0], &owner(run)).unwrap()
    }
}

pub(crate) fn owner(run: &str) -> Owner {
    Owner {
        run: run_id(run),
        operator: Operator::new("alice", "admin"),
        controller: "admin".to_owned(),
        reason: "new disks".to_owned(),
    }
}

pub(crate) fn from_now(seconds: i64) -> DateTime<Utc> {
    let at = wall_clock() + TimeDelta::seconds(seconds);
    DateTime::from_timestamp(at.timestamp(), 0).unwrap()
}

/// The usual window: motd and a message now, nologin a minute before.
pub(crate) fn usual(run: &str, at: DateTime<Utc>) -> AgendaFiles {
    usual_draft(at).files(run)
}

pub(super) fn usual_draft(at: DateTime<Utc>) -> Draft {
    let now = from_now(0);
    Draft::new()
        .motd(now, "Going down soon.\n")
        .broadcast(now, "This host goes down soon.\n")
        .nologin(at - TimeDelta::seconds(60), "No logins: maintenance.\n")
        .shutdown(at, TimeDelta::seconds(300))
}

pub(super) fn arm_source() -> &'static str {
    fragment::arm()
}

/// What a look tells of a host with a window of run-a, at a time.
pub(crate) fn seen_at(now: DateTime<Utc>) -> Seen {
    let text = format!(
        "now {now}\nlogind running\nscheduled (st) \"\" 0\nroot 0\nlogin root\ninit systemd\noffset +0000\n\
         person bob pts/1 terminal -\nperson eve - background tmux\n\
         owner run run-a\nowner operator alice@admin\nagenda {at} {at} end\n\
         agenda-hash {hash}\nalive no\ndone-at {now}\nend look\n",
        now = now.timestamp(),
        at = now.timestamp() + 60,
        hash = TextId::of(b""),
    );
    crate::look::parse(text.as_bytes(), now, now).unwrap()
}
