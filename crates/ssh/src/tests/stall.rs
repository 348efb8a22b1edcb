//! Servers that stall or talk nonsense: the class of the failure, and that nothing is left behind.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use russh::keys::ssh_key::Algorithm;
use russh::server::{self, Auth, PublicKeyOffer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

use super::sshd::public;
use super::{eventually, new_key, write_file, write_key};
use crate::{ConnectError, Connector, Deadlines, FailureClass, Phase, Settings, Target};

/// How many connects are abandoned at once.
const CONNECTS: usize = 20;

/// A server on a runtime of its own, so that its tasks are not counted with the client's.
struct Staller {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Staller {
    /// Serves every connection with `serve`.
    fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket));
            }
        });
        Self { address, runtime: Some(runtime) }
    }

    /// Says something, then nothing more, until the client goes away.
    fn saying(greeting: &'static [u8]) -> Self {
        Self::start(move |mut socket| async move {
            socket.write_all(greeting).await.unwrap();
            let mut ignored = Vec::new();
            let _ = socket.read_to_end(&mut ignored).await;
        })
    }

    /// Says something and closes.
    fn closing_after(greeting: &'static [u8]) -> Self {
        Self::start(move |mut socket| async move {
            // What the client has sent has to be read, or the close becomes a reset that may overtake our words.
            socket.write_all(greeting).await.unwrap();
            let _ = socket.read(&mut [0; 256]).await;
        })
    }

    fn target(&self) -> Target {
        Target { use_agent: false, ..Target::new("stalled", "127.0.0.1", self.address.port(), "nobody") }
    }

    /// How many sockets of this process are connected to this server.
    fn client_sockets(&self) -> usize {
        let port = format!(":{:04X}", self.address.port());
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let inodes: HashSet<String> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields.get(2).is_some_and(|remote| remote.ends_with(&port)))
            .map(|fields| format!("socket:[{}]", fields[9]))
            .collect();
        let open =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.filter(|link| inodes.contains(&link.display().to_string())).count()
    }
}

impl Drop for Staller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn impatient() -> Connector {
    let limit = Duration::from_millis(300);
    let deadlines =
        Deadlines { connect: limit, banner: limit, key_exchange: limit, auth: limit, ..Deadlines::default() };
    Connector::new(Settings { deadlines, ..Settings::default() }, None)
}

async fn error_of(staller: &Staller) -> ConnectError {
    impatient().connect(&staller.target()).await.unwrap_err()
}

/// Lets many connects run into a deadline, and many others be dropped on the way; then looks what is left.
async fn leaves_nothing(staller: &Staller, connector: &Connector, target: &Target, phase: Phase) {
    let before = Handle::current().metrics().num_alive_tasks();
    let patient = Connector::new(connector.settings().clone(), None);
    let ended = join_all((0..CONNECTS).map(|_| connector.connect(target))).await;
    for error in ended.into_iter().map(Result::unwrap_err) {
        assert!(matches!(&error, ConnectError::TimedOut { phase: at, .. } if *at == phase), "{error}");
        assert_eq!(error.class(), FailureClass::TimedOut);
    }
    let cancelled =
        timeout(Duration::from_millis(150), join_all((0..CONNECTS).map(|_| patient.connect(target))));
    assert!(cancelled.await.is_err());
    eventually("the end of all sockets", || staller.client_sockets() == 0).await;
    eventually("the end of all tasks", || Handle::current().metrics().num_alive_tasks() <= before).await;
}

#[tokio::test]
async fn sockets_are_counted() {
    let staller = Staller::saying(b"");
    let one = TcpStream::connect(staller.address).await.unwrap();
    assert_eq!(staller.client_sockets(), 1);
    drop(one);
    assert_eq!(staller.client_sockets(), 0);
}

#[tokio::test]
async fn a_stall_before_the_banner_leaves_nothing() {
    let staller = Staller::saying(b"");
    leaves_nothing(&staller, &impatient(), &staller.target(), Phase::Banner).await;
}

#[tokio::test]
async fn a_stall_in_key_exchange_leaves_nothing() {
    let staller = Staller::saying(b"please wait\r\nSSH-2.0-Staller\r\n");
    leaves_nothing(&staller, &impatient(), &staller.target(), Phase::KeyExchange).await;
}

