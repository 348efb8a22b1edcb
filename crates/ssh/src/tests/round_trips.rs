//! How often one side waits for the other until a first command has ended: ours beside ssh(1)'s, on a real server.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::hear;
use super::sshd::{Sshd, connector, public};
use crate::{Chunk, Target};

/// How long a byte travels in each direction. Whatever one side says at once arrives at once, and the other side's
/// answer comes later than that: the machine would have to stall for this long to blur a turn.
const ONE_WAY: Duration = Duration::from_millis(150);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Who spoke, in the order in which it arrived.
type Turns = Arc<Mutex<Vec<Side>>>;

/// How often the client had to wait for the server: changes from client to server.
fn round_trips(turns: &Turns) -> usize {
    let turns = turns.lock().unwrap();
    turns.windows(2).filter(|pair| pair == &[Side::Client, Side::Server]).count()
}

/// Carries one connection over a link with a delay.
async fn link(to: std::net::SocketAddr) -> (u16, Turns) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let turns = Turns::default();
    let seen = Arc::clone(&turns);
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(to).await.unwrap();
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let (from_client, to_client) = near.into_split();
        let (from_server, to_server) = far.into_split();
        tokio::join!(
            carry(from_client, to_server, Side::Client, &seen),
            carry(from_server, to_client, Side::Server, &seen)
        )
    });
    (port, turns)
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    side: Side,
    turns: &Turns,
) {
    let (sender, mut travelling) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let _ = sender.send((Instant::now() + ONE_WAY, buffer[..count].to_vec()));
        }
    };
    let write = async {
        while let Some((arrives, bytes)) = travelling.recv().await {
            sleep_until(arrives).await;
            turns.lock().unwrap().push(side);
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

async fn ours(sshd: &Sshd) -> usize {
    let (port, turns) = link(sshd.address).await;
    let target = Target { port, ..sshd.target() };
    let connection = connector().connect(&target).await.unwrap();
    let mut exec = connection.exec("true").await.unwrap();
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Exit(0)]);
    round_trips(&turns)
}

async fn theirs(sshd: &Sshd) -> Option<usize> {
    let (port, turns) = link(sshd.address).await;
    let mut command = Command::new("ssh");
    let dir = sshd.dir.path().display();
    command.args([
        "-F",
        "none",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "HostKeyAlias=testhost",
        "-o",
        "LogLevel=ERROR",
    ]);
    command.arg("-o").arg(format!("UserKnownHostsFile={dir}/known_hosts")).arg("-i").arg(format!("{dir}/id"));
    command.args(["-p", &port.to_string(), &format!("{}@127.0.0.1", super::sshd::user()), "true"]);
    command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
    let status = tokio::process::Command::from(command).status().await.ok()?;
    assert!(status.success());
    Some(round_trips(&turns))
}

#[tokio::test]
async fn fewer_round_trips_than_ssh() {
    let Some(sshd) = Sshd::start("").await else { return };
    let key = public(&sshd.host_key);
    sshd.knows(&format!("testhost {key}\n"));
    // A stall can only add turns: the least of a few is the protocol's.
    let (mut our, mut their) = (usize::MAX, usize::MAX);
    for _ in 0..3 {
        our = our.min(ours(&sshd).await);
        let Some(count) = theirs(&sshd).await else {
            println!("skipped: there is no ssh");
            return;
        };
        their = their.min(count);
    }
    println!("round trips to the end of a first `true`: pipedown {our}, ssh {their}");
    assert!(our < their, "pipedown {our}, ssh {their}");
}
