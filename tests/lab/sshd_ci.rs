//! The jobs of `examples/ci`, line for line: a pull request shows, a merge rolls out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::Lab;
use crate::sshd_hosts::{effective, files, lets_in, sockets};

/// A host for each system's example.
const JOBS: [(&str, &str); 2] =
    [("bookworm48", ".github/workflows/sshd.yml"), ("trixie48", ".gitlab-ci.yml")];

pub fn as_documented(lab: &Lab) {
    std::thread::scope(|scope| {
        let jobs = JOBS.map(|(host, file)| scope.spawn(move || rolls_out(lab, host, file)));
        for job in jobs {
            job.join().unwrap();
        }
    });
}

fn rolls_out(lab: &Lab, host: &str, file: &str) {
    let repository = Repository::check_out(lab, host);
    let scripts = scripts(&example().join(file));
    let [check, apply] = &scripts[..] else { panic!("{file}: {scripts:#?}") };
    assert!(
        check.contains("--dry-run --json --detailed-exitcode") && apply.contains("--yes --json"),
        "{scripts:#?}"
    );
    let (before, listening) = (files(lab, host), sockets(lab, host));

    // A pull request: something would change, and nothing does.
    repository.runs(check);
    assert!(repository.read("check.jsonl").contains("would_change"));
    assert_eq!((files(lab, host), sockets(lab, host)), (before.clone(), listening));

    // The merge.
    repository.runs(apply);
    assert!(repository.read("run.jsonl").contains("\"kind\":\"confirmed\""));
    assert_eq!(effective(lab, host, "deploy", "clientaliveinterval"), "60");
    assert_eq!(effective(lab, host, "deploy", "x11forwarding"), "no");
    lets_in(lab, host).unwrap();

    // The next pull request finds everything in place; so does a job that is run again.
    let (after, listening) = (files(lab, host), sockets(lab, host));
    assert_ne!(after, before);
    repository.runs(check);
    assert!(!repository.read("check.jsonl").contains("would_change"));
    repository.runs(apply);
    assert_eq!((files(lab, host), sockets(lab, host)), (after, listening));

    // What would lock people out fails the job, on the pull request already.
    repository.write(
        "sshd.toml",
        &repository.read("sshd.toml").replace("X11Forwarding = false", "AllowUsers = \"nobody\""),
    );
    let refused = repository.job(check);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &repository.read("check.jsonl");
    assert!(said.contains("AllowUsers"), "{said}");
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ci")
}

/// The shell scripts of a workflow: what stands below `run: |` or `- |`.
fn scripts(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if !["run: |", "- |"].contains(&line.trim()) {
            continue;
        }
        let depth = |line: &str| line.len() - line.trim_start().len();
        let indent = lines.peek().map_or(0, |first| depth(first));
        let mut script = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || depth(line) >= indent) {
            script += line.get(indent..).unwrap_or_default();
            script.push('\n');
        }
        found.push(script);
    }
    found
}

/// A work tree of the example, on a runner in the lab's network, whose fleet is one host.
struct Repository<'a> {
    lab: &'a Lab,
    folder: tempfile::TempDir,
    key: String,
}

impl<'a> Repository<'a> {
    fn check_out(lab: &'a Lab, host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inventory = lab.inventory();
        let value = |key: &str| {
            let rest = inventory.split(&format!("{key} = \"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let address =
            inventory.split(&format!("[hosts.{host}]\naddress = ")).nth(1).unwrap().lines().next().unwrap();
        let key = std::fs::read_to_string(value("identity_file")).unwrap();
        let known_hosts = std::fs::read_to_string(value("known_hosts")).unwrap();
        let repository = Self { lab, folder, key };
        let example = example();
        repository.write("sshd.toml", &std::fs::read_to_string(example.join("sshd.toml")).unwrap());
        let text = std::fs::read_to_string(example.join("inventory.toml")).unwrap();
        assert!(text.contains("web[01-40].example.org"), "{text}");
        let text = text.replace("web[01-40].example.org", host);
        repository.write("inventory.toml", &format!("{text}\n[hosts.{host}]\naddress = {address}\n"));
        repository.write("known_hosts", &known_hosts);
        repository
    }

    fn write(&self, name: &str, text: &str) {
        use std::io::Write as _;
        std::fs::File::create(self.folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Runs a job as a runner does: `bash -e`, a home of its own, a secret in the environment.
    fn job(&self, script: &str) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_pipedown")).parent().unwrap();
        let namespace = self.lab.ask(&["ns"]);
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace.trim(), "bash", "-e", "-c", script])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", program.display()))
            .env("HOME", self.folder.path().join("home"))
            .env("USER", "runner")
            .env("CI", "true")
            .env("FLEET_KEY", self.key.trim_end());
        command.output().unwrap()
    }

    /// Runs a job that must succeed.
    #[track_caller]
    fn runs(&self, script: &str) {
        let output = self.job(script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{script}\n{said}", output.status);
    }
}
