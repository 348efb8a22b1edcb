//! What OpenSSH's client cannot be made to do: signals, sizes, and a client that never stops sending.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKeyWithHashAlg, load_secret_key};
use russh::{Channel, ChannelMsg, Sig};
use sshd_embed::{Fleet, Limits};
use tokio::time::timeout;

use crate::support::{LONG, fleet, options};

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn connect(fleet: &Fleet) -> Handle<Trusting> {
    let addr = fleet.hosts()[0].addrs()[0];
    let mut handle = client::connect(Arc::default(), addr, Trusting).await.unwrap();
    let key = Arc::new(load_secret_key(fleet.identity(), None).unwrap());
    let result = handle.authenticate_publickey("root", PrivateKeyWithHashAlg::new(key, None)).await.unwrap();
    assert!(result.success());
    handle
}

/// Reads a channel to its end: output, and how the command ended.
async fn finish(channel: &mut Channel<Msg>) -> (String, Option<ChannelMsg>) {
    let (mut text, mut end) = (Vec::new(), None);
    let reading = async {
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => text.extend_from_slice(&data),
                ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. } => end = Some(message),
                _ => {}
            }
        }
    };
    timeout(LONG, reading).await.unwrap();
    (String::from_utf8_lossy(&text).into_owned(), end)
}

async fn wait_for(channel: &mut Channel<Msg>, text: &str) {
    let mut seen = String::new();
    let reading = async {
        while let Some(message) = channel.wait().await {
            if let ChannelMsg::Data { data } = message {
                seen.push_str(&String::from_utf8_lossy(&data));
                if seen.contains(text) {
                    return true;
                }
            }
        }
        false
    };
    assert!(timeout(LONG, reading).await == Ok(true), "{text:?} not in {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_process_group() {
    let fleet = fleet(1).await;
    let client = connect(&fleet).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, "sleep 300 & echo ready; wait").await.unwrap();
    wait_for(&mut channel, "ready").await;
    channel.signal(Sig::TERM).await.unwrap();
    let (_, end) = finish(&mut channel).await;
    assert!(matches!(end, Some(ChannelMsg::ExitSignal { signal_name: Sig::TERM, .. })), "{end:?}");
    // A command may handle it.
    let mut channel = client.channel_open_session().await.unwrap();
    channel
        .exec(true, "trap 'echo got it; exit 4' USR1; echo ready; while :; do sleep 0.05; done")
        .await
        .unwrap();
    wait_for(&mut channel, "ready").await;
    channel.signal(Sig::USR1).await.unwrap();
    let (text, end) = finish(&mut channel).await;
    assert!(text.contains("got it"));
    assert!(matches!(end, Some(ChannelMsg::ExitStatus { exit_status: 4 })), "{end:?}");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_the_size_it_is_given() {
    let fleet = fleet(1).await;
    let client = connect(&fleet).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_pty(true, "vt220", 101, 41, 0, 0, &[]).await.unwrap();
    channel
        .exec(true, "trap 'stty size; exit' WINCH; stty size; echo $TERM; while :; do sleep 0.05; done")
        .await
        .unwrap();
    wait_for(&mut channel, "41 101\r\nvt220\r\n").await;
    channel.window_change(102, 42, 0, 0).await.unwrap();
    let (text, _) = finish(&mut channel).await;
    assert_eq!(text, "42 102\r\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_nobody_reads_ends_its_command_and_no_other() {
    let mut limits = Limits::default();
    (limits.input_memory, limits.input_file) = (1 << 16, 4 << 20);
    let fleet = Fleet::start(1, options().limits(limits)).await.unwrap();
    let client = connect(&fleet).await;
    let mut deaf = client.channel_open_session().await.unwrap();
    deaf.exec(true, "sleep 300").await.unwrap();
    let mut other = client.channel_open_session().await.unwrap();
    other.exec(true, "cat").await.unwrap();
    let writer = deaf.make_writer();
    let flood = tokio::spawn(async move {
        tokio::pin!(writer);
        let piece = vec![0; 32 * 1024];
        // It ends with the channel.
        while tokio::io::AsyncWriteExt::write_all(&mut writer, &piece).await.is_ok() {}
    });
    let (_, end) = finish(&mut deaf).await;
    assert!(matches!(end, Some(ChannelMsg::ExitSignal { signal_name: Sig::KILL, .. })), "{end:?}");
    other.data(&b"still here\n"[..]).await.unwrap();
    wait_for(&mut other, "still here").await;
    other.eof().await.unwrap();
    let (_, end) = finish(&mut other).await;
    assert!(matches!(end, Some(ChannelMsg::ExitStatus { exit_status: 0 })), "{end:?}");
    flood.abort();
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_holds_up_no_other_channel() {
    let fleet = fleet(1).await;
    let client = connect(&fleet).await;
    let mut unread = client.channel_open_session().await.unwrap();
    // More than the window, less than what this client keeps for a channel that is not read.
    unread.exec(true, "head -c 10000000 /dev/zero").await.unwrap();
    let mut other = client.channel_open_session().await.unwrap();
    other.exec(true, "echo through").await.unwrap();
    let (text, _) = finish(&mut other).await;
    assert_eq!(text, "through\n");
    let (text, _) = finish(&mut unread).await;
    assert_eq!(text.len(), 10_000_000);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_counted() {
    let mut limits = Limits::default();
    limits.sessions = 2;
    let fleet = Fleet::start(1, options().limits(limits)).await.unwrap();
    let client = connect(&fleet).await;
    let first = client.channel_open_session().await.unwrap();
    let _second = client.channel_open_session().await.unwrap();
    assert!(client.channel_open_session().await.is_err());
    first.close().await.unwrap();
    let opened = async {
        while client.channel_open_session().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, opened).await.unwrap();
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_have_ended_count_no_more() {
    let mut limits = Limits::default();
    limits.sessions = 2;
    let fleet = Fleet::start(1, options().limits(limits)).await.unwrap();
    let client = connect(&fleet).await;
    let _held = client.channel_open_session().await.unwrap();
    for command in ["true", "echo one", "false", "kill -TERM $$"] {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.exec(true, command).await.unwrap();
        finish(&mut channel).await;
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_runs_one_command_only() {
    let fleet = fleet(1).await;
    let client = connect(&fleet).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    channel.exec(true, "echo second").await.unwrap();
    channel.eof().await.unwrap();
    let mut answers = Vec::new();
    while let Some(message) = timeout(LONG, channel.wait()).await.unwrap() {
        match message {
            ChannelMsg::Success => answers.push(true),
            ChannelMsg::Failure => answers.push(false),
            ChannelMsg::Data { .. } => panic!("a second command ran"),
            _ => {}
        }
    }
    assert_eq!(answers, [true, false]);
    fleet.stop().await;
}
