//! Keepalives of a real server: counted while nothing runs, and what becomes of a client that plays dead.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::timeout;

use super::hear;
use super::sshd::{Sshd, connector};
use crate::{Connection, LinkEnd, Target};

const LIMIT: Duration = Duration::from_secs(60);

/// A target without keepalives of our own.
fn quiet(sshd: &Sshd) -> Target {
    let mut target = sshd.target();
    target.link.keepalive = Some(Duration::ZERO);
    target
}

/// How many keepalives there can have been, one a second.
fn most(begun: Instant) -> u64 {
    begun.elapsed().as_secs() + 1
}

async fn connect(sshd: &Sshd) -> Connection {
    sshd.knows_host_key();
    connector().connect(&quiet(sshd)).await.unwrap()
}

#[tokio::test]
async fn keepalives_are_counted_on_idle_connections_each_for_itself() {
    let Some(often) = Sshd::start("ClientAliveInterval 1").await else { return };
    let Some(never) = Sshd::start("ClientAliveInterval 0").await else { return };
    let (one, two, busy, none) =
        tokio::join!(connect(&often), connect(&often), connect(&often), connect(&never));
    let begun = Instant::now();
    let mut exec = busy.exec("cat").await.unwrap();
    timeout(LIMIT, one.keepalive(3)).await.unwrap().unwrap();
    timeout(LIMIT, two.keepalive(3)).await.unwrap().unwrap();
    assert!(one.keepalives() <= most(begun), "{}", one.keepalives());
    assert_eq!((none.keepalives(), busy.keepalives()), (0, 0));
    // Once its command has ended, the third is idle as well.
    exec.stdin.eof();
    hear(&mut exec.output).await;
    timeout(LIMIT, busy.keepalive(2)).await.unwrap().unwrap();
    assert_eq!(none.keepalives(), 0);
}

#[tokio::test]
async fn keepalives_are_told_from_other_packets_under_every_cipher_and_mac() {
    let ciphers = "chacha20-poly1305@openssh.com aes256-gcm@openssh.com aes128-gcm@openssh.com aes256-ctr aes192-ctr \
                   aes128-ctr aes128-cbc";
    let macs = "hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha2-256 hmac-sha2-512 \
                hmac-sha1-etm@openssh.com hmac-sha1";
    let pairs = ciphers.split(' ').map(|cipher| (cipher, "hmac-sha2-256"));
    let pairs = pairs.chain(macs.split(' ').map(|mac| ("aes128-ctr", mac)));
    let extra = format!(
        "ClientAliveInterval 1\nCiphers {}\nMACs {}",
        ciphers.replace(' ', ","),
        macs.replace(' ', ",")
    );
    let Some(sshd) = Sshd::start(&extra).await else { return };
    sshd.knows_host_key();
    let connector = connector();
    let counted = pairs.map(|(cipher, mac)| {
        let mut target = quiet(&sshd);
        target.algorithms.cipher = Some(vec![cipher.to_owned()]);
        target.algorithms.mac = Some(vec![mac.to_owned()]);
        let connector = &connector;
        async move {
            let begun = Instant::now();
            let connection = connector.connect(&target).await.unwrap();
            // New keys in between do not disturb.
            connection.rekey().await.unwrap();
            let counted = timeout(LIMIT, connection.keepalive(2)).await;
            assert!(matches!(counted, Ok(Ok(()))), "{cipher} {mac}: {counted:?}");
            assert!(connection.keepalives() <= most(begun), "{cipher} {mac}: {}", connection.keepalives());
        }
    });
    join_all(counted).await;
}

#[tokio::test]
async fn a_client_that_plays_dead_is_dropped() {
    let Some(sshd) = Sshd::start("ClientAliveInterval 1\nClientAliveCountMax 2").await else { return };
    let (connection, alive) = tokio::join!(connect(&sshd), connect(&sshd));
    timeout(LIMIT, connection.keepalive(1)).await.unwrap().unwrap();
    let begun = Instant::now();
    let end = timeout(LIMIT, connection.stall()).await.unwrap();
    assert_eq!(end, LinkEnd::Closed);
    // Not before interval times count. OpenSSH 9.2 takes twice as long, and one interval more.
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(connection.keepalive(u64::MAX).await, Err(LinkEnd::Closed));
    assert!(!alive.is_closed());
}

#[tokio::test]
async fn a_server_without_keepalives_keeps_a_dead_client() {
    let Some(sshd) = Sshd::start("ClientAliveInterval 0").await else { return };
    let Some(other) = Sshd::start("ClientAliveInterval 1\nClientAliveCountMax 1").await else { return };
    let (kept, dropped) = tokio::join!(connect(&sshd), connect(&other));
    let (ended, stalled) = (kept.closed(), kept.stall());
    timeout(LIMIT, dropped.stall()).await.unwrap();
    assert!(!kept.is_closed());
    drop(kept);
    // Both tell that this side has ended it.
    assert_eq!(timeout(LIMIT, stalled).await.unwrap(), timeout(LIMIT, ended).await.unwrap());
}

#[tokio::test]
async fn a_server_that_floods_a_dead_client_is_seen_to_close() {
    let Some(sshd) = Sshd::start("ClientAliveInterval 1\nClientAliveCountMax 1").await else { return };
    let connection = connect(&sshd).await;
    let mut exec = connection.exec("exec cat /dev/zero").await.unwrap();
    // It has begun; the rest fills the windows, and the server's own buffers, while nothing is heard any more.
    assert!(exec.output.next().await.is_some());
    let stalled = connection.stall();
    drop(exec);
    let end = timeout(LIMIT, stalled).await.unwrap();
    assert!(matches!(end, LinkEnd::Closed | LinkEnd::Reset), "{end}");
}

#[tokio::test]
async fn the_servers_software_is_known() {
    let Some(sshd) = Sshd::start("").await else { return };
    let connection = connect(&sshd).await;
    assert!(connection.server_version().starts_with("OpenSSH_"), "{}", connection.server_version());
}
