//! Servers that log us in and then misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::ssh_key::Algorithm;
use russh::server::{self, Auth, Handle, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Sig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::sshd::{Sshd, connector, settings};
use super::stall::{Staller, known_target};
use super::{eventually, hear, new_key};
use crate::{Chunk, Connector, LinkEnd, Settings, SshError, Target};

/// Opens channels to the client as soon as it is logged in, and counts the refusals.
struct Opener(Arc<AtomicUsize>);

impl server::Handler for Opener {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), russh::Error> {
        tokio::spawn(open_everything(session.handle(), Arc::clone(&self.0)));
        Ok(())
    }
}

async fn open_everything(handle: Handle, refused: Arc<AtomicUsize>) {
    let opened = [
        handle.channel_open_agent().await.is_ok(),
        handle.channel_open_session().await.is_ok(),
        handle.channel_open_x11("127.0.0.1", 6000).await.is_ok(),
        handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await.is_ok(),
        handle.channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await.is_ok(),
        handle.channel_open_forwarded_streamlocal("/run/x").await.is_ok(),
    ];
    refused.store(opened.iter().filter(|opened| !**opened).count(), Ordering::SeqCst);
}

#[tokio::test]
async fn every_channel_that_the_server_opens_is_refused() {
    let host_key = new_key(Algorithm::Ed25519);
    let config = server::Config { keys: vec![host_key.clone()], ..server::Config::default() };
    let server = Staller::serving(config, Opener);
    let dir = tempfile::tempdir().unwrap();
    let connection = connector().connect(&known_target(&server, &host_key, dir.path())).await.unwrap();
    eventually("six refusals", || server.counted() == 6).await;
    drop(connection);
}

/// Runs nothing, and ends "it" by the signal that it is sent.
struct Signalled;

impl server::Handler for Signalled {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.exit_signal_request(channel, signal, false, "", "")?;
        session.close(channel)
    }
}

#[tokio::test]
async fn signals_travel_by_name_and_come_back() {
    let host_key = new_key(Algorithm::Ed25519);
    let config = server::Config { keys: vec![host_key.clone()], ..server::Config::default() };
    let server = Staller::serving(config, |_| Signalled);
    let dir = tempfile::tempdir().unwrap();
    let connection = connector().connect(&known_target(&server, &host_key, dir.path())).await.unwrap();
    for name in ["TERM", "USR1", "INT", "WINCH@example.org"] {
        let mut exec = connection.exec("cat").await.unwrap();
        exec.signals.send(name).unwrap();
        let ended = timeout(Duration::from_secs(60), hear(&mut exec.output)).await.unwrap();
        assert_eq!(ended.ends, [Chunk::Signal(name.to_owned())]);
        eventually("the end of the channel's task", || exec.signals.send(name).is_err()).await;
    }
}

/// A wire that can be cut without either end noticing: it just stops carrying. Returns its port.
async fn freezable_wire(to: std::net::SocketAddr) -> (u16, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (freeze, frozen) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = frozen => std::future::pending().await,
        }
    });
    (port, freeze)
}

#[tokio::test]
async fn a_server_that_falls_silent_is_noticed() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (port, freeze) = freezable_wire(sshd.address).await;
    let settings = Settings { keepalive: Duration::from_secs(1), keepalive_max: 5, ..settings() };
    let connector = Connector::new(Settings { deadlines: short_open(&settings), ..settings }, None);
    sshd.knows(&format!("[testhost]:{port} {}", super::sshd::public(&sshd.host_key)));
    let connection = connector.connect(&Target { port, ..sshd.target() }).await.unwrap();
    let mut exec = connection.exec("echo up; exec cat").await.unwrap();
    assert_eq!(exec.output.next().await, Some(Chunk::Stdout(b"up\n".to_vec())));
    freeze.send(()).unwrap();
    let error = connection.exec("true").await.unwrap_err();
    assert!(matches!(error, SshError::OpenTimedOut { .. }), "{error}");
    let end = timeout(Duration::from_secs(60), connection.closed()).await.unwrap();
    assert_eq!(end, LinkEnd::Silent);
    assert_eq!(exec.output.next().await, Some(Chunk::Lost));
}

fn short_open(settings: &Settings) -> crate::Deadlines {
    crate::Deadlines { open: Duration::from_secs(3), ..settings.deadlines }
}

#[tokio::test]
async fn goodbye_to_a_silent_server_ends_in_time() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (port, freeze) = freezable_wire(sshd.address).await;
    sshd.knows(&format!("[testhost]:{port} {}", super::sshd::public(&sshd.host_key)));
    let connection = connector().connect(&Target { port, ..sshd.target() }).await.unwrap();
    freeze.send(()).unwrap();
    let closed = connection.closed();
    timeout(Duration::from_secs(10), connection.close()).await.unwrap();
    timeout(Duration::from_secs(10), closed).await.unwrap();
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    // localhost usually has an IPv6 address as well, where this server does not listen.
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let target = Target { address: "localhost".to_owned(), ..sshd.target() };
    let connection = connector().connect(&target).await.unwrap();
    assert_eq!(connection.peer_addr(), Some(sshd.address));
    assert_eq!(connection.local_addr().map(|a| a.ip()), Some(sshd.address.ip()));
    connection.close().await;
}
