//! Hosts behind bastions: real sshd at both ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sshd::{Sshd, connector, public, settings};
use super::{eventually, hear, write_file};
use crate::route::Bastions;
use crate::{
    Chunk, ConnectError, Connection, Connector, FailureClass, LinkEnd, Route, Target, TunnelProblem, Via,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A bastion and a host whose keys are known.
async fn pair(extra: &str) -> Option<(Sshd, Sshd)> {
    let (gate, host) = (Sshd::start(extra).await?, Sshd::start("").await?);
    gate.knows_host_key();
    host.knows_host_key();
    Some((gate, host))
}

fn gate_target(gate: &Sshd) -> Target {
    let mut target = gate.target();
    target.name = "gate".to_owned();
    write_file(
        &gate.dir.path().join("known_hosts"),
        &format!("[gate]:{} {}\n", gate.address.port(), public(&gate.host_key)),
        0o644,
    );
    target
}

fn behind(host: &Sshd, hops: &[Target]) -> Target {
    let mut target = host.target();
    target.link.route = Route::Jump(hops.to_vec());
    target
}

async fn says_up(connection: &Connection) {
    let mut exec = timeout(PATIENCE, connection.exec("echo up")).await.unwrap().unwrap();
    let heard = timeout(PATIENCE, hear(&mut exec.output)).await.unwrap();
    assert_eq!((heard.stdout, heard.ends), (b"up\n".to_vec(), vec![Chunk::Exit(0)]));
}

#[tokio::test]
async fn hosts_share_one_connection_to_their_bastion_and_leave_nothing_behind() {
    let Some((gate, host)) = pair("MaxSessions 1").await else { return };
    let before = Handle::current().metrics().num_alive_tasks();
    let connector = connector();
    let target = behind(&host, &[gate_target(&gate)]);
    let all = try_join_all((0..5).map(|_| connector.connect(&target))).await.unwrap();
    for connection in &all {
        assert_eq!(connection.via(), &Via::Bastion("gate".to_owned()));
        assert_eq!((connection.local_addr(), connection.peer_addr()), (None, None));
        says_up(connection).await;
    }
    let counts = || (gate.accepted.load(Ordering::SeqCst), host.accepted.load(Ordering::SeqCst));
    assert_eq!(counts(), (1, 5));
    drop(all);
    let again = connector.connect(&target).await.unwrap();
    says_up(&again).await;
    assert_eq!(counts().0, 1, "the connection was kept for a while");
    again.close().await;
    drop(connector);
    // sshd's own two tasks here are those that wait for a server's process.
    let left = || Handle::current().metrics().num_alive_tasks();
    eventually("the end of all tasks", || left() <= before).await;
}

#[tokio::test]
async fn a_connection_outlives_the_connector_that_made_it() {
    let Some((gate, host)) = pair("").await else { return };
    let connection = connector().connect(&behind(&host, &[gate_target(&gate)])).await.unwrap();
    says_up(&connection).await;
}

#[tokio::test]
async fn a_chain_of_bastions() {
    let Some((first, second)) = pair("").await else { return };
    let Some(host) = Sshd::start("").await else { return };
    host.knows_host_key();
    let target = behind(&host, &[gate_target(&first), second.target()]);
    let connection = connector().connect(&target).await.unwrap();
    says_up(&connection).await;
    assert_eq!(connection.via(), &Via::Bastion("testhost".to_owned()));
    // A bastion may also have a way of its own.
    let mut hop = second.target();
    hop.link.route = Route::Jump(vec![gate_target(&first)]);
    says_up(&connector().connect(&behind(&host, &[hop])).await.unwrap()).await;
}

fn without_ports(error: &ConnectError, servers: &[&Sshd]) -> String {
    let mut text = error.to_string();
    for server in servers {
        text = text.replace(&server.address.port().to_string(), "PORT");
    }
    text
}

#[tokio::test]
async fn what_the_bastion_says_about_a_host_is_told() {
    let Some((gate, mut host)) = pair("").await else { return };
    host.stop().await;
    let connector = connector();
    let target = behind(&host, &[gate_target(&gate)]);
    let error = connector.connect(&target).await.unwrap_err();
    insta::assert_snapshot!(error, @"connect to testhost: bastion gate: it cannot reach the host: Connection refused");
    insta::assert_snapshot!(error.hint(), @"gate is up: check the host's power, its sshd, and its address and port as gate sees them (names are resolved there)");
    assert_eq!(error.class(), FailureClass::Unreachable);
    let nowhere = Target { address: "nowhere.invalid".to_owned(), ..target };
    let error = connector.connect(&nowhere).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Tunnel { problem: TunnelProblem::Unreachable(_), .. }), "{error}");
}