/// Never decides.
struct Undecided;

impl server::Handler for Undecided {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_stall_in_authentication_leaves_nothing() {
    let host_key = new_key(Algorithm::Ed25519);
    let config = Arc::new(server::Config { keys: vec![host_key.clone()], ..server::Config::default() });
    let staller = Staller::start(move |socket| {
        let config = Arc::clone(&config);
        async move {
            if let Ok(session) = server::run_stream(config, socket, Undecided).await {
                let _ = session.await;
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (known, identity) = (dir.path().join("known_hosts"), dir.path().join("id"));
    write_file(&known, &format!("stalled {}\n", public(&host_key)), 0o644);
    write_key(&identity, &new_key(Algorithm::Ed25519), 0o600);
    let target = Target { identities: vec![identity], known_hosts: vec![known], ..staller.target() };
    // Enough for twenty key exchanges without optimisation, on a busy machine.
    let patience = Duration::from_secs(20);
    let deadlines = Deadlines {
        banner: patience,
        key_exchange: patience,
        auth: Duration::from_millis(300),
        ..Deadlines::default()
    };
    let connector = Connector::new(Settings { deadlines, ..Settings::default() }, None);
    leaves_nothing(&staller, &connector, &target, Phase::Auth).await;
}

#[tokio::test]
async fn another_service_is_shown() {
    let chatty = error_of(&Staller::closing_after(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")).await;
    insta::assert_snapshot!(chatty, @r#"connect to stalled: the answer is not SSH, it begins with "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n""#);
    assert_eq!((chatty.class(), chatty.phase()), (FailureClass::NotSsh, Phase::Banner));
    let waiting = error_of(&Staller::saying(b"\x00\x01\x02 mysql")).await;
    insta::assert_snapshot!(waiting, @r#"connect to stalled: the answer is not SSH, it begins with "\x00\x01\x02 mysql""#);
    let full = error_of(&Staller::closing_after(b"Exceeded MaxStartups\r\n")).await;
    insta::assert_snapshot!(full.hint(), @"too many logins are under way on the host: lower the parallelism, or raise MaxStartups");
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_called_that() {
    let error = error_of(&Staller::closing_after(b"")).await;
    insta::assert_snapshot!(error, @"connect to stalled: the connection ended during the version line: the server closed the connection");
    assert_eq!((error.class(), error.phase()), (FailureClass::Dropped, Phase::Banner));
    let later = error_of(&Staller::closing_after(b"SSH-2.0-Staller\r\n")).await;
    assert_eq!((later.class(), later.phase()), (FailureClass::Dropped, Phase::KeyExchange), "{later}");
}

#[tokio::test]
async fn nothing_in_common_names_the_kind() {
    let preferred =
        russh::Preferred { kex: vec![russh::kex::DH_G1_SHA1].into(), ..russh::Preferred::default() };
    let keys = vec![new_key(Algorithm::Ed25519)];
    let config = Arc::new(server::Config { keys, preferred, ..server::Config::default() });
    let staller = Staller::start(move |socket| {
        let config = Arc::clone(&config);
        async move {
            if let Ok(session) = server::run_stream(config, socket, Undecided).await {
                let _ = session.await;
            }
        }
    });
    let error = error_of(&staller).await;
    insta::assert_snapshot!(error, @"connect to stalled: no key exchange in common, the server offers diffie-hellman-group1-sha1");
    assert_eq!(error.class(), FailureClass::KeyExchange);
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = impatient().connect(&Target::new("down", "127.0.0.1", port, "nobody")).await.unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&port.to_string(), "PORT"), @"connect to down: 127.0.0.1:PORT: Connection refused (os error 111)");
    insta::assert_snapshot!(error.hint(), @"the host is up but nothing listens there: check sshd and the port");
    assert_eq!(error.class(), FailureClass::Unreachable);
}

#[tokio::test]
async fn a_name_without_an_address_is_unresolved() {
    let error = impatient().connect(&Target::new("nowhere", "host.invalid", 22, "nobody")).await.unwrap_err();
    assert!(matches!(error.phase(), Phase::Resolve), "{error}");
}
