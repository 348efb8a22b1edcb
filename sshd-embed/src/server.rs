//! The server: what it is told, and the handle of a running one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::Algorithm;
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accept::accept_loop;
use crate::launch::Launch;
use crate::service::Service;
use crate::{Answers, AuthorizedKeys, Error, Faults, KeyPair, Wire};

/// How long sessions may take to say goodbye at a graceful stop.
const GOODBYE: Duration = Duration::from_secs(2);

/// What one server grants its clients; the defaults follow OpenSSH's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Time from accepting a connection to its authentication (`LoginGraceTime`).
    pub login_grace: Duration,
    /// Connections that may be unauthenticated at a time; more are closed at once (`MaxStartups`).
    pub startups: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Channels of one connection at a time (`MaxSessions`).
    pub sessions: usize,
    /// Silence after which the client is asked whether it is there (`ClientAliveInterval`); none: never.
    pub keepalive: Option<Duration>,
    /// Unanswered questions after which the connection is dropped (`ClientAliveCountMax`).
    pub keepalive_max: usize,
    /// Bytes of unread standard input of a command that are kept in memory.
    pub input_memory: usize,
    /// Bytes of unread standard input of a command that are kept in an unlinked file, after which it is killed.
    pub input_file: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_grace: Duration::from_secs(120),
            startups: 100,
            connections: 1000,
            sessions: 10,
            keepalive: Some(Duration::from_secs(60)),
            keepalive_max: 3,
            input_memory: 1 << 20,
            input_file: 256 << 20,
        }
    }
}

/// A server about to be started.
///
/// Only public keys let a client in, only to the named users, and every command runs as the user that the
/// server itself runs as. Forwarding of TCP ports, agents and X11 is refused, and so are subsystems.
///
/// ```no_run
/// # async fn example() -> Result<(), sshd_embed::Error> {
/// use sshd_embed::{AuthorizedKeys, KeyPair, Server};
///
/// let client = KeyPair::generate()?;
/// let server = Server::new()
///     .listen(([127, 0, 0, 1], 0).into())
///     .host_key(KeyPair::generate()?)
///     .authorized_keys(AuthorizedKeys::new().with_key(&client))
///     .user("alice")
///     .start()
///     .await?;
/// println!("listening on {:?}", server.addrs());
/// server.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Server {
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) key: Option<KeyPair>,
    pub(crate) authorized: AuthorizedKeys,
    pub(crate) users: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) wire: Option<Arc<dyn Wire>>,
    /// Of those addresses that have faults of their own.
    pub(crate) particular: HashMap<IpAddr, Faults>,
    pub(crate) answers: Option<Arc<Answers>>,
}

impl Server {
    /// Starts from nothing: no address, no user, no key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens on one more address; port 0 lets the system choose.
    #[must_use]
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.addrs.push(addr);
        self
    }

    /// Proves its identity with this key; without one, a new key is drawn at each start.
    #[must_use]
    pub fn host_key(mut self, key: KeyPair) -> Self {
        self.key = Some(key);
        self
    }

    /// Lets in the holders of these keys.
    #[must_use]
    pub fn authorized_keys(mut self, keys: AuthorizedKeys) -> Self {
        self.authorized = keys;
        self
    }

    /// Lets in one more user name (an embedded host lets in its own users as well).
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.users.push(name.into());
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Starts with faults, for tests of clients.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Answers commands instead of running them.
    #[must_use]
    pub fn answers(mut self, answers: Answers) -> Self {
        self.answers = Some(Arc::new(answers));
        self
    }

    /// Has every connection watched.
    #[must_use]
    pub fn wire(mut self, wire: Arc<dyn Wire>) -> Self {
        self.wire = Some(wire);
        self
    }

    /// Listens, and serves the machine that it runs on through `/bin/sh`.
    ///
    /// # Errors
    /// When nobody could log in, or an address cannot be listened on.
    pub async fn start(self) -> Result<RunningServer, Error> {
        let mut listeners = Vec::new();
        if self.addrs.is_empty() {
            return Err(Error::NoAddress);
        }
        for &addr in &self.addrs {
            let listener = TcpListener::bind(addr).await.map_err(|source| Error::Listen { addr, source })?;
            listeners.push(listener);
        }
        self.serve(listeners, Launch::System)
    }

    /// Serves listeners that somebody else bound.
    pub(crate) fn serve(self, listeners: Vec<TcpListener>, launch: Launch) -> Result<RunningServer, Error> {
        if self.users.is_empty() {
            return Err(Error::NobodyCouldLogIn { missing: "users" });
        }
        if self.authorized.is_empty() {
            return Err(Error::NobodyCouldLogIn { missing: "authorized keys" });
        }
        let key = match self.key.clone() {
            Some(key) => key,
            None => KeyPair::generate()?,
        };
        let service = Service::new(config(&key, &self.limits), launch, self);
        let accepting = CancellationToken::new();
        let mut addrs = Vec::new();
        for listener in listeners {
            addrs.extend(listener.local_addr());
            service.listeners.spawn(accept_loop(listener, Arc::clone(&service), accepting.clone()));
        }
        service.listeners.close();
        Ok(RunningServer { service, accepting, addrs, key })
    }
}

