//! What the connections of one running server share.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{HashAlg, PublicKey};
use russh::server::Config;
use rustix::process::{Pid, Signal};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::launch::Launch;
use crate::{Answers, AuthorizedKeys, Faults, Limits, Server, Wire};

/// The shared part of a server; nothing in it grows before a client comes.
pub(crate) struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) launch: Launch,
    pub(crate) limits: Limits,
    /// The last words to every session, once the server ends.
    pub(crate) farewell: watch::Sender<Option<Arc<str>>>,
    /// Cancelled when everything is to be dropped where it stands.
    pub(crate) dead: CancellationToken,
    pub(crate) listeners: TaskTracker,
    pub(crate) connections: TaskTracker,
    /// Told when a connection has given its descriptor back.
    pub(crate) freed: Notify,
    pub(crate) startups: Arc<Semaphore>,
    pub(crate) commands: Commands,
    /// Who watches the bytes.
    pub(crate) wire: Option<Arc<dyn Wire>>,
    authorized: AuthorizedKeys,
    users: Vec<String>,
    faults: Mutex<Faults>,
    /// Of those addresses that have faults of their own.
    particular: HashMap<IpAddr, Faults>,
    /// What commands are answered with instead of being run.
    pub(crate) answers: Option<Arc<Answers>>,
}

impl Service {
    pub(crate) fn new(config: Arc<Config>, launch: Launch, server: Server) -> Arc<Self> {
        Arc::new(Self {
            config,
            launch,
            farewell: watch::Sender::new(None),
            dead: CancellationToken::new(),
            listeners: TaskTracker::new(),
            connections: TaskTracker::new(),
            freed: Notify::new(),
            startups: Arc::new(Semaphore::new(server.limits.startups)),
            commands: Commands::default(),
            wire: server.wire,
            authorized: server.authorized,
            users: server.users,
            faults: Mutex::new(server.faults),
            particular: server.particular,
            answers: server.answers,
            limits: server.limits,
        })
    }

    /// The faults of the address that a client came to.
    pub(crate) fn faults_at(&self, local: io::Result<SocketAddr>) -> Faults {
        let own = local.ok().and_then(|local| self.particular.get(&local.ip()));
        own.map_or_else(|| self.faults(), Clone::clone)
    }

    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Waits for the server's last words.
    pub(crate) async fn last_words(&self) -> Arc<str> {
        let mut farewell = self.farewell.subscribe();
        let text = farewell.wait_for(Option::is_some).await.ok().and_then(|text| text.clone());
        // The sender lives in this very structure: the wait cannot fail.
        text.unwrap_or_default()
    }

    /// Tells whether the holder of a key may be this user.
    pub(crate) fn admits(&self, user: &str, key: &PublicKey) -> bool {
        let known = self.users.iter().any(|name| name == user);
        let admits = known && self.authorized.contains(key);
        if !known {
            log::info!("{user:?} may not log in: it is not among the users {}", self.users.join(", "));
        } else if !admits {
            log::info!(
                "{user:?} may not log in with {}: it is not authorized",
                key.fingerprint(HashAlg::Sha256)
            );
        }
        admits
    }
}

/// The commands that run: the leaders of their process groups.
#[derive(Default)]
pub(crate) struct Commands(Mutex<HashSet<Pid>>);

impl Commands {
    pub(crate) fn insert(&self, leader: Pid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(leader);
    }

    pub(crate) fn remove(&self, leader: Pid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&leader);
    }

    /// Counts them.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends a signal to the process group of every running command.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for &leader in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            signal_group(leader, signal);
        }
    }
}

/// Sends a signal to a command's process group, or to itself in the moment before it leads one.
pub(crate) fn signal_group(leader: Pid, signal: Signal) {
    if rustix::process::kill_process_group(leader, signal).is_err() {
        // Gone already, which is what a signal is for.
        let _ = rustix::process::kill_process(leader, signal);
    }
}
