//! Hosts that are folders, with real fragments and without SSH; a run over them.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use pipedown_engine::{Dialed, Link, Login, Opened, Opener, Options, UnknownSteps, WireProof};
use pipedown_model::{
    Become, Failure, FailureClass, HostKeySeen, HostName, HostPlan, HostStep, Limits, Message, OnFailure,
    Plan, PlaybookSource, RunId, RunStep, ShutdownHow, StepId, StepList, StepSpec, Target, TextId,
    TimeSource,
};
use pipedown_ssh::Exec;
use pipedown_steps::{HostShell, ShellOptions, command, library};
use sshd_embed::{EmbeddedHost, HostOptions};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Some hosts below one folder. Dropping them ends what runs there.
pub struct Fleet {
    dir: TempDir,
    names: Vec<HostName>,
}

impl Fleet {
    pub fn new(count: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let names = (1..=count).map(|n| HostName::new(&format!("h{n}")).unwrap()).collect();
        let fleet = Self { dir, names };
        for name in &fleet.names {
            let folder = fleet.folder(name);
            EmbeddedHost::create(&folder, name.as_str(), HostOptions::default()).unwrap();
            let id = format!("{:08x}-0000-4000-8000-000000000000\n", name.as_str().as_bytes()[1]);
            write(&folder.join("proc/sys/kernel/random/boot_id"), &id);
        }
        fleet
    }

    pub fn names(&self) -> &[HostName] {
        &self.names
    }

    pub fn folder(&self, host: &HostName) -> PathBuf {
        self.dir.path().join(host.as_str())
    }

    /// How many lines a file of the host has, of those that hold a text.
    pub fn lines(&self, host: &HostName, file: &str, text: &str) -> usize {
        let content = std::fs::read_to_string(self.folder(host).join(file)).unwrap_or_default();
        content.lines().filter(|line| line.contains(text)).count()
    }

    /// Whether a window is armed and its agenda lives.
    pub fn is_armed(&self, host: &HostName) -> bool {
        let window = self.folder(host).join("var/lib/pipedown/window");
        let pid = std::fs::read_to_string(window.join("pid")).unwrap_or_default();
        let pid = pid.split(' ').next().unwrap_or_default().to_owned();
        window.join("armed").exists() && self.processes().iter().any(|known| known.to_string() == pid)
    }

    /// The processes on the hosts.
    fn processes(&self) -> Vec<u32> {
        let mark = format!("PIPEDOWN_ROOT={}", self.dir.path().display());
        let entries = std::fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let ours = |pid: &u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
        };
        pids.filter(ours).collect()
    }

    /// Waits until nothing runs there but agendas: what a dead controller has begun has come to its end.
    pub async fn quiet(&self) {
        let is_agenda = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("agenda.sh") || line.starts_with("sleep") || line.is_empty()
        };
        let begun = Instant::now();
        while self.processes().iter().any(|pid| !is_agenda(pid)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "hosts do not become quiet");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.cut_power();
    }
}

