//! What the hosts' sshd serve, going back, and their logs: `pipedown sshd status`, `rollback`, `log`, against real OpenSSH.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{Controller, OpenSsh, Said, assert_shown, until};

const MAIN: &str = "/etc/ssh/sshd_config";
const OURS: &str = "/etc/ssh/sshd_config.d/00-pipedown.conf";

const BLOCKS: &str = "\
Match User deploy
    X11Forwarding no
Match User alice
    ClientAliveInterval 7m
";

/// A host whose people do not all get the same, and which is told things by its command line.
fn mixed(_: usize, host: &Path) {
    append(&host.join("ssh/sshd_config"), BLOCKS);
    append(&host.join("ssh/sshd_config"), "    PermitTTY no\n");
    fs::File::create(host.join("etc/default/ssh"))
        .unwrap()
        .write_all(b"SSHD_OPTS='-o LoginGraceTime=33 -oMaxSessions=8'\n")
        .unwrap();
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// What was printed, without what is this machine's.
fn plain(fleet: &OpenSsh, text: &str) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        let line = match line.split_once("  OpenSSH_") {
            Some((host, rest)) => format!("{host}  OpenSSH_X{}", rest.find(',').map_or("", |at| &rest[at..])),
            None => line.to_owned(),
        };
        plain.push_str(&line);
        plain.push('\n');
    }
    let at = plain.find(" UTC (").filter(|_| plain.contains("change    confirmed"));
    if let Some((at, end)) = at.and_then(|at| Some((at, at + plain[at..].find(')')?))) {
        plain.replace_range(at..=end, " UTC (AGO)");
    }
    for host in fleet.hosts() {
        // Columns depend on how long it is.
        let tidy = |line: &str| match line.contains(&host.address) {
            true => format!("  {}\n", line.split_whitespace().collect::<Vec<_>>().join("  ")),
            false => format!("{line}\n"),
        };
        plain = plain.lines().map(tidy).collect();
        plain = plain.replace(&host.address, "ADDRESS");
        plain = plain.replace(&format!("process {}", host.sh("cat /run/sshd.pid").trim()), "process PID");
    }
    plain
}

async fn rollout(ctl: &Controller) {
    ctl.run("run keepalive-rollout --all --no-wire-proof --yes").await.code(0);
}

/// Makes the listener read its files, and waits until it listens anew.
async fn reload(fleet: &OpenSsh, number: usize) {
    let host = fleet.host(number);
    let before = host.sockets();
    host.sh("kill -HUP $(cat /run/sshd.pid)");
    until("the listener opens new sockets", || !host.sockets().is_empty() && host.sockets() != before).await;
    until("a login works", || fleet.ssh(number, "root", "true").0).await;
}

fn first(said: &Said) -> Value {
    serde_json::from_str(said.out.lines().next().unwrap()).unwrap()
}

/// `running` and `drift` of a host.
async fn running(ctl: &Controller) -> (String, Vec<String>) {
    let row = first(&ctl.run("sshd status web001 --json").await);
    let drift = row["sshd"]["drift"].as_array().unwrap().iter();
    (
        row["sshd"]["running"].as_str().unwrap().to_owned(),
        drift.map(|file| file.as_str().unwrap().to_owned()).collect(),
    )
}

