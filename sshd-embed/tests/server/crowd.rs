//! Many hosts that run nothing, and what is wrong with some of them.

use std::net::SocketAddr;
use std::time::Duration;

use sshd_embed::{Answer, Answers, Crowd, CrowdFault, CrowdOptions, Share};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{LONG, have_ssh, ssh_at, until};

/// One host of each fault, and two without.
async fn motley() -> Crowd {
    let answers = Answers::default().with("uptime", Answer::status(3).stdout("up for ever\n"));
    let options = CrowdOptions::default().answers(answers);
    let share = |options: CrowdOptions, fault| options.share(Share::hosts(fault, 1));
    let options = CrowdFault::ALL.into_iter().map(|(_, fault)| fault).fold(options, share);
    Crowd::start(CrowdFault::ALL.len() + 2, options).await.unwrap()
}

fn addr(crowd: &Crowd, fault: Option<CrowdFault>) -> SocketAddr {
    crowd.hosts().iter().find(|host| host.fault == fault).unwrap().addr
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_are_refused_unanswered_or_left_alone() {
    let crowd = motley().await;
    let refused = TcpStream::connect(addr(&crowd, Some(CrowdFault::Refuse))).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // It is the silence that is looked for, so that there is nothing else to wait for.
    let silent = TcpStream::connect(addr(&crowd, Some(CrowdFault::DropSyn)));
    assert!(timeout(Duration::from_millis(500), silent).await.is_err());
    let mut mute = TcpStream::connect(addr(&crowd, Some(CrowdFault::StallBanner))).await.unwrap();
    let mut well = TcpStream::connect(addr(&crowd, None)).await.unwrap();
    let mut line = [0; 8];
    timeout(LONG, well.read_exact(&mut line)).await.unwrap().unwrap();
    assert_eq!(&line, b"SSH-2.0-");
    let mut stuck = TcpStream::connect(addr(&crowd, Some(CrowdFault::StallKex))).await.unwrap();
    let mut lines = BufReader::new(&mut stuck).lines();
    assert!(timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap().contains("stalled"));
    until("all are accepted", async || crowd.connections() == 3).await;
    let heard = mute.try_read(&mut line).unwrap_err();
    assert_eq!(heard.kind(), std::io::ErrorKind::WouldBlock);
    crowd.stop().await;
    assert!(timeout(LONG, mute.read_to_end(&mut Vec::new())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_and_not_run() {
    if !have_ssh() {
        return;
    }
    let crowd = motley().await;
    let ssh = |fault| ssh_at(addr(&crowd, fault), &crowd.identity(), &crowd.known_hosts(), "root");
    let said = async |fault, line: &str| timeout(LONG, ssh(fault).arg(line).output()).await.unwrap().unwrap();
    assert!(said(None, "true").await.status.success());
    let up = said(None, "uptime").await;
    assert_eq!((up.status.code(), up.stdout.as_slice()), (Some(3), b"up for ever\n".as_slice()));
    let unknown = said(None, "touch /nonexistent/x").await;
    assert_eq!(unknown.status.code(), Some(127));
    assert_eq!(String::from_utf8(unknown.stderr).unwrap(), "sshd-embed: no answer to this command\n");
    let denied = said(Some(CrowdFault::DenyAuth), "true").await;
    assert!(String::from_utf8_lossy(&denied.stderr).contains("Permission denied"), "{denied:?}");
    let died = said(Some(CrowdFault::Die), "true").await;
    assert_eq!((died.status.code(), died.stdout.as_slice()), (Some(255), b"half a li".as_slice()));
    let real = said(Some(CrowdFault::Real), "uptime >/dev/null; echo $((6 * 7))").await;
    assert_eq!(real.stdout, b"42\n");
    let mut flooding = ssh(Some(CrowdFault::Flood)).arg("true").spawn().unwrap();
    let mut much = vec![0; 4 << 20];
    timeout(LONG, flooding.stdout.as_mut().unwrap().read_exact(&mut much)).await.unwrap().unwrap();
    let hanging = ssh(Some(CrowdFault::Hang)).arg("true").spawn().unwrap();
    until("both are connected", async || crowd.connections() == 2).await;
    flooding.kill().await.unwrap();
    drop(hanging);
    until("nobody is left", async || crowd.connections() == 0).await;
    assert_eq!(crowd.commands(), 0);
    crowd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_really_runs_is_counted_and_ends_with_the_crowd() {
    if !have_ssh() {
        return;
    }
    let crowd = motley().await;
    let real = addr(&crowd, Some(CrowdFault::Real));
    let mut child =
        ssh_at(real, &crowd.identity(), &crowd.known_hosts(), "root").arg("sleep 600").spawn().unwrap();
    until("it runs", async || crowd.commands() == 1).await;
    crowd.stop().await;
    timeout(LONG, child.wait()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_listen_at_once() {
    let crowd = Crowd::start(10_000, CrowdOptions::default()).await.unwrap();
    assert_eq!(crowd.hosts().last().unwrap().name, "node10000");
    for host in crowd.hosts().iter().step_by(997) {
        let mut stream = TcpStream::connect(host.addr).await.unwrap();
        let mut line = [0; 8];
        timeout(LONG, stream.read_exact(&mut line)).await.unwrap().unwrap();
        stream.shutdown().await.unwrap();
    }
    let known = std::fs::read_to_string(crowd.known_hosts()).unwrap();
    assert_eq!(known.lines().count(), 10_000);
    crowd.stop().await;
}
