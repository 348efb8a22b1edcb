//! Commands on a real server.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sshd::{Sshd, connector, settings};
use super::{eventually, hear};
use crate::{Chunk, Connection, Connector, Exec, LinkEnd, Settings, SshError};

async fn logged_in(extra: &str) -> Option<(Sshd, Connection)> {
    logged_in_with(connector(), extra).await
}

async fn logged_in_with(connector: Connector, extra: &str) -> Option<(Sshd, Connection)> {
    let sshd = Sshd::start(extra).await?;
    sshd.knows_host_key();
    let connection = connector.connect(&sshd.target()).await.unwrap();
    Some((sshd, connection))
}

#[tokio::test]
async fn both_streams_and_the_status_arrive() {
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let mut exec = connection.exec("printf out; printf err >&2; exit 3").await.unwrap();
    let heard = hear(&mut exec.output).await;
    assert_eq!((heard.stdout.as_slice(), heard.stderr.as_slice()), (&b"out"[..], &b"err"[..]));
    assert_eq!(heard.ends, [Chunk::Exit(3)]);
    connection.close().await;
}

#[tokio::test]
async fn a_signal_arrives_by_name() {
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let mut exec = connection.exec("kill -TERM $$").await.unwrap();
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Signal("TERM".to_owned())]);
}

#[tokio::test]
async fn input_comes_back_larger_than_any_window() {
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let Exec { mut stdin, mut output, .. } = connection.exec("cat").await.unwrap();
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let (written, heard) = tokio::join!(
        async {
            let written = stdin.write_all(&sent).await;
            stdin.eof();
            written
        },
        hear(&mut output)
    );
    written.unwrap();
    assert!(heard.stdout == sent, "{} bytes came back", heard.stdout.len());
    assert_eq!(heard.ends, [Chunk::Exit(0)]);
    assert!(matches!(stdin.write_all(b"late").await, Err(SshError::StdinClosed { .. })));
}

#[tokio::test]
async fn ten_mebibytes_are_drained() {
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let mut exec = connection.exec("head -c 10485760 /dev/zero").await.unwrap();
    let heard = hear(&mut exec.output).await;
    assert_eq!(heard.stdout.len(), 10_485_760);
    assert_eq!(heard.ends, [Chunk::Exit(0)]);
}

#[tokio::test]
async fn an_unread_command_stalls_nobody_and_is_ended() {
    let limit = 256 * 1024;
    let connector = Connector::new(Settings { unread_limit: limit, ..settings() }, None);
    let Some((_sshd, connection)) = logged_in_with(connector, "").await else { return };
    let mut noisy = connection.exec("yes").await.unwrap();
    for _ in 0..3 {
        let mut exec = connection.exec("head -c 100000 /dev/zero").await.unwrap();
        assert_eq!(hear(&mut exec.output).await.stdout.len(), 100_000);
    }
    let heard = hear(&mut noisy.output).await;
    assert_eq!(heard.ends, [Chunk::Overflow]);
    assert!(heard.stdout.len() <= limit, "{}", heard.stdout.len());
    assert!(matches!(noisy.stdin.write_all(b"x").await, Err(SshError::StdinClosed { .. })));
}

#[tokio::test]
async fn dropping_the_output_closes_the_channel_and_its_tasks() {
    let Some((sshd, connection)) = logged_in("").await else { return };
    let before = Handle::current().metrics().num_alive_tasks();
    let witness = sshd.dir.path().join("witness");
    let Exec { mut stdin, output, .. } =
        connection.exec(&format!("cat >/dev/null; : >{}", witness.display())).await.unwrap();
    stdin.write_all(b"some input").await.unwrap();
    drop(output);
    // The standard input is still ours: only a closed channel can end it.
    eventually("the command's end of file", || witness.exists()).await;
    eventually("the tasks' end", || Handle::current().metrics().num_alive_tasks() <= before).await;
    assert!(matches!(stdin.write_all(b"x").await, Err(SshError::StdinClosed { .. })));
    let mut again = connection.exec("echo still here").await.unwrap();
    assert_eq!(hear(&mut again.output).await.stdout, b"still here\n");
}

