//! Boots, shutdowns and fleets.

use std::collections::HashSet;
use std::path::Path;

use sshd_embed::{
    Addressing, DownKind, EmbeddedHost, Fleet, FleetOptions, HostEvent, HostOptions, HostState,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{LONG, Shell, fleet, have_ssh, must, run, runs};

fn boot_id(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("proc/sys/kernel/random/boot_id")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_changes_the_boot_id_and_keeps_the_port() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let host = &fleet.hosts()[0];
    let before = boot_id(host.dir());
    let mut events = host.events();
    let addr = host.addrs()[0];
    must(&fleet, "root", "echo x > $PIPEDOWN_ROOT/run/nologin; echo y > $PIPEDOWN_ROOT/var/lib/kept").await;
    // The connection may be cut before the status arrives, as on a real host.
    let _ = run(&fleet, "root", "shutdown -r now").await;
    assert_eq!(timeout(LONG, events.recv()).await.unwrap().unwrap(), HostEvent::Down(DownKind::Reboot));
    assert!(TcpStream::connect(addr).await.is_err());
    let HostEvent::Up { boot_id: id } = timeout(LONG, events.recv()).await.unwrap().unwrap() else {
        panic!("not up");
    };
    let after = boot_id(host.dir());
    assert_eq!(after.trim(), id);
    assert_ne!(before, after);
    assert_eq!(host.addrs(), [addr]);
    let left = must(&fleet, "alice", "ls $PIPEDOWN_ROOT/run; cat $PIPEDOWN_ROOT/var/lib/kept").await;
    assert_eq!(left, "embed.ctl\nembed.users\ny\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_off_drops_everybody_with_a_last_line() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(2).await;
    let host = &fleet.hosts()[0];
    let mut state = host.watch();
    let mut shell = Shell::open(&fleet, "alice");
    shell.expect("$ ").await;
    let agenda = "setsid sh -c 'trap \"\" TERM HUP; sleep 1; poweroff; sleep 300' </dev/null >/dev/null 2>&1 & echo $!";
    let pid: u32 = must(&fleet, "root", agenda).await.trim().parse().unwrap();
    let (code, text) = shell.end().await;
    assert_eq!(code, Some(255), "{text:?}");
    assert!(text.contains("The system will power off now!"), "{text:?}");
    timeout(LONG, state.wait_for(|state| *state == HostState::Down(DownKind::PowerOff)))
        .await
        .unwrap()
        .unwrap();
    assert!(!runs(pid));
    assert!(TcpStream::connect(host.addrs()[0]).await.is_err());
    // Its neighbour did not notice, and it can be switched on again.
    assert!(matches!(fleet.hosts()[1].state(), HostState::Up { .. }));
    host.boot().await.unwrap();
    assert_eq!(must(&fleet, "alice", "hostname").await, "login01\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_says_nothing_and_leaves_nothing() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let host = &fleet.hosts()[0];
    let before = boot_id(host.dir());
    let mut shell = Shell::open(&fleet, "alice");
    shell.expect("$ ").await;
    host.crash().await.unwrap();
    assert_eq!(host.state(), HostState::Down(DownKind::Crash));
    let (_, text) = shell.end().await;
    assert!(!text.contains("The system will"), "{text:?}");
    host.boot().await.unwrap();
    assert_ne!(boot_id(host.dir()), before);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_knows_only_now() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    for line in [
        "shutdown",
        "shutdown -h +5",
        "shutdown -h 18:00",
        "shutdown -k now",
        "poweroff --help",
        "hostname x",
    ] {
        assert_eq!(run(&fleet, "root", line).await.status.code(), Some(1), "{line}");
    }
    assert!(matches!(fleet.hosts()[0].state(), HostState::Up { .. }));
    must(&fleet, "root", "logger -t pipedown -p auth.notice -- one two; printf 'a\\nb\\n' | logger -t x")
        .await;
    let log = must(&fleet, "root", "sed 's/^.* login01/login01/' $PIPEDOWN_ROOT/var/log/syslog").await;
    assert_eq!(log, "login01 pipedown: one two\nlogin01 x: a\nlogin01 x: b\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_host_gives_back_everything() {
    let dir = tempfile::tempdir().unwrap();
    let host = EmbeddedHost::create(dir.path(), "h", HostOptions::default()).unwrap();
    let key = sshd_embed::KeyPair::generate().unwrap();
    let server = sshd_embed::Server::new()
        .listen(([127, 0, 0, 1], 0).into())
        .authorized_keys(sshd_embed::AuthorizedKeys::new().with_key(&key));
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let running = host.start(server).await.unwrap();
    let addr = running.addrs()[0];
    assert!(tasks() - before <= 2, "an idle host is a listener and a supervisor");
    running.stop().await;
    crate::support::until("its tasks have ended", async || tasks() == before).await;
    assert!(std::net::TcpListener::bind(addr).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_hosts_live_in_one_process() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let fleet = Fleet::start(200, FleetOptions::default()).await.unwrap();
    let ports: HashSet<_> = fleet.hosts().iter().map(|host| host.addrs()[0]).collect();
    assert_eq!(ports.len(), 200);
    assert_eq!(fleet.hosts()[199].name(), "login200");
    assert!(threads() < before + 100, "{} threads", threads());
    let known = std::fs::read_to_string(fleet.known_hosts()).unwrap();
    assert_eq!(known.lines().collect::<HashSet<_>>().len(), 200);
    for addr in &ports {
        let mut banner = [0; 8];
        let mut stream = TcpStream::connect(addr).await.unwrap();
        timeout(LONG, stream.read_exact(&mut banner)).await.unwrap().unwrap();
        assert_eq!(&banner, b"SSH-2.0-");
    }
    timeout(LONG, fleet.stop()).await.unwrap();
    for addr in ports {
        assert!(TcpStream::connect(addr).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_fleet_leaves_nothing_behind() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let dir = fleet.dir().to_path_buf();
    let pid: u32 = must(&fleet, "root", "setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!")
        .await
        .trim()
        .parse()
        .unwrap();
    drop(fleet);
    assert!(!runs(pid));
    assert!(!dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_may_have_addresses_of_their_own() {
    let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
    let options = FleetOptions::default().addressing(Addressing::Addresses(free)).prefix("node");
    let fleet = Fleet::start(2, options).await.unwrap();
    let addrs: Vec<String> = fleet.hosts().iter().map(|host| host.addrs()[0].to_string()).collect();
    assert_eq!(addrs, [format!("127.0.0.2:{free}"), format!("127.0.0.3:{free}")]);
    let known = std::fs::read_to_string(fleet.known_hosts()).unwrap();
    assert!(known.contains(&format!("[127.0.0.3]:{free} ssh-ed25519 ")));
    assert!(fleet.host("node02").is_some() && fleet.host("node03").is_none());
    fleet.stop().await;
}