/// The host's configuration: names, modes, owners, contents.
fn configuration(fleet: &OpenSsh) -> Vec<(String, String)> {
    let files = fleet.host(1).files().into_iter();
    let files = files.filter(|(name, facts)| name.starts_with("ssh/") && !facts.starts_with('4'));
    // Without the times.
    files
        .map(|(name, facts)| {
            let mut parts = facts.splitn(4, ' ');
            let (mode, owner) = (parts.next().unwrap(), parts.next().unwrap());
            let text = parts.nth(1).unwrap_or_default();
            (name, format!("{mode} {owner} {text}"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_has_its_line_and_its_people() {
    let Some(fleet) = OpenSsh::start(1, mixed) else { return };
    let ctl = fleet.controller("logins = [\"alice\", \"deploy\"]");
    let before = fleet.host(1).files();
    let shown = ctl.run("sshd status web001").await.code(0);
    assert_shown!(ctl, plain(&fleet, &shown.out));

    let all = ctl.run("sshd status --all --defaults").await.code(0).out;
    let has = |words: &[&str]| all.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == words);
    assert!(has(&["MaxStartups", "10:30:100", "default"]), "{all}");
    // In the file these are minutes, and the identity's block is known.
    assert!(all.contains("420"), "{all}");

    let json = ctl.run("sshd status web001 --json").await.code(0);
    let row = first(&json);
    let keys: Vec<&String> = row["sshd"].as_object().unwrap().keys().collect();
    let known =
        ["version", "served", "config", "broken", "change", "running", "drift", "sessions", "now", "values"];
    assert_eq!(keys, known);
    assert_eq!((row["host"].as_str(), &row["error"]), (Some("web001"), &Value::Null));
    let values = row["sshd"]["values"].as_array().unwrap();
    let x11: Vec<_> = values.iter().filter(|v| v["keyword"] == "X11Forwarding").collect();
    assert_eq!(x11.len(), 2, "{x11:?}");
    assert_eq!(x11[0]["identity"], "root, alice");
    let place = x11[1]["from"].as_str().unwrap();
    let line: usize = place.strip_prefix(&format!("{MAIN}:")).unwrap().parse().unwrap();
    let text = fs::read_to_string(fleet.host(1).folder().join("ssh/sshd_config")).unwrap();
    assert_eq!(text.lines().nth(line - 1), Some("    X11Forwarding no"));
    assert_eq!(fleet.host(1).files(), before, "a look changed something");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_what_is_proven_or_not_known() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    assert_eq!(running(&ctl).await, ("unproven".to_owned(), vec![]));
    rollout(&ctl).await;
    let shown = ctl.run("sshd status web001").await.code(0);
    assert_shown!(ctl, plain(&fleet, &shown.out));
    assert_eq!(running(&ctl).await, ("as_on_disk".to_owned(), vec![]));

    let host = fleet.host(1);
    host.sh("cp /etc/ssh/sshd_config /root/kept; echo 'MaxAuthTries 4' >>/etc/ssh/sshd_config");
    assert_eq!(running(&ctl).await, ("as_proven".to_owned(), vec![MAIN.to_owned()]));
    let said = ctl.run("sshd status web001").await.code(0).out;
    assert!(said.contains("as the last rollout has proven it, NOT as on disk"), "{said}");
    assert!(said.contains(&format!("drift     {MAIN}\n")), "{said}");

    reload(&fleet, 1).await;
    assert_eq!(running(&ctl).await, ("unknown".to_owned(), vec![MAIN.to_owned()]));
    // Put right on disk only: what runs has the edit.
    host.sh("cp /root/kept /etc/ssh/sshd_config");
    assert_eq!(running(&ctl).await, ("reloaded".to_owned(), vec![]));

    host.sh(
        "echo 'MaxAuthTries 4' >>/etc/ssh/sshd_config; echo 'Prot 22' >/etc/ssh/sshd_config.d/10-more.conf",
    );
    let (_, drift) = running(&ctl).await;
    assert_eq!(drift, [MAIN, "/etc/ssh/sshd_config.d/10-more.conf"]);
    let said = ctl.run("sshd status web001").await.code(3).out;
    assert!(said.contains("BROKEN") && said.contains("10-more.conf"), "{said}");
    assert!(said.contains("MaxAuthTries"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_hides_no_other() {
    let Some(fleet) = OpenSsh::start(2, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    fleet.host(1).sh("kill $(cat /run/sshd.pid)");
    until("its sockets are gone", || std::net::TcpStream::connect((&*fleet.host(1).address, 2222)).is_err())
        .await;
    let said = ctl.run("sshd status --all").await.code(4);
    assert!(said.out.starts_with("web001  failed to connect"), "{}", said.out);
    assert!(said.out.contains("\nweb002  OpenSSH_"), "{}", said.out);
    let json = ctl.run("sshd status --all --json").await.code(4);
    let rows: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows[0]["sshd"].is_null() && rows[0]["error"]["text"].is_string(), "{}", json.out);
    assert!(rows[1]["error"].is_null(), "{}", json.out);
    let back = ctl.run("sshd rollback --all --yes").await.code(4);
    assert!(back.out.contains("web002  nothing"), "{}", back.out);
    ctl.run("sshd log --all --since 5m").await.says("web001: failed to connect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_ends_at_what_stood() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    let before = configuration(&fleet);
    rollout(&ctl).await;
    let rolled_out = configuration(&fleet);
    assert_ne!(rolled_out, before);
    until("the dead-man has gone", || fleet.host(1).is_at_rest()).await;
    let all = fleet.host(1).files();

    ctl.run("sshd rollback web001").await.code(64).says("add --yes");
    let would = ctl.run("sshd rollback web001 --dry-run").await.code(0);
    assert!(would.out.starts_with("web001  would roll back\n  the change of run "), "{}", would.out);
    assert_eq!(fleet.host(1).files(), all, "a dry run changed something");

    let back = ctl.run("sshd rollback web001 --yes --reason 'slow logins'").await.code(0);
    assert_shown!(ctl, plain(&fleet, &back.out));
    assert_eq!(configuration(&fleet), before);
    let status = ctl.run("sshd status web001").await.code(0).out;
    assert!(status.contains("slow logins") && !status.contains("ClientAlive"), "{status}");
    let again = ctl.run("sshd rollback web001 --yes --json").await.code(0);
    let row = first(&again);
    assert_eq!((row["host"].as_str(), row["result"].as_str()), (Some("web001"), Some("nothing")));
    let said = ctl.run("sshd rollback web001 --yes").await.code(0).out;
    assert_eq!(said, "web001  nothing\n  there is nothing to go back to\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_has_edited_goes_back_to_what_was_confirmed() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    rollout(&ctl).await;
    let (host, confirmed) = (fleet.host(1), configuration(&fleet));
    // Ours, somebody else's, and one that was not there; one of them is even broken.
    host.sh(&format!(
        "echo 'ClientAliveInterval 5' >{OURS}; echo 'Prot 22' >>{MAIN}; echo 'MaxAuthTries 3' >/etc/ssh/sshd_config.d/20.conf"
    ));
    let would = ctl.run("sshd rollback web001 --dry-run --json").await.code(0);
    let row = first(&would);
    assert_eq!(row["result"], "would_roll_back");
    assert_eq!(row["lines"].as_array().unwrap().len(), 3, "{}", would.out);
    let back = ctl.run("sshd rollback web001 --yes").await.code(0);
    assert!(back.out.contains("had confirmed"), "{}", back.out);
    let kept = "ssh/.pipedown.sshd_config.edited";
    assert!(host.files()[kept].ends_with("Prot 22\n"));
    let now: Vec<_> =
        configuration(&fleet).into_iter().filter(|(name, _)| !name.ends_with(".edited")).collect();
    assert_eq!(now, confirmed);
    assert_eq!(running(&ctl).await, ("as_on_disk".to_owned(), vec![]));
    // And from there further back.
    ctl.run("sshd rollback web001 --yes").await.code(0);
    assert_eq!(running(&ctl).await.0, "unproven");
    assert!(!host.folder().join("ssh/sshd_config.d/00-pipedown.conf").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_fetched_or_said_to_be_missing() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    ctl.run("sshd log web001").await.code(3).says("web001: failed to find a log of sshd's");
    let host = fleet.host(1);
    let line = |ago: &str, text: &str| {
        host.sh(&format!(
            "echo \"$(LC_ALL=C date -d '{ago} ago' '+%b %e %H:%M:%S') web001 {text}\" >>/var/log/auth.log"
        ))
    };
    line("5 hours", "sshd[1]: long ago");
    ctl.run("sshd log web001").await.code(0).says("web001: sshd has logged nothing since ");
    line("2 hours", "sshd[2]: two hours ago");
    line("2 minutes", "sshd-session[3]: just now");
    line("1 minutes", "cron[4]: somebody else");
    let out = |said: Said| said.code(0).out;
    let usual = out(ctl.run("sshd log web001").await);
    assert!(usual.lines().count() == 1 && usual.ends_with("sshd-session[3]: just now\n"), "{usual}");
    assert!(usual.starts_with("web001: "), "{usual}");
    let more = ctl.run("sshd log web001 --since 3h --json").await.code(0);
    let rows: Vec<Value> = more.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{}", more.out);
    assert!(rows[0]["host"] == "web001" && rows[0]["line"].as_str().unwrap().ends_with("two hours ago"));
    ctl.run("sshd log web001 --since 6h --output-dir logs").await.code(0).says("web001.log: 3 lines");
    let file = fs::read_to_string(ctl.here().join("logs/web001.log")).unwrap();
    assert!(file.lines().count() == 3 && file.ends_with("just now\n"), "{file}");

    // From the beginning of the last change on, also when it has been put back.
    rollout(&ctl).await;
    ctl.run("sshd rollback web001 --yes").await.code(0);
    ctl.run("sshd log web001").await.code(0).says("logged nothing since");
    line("0 seconds", "sshd[5]: after the change");
    let since = out(ctl.run("sshd log web001").await);
    assert!(since.lines().count() == 1 && since.contains("after the change"), "{since}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_uses_are_taught() {
    let ctl = Controller::new();
    let bare = ctl.run("sshd").await;
    let help = ctl.run("sshd --help").await.code(0);
    assert_shown!(
        ctl,
        format!(
            "$ pipedown sshd ({})\n{}{}\n$ pipedown sshd --help\n{}",
            bare.code, bare.out, bare.err, help.out
        )
    );
    let shell = ctl.run("completions bash").await.code(0).out;
    for word in ["status", "rollback", "log"] {
        assert!(shell.contains(&format!("pipedown__subcmd__sshd__subcmd__{word}")), "{word}");
    }
}