#[tokio::test]
async fn a_waiting_writer_learns_that_the_command_has_ended() {
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let Exec { mut stdin, mut output, .. } = connection.exec("exec </dev/null; sleep 0.2").await.unwrap();
    let endless = vec![0; 64 * 1024 * 1024];
    let (written, heard) = tokio::join!(stdin.write_all(&endless), hear(&mut output));
    assert!(matches!(written, Err(SshError::StdinClosed { .. })));
    assert_eq!(heard.ends, [Chunk::Exit(0)]);
}

#[tokio::test]
async fn a_refused_channel_says_so() {
    let Some((_sshd, connection)) = logged_in("MaxSessions 1").await else { return };
    let _first = connection.exec("cat").await.unwrap();
    let error = connection.exec("cat").await.unwrap_err();
    insta::assert_snapshot!(error, @"open a channel to testhost: the server cannot open it; MaxSessions may be reached");
}

#[tokio::test]
async fn an_abandoned_exec_leaves_no_channel() {
    let Some((_sshd, connection)) = logged_in("MaxSessions 1").await else { return };
    let before = Handle::current().metrics().num_alive_tasks();
    let abandoned = timeout(Duration::ZERO, connection.exec("cat")).await;
    assert!(abandoned.is_err());
    eventually("the open's end", || Handle::current().metrics().num_alive_tasks() <= before).await;
    // sshd forgets a channel after it has read what came with its close: a moment later there is room.
    let room = async {
        loop {
            match connection.exec("echo room").await {
                Err(SshError::OpenRefused { .. }) => {}
                opened => break opened.unwrap(),
            }
        }
    };
    let mut exec = timeout(Duration::from_secs(30), room).await.unwrap();
    assert_eq!(hear(&mut exec.output).await.stdout, b"room\n");
}

#[tokio::test]
async fn a_lost_link_is_told_to_everybody() {
    let Some((mut sshd, connection)) = logged_in("").await else { return };
    let mut exec = connection.exec("echo up; exec cat").await.unwrap();
    assert_eq!(exec.output.next().await, Some(Chunk::Stdout(b"up\n".to_vec())));
    let closed = connection.closed();
    sshd.stop().await;
    let end = timeout(Duration::from_secs(10), closed).await.unwrap();
    assert!(matches!(end, LinkEnd::Closed | LinkEnd::Reset), "{end:?}");
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Lost]);
    assert!(matches!(connection.exec("true").await, Err(SshError::LinkLost { .. })));
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_dropped_connection_takes_everything_along() {
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let mut exec = connection.exec("echo up; exec cat").await.unwrap();
    assert_eq!(exec.output.next().await, Some(Chunk::Stdout(b"up\n".to_vec())));
    let closed = connection.closed();
    drop(connection);
    assert_eq!(timeout(Duration::from_secs(10), closed).await.unwrap(), LinkEnd::GivenUp);
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Lost]);
}

#[tokio::test]
async fn openssh_passes_a_signal_on() {
    if rustix::process::getuid().is_root() {
        println!("skipped: sshd signals no commands of root");
        return;
    }
    let Some((_sshd, connection)) = logged_in("").await else { return };
    let mut exec = connection.exec("echo up; exec sleep 1000").await.unwrap();
    assert_eq!(exec.output.next().await, Some(Chunk::Stdout(b"up\n".to_vec())));
    exec.signals.send("TERM").unwrap();
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Signal("TERM".to_owned())]);
    eventually("the end of the channel's task", || exec.signals.send("TERM").is_err()).await;
}

#[tokio::test]
async fn a_subsystem_speaks_and_an_unknown_one_is_refused() {
    let Some((_sshd, connection)) = logged_in("Subsystem sftp internal-sftp").await else { return };
    let mut sftp = connection.subsystem("sftp").await.unwrap();
    // SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02, section 4).
    sftp.stdin.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await.unwrap();
    let Some(Chunk::Stdout(answer)) = sftp.output.next().await else { panic!("no answer") };
    assert_eq!(answer.get(4..9), Some(&[2, 0, 0, 0, 3][..]));
    let mut unknown = connection.subsystem("nonsense").await.unwrap();
    assert_eq!(hear(&mut unknown.output).await.ends, [Chunk::Refused]);
}
