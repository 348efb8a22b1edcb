//! Faults on request, and what protects the server itself.

use std::time::Duration;

use sshd_embed::{AuthorizedKeys, Faults, KeyPair, Limits, RunningServer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::{LONG, fleet, have_ssh, run, ssh, until};

fn faults(set: impl FnOnce(&mut Faults)) -> Faults {
    let mut faults = Faults::none();
    set(&mut faults);
    faults
}

async fn server(limits: impl FnOnce(&mut Limits)) -> RunningServer {
    let mut set = Limits::default();
    limits(&mut set);
    let server = Server::new().listen(([127, 0, 0, 1], 0).into()).user("me").limits(set);
    let keys = AuthorizedKeys::new().with_key(&KeyPair::generate().unwrap());
    server.authorized_keys(keys).start().await.unwrap()
}

/// Reads until the server hangs up.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is a way to hang up as well.
    let _ = timeout(LONG, stream.read_to_end(&mut all)).await.unwrap();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stalls_where_it_is_told_to() {
    let server = server(|_| {}).await;
    let addr = server.addrs()[0];
    server.set_faults(faults(|faults| faults.stall_banner = true));
    let mut silent = TcpStream::connect(addr).await.unwrap();
    until("it is accepted", async || server.connections() == 1).await;
    server.set_faults(faults(|faults| faults.stall_kex = true));
    let mut stalled = TcpStream::connect(addr).await.unwrap();
    let mut line = [0; 28];
    timeout(LONG, stalled.read_exact(&mut line)).await.unwrap().unwrap();
    assert_eq!(&line, b"SSH-2.0-sshd-embed_stalled\r\n");
    stalled.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    server.set_faults(faults(|faults| faults.refuse = true));
    assert_eq!(read_all(&mut TcpStream::connect(addr).await.unwrap()).await, b"");
    server.set_faults(Faults::none());
    let mut well = TcpStream::connect(addr).await.unwrap();
    let mut line = [0; 8];
    timeout(LONG, well.read_exact(&mut line)).await.unwrap().unwrap();
    assert_eq!(&line, b"SSH-2.0-");
    // The others have heard nothing so far, and everybody is let go in the end.
    assert_eq!(server.connections(), 3);
    timeout(LONG, server.kill()).await.unwrap();
    assert_eq!(read_all(&mut silent).await, b"");
    assert_eq!(read_all(&mut stalled).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_freezes_drops_and_is_denied_on_request() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let host = &fleet.hosts()[0];
    host.set_faults(faults(|faults| faults.deny_auth = true)).await.unwrap();
    let denied = run(&fleet, "root", "echo in").await;
    assert!(String::from_utf8_lossy(&denied.stderr).contains("Permission denied"), "{denied:?}");
    host.set_faults(faults(|faults| faults.drop_after = Some(4))).await.unwrap();
    let dropped = run(&fleet, "root", "echo 123456789; sleep 300").await;
    assert_eq!(dropped.status.code(), Some(255));
    assert!(dropped.stdout.len() <= 4);
    host.set_faults(faults(|faults| faults.freeze_after = Some(4))).await.unwrap();
    let mut frozen = ssh(&fleet, "root").arg("echo 123456789").spawn().unwrap();
    let mut seen = [0; 4];
    let stdout = frozen.stdout.as_mut().unwrap();
    timeout(LONG, stdout.read_exact(&mut seen)).await.unwrap().unwrap();
    assert_eq!(&seen, b"1234");
    let more = timeout(Duration::from_millis(500), stdout.read_u8()).await;
    assert!(more.is_err(), "a frozen command went on: {more:?}");
    host.set_faults(Faults::none()).await.unwrap();
    assert_eq!(run(&fleet, "root", "echo in").await.stdout, b"in\n");
    drop(frozen);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_log_in_is_sent_away() {
    let server = server(|limits| limits.login_grace = Duration::from_millis(300)).await;
    let addr = server.addrs()[0];
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"SSH-2.0-half\r\n").await.unwrap();
    let begun = Instant::now();
    assert!(read_all(&mut silent).await.starts_with(b"SSH-2.0-"));
    assert!(read_all(&mut half).await.starts_with(b"SSH-2.0-"));
    assert!(begun.elapsed() < LONG / 2);
    until("nothing is left", async || server.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn startups_are_counted() {
    let server = server(|limits| limits.startups = 2).await;
    let addr = server.addrs()[0];
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        timeout(LONG, stream.read_u8()).await.unwrap().unwrap();
        held.push(stream);
    }
    assert_eq!(read_all(&mut TcpStream::connect(addr).await.unwrap()).await, b"");
    held.pop();
    until("a place is free", async || {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.read_u8().await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_no_task_behind() {
    let server = server(|_| {}).await;
    let addr = server.addrs()[0];
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut held = Vec::new();
    for n in 0..20 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        timeout(LONG, stream.read_u8()).await.unwrap().unwrap();
        if n % 2 == 0 {
            stream.write_all(b"SSH-2.0-then_nothing\r\n").await.unwrap();
        }
        held.push(stream);
    }
    assert!(tasks() > before);
    // Half hang up, and half are cut by the end of the server.
    held.truncate(10);
    until("they are gone", async || server.connections() == 10).await;
    timeout(LONG, server.kill()).await.unwrap();
    until("tasks have ended", async || tasks() < before).await;
}