/// A server that listens; dropping it stops it the hard way.
pub struct RunningServer {
    service: Arc<Service>,
    accepting: CancellationToken,
    addrs: Vec<SocketAddr>,
    key: KeyPair,
}

impl RunningServer {
    /// Gives the addresses listened on, with the ports that the system chose.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Gives the public host key as `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn host_key(&self) -> String {
        self.key.public_line()
    }

    /// Counts the open connections, authenticated or not.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.service.connections.len()
    }

    /// Counts the commands that were started and have not ended.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.service.commands.count()
    }

    /// Changes the faults for connections accepted from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.service.set_faults(faults);
    }

    /// Stops gracefully: accepts no more, ends sessions (SIGHUP, SIGTERM), disconnects.
    pub async fn stop(self) {
        self.close_listeners().await;
        self.say_goodbye("the server is stopping").await;
        self.service.commands.signal_all(rustix::process::Signal::HUP);
        // What runs here is deaf to a hangup if this process is: nohup(1) is inherited.
        self.service.commands.signal_all(rustix::process::Signal::TERM);
    }

    /// Stops the hard way: drops every connection and kills the process group of every session.
    pub async fn kill(self) {
        self.service.dead.cancel();
        self.close_listeners().await;
        self.service.connections.close();
        self.service.connections.wait().await;
        self.service.commands.signal_all(rustix::process::Signal::KILL);
    }

    /// Accepts no more; clients that come are refused once this returns.
    pub(crate) async fn close_listeners(&self) {
        self.accepting.cancel();
        self.service.listeners.wait().await;
    }

    /// Tells every session why it ends, and returns when every connection has ended.
    pub(crate) async fn say_goodbye(&self, farewell: &str) {
        self.service.farewell.send_replace(Some(farewell.into()));
        self.service.connections.close();
        if tokio::time::timeout(GOODBYE, self.service.connections.wait()).await.is_err() {
            self.service.dead.cancel();
            self.service.connections.wait().await;
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.accepting.cancel();
        self.service.dead.cancel();
    }
}

/// Builds what russh needs to know, with the algorithms that ssh-audit has nothing to say about.
fn config(key: &KeyPair, limits: &Limits) -> Arc<Config> {
    let mut methods = MethodSet::empty();
    methods.push(MethodKind::PublicKey);
    Arc::new(Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-sshd-embed_", env!("CARGO_PKG_VERSION")))),
        methods,
        auth_rejection_time: Duration::from_millis(250),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key.private().clone()],
        // A re-key that the server begins while it echoes a full window never ends; clients re-key by themselves.
        limits: russh::Limits {
            rekey_write_limit: 64 << 30,
            rekey_read_limit: 64 << 30,
            rekey_time_limit: Duration::from_secs(24 * 3600),
        },
        channel_buffer_size: 8,
        preferred: preferred(),
        max_auth_attempts: 6,
        inactivity_timeout: None,
        keepalive_interval: limits.keepalive,
        keepalive_max: limits.keepalive_max,
        nodelay: true,
        ..Config::default()
    })
}

fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        key: Cow::Borrowed(&[Algorithm::Ed25519]),
        cipher: Cow::Borrowed(&[
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_GCM,
            cipher::AES_128_GCM,
            cipher::AES_256_CTR,
            cipher::AES_128_CTR,
        ]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::DEFAULT
    }
}
