//! Against the real shells of this machine.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::command;

/// A machine of a kind: its `sh`, and a folder that stands for its root.
struct Host {
    root: TempDir,
    path: String,
    login: &'static [&'static str],
}

/// The programs that are tried as `sh`: all that are installed.
fn shells() -> Vec<PathBuf> {
    let wanted = ["dash", "busybox", "bash", "mksh", "ksh", "yash"];
    let (found, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|name| find_program(name).is_some());
    if !missing.is_empty() {
        println!("skipped, not installed: {missing:?}");
    }
    found.into_iter().filter_map(|name| find_program(name)).collect()
}

fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
}

impl Host {
    fn with_sh(sh: &Path) -> Self {
        let root = TempDir::new().unwrap();
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        symlink(sh, bin.join("sh")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { root, path, login: &["sh", "-c"] }
    }

    fn dash() -> Self {
        Self::with_sh(&find_program("sh").unwrap())
    }

    /// Puts a program of our own before the machine's.
    fn provide(&self, name: &str, script: &str) {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.root.path().join("bin").join(name);
        let mut file =
            std::fs::OpenOptions::new().create_new(true).write(true).mode(0o755).open(path).unwrap();
        std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
    }

    fn exec(&self, become_: Become, with_password: bool) -> Exec {
        let (program, args) = self.login.split_first().unwrap();
        let child = tokio::process::Command::new(program)
            .args(args)
            .arg(command(become_, with_password))
            .env("PATH", &self.path)
            .env("PIPEDOWN_ROOT", self.root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Exec::from_child(child, 8 * 1024 * 1024).unwrap()
    }

    async fn open(&self) -> HostShell {
        let options = ShellOptions { run: Some(RunId::new("run-1").unwrap()), ..ShellOptions::default() };
        HostShell::open(self.exec(Become::None, false), Become::None, None, "lib() { echo lib; }\n", options)
            .await
            .unwrap()
    }
}

fn call(source: &'static str) -> Call {
    Call {
        name: "test",
        source,
        args: Vec::new(),
        input: Vec::new(),
        deadline: Duration::from_secs(20),
        ledger: None,
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs the same for every shell that there is.
async fn on_every_shell<F: AsyncFn(Host)>(test: F) {
    for sh in shells() {
        println!("as sh: {}", sh.display());
        test(Host::with_sh(&sh)).await;
    }
}

#[tokio::test]
async fn streams_status_library_and_arguments() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let awkward = [
            "",
            "a b",
            "tab\there",
            "new\nline\n\n",
            "-n",
            "*",
            "\\n\\0101",
            "'\"$(id)`id`",
            "ü€\u{1}\u{85}",
        ];
        let reply = shell
            .call(Call {
                args: awkward.iter().map(|arg| (*arg).to_owned()).collect(),
                ..call("lib; printf '<%s>' \"$0\" \"$@\"; printf oops >&2; exit 7")
            })
            .await
            .unwrap();
        assert_eq!(text(&reply.stderr), "oops");
        let wanted: String = awkward.iter().map(|arg| format!("<{arg}>")).collect();
        assert_eq!(text(&reply.stdout), format!("lib\n<pipedown>{wanted}"));
        assert_eq!((reply.status, reply.timed_out, reply.truncated), (7, false, false));
        shell.close().await;
    })
    .await;
}
