//! Our client against the servers that are out there: what works with each of them, and what does not, by name.
//!
//! The lab's scenario `servers` does the same with OpenSSH of three generations.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what surprises a test is to end it, and a skipped one says so"
)]

mod exercise;
mod servers;
mod sftp;

use exercise::Exercise;
use servers::Server;

/// How much goes each way: all of it is encrypted without optimisation, by servers that may be slow themselves.
fn mebibytes(usual: usize) -> usize {
    std::env::var("PIPEDOWN_INTEROP_MEBIBYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What came of everything with a server, and with one that is busy.
async fn table(server: &Server, busy: &Server, mebibytes: usize) -> String {
    let exercise = Exercise { target: server.target(), busy: busy.target(), mebibytes, file: server.file() };
    exercise.run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh() {
    let Some(server) = Server::openssh("").await else { return };
    let often = "RekeyLimit 1M\nClientAliveInterval 1\nClientAliveCountMax 4";
    let Some(busy) = Server::openssh(often).await else { return };
    let table = table(&server, &busy, mebibytes(16)).await;
    // Root's logins have no monitor, which is what delivers signals; elsewhere that depends on how sshd was built.
    let root = rustix::process::getuid().is_root();
    let known = if root { &["not delivered"][..] } else { &["yes", "not delivered"] };
    let known = known.iter().map(|signal| format!("signal to it         {signal}\n"));
    let table = known.fold(table, |table, line| table.replace(&line, "signal to it         as expected\n"));
    insta::assert_snapshot!(table, @"
    exec and status      yes
    exit signal          yes
    signal to it         as expected
    output               yes
    input                yes
    both ways at once    yes
    sftp                 yes
    re-key by us         yes
    re-key by server     yes
    keepalive by us      yes
    keepalive by server  yes
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropbear() {
    let Some(server) = Server::dropbear(0).await else { return };
    let Some(busy) = Server::dropbear(1).await else { return };
    insta::assert_snapshot!(table(&server, &busy, mebibytes(16)).await, @"
    exec and status      yes
    exit signal          yes
    signal to it         yes
    output               yes
    input                yes
    both ways at once    yes
    sftp                 yes
    re-key by us         yes
    re-key by server     never
    keepalive by us      yes
    keepalive by server  yes
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncssh() {
    let Some(server) = Server::python("asyncssh", 1024, 0) else { return };
    let Some(busy) = Server::python("asyncssh", 1, 1) else { return };
    insta::assert_snapshot!(table(&server, &busy, mebibytes(16)).await, @"
    exec and status      yes
    exit signal          yes
    signal to it         yes
    output               yes
    input                yes
    both ways at once    yes
    sftp                 yes
    re-key by us         the link ended: inconsistent state of the protocol
    re-key by server     the link ended: inconsistent state of the protocol
    keepalive by us      yes
    keepalive by server  yes
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn paramiko() {
    let Some(server) = Server::python("paramiko", 1024, 0) else { return };
    let Some(busy) = Server::python("paramiko", 1, 1) else { return };
    insta::assert_snapshot!(table(&server, &busy, mebibytes(2)).await, @"
    exec and status      yes
    exit signal          [Exit(143)]
    signal to it         not delivered
    output               yes
    input                yes
    both ways at once    yes
    sftp                 yes
    re-key by us         yes
    re-key by server     yes
    keepalive by us      yes
    keepalive by server  yes
    ");
}
