//! What looks the same from outside, and is told apart by the server's log.

use super::patient::{
    Options, Patient, Visit, assert_findings, controller, findings, keygen, me, read, root_or_skip, tool,
    write,
};
use crate::support::Controller;

/// Asks the doctor, with a second login on a server that has no troubles.
async fn told(name: &str, visit: &Visit, desk: &Patient) {
    let said = visit.controller.run(&line(visit)).await.code(3);
    assert_findings!(name, findings(&visit.controller, &said));
    drop(desk.section("desk", &me()));
}

fn line(visit: &Visit) -> String {
    format!(
        "doctor patient --timeout 30s --log-via {}@desk --log-file {}",
        me(),
        visit.patient.path("log").display()
    )
}

/// A patient of this user, and a desk.
async fn visit(options: Options<'_>, user: &str) -> Option<(Visit, Patient)> {
    let desk = Patient::start(Options::default()).await?;
    let patient = Patient::start(options).await?;
    let inventory = [patient.section("patient", user), desk.section("desk", &me())].concat();
    Some((Visit { controller: controller(&inventory), patient }, desk))
}

struct Row {
    name: &'static str,
    config: &'static str,
    key_options: &'static str,
    /// What is done to the patient before.
    harm: fn(&Patient),
}

const NONE: fn(&Patient) = |_| {};

const ROWS: &[Row] = &[
    Row { name: "allow_users", config: "AllowUsers nobody-else", key_options: "", harm: NONE },
    Row { name: "deny_users", config: "DenyUsers ME", key_options: "", harm: NONE },
    Row { name: "allow_groups", config: "AllowGroups nobody-elses", key_options: "", harm: NONE },
    Row {
        name: "strict_modes",
        config: "StrictModes yes",
        key_options: "",
        harm: |patient| tool("chmod", &["o+w", &patient.path("keys").display().to_string()]),
    },
    Row {
        name: "strict_modes_file",
        config: "StrictModes yes",
        key_options: "",
        harm: |patient| tool("chmod", &["o+w", &patient.path("keys/authorized_keys").display().to_string()]),
    },
    Row { name: "from", config: "", key_options: "from=\"192.0.2.7\" ", harm: NONE },
    Row {
        name: "key_options",
        config: "LogLevel INFO",
        key_options: "expiry-time=\"20200101\" ",
        harm: NONE,
    },
    Row {
        name: "expiry_time",
        config: "LogLevel DEBUG",
        key_options: "expiry-time=\"20200101\" ",
        harm: NONE,
    },
    Row {
        name: "accepted_algorithms",
        config: "PubkeyAcceptedAlgorithms rsa-sha2-512",
        key_options: "",
        harm: NONE,
    },
    Row {
        name: "another_key",
        config: "",
        key_options: "",
        harm: |patient| {
            keygen(&patient.path("another"), &["-t", "ed25519"]);
            write(&patient.path("keys/authorized_keys"), &read(&patient.path("another.pub")), 0o644);
        },
    },
    Row { name: "revoked", config: "RevokedKeys DIR/id.pub", key_options: "", harm: NONE },
];

#[tokio::test(flavor = "multi_thread")]
async fn every_cause() {
    for row in ROWS {
        let config = row.config.replace("ME", &me());
        let options = Options { config: &config, key_options: row.key_options, ..Options::default() };
        let Some((visit, desk)) = visit(options, &me()).await else { return };
        (row.harm)(&visit.patient);
        told(row.name, &visit, &desk).await;
    }
}

/// Accounts of a patient's own.
fn etc(shadow: &str, shell: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "passwd",
            format!(
                "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\neve:x:64001:64001::/:{shell}\n"
            ),
        ),
        ("group", "root:x:0:\nnogroup:x:65534:\neve:x:64001:\n".to_owned()),
        ("shadow", format!("root:*:19000:0:99999:7:::\neve:{shadow}\n")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    if !root_or_skip("an account of its own") {
        return;
    }
    let fine = "*:19000:0:99999:7:::";
    let rows = [
        ("no_such_user", "eva", fine, "/bin/sh", ""),
        ("locked", "eve", "!:19000:0:99999:7:::", "/bin/sh", ""),
        ("expired", "eve", "*:19000:0:99999:7::19001:", "/bin/sh", ""),
        ("no_shell", "eve", fine, "/bin/gone", ""),
        ("permit_root_login", "root", fine, "/bin/sh", "PermitRootLogin no"),
    ];
    for (name, user, shadow, shell, config) in rows {
        let etc = etc(shadow, shell);
        let options = Options { config, etc: &etc, ..Options::default() };
        let Some((visit, desk)) = visit(options, user).await else { return };
        told(name, &visit, &desk).await;
    }
}

/// The usual place of keys, in a home that a group can write.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_writable_home() {
    if !root_or_skip("an account of its own") {
        return;
    }
    let mut etc = etc("*:19000:0:99999:7:::", "/bin/sh");
    etc[0].1 = etc[0].1.replace("::/:", "::DIR/home:");
    etc[1].1.push_str("staff:x:64002:root,eve\n");
    let config = "StrictModes yes\nAuthorizedKeysFile .ssh/authorized_keys";
    let Some((visit, desk)) = visit(Options { config, etc: &etc, ..Options::default() }, "eve").await else {
        return;
    };
    let home = visit.patient.path("home");
    std::fs::create_dir_all(home.join(".ssh")).unwrap();
    write(&home.join(".ssh/authorized_keys"), &read(&visit.patient.path("id.pub")), 0o600);
    let home = home.display().to_string();
    tool("chown", &["-R", "64001:64002", &home]);
    tool("chmod", &["775", &home]);
    told("group_writable_home", &visit, &desk).await;
}

/// The cause is not in a log of LogLevel INFO, and is not guessed.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_hides_the_cause() {
    let options = Options { config: "LogLevel INFO", ..Options::default() };
    let Some((visit, desk)) = visit(options, &me()).await else { return };
    write(&visit.patient.path("keys/authorized_keys"), "", 0o644);
    told("hidden", &visit, &desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log() {
    let Some((visit, desk)) = visit(Options { config: "AllowUsers x", ..Options::default() }, &me()).await
    else {
        return;
    };
    let ask = |controller: &Controller, via: &str, file: &str| {
        let line = format!("doctor patient --timeout 30s --log-via {via} --log-file {file}");
        let controller = controller.command(&line);
        async move {
            let mut controller = controller;
            String::from_utf8(controller.output().await.unwrap().stdout).unwrap()
        }
    };
    let ctl = &visit.controller;
    let desk_user = format!("{}@desk", me());
    write(
        &visit.patient.path("other"),
        "Nov 22 16:00:00 h sshd[7]: Connection from 192.0.2.7 port 1 on x\n",
        0o644,
    );
    let other = visit.patient.path("other").display().to_string();
    assert!(ask(ctl, &desk_user, &other).await.contains("the server's log has nothing about our port"));
    assert!(ask(ctl, &desk_user, "/nonexistent/log").await.contains("may not read /nonexistent/log"));
    // The same host as another user, who is refused as well.
    let refused = ask(ctl, &format!("{}@", me()), &other).await;
    assert!(refused.contains("the server's log cannot be read: failed to log in to patient"), "{refused}");
    ctl.run("doctor patient --log-via desk").await.code(64).says("root@");
    drop(desk);
}
