//! Changes of sshd's configuration, up to the plan: options, snippets, and errors that name what was typed.

use crate::support::{Controller, assert_shown};

const INVENTORY: &str = r#"
[defaults]
logins = ["deploy"]

[groups.web]
hosts = "web[001-200]"
"#;

const SNIPPET: &str = "# ours\nLogLevel VERBOSE\n\nMatch Group guests\n    MaxSessions 2\n";

fn controller() -> Controller {
    let controller = Controller::new();
    controller.write("inventory.toml", INVENTORY);
    controller.write("snippet.conf", SNIPPET);
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_settings_and_the_batches() {
    let ctl = controller();
    let mut said = String::new();
    let lines = [
        "plan keepalive-rollout --all --interval 30 --count=5",
        "plan sshd-loglevel -l web003 --level DEBUG2 --for 45m",
        "plan sshd-hardening --all --passwords no --batch 5,50 --max-failures 5%",
        "plan sshd-settings -l web[001-003] --set X11Forwarding=no --match 'User sftp' --set PermitTTY=no \
         --unset ForceCommand --file snippet.conf --unset Banner --set MaxAuthTries=4",
        "plan sshd-settings -l web001 --set ClientAliveInterval=60",
    ];
    for line in lines {
        let ended = ctl.run(line).await.code(0);
        said.push_str(&format!("$ pipedown {line}\n{}{}\n", ended.out, ended.err));
    }
    assert_shown!(ctl, said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_is_pointed_at() {
    let ctl = controller();
    let mut said = String::new();
    let lines = [
        "plan keepalive-rollout --all --intervall 30",
        "plan keepalive-rollout --all --interval often",
        "plan keepalive-rollout --all --count 0",
        "plan keepalive-rollout --all --interval 30 --var interval=40",
        "plan keepalive-rolout --all --interval 30",
        "run keepalive-rollout --all --dryrun",
        "plan keepalive-rollout --all --set LogLevel=INFO",
        "plan keepalive-rollout --all --unset LogLevel",
        "plan keepalive-rollout --all --batch 1,0%",
        "plan keepalive-rollout --all --max-failures few",
        "plan sshd-settings --all",
        "plan sshd-settings --all --set X11Forwardin=no",
        "plan sshd-settings --all --set X11Forwarding=maybe",
        "plan sshd-settings --all --match 'User sftp' --set Port=23",
        "plan sshd-settings --all --match 'Usr sftp' --set PermitTTY=no",
        "plan sshd-settings --all --match 'User sftp'",
        "plan sshd-settings --all --set LogLevel=INFO --unset LogLevel",
        "plan sshd-settings --all --set LogLevel=INFO --var settings=x",
        "plan sshd-loglevel --all --level LOUD",
        "plan sshd-loglevel --all --for 5s",
    ];
    for line in lines {
        let ended = ctl.run(line).await.code(64);
        said.push_str(&format!("$ pipedown {line}\n{}\n", ended.err));
    }
    // What stands in a file is data.
    ctl.write("snippet.conf", "LogLevel INFO\nMaxAuthTrys 3\n");
    let ended = ctl.run("plan sshd-settings --all --file snippet.conf").await.code(65);
    said.push_str(&ended.err);
    assert_shown!(ctl, said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_file_has_its_settings_and_its_batches() {
    let ctl = controller();
    ctl.run("plan sshd-settings --all --file snippet.conf --batch 3 --out s.plan").await.code(0);
    std::fs::remove_file(ctl.here().join("snippet.conf")).unwrap();
    let again = ctl.run("plan s.plan").await.code(0);
    assert!(again.out.contains("batches 1 to 66: 3 hosts each, batch 67: 2 hosts"), "{}", again.out);
    assert!(again.out.contains("| Match Group guests\n      |     MaxSessions 2"), "{}", again.out);
    ctl.run("plan s.plan --set LogLevel=INFO").await.code(64).says("leave those options out");
    ctl.run("plan s.plan --batch 1").await.code(64).says("a plan has its batches");
    // Before anything is done, it is said how.
    ctl.run("run s.plan")
        .await
        .code(64)
        .says("on 200 hosts, web[001-200], in 67 batches: nobody can be asked");
    ctl.run("run s.plan --batch 1,10%,rest")
        .await
        .code(64)
        .says("in batches of 1, 20 and 179: nobody can be asked");
    ctl.run("plan s.plan --interval 3").await.code(64).says("unexpected argument '--interval'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_of_ones_own_has_its_options_too() {
    let ctl = controller();
    let text = "name = \"ours\"\nwindow = \"none\"\n[vars]\nmax_tries = { default = 3, help = \"tries\" }\nquick = false\n\
                settings = \"\"\n[[steps]]\nkind = \"sshd_config\"\nset = { MaxAuthTries = \"{{max_tries}}\", UseDNS = \"{{quick}}\" }\n\
                config = \"{{settings}}\"\n";
    ctl.write("playbooks/ours.toml", text);
    let said = ctl.run("plan ours -l web001 --quick --max-tries 2 --set LogLevel=INFO").await.code(0);
    for line in ["| MaxAuthTries 2", "| UseDNS yes", "| LogLevel INFO"] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    let help = ctl.run("plan ours --help").await.code(0).out;
    assert!(help.contains("Variables of ours:\n") && help.contains("--max-tries <N>"), "{help}");
    assert!(help.contains("tries [default: 3]"), "{help}");
    let hosts = ctl.run("hosts web001 --json").await.code(0).out;
    assert!(hosts.contains("\"logins\":[\"deploy\"]"), "{hosts}");
}