impl Fleet {
    /// Ends everything that runs there, as a power cut would.
    pub fn cut_power(&self) {
        for pid in self.processes() {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

pub fn write(path: &Path, text: &str) {
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.create(true).write(true).truncate(true).mode(0o644).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// Opens hosts by starting a shell in their folder.
pub struct Local {
    dir: PathBuf,
    /// Hosts that cannot be reached for now.
    pub unreachable: Mutex<Vec<HostName>>,
}

impl Local {
    pub fn new(fleet: &Fleet) -> Arc<Self> {
        Arc::new(Self { dir: fleet.dir.path().to_owned(), unreachable: Mutex::default() })
    }
}

struct LocalLink {
    folder: PathBuf,
    run: Option<RunId>,
    gone: CancellationToken,
}

impl LocalLink {
    async fn shell(&self) -> Result<HostShell, Failure> {
        let child = tokio::process::Command::new(self.folder.join("bin/sh"))
            .args(["-c", &command(Become::None, false)])
            .env_clear()
            .env("PATH", self.folder.join("bin"))
            .env("PIPEDOWN_ROOT", &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let exec = Exec::from_child(child, 8 * 1024 * 1024).unwrap();
        let options = ShellOptions { run: self.run.clone(), ..ShellOptions::default() };
        HostShell::open(exec, Become::None, None, library(), options).await.map_err(|e| e.failure())
    }
}

impl Link for LocalLink {
    fn gone(&self) -> BoxFuture<'static, ()> {
        let gone = self.gone.clone();
        async move { gone.cancelled().await }.boxed()
    }

    fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    fn another_shell(&self) -> BoxFuture<'_, Result<HostShell, Failure>> {
        self.shell().boxed()
    }

    fn canary<'a>(
        &'a self,
        host: &'a HostPlan,
        _account: &'a str,
        _command: &'a [String],
    ) -> BoxFuture<'a, Result<String, Failure>> {
        async move { Err(no_sshd(host)) }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

/// These hosts are folders: nothing listens there.
fn no_sshd(host: &HostPlan) -> Failure {
    Failure::new(FailureClass::Connect, format!("connect to {}: it has no sshd", host.host))
}

impl Opener for Local {
    fn dial<'a>(&'a self, host: &'a HostPlan) -> BoxFuture<'a, Result<Dialed, Failure>> {
        async move { Err(no_sshd(host)) }.boxed()
    }

    fn log_in<'a>(
        &'a self,
        host: &'a HostPlan,
        _account: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Login>, Failure>> {
        async move { Err(no_sshd(host)) }.boxed()
    }

    fn open<'a>(
        &'a self,
        run: Option<&'a RunId>,
        host: &'a HostPlan,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        async move {
            if self.unreachable.lock().unwrap().contains(&host.host) {
                return Err(Failure::new(FailureClass::Connect, format!("connect to {}", host.host)));
            }
            let folder = self.dir.join(host.host.as_str());
            let link = LocalLink { folder, run: run.cloned(), gone: CancellationToken::new() };
            let key = HostKeySeen { algorithm: "ssh-ed25519".into(), fingerprint: "SHA256:x".into() };
            Ok(Opened { key, shell: link.shell().await?, link: Box::new(link) })
        }
        .boxed()
    }
}

#[expect(clippy::disallowed_methods, reason = "agendas of real processes go by the machine's clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

pub fn run_id() -> RunId {
    RunId::new("20261201-kill01").unwrap()
}

pub fn options() -> Options {
    Options {
        parallel: 1,
        host_timeout: Duration::from_secs(60),
        require_all: false,
        replace: false,
        allow_skew: false,
        accept_lockout: false,
        include_controller: true,
        follow: false,
        settle_timeout: Duration::from_secs(5),
        unknown: UnknownSteps::Ask,
        host_set: "h[1-2]".into(),
        narrows_access: false,
        wire_proof: WireProof::default(),
        batches: Vec::new(),
        max_failures: None,
        limits: Limits::default(),
    }
}

/// A plan in the making: the same steps on every host.
pub struct Draft {
    texts: BTreeMap<TextId, String>,
    steps: Vec<HostStep>,
    window: Option<DateTime<Utc>>,
}

impl Draft {
    pub fn new() -> Self {
        Self { texts: BTreeMap::new(), steps: Vec::new(), window: None }
    }

    fn text(&mut self, text: &str) -> TextId {
        let id = TextId::of(text.as_bytes());
        self.texts.insert(id, text.to_owned());
        id
    }

    fn step(mut self, id: &str, spec: StepSpec) -> Self {
        self.steps.push(HostStep { id: StepId::new(id).unwrap(), spec });
        self
    }

    pub fn script(mut self, id: &str, script: &str, unless: Option<&str>) -> Self {
        let run = RunStep {
            at: None,
            script: self.text(script),
            args: Vec::new(),
            unless: unless.map(|text| self.text(text)),
            creates: None,
            on_failure: OnFailure::Abort,
            timeout_s: 20,
        };
        self.step(id, StepSpec::Run(run))
    }

    /// A script that leaves a line in `var/ID` each time it runs.
    pub fn counted(self, id: &str, guarded: bool) -> Self {
        let script = format!("echo ran >>\"$PIPEDOWN_ROOT/var/{id}\"");
        let unless = format!("[ -e \"$PIPEDOWN_ROOT/var/{id}\" ]");
        self.script(id, &script, guarded.then_some(&unless))
    }

    pub fn broadcast(mut self, text: &str) -> Self {
        let text = self.text(text);
        self.step("tell", StepSpec::Broadcast { messages: vec![Message { at: None, not_after: None, text }] })
    }

    /// A power-off in an hour; the tests are over by then.
    pub fn window(mut self) -> Self {
        let at = DateTime::from_timestamp(now().timestamp() + 3600, 0).unwrap();
        let cancelled = self.text("Called off.\n");
        self.window = Some(at);
        let spec = StepSpec::Shutdown {
            at,
            not_after: at + TimeDelta::seconds(300),
            how: ShutdownHow::Poweroff,
            announce_in_logind: false,
            cancelled,
        };
        self.step("shutdown", spec)
    }

    pub fn plan(self, fleet: &Fleet) -> Arc<Plan> {
        let Self { texts, steps, window } = self;
        let steps = StepList::from(steps);
        let target = Target {
            address: "127.0.0.1".into(),
            port: 22,
            user: "root".into(),
            logins: Vec::new(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            r#become: Become::None,
        };
        let host = |name: &HostName| HostPlan {
            host: name.clone(),
            target: target.clone(),
            zone: "Etc/UTC".into(),
            window,
            steps: steps.clone(),
        };
        Arc::new(Plan {
            v: Plan::FORMAT,
            compiled: now(),
            playbook: PlaybookSource {
                name: "test".into(),
                origin: "built in".into(),
                text: String::new(),
                vars: BTreeMap::new(),
            },
            reason: "new disks".into(),
            window,
            time: TimeSource { given: "18:00".into(), zone: "Etc/UTC".into(), explicit: true },
            local: Vec::new(),
            batches: Vec::new(),
            max_failures: None,
            limits: Limits::default(),
            texts,
            hosts: fleet.names().iter().map(host).collect(),
        })
    }
}
