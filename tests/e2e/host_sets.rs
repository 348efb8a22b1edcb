//! Host sets as a tool for pipes, and everything that they can be made of.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use sshd_embed::Faults;

use crate::support::{Controller, Place, assert_shown};

const INVENTORY: &str = r#"
[groups.login]
hosts = "login[01-04].example.org"
vars = { role = "login" }

[groups.web]
hosts = "web[1-3]"
vars = { role = "front" }

[groups.paris]
hosts = ["web3", "login04.example.org"]
"#;

fn controller() -> Controller {
    let controller = Controller::new();
    controller.write("inventory.toml", INVENTORY);
    controller.write("drained.txt", "# since Monday\nlogin02 login03\n\nweb[1-3]!web1 # but not web1\n");
    controller
}

/// Runs a command that reads standard input.
async fn fed(ctl: &Controller, line: &str, text: &str) -> String {
    let mut child = ctl.command(line).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let output = timeout(Duration::from_secs(120), child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_are_calculated_and_printed_in_every_form() {
    let ctl = controller();
    let mut shown = String::new();
    for line in [
        "hosts --count",
        "hosts --fold",
        "hosts '@login!^drained.txt' --expand",
        "hosts '@login,@web' --split 3",
        "hosts '@login,@web' --split 2 --expand",
        "hosts --split 100 --count",
        "hosts --group-by role",
        "hosts '@web,login04' --group-by group --count",
        "hosts '@web' --group-by site",
        "hosts 'web?^@paris' --fold",
        "hosts '@var:role=fr*' --fold",
        "hosts 'rack[1-20]n[01-40]!(rack3n07,rack[5-6]n[1-9])' --fold",
        "hosts 'n[1-9]&n[20-30]' --count",
        "hosts 'n[1-9]&n[20-30]' --expand",
        "hosts --count --json",
        "hosts @web --fold --json",
        "hosts @web --expand --json",
        "hosts --split 2 --json",
        "hosts @login,@web --group-by role --json",
    ] {
        let said = ctl.run(line).await.code(0);
        shown.push_str(&format!("$ pipedown {line}\n{}", said.out));
    }
    assert_shown!(ctl, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_set_is_pointed_at() {
    let ctl = controller();
    ctl.write("bad.txt", "web1\nweb[2-\n");
    ctl.write("strange.txt", "web1\nweb9\n");
    let mut shown = String::new();
    for (line, code) in [
        ("hosts 'web[3-1]' --count", 64),
        ("hosts 'wbe*' --count", 64),
        ("hosts '@var:role=frnt' --count", 64),
        ("hosts '@var:rol=front' --count", 64),
        ("hosts '@web,^nowhere.txt'", 64),
        ("hosts '@web,^bad.txt'", 65),
        ("hosts '@web,^strange.txt'", 65),
        ("hosts '@failed:last' --count", 64),
        ("hosts '@failed:7f3kq2' --count", 64),
        ("hosts '-,-' --count", 64),
        ("hosts '(@web' --count", 64),
        ("hosts 'web9' -i inventory.toml --count", 64),
        ("hosts --count --fold", 64),
        ("hosts --split 0", 64),
        ("run nologin-on --all --yes --max-down '@wbe=1'", 64),
        ("run nologin-on -l web1,- --yes --max-down '-=1'", 64),
    ] {
        let said = ctl.run(line).await.code(code);
        shown.push_str(&format!("$ pipedown {line}\n{}\n", said.err));
    }
    assert_shown!(ctl, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_through_a_pipe_and_need_no_inventory() {
    let ctl = Controller::new();
    let names: String = (0..3000).map(|n| format!("rack{}n{:02}\n", n / 60, n % 60)).collect();
    assert_eq!(fed(&ctl, "hosts - --fold", &names).await, "rack[0-49]n[00-59]\n");
    assert_eq!(fed(&ctl, "hosts '-!rack[1-49]n[00-59]' --count", &names).await, "60\n");
    assert_eq!(fed(&ctl, "hosts - --count", "").await, "0\n");
    assert_eq!(fed(&ctl, "hosts - --expand", "# nobody\n").await, "");
    // What was folded unfolds to what it was.
    assert_eq!(fed(&ctl, "hosts - --expand", "rack[0-49]n[00-59]").await, names);
    ctl.run("hosts @web --count").await.code(65).says("find an inventory");
    ctl.run("hosts web1").await.code(65).says("find an inventory");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_picked_at_random() {
    let ctl = Controller::new();
    let mut seen = BTreeSet::new();
    // Of a thousand, ten times ten: that they are always the same is out of the question.
    for _ in 0..10 {
        let said = ctl.run("hosts 'n[0-999]' --pick 10").await.code(0);
        let picked: Vec<u32> = said.out.lines().map(|line| line[1..].parse().unwrap()).collect();
        assert_eq!(picked.len(), 10);
        assert!(picked.is_sorted() && picked.iter().all(|n| *n < 1000), "{picked:?}");
        seen.extend(picked);
    }
    assert!(seen.len() > 10, "{seen:?}");
    assert_eq!(ctl.run("hosts 'n[1-3]' --pick 9 --fold").await.code(0).out, "n[1-3]\n");
    assert_eq!(ctl.run("hosts 'n[1-9]' --pick 4 --count").await.code(0).out, "4\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_which_hosts_to_take_again() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    place.host(3).crash().await.unwrap();
    ctl.run("run nologin-on --all --yes").await.code(4);
    let folded = |out: String| out.trim().replace(".example.org", "");
    let all = folded(ctl.run("hosts --fold").await.code(0).out);
    assert_eq!(all, "login[01-03]");
    let first = ctl.only_run();
    assert_eq!(folded(ctl.run("hosts @unreachable:last --fold").await.code(0).out), "login03");
    assert_eq!(folded(ctl.run("hosts @done:last --fold").await.code(0).out), "login[01-02]");
    assert_eq!(ctl.run("hosts @failed:last --count").await.code(0).out, "0\n");
    // Only the one that is left is tried again.
    let said = ctl.run("run nologin-on -l @unreachable:last --yes").await.code(4);
    assert!(said.err.contains("login03") && !said.err.contains("login01"), "{}", said.err);
    let said = ctl.run(&format!("hosts @done:{first}!login01 --fold")).await.code(0);
    assert_eq!(folded(said.out), "login02");
    ctl.run("exec -l login01 -- false").await.code(3);
    assert_eq!(folded(ctl.run("hosts @failed:last --fold").await.code(0).out), "login01");
    // Who answers and lets nobody in can be reached, and has failed.
    let mut faults = Faults::none();
    faults.deny_auth = true;
    place.host(2).set_faults(faults).await.unwrap();
    ctl.run("exec -l login[01-02] -- true").await.code(3);
    assert_eq!(folded(ctl.run("hosts @failed:last --fold").await.code(0).out), "login02");
    assert_eq!(ctl.run("hosts @unreachable:last --count").await.code(0).out, "0\n");
}
