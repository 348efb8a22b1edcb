//! Hostile servers: whatever they do, and at whatever point of a connection, costs little memory, ends in time and
//! leaves nothing behind. One process for all of it, because memory is counted by the process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what surprises a test is to end it"
)]

mod misdeed;
mod wire;

use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use misdeed::{Act, Packet, STAGES, Stage, commit};
use pipedown_ssh::{
    Agent, Chunk, Connector, Deadlines, LoginOptions, Settings, SshError, Target, TrustOptions,
};
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;
use wire::{Wire, host_key_blob};

/// For what has to be through quickly, and is.
const SHORT: Duration = Duration::from_millis(300);
/// For what is not tried; a busy machine is slow.
const LONG: Duration = Duration::from_secs(60);
/// How much more memory a case may take, at its worst moment, the server's own share included.
const CAP_KIB: u64 = 8 * 1024;

/// What became of a client: a class and a place, or what the command came to.
struct Outcome {
    text: String,
    kib: u64,
    took: Duration,
}

/// Serves one client in a thread, which ends with that client's socket.
fn serve(stage: Stage, act: Act) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        // The client may go away at any time; that is what most cases want.
        let _ = commit(&mut Wire::new(socket), stage, act);
    });
    (port, serving)
}

/// Short limits for what is tried, long ones for what comes before.
fn settings(stage: Stage, act: Act) -> Settings {
    // Whatever goes on for ever is ended by a deadline, all else by itself.
    let endless = act == Act::Stall || stage == Stage::Open;
    let at = |mine: &[Stage]| if endless && mine.contains(&stage) { SHORT } else { LONG };
    let exchange = [Stage::Proposal, Stage::Reply, Stage::NewKeys];
    let deadlines = Deadlines {
        banner: at(&[Stage::Banner]),
        key_exchange: at(&exchange),
        auth: at(&[Stage::Service, Stage::Auth]),
        open: at(&[Stage::Open]),
        close: SHORT,
        connect: LONG,
        resolve: LONG,
    };
    let silent = stage >= Stage::Exec && act == Act::Stall;
    Settings {
        deadlines,
        keepalive: if silent { SHORT } else { LONG },
        keepalive_max: 2,
        inactivity: if act == Act::NeverRead { SHORT } else { LONG },
        ..Settings::default()
    }
}

fn target(port: u16, dir: &Path) -> Target {
    Target {
        login: LoginOptions {
            identities: vec![dir.join("id")],
            agent: Agent::None,
            ..LoginOptions::default()
        },
        trust: TrustOptions { user_files: Some(vec![dir.join("known_hosts")]), ..TrustOptions::default() },
        ..Target::new("hostile", "127.0.0.1", port, "nobody")
    }
}

/// Connects, runs a command, reads what it says.
async fn visit(stage: Stage, act: Act, target: &Target) -> String {
    let connector = Connector::new(settings(stage, act), None);
    let connection = match connector.connect(target).await {
        Ok(connection) => connection,
        Err(error) => return format!("{:?} in {:?}", error.class(), error.phase()),
    };
    let mut exec = match connection.exec("anything").await {
        Ok(exec) => exec,
        Err(SshError::OpenTimedOut { .. }) => return "no channel in time".to_owned(),
        // Whether the link is lost before or after the request is on its way is chance.
        Err(SshError::LinkLost { .. }) => return "lost".to_owned(),
        Err(error) => return error.to_string(),
    };
    if act == Act::Unread {
        connection.closed().await;
    }
    let mut ends = Vec::new();
    while let Some(chunk) = exec.output.next().await {
        match chunk {
            // Slower than the server, but reading.
            Chunk::Stdout(_) | Chunk::Stderr(_) => {}
            end => ends.push(end),
        }
    }
    match ends.last() {
        Some(Chunk::Lost) => "lost".to_owned(),
        _ => format!("{ends:?}"),
    }
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Open sockets of this process.
fn sockets() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// A case from beginning to end. Panics when it does not end, or leaves something.
fn tried(stage: Stage, act: Act, dir: &Path) -> Outcome {
    let sockets_before = sockets();
    // Begins the count of the peak anew (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let resident = status("VmRSS:");
    let began = Instant::now();
    let (port, serving) = serve(stage, act);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let visiting = timeout(LONG, visit(stage, act, &target(port, dir))).await;
        let text = visiting.unwrap_or_else(|_| panic!("{act:?} at {stage:?} goes on for ever"));
        let left = async {
            while Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(LONG, left).await.is_ok(), "{act:?} at {stage:?} leaves a task behind");
        text
    });
    // It has a socket of its own.
    drop(runtime);
    // It ends when the client's socket is closed.
    serving.join().unwrap();
    let took = began.elapsed();
    let until = Instant::now() + LONG;
    while sockets() > sockets_before {
        assert!(Instant::now() < until, "{act:?} at {stage:?} leaves a socket behind");
        std::thread::sleep(Duration::from_millis(5));
    }
    Outcome { text, kib: status("VmHWM:").saturating_sub(resident), took }
}

