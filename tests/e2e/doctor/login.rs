//! Authentication, as far as it can be told from outside.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::patient::{Options, Visit, assert_findings, controller, findings, keygen, me, write};
use crate::support::Said;

/// An agent that holds some keys. Ends with the value.
struct Agent {
    _process: Child,
    socket: String,
}

impl Agent {
    async fn holding(folder: &Path, keys: &[&str]) -> Self {
        let socket = folder.join("agent").display().to_string();
        let mut process = Command::new("ssh-agent");
        process.args(["-D", "-a", &socket]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = process.spawn().unwrap();
        // It says where it listens once it does.
        let said = BufReader::new(process.stdout.take().unwrap()).lines().next_line().await.unwrap();
        assert!(said.is_some_and(|line| line.contains("SSH_AUTH_SOCK")));
        for key in keys {
            let file = folder.join(key);
            keygen(&file, &["-t", "ed25519"]);
            let mut add = Command::new("ssh-add");
            let added = add.arg("-q").arg(&file).env("SSH_AUTH_SOCK", &socket).output().await.unwrap();
            assert!(added.status.success(), "{added:?}");
        }
        Self { _process: process, socket }
    }

    async fn doctor(&self, visit: &Visit) -> Said {
        let mut command = visit.controller.command("doctor patient --timeout 30s");
        let output = command.env("SSH_AUTH_SOCK", &self.socket).output().await.unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A visit whose inventory names no key.
async fn without_a_key(options: Options<'_>) -> Option<Visit> {
    let visit = Visit::new(options).await?;
    let section = visit.patient.section("patient", &me());
    let lines: Vec<&str> = section.lines().filter(|line| !line.starts_with("identity_file")).collect();
    let controller = controller(&lines.join("\n"));
    Some(Visit { controller, ..visit })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_offer() {
    let Some(visit) = without_a_key(Options::default()).await else { return };
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_key() {
    let Some(visit) = without_a_key(Options::default()).await else { return };
    let agent = Agent::holding(&visit.patient.path(""), &["one", "two"]).await;
    let said = agent.doctor(&visit).await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_keys() {
    let config = "MaxAuthTries 2";
    let Some(visit) = without_a_key(Options { config, ..Options::default() }).await else { return };
    let agent = Agent::holding(&visit.patient.path(""), &["one", "two", "three", "four"]).await;
    let said = agent.doctor(&visit).await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_can_read() {
    let Some(visit) = Visit::new(Options::default()).await else { return };
    let key = visit.patient.path("id");
    let text = super::patient::read(&key);
    write(&key, &text, 0o644);
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor() {
    let config = "AuthenticationMethods publickey,password\nPasswordAuthentication yes";
    let Some(visit) = Visit::new(Options { config, ..Options::default() }).await else { return };
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_public_keys_at_all() {
    let config = "PubkeyAuthentication no\nPasswordAuthentication yes";
    let Some(visit) = Visit::new(Options { config, ..Options::default() }).await else { return };
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}
