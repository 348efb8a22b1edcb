//! `exec`: commands as they are typed, on embedded hosts and on this machine's sshd.

use pipedown_model::{CommandEnd, EventKind, Outcome};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::{Controller, LONG, OpenSsh, Place, Said, until};

/// The lines of a text, in order of the alphabet: hosts answer when they do.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The output and the events among the lines of `--json`.
fn told(said: &Said) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let lines = said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.partition(|line| line["kind"] == "output")
}

/// A command line whose last words are not split.
async fn with_words(ctl: &Controller, line: &str, words: &[&str]) -> Said {
    let mut command = ctl.command(line);
    command.args(words);
    let output = timeout(LONG, command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_have_their_host_and_their_stream() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let said = with_words(ctl, "exec --all --", &["echo 'it is'; echo no >&2; printf half"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(sorted(&said.out), ["login01: half", "login01: it is", "login02: half", "login02: it is"]);
    assert!(said.err.contains("login01: no\n") && said.err.contains("login02: no\n"), "{}", said.err);
    assert!(said.err.contains("succeeded on 2 hosts"), "{}", said.err);

    let said = with_words(ctl, "exec --all --", &["printf", "%s;", "a b", "$HOME", "it's"]).await;
    assert_eq!(sorted(&said.out), ["login01: a b;$HOME;it's;", "login02: a b;$HOME;it's;"]);

    let run = ctl.newest_run().await;
    let again = ctl.run(&format!("show {run}")).await.code(0);
    assert_eq!(again.out, "login01: a b;$HOME;it's;\nlogin02: a b;$HOME;it's;\n");
    let folded = ctl.run(&format!("show {run} -b")).await.code(0);
    assert_eq!(folded.out, "== login[01-02] (2 hosts)\na b;$HOME;it's;\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_output_is_shown_once() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    let script = "case $SSH_CONNECTION in *) : ;; esac; test -e $PIPEDOWN_ROOT/tmp/odd && echo odd; echo same; echo e >&2";
    std::fs::File::create(place.host(2).dir().join("tmp/odd")).unwrap();
    let said = with_words(ctl, "exec --all -b --", &[script]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.out, "== login[01,03] (2 hosts)\nsame\n== login02 (1 host)\nodd\nsame\n");
    assert!(said.err.contains("== login[01-03] (3 hosts)\ne\n"), "{}", said.err);
    let said = with_words(ctl, "exec --all --diff --", &[script]).await;
    assert!(said.out.contains("+odd"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_a_failure_and_has_its_status() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    std::fs::File::create(place.host(2).dir().join("tmp/odd")).unwrap();
    let said =
        with_words(ctl, "exec --all --json --", &["test -e $PIPEDOWN_ROOT/tmp/odd && exit 7; exit 0"]).await;
    assert_eq!(said.code, 3, "{}", said.err);
    let (_, events) = told(&said);
    let ends: Vec<String> = events
        .iter()
        .filter(|event| event["kind"] == "step_finished")
        .map(|event| format!("{} {}", event["host"].as_str().unwrap(), event["outcome"]["end"]))
        .collect();
    assert!(ends.contains(&r#"login02 {"how":"exit","status":7}"#.to_owned()), "{ends:?}");
    assert!(ends.contains(&r#"login01 {"how":"exit","status":0}"#.to_owned()), "{ends:?}");
    let said = ctl.run("exec --all -- no-such-program-here").await.code(3);
    assert!(said.err.contains("the host has no such command"), "{}", said.err);
    let said = ctl.run("exec -l login01 --parallel 1 --fail-fast -- false x").await.code(5);
    assert!(said.err.contains("stopped"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_survive() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let folder = ctl.dir().join("out");
    let line = format!("exec --all --json --output-dir {} --", folder.display());
    let said = with_words(ctl, &line, &[r"printf '\377\000x'; printf 'gr\303\274n\n' >&2"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(std::fs::read(folder.join("login01.out")).unwrap(), [0xff, 0, b'x']);
    assert_eq!(std::fs::read_to_string(folder.join("login01.err")).unwrap(), "gr\u{fc}n\n");
    let (output, _) = told(&said);
    let out = output.iter().find(|line| line["stream"] == "stdout").unwrap();
    assert_eq!(out["base64"], "/wB4");
    let err = output.iter().find(|line| line["stream"] == "stderr").unwrap();
    assert_eq!((err["text"].as_str(), err["host"].as_str()), (Some("gr\u{fc}n\n"), Some("login01")));
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_and_input() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write("check.sh", "#!/bin/sh -u\necho \"$0 $1 it's\"\n");
    let said = ctl.run("exec --all --script check.sh -- --deep").await.code(0);
    assert_eq!(sorted(&said.out), ["login01: check.sh --deep it's", "login02: check.sh --deep it's"]);

    let mut child = ctl
        .command("exec --all --no-prefix --stdin -- cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![b'x'; 300_000]).await.unwrap();
    drop(stdin);
    let output = timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, vec![b'x'; 600_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_a_flood_and_what_stays_in_the_background() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let said = with_words(ctl, "exec --all --timeout 5s --", &["echo begun; sleep 1000"]).await;
    assert_eq!((said.code, said.out.as_str()), (3, "login01: begun\n"), "{}", said.err);
    assert!(said.err.contains("finish the command within 5 s"), "{}", said.err);

    let said = ctl.run("exec --all --no-prefix --output-limit 64K -- yes").await.code(3);
    assert_eq!(said.out.len(), 64 << 10, "{}", said.err);
    assert!(said.err.contains("printed more than 65536 bytes"), "{}", said.err);

    // It holds the streams; the host would wait for ever.
    let said = with_words(ctl, "exec --all --timeout 60s --", &["sleep 1000 & echo started"]).await;
    assert_eq!((said.code, said.out.as_str()), (0, "login01: started\n"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_what_is_printed() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let script =
        format!("{} exec --all --no-prefix -- 'seq 1 300000' | head -1", env!("CARGO_BIN_EXE_pipedown"));
    let mut command = ctl.command("runs");
    let inner = command.as_std().get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)));
    let envs: Vec<_> = inner.filter_map(|(k, v)| Some((k, v?))).collect();
    let dir = command.as_std().get_current_dir().map(ToOwned::to_owned);
    command.kill_on_drop(true);
    let mut sh = tokio::process::Command::new("sh");
    sh.args(["-c", &script]).envs(envs).current_dir(dir.unwrap());
    let output = timeout(LONG, sh.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    let run = ctl.newest_run().await;
    let again = ctl.run(&format!("show {run} --no-prefix")).await.code(0);
    assert_eq!(again.out.lines().count(), 300_000, "what was not shown is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_connects_to_nobody() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let said = ctl.run("exec --all --dry-run -- reboot now").await.code(0);
    assert!(said.out.contains("reboot now") && said.out.contains("login01"), "{}", said.out);
    assert!(ctl.runs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_and_resumed() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let script = "echo x >>$PIPEDOWN_ROOT/tmp/ran; test -e $PIPEDOWN_ROOT/tmp/go || sleep 1000";
    let ran = |number: usize| {
        std::fs::read_to_string(place.host(number).dir().join("tmp/ran")).unwrap_or_default().lines().count()
    };
    let mut child =
        ctl.command("exec --all --parallel 1 --timeout 60s --json --").arg(script).spawn().unwrap();
    until("the command runs", || ran(1) == 1).await;
    child.kill().await.unwrap();
    for number in [1, 2] {
        std::fs::File::create(place.host(number).dir().join("tmp/go")).unwrap();
    }
    let run = ctl.only_run();
    let said = ctl.run(&format!("resume {run}")).await.code(3);
    assert!(said.err.contains("--retry-unknown"), "{}", said.err);
    assert_eq!((ran(1), ran(2)), (1, 1), "what may have run is not run again unasked");
    ctl.run(&format!("resume {run} --retry-unknown")).await.code(0);
    assert_eq!((ran(1), ran(2)), (2, 1), "each exactly as often as was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_real_sshd() {
    let Some(fleet) = OpenSsh::start(2, |_, _| {}) else { return };
    let ctl = &fleet.controller("");
    let said =
        with_words(ctl, "exec --all --json --timeout 8s --", &["echo $$; sleep 1000 & sleep 1000"]).await;
    assert_eq!(said.code, 3, "{}", said.err);
    let (output, events) = told(&said);
    assert_eq!(output.len(), 2, "{}", said.out);
    let events =
        events.into_iter().map(|event| serde_json::from_value::<pipedown_model::Event>(event).unwrap());
    let ends: Vec<CommandEnd> = events
        .filter_map(|event| match event.kind {
            EventKind::StepFinished { outcome: Outcome::Ran { end, .. }, .. } => Some(end),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [CommandEnd::Deadline { after_s: 8 }, CommandEnd::Deadline { after_s: 8 }]);
    for number in [1, 2] {
        let left = fleet.ssh(number, "root", "pgrep -x sleep; true").1;
        assert_eq!(left, "", "the whole process group is gone");
    }
    let said = with_words(ctl, "exec --all --", &["kill -TERM $$"]).await;
    assert!(said.code == 3 && said.err.contains("ended by signal TERM"), "{}", said.err);
    let said = with_words(ctl, "exec --all --timeout 60s --", &["sleep 30 & echo started"]).await;
    assert_eq!((said.code, said.out.lines().count()), (0, 2), "{}", said.err);
    let said = ctl.run("exec --all --no-prefix --output-limit 1M -- yes").await.code(3);
    assert_eq!(said.out.len(), 2 << 20, "{}", said.err);
    until("nothing of it is left", || {
        (1..=2).all(|number| fleet.ssh(number, "root", "pgrep -x yes; true").1.is_empty())
    })
    .await;
}
