//! This machine's OpenSSH in namespaces of its own: its /etc, /var/lib, /run and processes are nobody else's.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pipedown_model::{Become, Operator};
use pipedown_ssh::Exec;
use tempfile::TempDir;

use crate::host_tests::place::{find_program, run_id, until};
use crate::sshd::{
    ConfirmReport, RollbackReport, RollbackScope, SshdChange, SshdSeen, SshdTrial, TrialReport, sshd_confirm,
    sshd_look, sshd_rollback, sshd_trial,
};
use crate::{ChangeName, Changer, HostShell, Looker, ShellOptions, StepError, command, library};

/// What takes longer never comes.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// $1: folder, $2: port, $3: bytes of /var/lib. Lives until its standard input ends.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs tmpfs "$1/disk"
mkdir "$1/disk/etc" "$1/disk/work"
mount -t overlay etc -o "lowerdir=/etc,upperdir=$1/disk/etc,workdir=$1/disk/work" /etc
mount -t tmpfs -o "size=$3" tmpfs /var/lib
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/ssh
mkdir /run/sshd /etc/ssh/sshd_config.d
cp -R "$1/ssh/." /etc/ssh
chmod 600 /etc/ssh/*
/usr/sbin/sshd -p "$2" -E /run/sshd.log
echo up
cat >/dev/null
"#;

/// An sshd, and the shell that its sessions get.
pub(super) struct RealSshd {
    folder: TempDir,
    host: Child,
    port: u16,
    pub(super) shell: &'static str,
}

pub(super) const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-pipedown.conf";
pub(super) const HOME: &str = "/var/lib/pipedown/sshd/etc-ssh-sshd_config";

impl RealSshd {
    /// None, with a line about it, where that cannot be had.
    pub(super) fn start(shell: &'static str) -> Option<Self> {
        Self::with_room(shell, "16m")
    }

    pub(super) fn with_room(shell: &'static str, room: &str) -> Option<Self> {
        let missing = ["unshare", "nsenter", "ssh", "ssh-keygen", shell]
            .into_iter()
            .find(|name| find_program(name).is_none());
        if let Some(missing) = missing.or_else(|| (!Path::new("/usr/sbin/sshd").exists()).then_some("sshd")) {
            println!("skipped, not installed: {missing}");
            return None;
        }
        let root = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "true"])
            .stderr(Stdio::null())
            .status();
        if !root.unwrap().success() {
            println!("skipped: namespaces of its own need root");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("sshd.").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        furnish(folder.path(), shell);
        let mut host = Command::new("unshare");
        host.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT, "host"]);
        host.arg(folder.path()).args([&port.to_string(), room]);
        let mut host = host.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let place = Self { folder, host, port, shell };
        // The first connection of all learns the host key.
        place.wait_for_sshd();
        Some(place)
    }

    /// sshd listens a moment after its parent has ended.
    fn wait_for_sshd(&self) {
        let begun = std::time::Instant::now();
        while self.ssh("echo ok").as_deref() != Some("ok\n") {
            assert!(begun.elapsed() < SOON, "{}", self.read("/run/sshd.log"));
        }
    }

    fn client(&self, command: &str) -> Command {
        let path = self.folder.path();
        let mut client = Command::new("ssh");
        client.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
        ]);
        client.args(["-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=10", "-q"]);
        client.arg("-o").arg(format!("UserKnownHostsFile={}", path.join("known").display()));
        client.arg("-i").arg(path.join("id")).args(["-p", &self.port.to_string(), "root@127.0.0.1", command]);
        client
    }

    /// Runs a command over a new connection; what it printed, if it could.
    pub(super) fn ssh(&self, command: &str) -> Option<String> {
        let output = self.client(command).stdin(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same by a login through a command that serves it over the connection in hand, as a canary does.
    pub(super) fn through(&self, serving: &str, command: &str) -> Option<String> {
        let proxy = self.client(serving);
        let words: Vec<_> = std::iter::once(proxy.get_program()).chain(proxy.get_args()).collect();
        let quote = |word: &&std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
        let proxy: Vec<String> = words.iter().map(quote).collect();
        let mut client = self.client(command);
        client.arg("-o").arg(format!("ProxyCommand={}", proxy.join(" ")));
        let args: Vec<_> = client.get_args().map(ToOwned::to_owned).collect();
        // Options come before the host.
        let (options, rest) = args.split_at(args.len() - 4);
        let mut client = Command::new("ssh");
        client.args(&rest[2..]).args(options).args(&rest[..2]);
        let output = client.stdin(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts sshd, as a boot does.
    pub(super) fn start_again(&self) {
        self.inside(&format!("/usr/sbin/sshd -p {} -E /run/sshd.log", self.port));
        self.wait_for_sshd();
    }

    /// Runs a command there without sshd; what it printed.
    pub(super) fn inside(&self, command: &str) -> String {
        let mut inside = Command::new("nsenter");
        let first = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.host.id())).unwrap();
        inside.args(["--target", first.trim(), "--mount", "--pid", "sh", "-c", command]);
        let output = inside.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(super) fn read(&self, path: &str) -> String {
        self.inside(&format!("cat {path} 2>/dev/null"))
    }

    pub(super) async fn open(&self) -> HostShell {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<HostShell, StepError> {
        let mut client = self.client(&command(Become::None, false));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = tokio::process::Command::from(client).spawn().unwrap();
        let exec = Exec::from_child(child, 8 * 1024 * 1024).unwrap();
        HostShell::open(exec, Become::None, None, library(), ShellOptions::default()).await
    }

    pub(super) async fn look(&self) -> SshdSeen {
        self.try_look().await.unwrap()
    }

    /// A look that may come while sshd reads its files again, and then meets nobody.
    pub(super) async fn try_look(&self) -> Result<SshdSeen, StepError> {
        let mut shell = self.try_open().await?;
        sshd_look(&mut Looker::new(&mut shell), &["root".to_owned()]).await
    }

    pub(super) async fn trial(
        &self,
        run: &str,
        seen: &SshdSeen,
        trial: &SshdTrial,
    ) -> Result<TrialReport, StepError> {
        let mut shell = self.open().await;
        sshd_trial(&mut Changer::new(&mut shell, name(run)), seen, trial).await
    }

    pub(super) async fn confirm(&self, run: &str, seen: &SshdSeen) -> ConfirmReport {
        let mut shell = self.open().await;
        sshd_confirm(&mut Changer::new(&mut shell, name(run)), seen).await.unwrap()
    }

    pub(super) async fn roll_back(&self, run: &str, seen: &SshdSeen, scope: RollbackScope) -> RollbackReport {
        self.try_roll_back(run, seen, scope).await.unwrap()
    }

    pub(super) async fn try_roll_back(
        &self,
        run: &str,
        seen: &SshdSeen,
        scope: RollbackScope,
    ) -> Result<RollbackReport, StepError> {
        let mut shell = self.open().await;
        sshd_rollback(&mut Changer::new(&mut shell, name(run)), seen, scope).await
    }

    /// What systemctl does for an sshd whose sockets are systemd's.
    pub(super) fn as_socket_activated(&self) -> String {
        let port = self.port;
        format!(
            r#"#!/bin/sh
pid=$(cat /run/sshd.pid)
case "$*" in
*MainPID*) echo "MainPID=$pid" ;;
*KillMode*) echo KillMode=process ;;
reload*) kill "$pid"; exit 1 ;;
restart*)
	kill "$pid"
	while kill -0 "$pid"; do :; done
	/usr/sbin/sshd -p {port} -E /run/sshd.log
	;;
esac"#
        )
    }

    /// Everything below /etc/ssh and in pipedown's state: path, mode, links, content.
    pub(super) fn listing(&self) -> String {
        self.inside("cd /; find etc/ssh var/lib | sort | while read -r f; do stat -c '%n %a %u %h' $f; [ ! -f $f ] || sha256sum <$f; done")
    }

    /// Waits until what pipedown keeps while a change is tried is gone.
    pub(super) async fn until_quiet(&self) {
        until("the keeper has ended", SOON, || {
            self.inside(&format!("[ -e {HOME}/trial ] || [ -e {HOME}/pid ] || echo quiet")) == "quiet\n"
        })
        .await;
    }

    /// The interval that a new connection is served with.
    pub(super) fn serves(&self) -> Option<String> {
        // sshd itself puts it into the environment: what is on disk does not matter.
        self.ssh("echo ${X_INTERVAL-none}").map(|line| line.trim().to_owned())
    }
}

impl Drop for RealSshd {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

fn furnish(folder: &Path, shell: &str) {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    for name in ["disk", "ssh", "ssh/bin"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    for key in ["id", "ssh/host_key"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(key));
        assert!(keygen.status().unwrap().success());
    }
    std::fs::copy(path("id.pub"), path("ssh/authorized_keys")).unwrap();
    std::os::unix::fs::symlink(find_program(shell).unwrap(), path("ssh/bin/sh")).unwrap();
    let config = format!(
        "# ours\nInclude /etc/ssh/sshd_config.d/*.conf\nListenAddress 127.0.0.1\nHostKey /etc/ssh/host_key\n\
         AuthorizedKeysFile /etc/ssh/authorized_keys\nPermitRootLogin prohibit-password\nUsePAM no\n\
         StrictModes no\nPidFile /run/sshd.pid\nSetEnv {}\nSubsystem sftp internal-sftp",
        path_variable()
    );
    let mut file = std::fs::File::create(path("ssh/sshd_config")).unwrap();
    std::io::Write::write_all(&mut file, config.as_bytes()).unwrap();
}

pub(super) fn name(run: &str) -> ChangeName {
    ChangeName { run: run_id(run), operator: Operator::new("carol", "desk"), reason: "keepalive".to_owned() }
}

/// Settings of which a new session tells the interval.
pub(super) fn settings(seconds: u32) -> String {
    format!("# pipedown\nClientAliveInterval {seconds}\nSetEnv X_INTERVAL={seconds} {}\n", path_variable())
}

/// The shell under test comes first.
fn path_variable() -> String {
    format!("PATH=/etc/ssh/bin:{}", std::env::var("PATH").unwrap())
}

/// A drop-in that asks for an interval.
pub(super) fn interval(seconds: u32) -> SshdTrial {
    SshdTrial {
        changes: vec![SshdChange { path: DROP_IN.to_owned(), text: Some(settings(seconds)) }],
        confirm_within: Duration::from_secs(120),
        keep_for: None,
    }
}
