//! Servers that stall or talk nonsense: the class of the failure, and that nothing is left behind.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use russh::keys::ssh_key::{Algorithm, PrivateKey};
use russh::server::{self, Auth, PublicKeyOffer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};

use super::sshd::public;
use super::{eventually, new_key, with_agent, with_keys, write_file, write_key};
use crate::{Agent, ConnectError, Connector, Deadlines, FailureClass, Phase, Settings, Target};

/// How many connects are abandoned at once: as many as may be at one server's door.
const CONNECTS: usize = 8;

/// A server on a runtime of its own, so that its tasks are not counted with the client's.
pub(super) struct Staller {
    pub(super) address: SocketAddr,
    /// How many clients have come to the point where it stalls.
    stalled: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Staller {
    /// Serves every connection with `serve`, which counts in its second argument.
    pub(super) fn start<F>(serve: impl Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let stalled = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&stalled);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&counter)));
            }
        });
        Self { address, stalled, runtime: Some(runtime) }
    }

    /// Serves SSH with a handler.
    pub(super) fn serving<H>(
        config: server::Config,
        handler: impl Fn(Arc<AtomicUsize>) -> H + Send + Sync + 'static,
    ) -> Self
    where
        H: server::Handler<Error = russh::Error> + Send + 'static,
    {
        let (config, handler) = (Arc::new(config), Arc::new(handler));
        Self::start(move |socket, counter| {
            let (config, handler) = (Arc::clone(&config), Arc::clone(&handler));
            async move {
                if let Ok(session) = server::run_stream(config, socket, handler(counter)).await {
                    let _ = session.await;
                }
            }
        })
    }

    /// Says something, then nothing more, until the client goes away.
    fn saying(greeting: &'static [u8]) -> Self {
        Self::start(move |mut socket, counter| async move {
            socket.write_all(greeting).await.unwrap();
            let _ = socket.read(&mut [0; 256]).await;
            counter.fetch_add(1, Ordering::SeqCst);
            let mut ignored = Vec::new();
            let _ = socket.read_to_end(&mut ignored).await;
        })
    }

    /// Says something and closes.
    fn closing_after(greeting: &'static [u8]) -> Self {
        Self::start(move |mut socket, _| async move {
            // What the client has sent has to be read, or the close becomes a reset that may overtake our words.
            socket.write_all(greeting).await.unwrap();
            let _ = socket.read(&mut [0; 256]).await;
        })
    }

    pub(super) fn target(&self) -> Target {
        with_agent(Target::new("stalled", "127.0.0.1", self.address.port(), "nobody"), Agent::None)
    }

    /// What the server has counted.
    pub(super) fn counted(&self) -> usize {
        self.stalled.load(Ordering::SeqCst)
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

const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> Connector {
    let deadlines = Deadlines { banner: SHORT, ..Deadlines::default() };
    Connector::new(Settings { deadlines, ..Settings::default() }, None)
}

async fn error_of(staller: &Staller) -> ConnectError {
    impatient().connect(&staller.target()).await.unwrap_err()
}

/// Lets connects run into the deadline of a phase, and drops others there; then looks what is left.
async fn leaves_nothing(
    staller: &Staller,
    connects: usize,
    target: &Target,
    deadlines: Deadlines,
    phase: Phase,
) {
    let before = Handle::current().metrics().num_alive_tasks();
    let connector = Connector::new(Settings { deadlines, ..Settings::default() }, None);
    let ended = join_all((0..connects).map(|_| connector.connect(target))).await;
    for error in ended.into_iter().map(Result::unwrap_err) {
        assert!(matches!(&error, ConnectError::TimedOut { phase: at, .. } if *at == phase), "{error}");
        assert_eq!(error.class(), FailureClass::TimedOut);
    }
    staller.stalled.store(0, Ordering::SeqCst);
    let patient = Connector::new(Settings::default(), None);
    tokio::select! {
        ended = join_all((0..connects).map(|_| patient.connect(target))) => panic!("{ended:?}"),
        () = eventually("the stall", || staller.counted() == connects) => {}
    }
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
    let deadlines = Deadlines { banner: SHORT, ..Deadlines::default() };
    leaves_nothing(&staller, CONNECTS, &staller.target(), deadlines, Phase::Banner).await;
}

#[tokio::test]
async fn a_stall_in_key_exchange_leaves_nothing() {
    let staller = Staller::saying(b"please wait\r\nSSH-2.0-Staller\r\n");
    let deadlines = Deadlines { key_exchange: SHORT, ..Deadlines::default() };
    leaves_nothing(&staller, CONNECTS, &staller.target(), deadlines, Phase::KeyExchange).await;
}

/// Never decides.
struct Undecided(Arc<AtomicUsize>);

impl server::Handler for Undecided {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_stall_in_authentication_leaves_nothing() {
    let host_key = new_key(Algorithm::Ed25519);
    let config = server::Config { keys: vec![host_key.clone()], ..server::Config::default() };
    let staller = Staller::serving(config, Undecided);
    let dir = tempfile::tempdir().unwrap();
    let target = known_target(&staller, &host_key, dir.path());
    let deadlines = Deadlines { auth: SHORT, ..Deadlines::default() };
    // Fewer: without optimisation a key exchange takes its time.
    leaves_nothing(&staller, 5, &target, deadlines, Phase::Auth).await;
}

/// A target with an identity, whose host key is known.
pub(super) fn known_target(staller: &Staller, host_key: &PrivateKey, dir: &Path) -> Target {
    let (known, identity) = (dir.join("known_hosts"), dir.join("id"));
    write_file(&known, &format!("stalled {}\n", public(host_key)), 0o644);
    write_key(&identity, &new_key(Algorithm::Ed25519), 0o600);
    let mut target = with_keys(&staller.target(), &[identity]);
    target.trust.user_files = Some(vec![known]);
    target
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
    let config = server::Config { keys, preferred, ..server::Config::default() };
    let staller = Staller::serving(config, Undecided);
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
    insta::assert_snapshot!(error.to_string().replace(&port.to_string(), "PORT"), @"connect to down: 127.0.0.1:PORT: connection refused");
    insta::assert_snapshot!(error.hint(), @"the host is up but nothing listens there: check sshd and the port");
    assert_eq!(error.class(), FailureClass::Unreachable);
}

#[tokio::test]
async fn a_name_without_an_address_is_unresolved() {
    let error = impatient().connect(&Target::new("nowhere", "host.invalid", 22, "nobody")).await.unwrap_err();
    assert!(matches!(error.phase(), Phase::Resolve), "{error}");
}