/// Everything that is tried.
fn cases() -> Vec<(Stage, Act)> {
    let mut cases = Vec::new();
    for stage in STAGES {
        for act in [Act::Stall, Act::HalfClose, Act::Garbage, Act::HugePacket] {
            cases.push((stage, act));
        }
    }
    for stage in STAGES.into_iter().filter(|stage| *stage >= Stage::Service) {
        cases.push((stage, Act::WrongTag));
    }
    cases.extend([(Stage::Banner, Act::Lines), (Stage::Banner, Act::Line), (Stage::Proposal, Act::Lists)]);
    for stage in [Stage::Proposal, Stage::Reply, Stage::NewKeys, Stage::Service, Stage::Auth, Stage::Open] {
        for packet in [Packet::Ignore, Packet::Debug, Packet::Unimplemented] {
            cases.push((stage, Act::Flood(packet)));
        }
    }
    for packet in [Packet::Banner, Packet::Refusal, Packet::ExtInfo] {
        cases.push((Stage::Auth, Act::Flood(packet)));
    }
    for packet in [
        Packet::Ignore,
        Packet::Debug,
        Packet::Unimplemented,
        Packet::Banner,
        Packet::ExtInfo,
        Packet::GlobalRequest,
        Packet::ChannelOpen,
        Packet::StrangeRequest,
        Packet::StrangeData,
        Packet::WindowAdjust,
        Packet::ForeignExit,
    ] {
        cases.push((Stage::Output, Act::Flood(packet)));
    }
    cases.extend([
        (Stage::Output, Act::NeverRead),
        (Stage::Output, Act::Output),
        (Stage::Output, Act::Unread),
    ]);
    cases
}

#[test]
fn whatever_a_server_does_costs_little_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let known = format!("hostile ssh-ed25519 {}\n", BASE64.encode(&host_key_blob()));
    std::fs::write(dir.path().join("known_hosts"), known).unwrap();
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    key.write_openssh_file(dir.path().join("id"), LineEnding::LF).unwrap();
    // What is made at first use is not counted: tokio's sockets for signals, and much else.
    drop(Builder::new_current_thread().enable_all().build().unwrap());
    tried(Stage::Close, Act::HalfClose, dir.path());
    let (mut table, mut greedy) = (String::new(), Vec::new());
    for (stage, act) in cases() {
        let name = format!("{stage:?} {act:?}");
        let Outcome { text, kib, took } = tried(stage, act, dir.path());
        println!("{name:<32} {text:<32} {kib:>6} KiB {:>5.2} s", took.as_secs_f64());
        table += &format!("{name:<32} {text}\n");
        if kib > CAP_KIB {
            greedy.push(format!("{name}: {kib} KiB"));
        }
    }
    assert!(greedy.is_empty(), "{greedy:#?}");
    insta::assert_snapshot!(table);
}
