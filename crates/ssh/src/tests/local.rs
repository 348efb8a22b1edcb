//! Commands in local processes.

use std::process::Stdio;

use tokio::process::Command;
use tokio::runtime::Handle;

use super::{eventually, hear};
use crate::{Chunk, Exec, SshError};

fn sh(script: &str, unread_limit: usize) -> Exec {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Exec::from_child(command.spawn().unwrap(), unread_limit).unwrap()
}

#[tokio::test]
async fn streams_input_and_status() {
    let mut exec = sh("cat; printf err >&2; exit 3", 1 << 20);
    exec.stdin.write_all(b"one ").await.unwrap();
    exec.stdin.write_all(b"two").await.unwrap();
    exec.stdin.eof();
    let heard = hear(&mut exec.output).await;
    assert_eq!((heard.stdout.as_slice(), heard.stderr.as_slice()), (&b"one two"[..], &b"err"[..]));
    assert_eq!(heard.ends, [Chunk::Exit(3)]);
}

#[tokio::test]
async fn signals_have_names() {
    let mut exec = sh("kill -KILL $$", 1 << 20);
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Signal("KILL".to_owned())]);
}

#[tokio::test]
async fn a_process_gets_a_signal_by_name() {
    let mut exec = sh("trap 'echo got USR1; exit 4' USR1; echo up; while :; do sleep 0.05; done", 1 << 20);
    assert_eq!(exec.output.next().await, Some(Chunk::Stdout(b"up\n".to_vec())));
    exec.signals.send("NONSENSE").unwrap();
    exec.signals.send("USR1").unwrap();
    let heard = hear(&mut exec.output).await;
    assert_eq!((heard.stdout.as_slice(), heard.ends), (&b"got USR1\n"[..], vec![Chunk::Exit(4)]));
    eventually("the end of the pump", || exec.signals.send("USR1").is_err()).await;
}

#[tokio::test]
async fn too_much_unread_output_ends_the_process() {
    let mut exec = sh("exec yes", 100_000);
    eventually("the end of yes", || Handle::current().metrics().num_alive_tasks() == 0).await;
    let heard = hear(&mut exec.output).await;
    assert!(heard.stdout.len() <= 100_000);
    assert_eq!(heard.ends, [Chunk::Overflow, Chunk::Signal("KILL".to_owned())]);
}

#[tokio::test]
async fn dropping_the_output_kills_the_process() {
    let Exec { mut stdin, output, .. } = sh("exec cat", 1 << 20);
    drop(output);
    eventually("the tasks' end", || Handle::current().metrics().num_alive_tasks() == 0).await;
    assert!(matches!(stdin.write_all(b"x").await, Err(SshError::StdinClosed { .. })));
}

#[tokio::test]
async fn a_stream_that_is_not_piped_is_named() {
    let mut command = Command::new("true");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let error = Exec::from_child(command.spawn().unwrap(), 1).unwrap_err();
    insta::assert_snapshot!(error, @"drive a local process: its standard output is not a pipe");
}