#[tokio::test]
async fn a_bastion_that_does_not_forward_is_the_trouble() {
    let Some((gate, host)) = pair("AllowTcpForwarding no").await else { return };
    let error = connector().connect(&behind(&host, &[gate_target(&gate)])).await.unwrap_err();
    insta::assert_snapshot!(error, @"connect to testhost: bastion gate: it does not forward to the host: open failed");
    insta::assert_snapshot!(error.hint(), @"allow the forwarding on gate: AllowTcpForwarding and PermitOpen in its sshd_config");
    assert_eq!(error.class(), FailureClass::Bastion);
}

#[tokio::test]
async fn hosts_behind_a_dead_bastion_fail_together() {
    let Some((mut gate, host)) = pair("").await else { return };
    let hop = gate_target(&gate);
    gate.stop().await;
    let connector = connector();
    let target = behind(&host, &[hop]);
    let errors = join_all((0..100).map(|_| connector.connect(&target))).await;
    for error in errors.into_iter().map(Result::unwrap_err) {
        insta::allow_duplicates! {
            insta::assert_snapshot!(without_ports(&error, &[&gate]), @"connect to testhost: bastion gate: failed to connect to gate: 127.0.0.1:PORT: connection refused");
            insta::assert_snapshot!(error.hint(), @"every host behind gate waits for this: the host is up but nothing listens there: check sshd and the port");
        }
        assert_eq!(error.class(), FailureClass::Bastion);
    }
}

#[tokio::test]
async fn a_bastion_that_dies_takes_its_hosts_along() {
    let Some((mut gate, host)) = pair("").await else { return };
    let connection = connector().connect(&behind(&host, &[gate_target(&gate)])).await.unwrap();
    let mut exec = connection.exec("echo up; exec cat").await.unwrap();
    assert_eq!(exec.output.next().await, Some(Chunk::Stdout(b"up\n".to_vec())));
    gate.stop().await;
    let end = timeout(PATIENCE, connection.closed()).await.unwrap();
    assert!(matches!(&end, LinkEnd::Bastion { hop, .. } if hop == "gate"), "{end}");
    assert_eq!(exec.output.next().await, Some(Chunk::Lost));
}

#[tokio::test]
async fn output_that_nobody_reads_stalls_no_other_host() {
    let Some((gate, host)) = pair("").await else { return };
    let connector = connector();
    let target = behind(&host, &[gate_target(&gate)]);
    let (unread, flooded) =
        (connector.connect(&target).await.unwrap(), connector.connect(&target).await.unwrap());
    let other = connector.connect(&target).await.unwrap();
    let mut ignored = unread.exec("exec cat /dev/zero").await.unwrap();
    let mut flood = flooded.exec("exec cat /dev/zero").await.unwrap();
    let reading = tokio::spawn(async move {
        let mut bytes = 0;
        while let Some(chunk) = flood.output.next().await {
            match chunk {
                Chunk::Stdout(data) => bytes += data.len(),
                other => return Err(other),
            }
            if bytes > 64 << 20 {
                return Ok(flood);
            }
        }
        Err(Chunk::Lost)
    });
    for _ in 0..20 {
        says_up(&other).await;
    }
    assert_eq!(gate.accepted.load(Ordering::SeqCst), 1);
    // The flood went on as long as it was wanted, and what was not read was ended.
    timeout(PATIENCE, reading).await.unwrap().unwrap().unwrap();
    let last = timeout(PATIENCE, async {
        let mut last = None;
        while let Some(chunk) = ignored.output.next().await {
            last = Some(chunk);
        }
        last
    });
    assert_eq!(last.await.unwrap(), Some(Chunk::Overflow));
}

