//! What a session may do.

use super::patient::{Options, Patient, Visit, assert_findings, controller, findings, root_or_skip};

async fn row(name: &str, config: &str, code: i32) {
    let Some(visit) = Visit::new(Options { config, ..Options::default() }).await else { return };
    let said = visit.doctor().await.code(code);
    assert_findings!(name, findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sftp() {
    // The first line of a subsystem wins: a program that is not there.
    row("no_sftp_program", "Subsystem sftp /nonexistent/sftp-server", 0).await;
    row("no_sftp", "Subsystem other internal-sftp", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_terminal() {
    row("no_terminal", "PermitTTY no", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forwarding() {
    row("no_forwarding", "AllowTcpForwarding no", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sessions() {
    row("no_sessions", "MaxSessions 0", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_command() {
    row("forced_command", "ForceCommand echo only backups here", 3).await;
}

/// Accounts of a patient's own: the files are laid over /etc.
fn accounts(shell: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "passwd",
            format!(
                "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\neve:x:64001:64001::DIR/home:{shell}\n"
            ),
        ),
        ("group", "root:x:0:\nnogroup:x:65534:\neve:x:64001:\n".to_owned()),
        ("shadow", "root:*:19000:0:99999:7:::\neve:*:19000:0:99999:7:::\n".to_owned()),
    ]
}

async fn account(
    name: &str,
    shell: &str,
    more: Option<(&'static str, &str)>,
    prepare: &str,
    config: &str,
    code: i32,
) {
    if !root_or_skip("an account of its own") {
        return;
    }
    let mut etc = accounts(shell);
    etc.extend(more.map(|(file, text)| (file, text.to_owned())));
    let options = Options { config, etc: &etc, prepare, ..Options::default() };
    let Some(patient) = Patient::start(options).await else { return };
    std::fs::create_dir(patient.path("home")).unwrap();
    super::patient::write(&patient.path("home/.bashrc"), "echo Welcome to patient\n", 0o644);
    let visit = Visit { controller: controller(&patient.section("patient", "eve")), patient };
    let said = visit.doctor().await.code(code);
    assert_findings!(name, findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_is_none() {
    account("nologin_shell", "/usr/sbin/nologin", None, "", "", 3).await;
    account("false_shell", "/bin/false", None, "", "", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etc_nologin() {
    let text = "Maintenance until 18:00\n";
    account("etc_nologin", "/bin/sh", Some(("nologin", text)), "", "", 3).await;
}

/// PAM's nologin refuses the login itself.
#[tokio::test(flavor = "multi_thread")]
async fn run_nologin() {
    let pam = "auth required pam_permit.so\naccount required pam_nologin.so\naccount required pam_permit.so\n\
               session required pam_permit.so\n";
    let prepare = "mount -t tmpfs tmpfs /run\nmkdir /run/sshd\necho 'System is going down' > /run/nologin";
    account("run_nologin", "/bin/sh", Some(("pam.d/sshd", pam)), prepare, "UsePAM yes", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_prints() {
    // Not sshd's own sftp: that one needs no shell.
    let config = "Subsystem sftp /usr/lib/openssh/sftp-server";
    account("profile", "/bin/bash", None, "", config, 0).await;
}
