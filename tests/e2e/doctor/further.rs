//! Troubles beyond a setting of one server.

use super::patient::{Options, Patient, Visit, assert_findings, findings, me, mended};

/// The session's process dies under the command.
#[tokio::test(flavor = "multi_thread")]
async fn closed_after_the_login() {
    let config = "ForceCommand kill -9 $PPID";
    let Some(visit) = Visit::new(Options { config, ..Options::default() }).await else { return };
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

/// A visit to a patient behind a bastion.
async fn behind(config: &str) -> Option<(Visit, Patient)> {
    let bastion = Patient::start(Options { config, ..Options::default() }).await?;
    let visit = Visit::new(Options::default()).await?;
    // Writes its known_hosts file as well.
    let _ = bastion.section("bastion", &me());
    let text = format!(
        "Host patient\n  ProxyJump bastion\nHost bastion\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  \
         UserKnownHostsFile {}\n",
        bastion.address.port(),
        me(),
        bastion.path("id").display(),
        bastion.path("known_hosts").display()
    );
    // The patient stands in known_hosts under the name and port that the inventory gives.
    visit.controller.write("ssh_config", &text);
    Some((visit, bastion))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_has_a_checklist_of_its_own() {
    let Some((visit, bastion)) = behind("").await else { return };
    let said = visit.controller.run("doctor patient -F ssh_config --timeout 30s").await.code(0);
    assert_findings!(mended(&visit.controller, &said));
    drop(bastion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_that_forwards_nothing() {
    let Some((visit, bastion)) = behind("AllowTcpForwarding no").await else { return };
    let said = visit.controller.run("doctor patient -F ssh_config --timeout 30s").await.code(3);
    assert_findings!(findings(&visit.controller, &said));
    drop(bastion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_that_is_down() {
    let Some((visit, bastion)) = behind("").await else { return };
    drop(bastion);
    let said = visit.controller.run("doctor patient -F ssh_config --timeout 30s").await.code(4);
    assert_findings!(findings(&visit.controller, &said));
}