/// A server behind the bastion that sends without end, and another that echoes.
async fn raw_servers() -> (Target, Target) {
    let flood = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target =
        |listener: &TcpListener| Target::new("raw", "127.0.0.1", listener.local_addr().unwrap().port(), "x");
    let targets = (target(&flood), target(&echo));
    tokio::spawn(async move {
        let (mut socket, _) = flood.accept().await.unwrap();
        while socket.write_all(&[b'x'; 65536]).await.is_ok() {}
    });
    tokio::spawn(async move {
        let (mut socket, _) = echo.accept().await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    targets
}

#[tokio::test]
async fn a_host_that_floods_its_tunnel_loses_it_and_nobody_else_does() {
    let Some(gate) = Sshd::start("").await else { return };
    let hop = gate_target(&gate);
    let (flood, echo) = raw_servers().await;
    let (connector, bastions) = (connector(), Arc::new(Bastions::default()));
    let (mut flooded, _) = bastions.tunnel(&connector, &flood, &hop, PATIENCE).await.unwrap();
    let (mut echoed, _) = bastions.tunnel(&connector, &echo, &hop, PATIENCE).await.unwrap();
    for number in 0..100u32 {
        echoed.write_all(&number.to_be_bytes()).await.unwrap();
        let answer = timeout(PATIENCE, echoed.read_u32()).await.unwrap().unwrap();
        assert_eq!(answer, number);
    }
    // What was there is still read, and then the reason is told. A write tells it as well, without waiting.
    let told = timeout(PATIENCE, async {
        loop {
            if let Err(error) = flooded.write_all(b"x").await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    });
    insta::assert_snapshot!(told.await.unwrap(), @"the host sent more than could be taken (12 MiB were waiting)");
    let mut waiting = Vec::new();
    let error = timeout(PATIENCE, flooded.read_to_end(&mut waiting)).await.unwrap().unwrap_err();
    insta::assert_snapshot!(error, @"the host sent more than could be taken (12 MiB were waiting)");
    assert!((8 << 20..=12 << 20).contains(&waiting.len()), "{}", waiting.len());
    assert_eq!(gate.accepted.load(Ordering::SeqCst), 1);
}

/// A door that drops its first visitors without a word, as sshd does beyond MaxStartups.
async fn moody_door(to: std::net::SocketAddr, drops: usize, words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut near, _) = listener.accept().await.unwrap();
            if number < drops {
                near.write_all(words).await.unwrap();
                let _ = near.read(&mut [0; 256]).await;
                continue;
            }
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_bastion_that_drops_us_at_its_door_is_tried_again() {
    let Some((gate, host)) = pair("").await else { return };
    let mut hop = gate_target(&gate);
    hop.port = moody_door(gate.address, 2, b"").await;
    let key = public(&gate.host_key);
    write_file(&gate.dir.path().join("known_hosts"), &format!("[gate]:{} {key}\n", hop.port), 0o644);
    says_up(&connector().connect(&behind(&host, &[hop.clone()])).await.unwrap()).await;
    // A host says at least why; without a word, and with nobody else there, it does not want us.
    let full = Target { port: moody_door(gate.address, 1, b"Exceeded MaxStartups\r\n").await, ..hop.clone() };
    write_file(&gate.dir.path().join("known_hosts"), &format!("[gate]:{} {key}\n", full.port), 0o644);
    says_up(&connector().connect(&full).await.unwrap()).await;
    let rude = Target { port: moody_door(gate.address, 1, b"").await, ..hop };
    let error = connector().connect(&rude).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Dropped, "{error}");
}

#[tokio::test]
async fn connects_that_are_given_up_leave_no_bastion_behind() {
    let before = Handle::current().metrics().num_alive_tasks();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = Target::new("gate", "127.0.0.1", silent.local_addr().unwrap().port(), "nobody");
    let target = |port| {
        let mut target = Target::new("host", "127.0.0.1", port, "nobody");
        target.link.route = Route::Jump(vec![hop.clone()]);
        target
    };
    let targets: Vec<Target> = (1..=70).map(target).collect();
    let connector = Connector::new(settings(), None);
    let (mut socket, _) = tokio::select! {
        ended = join_all(targets.iter().map(|target| connector.connect(target))) => panic!("{ended:?}"),
        accepted = async {
            // Seventy hosts need two connections.
            let first = silent.accept().await.unwrap();
            silent.accept().await.unwrap();
            first
        } => accepted,
    };
    let mut said = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut said)).await.unwrap().unwrap();
    eventually("the end of all tasks", || Handle::current().metrics().num_alive_tasks() <= before).await;
}
