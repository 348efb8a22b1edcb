//! An embedded host: a directory that looks like a host, with its boots and shutdowns.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::processes::kill_rooted;
use crate::supervisor::{Request, Supervisor};
use crate::tree::HostTree;
use crate::{Confine, Error, Faults, Server};

/// What an embedded host is to be like.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HostOptions {
    /// Users besides root; each gets a home directory.
    pub users: Vec<String>,
    /// The executable that confines commands to the host's directory; none: they are not confined.
    pub confine: Option<Confine>,
    /// How long a reboot takes.
    pub reboot_time: Duration,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self { users: Vec::new(), confine: None, reboot_time: Duration::from_secs(1) }
    }
}

impl HostOptions {
    /// Adds a user.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.users.push(name.into());
        self
    }

    /// Confines the host's commands.
    #[must_use]
    pub fn confine(mut self, confine: Confine) -> Self {
        self.confine = Some(confine);
        self
    }

    /// Sets how long a reboot takes.
    #[must_use]
    pub fn reboot_time(mut self, time: Duration) -> Self {
        self.reboot_time = time;
        self
    }
}

/// Why a host is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownKind {
    /// It was powered off, by `poweroff`, `shutdown -h now` or [`RunningHost::power_off`].
    PowerOff,
    /// It was halted.
    Halt,
    /// It reboots, and comes back by itself.
    Reboot,
    /// It lost its power: [`RunningHost::crash`].
    Crash,
}

impl DownKind {
    pub(crate) fn from_action(action: &str) -> Option<Self> {
        match action {
            "poweroff" => Some(Self::PowerOff),
            "halt" => Some(Self::Halt),
            "reboot" => Some(Self::Reboot),
            _ => None,
        }
    }

    /// Gives the last words to the sessions; a crash has none.
    pub(crate) fn farewell(self) -> Option<&'static str> {
        match self {
            Self::PowerOff => Some("The system will power off now!"),
            Self::Halt => Some("The system will halt now!"),
            Self::Reboot => Some("The system will reboot now!"),
            Self::Crash => None,
        }
    }
}

/// Something that happened to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostEvent {
    /// It has booted and listens.
    Up {
        /// The boot id, as in `/proc/sys/kernel/random/boot_id`.
        boot_id: String,
    },
    /// It has gone down: nothing of it runs any more.
    Down(DownKind),
    /// It could not boot; it stays down.
    BootFailed(String),
}

/// Whether a host is up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostState {
    /// It listens.
    Up {
        /// The boot id.
        boot_id: String,
    },
    /// It does not.
    Down(DownKind),
}

/// An embedded host that has not been started yet.
///
/// Commands on it get an empty environment with `PATH=DIR/bin`, `PIPEDOWN_ROOT=DIR`, `HOME`, `USER`, `LOGNAME`,
/// `SHELL`, `TMPDIR=DIR/tmp`, `LANG=C.UTF-8`, `SSH_CONNECTION`, `PS1`, a dead `DBUS_SYSTEM_BUS_ADDRESS`, and `TERM` and
/// `SSH_TTY` on a terminal. They run as the user that the server runs as, whoever logs in.
#[derive(Clone)]
pub struct EmbeddedHost {
    tree: Arc<HostTree>,
    options: HostOptions,
}

impl EmbeddedHost {
    /// Makes a host of the directory `dir`, which must be new, empty, or a host made before.
    ///
    /// # Errors
    /// When the directory holds something else or cannot be written, a name is not plain, or a tool is missing.
    pub fn create(dir: impl AsRef<Path>, name: &str, options: HostOptions) -> Result<Self, Error> {
        let tree = HostTree::create(dir.as_ref(), name, &options.users, options.confine.clone())?;
        Ok(Self { tree: Arc::new(tree), options })
    }

    /// Gives the absolute directory of the host.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.tree.dir()
    }

    /// Gives the host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tree.name()
    }

    /// Boots the host and serves it; root and the host's users may log in.
    ///
    /// # Errors
    /// When an address cannot be listened on, the directory cannot be written, or nobody could log in.
    pub async fn start(self, mut server: Server) -> Result<RunningHost, Error> {
        let users = ["root"].into_iter().chain(self.options.users.iter().map(String::as_str));
        for user in users {
            if !server.users.iter().any(|known| known == user) {
                server.users.push(user.to_owned());
            }
        }
        let (requests, inbox) = mpsc::channel(8);
        let (state, observed) = watch::channel(HostState::Down(DownKind::PowerOff));
        let events = broadcast::Sender::new(16);
        let (name, dir) = (self.tree.name().to_owned(), self.tree.dir().to_path_buf());
        let mut supervisor =
            Supervisor::new(self.tree, server, self.options.reboot_time, state, events.clone())?;
        let (addrs, host_key) = (supervisor.addrs(), supervisor.host_key());
        supervisor.boot()?;
        tokio::spawn(supervisor.run(inbox));
        Ok(RunningHost { name, dir, addrs, host_key, requests, state: observed, events, ended: false })
    }
}

/// A host that was started and may be up or down; dropping it takes its power away.
pub struct RunningHost {
    name: String,
    dir: PathBuf,
    addrs: Vec<SocketAddr>,
    host_key: String,
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<HostState>,
    events: broadcast::Sender<HostEvent>,
    /// Whether there is nothing left to kill.
    ended: bool,
}

impl Drop for RunningHost {
    fn drop(&mut self) {
        if self.forsake().is_some() {
            kill_rooted(|root| root == self.dir);
        }
    }
}

impl RunningHost {
    /// Gives the host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the absolute directory of the host.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the addresses that the host listens on whenever it is up.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Gives the public host key as `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// Tells whether the host is up.
    #[must_use]
    pub fn state(&self) -> HostState {
        self.state.borrow().clone()
    }

    /// Follows the state of the host.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<HostState> {
        self.state.clone()
    }

    /// Follows what happens to the host from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.events.subscribe()
    }

    /// Powers the host off, as `poweroff` on it does; returns when nothing of it runs any more.
    ///
    /// # Errors
    /// When the host has been stopped.
    pub async fn power_off(&self) -> Result<(), Error> {
        self.ask(|done| Request::GoDown(DownKind::PowerOff, done)).await
    }

    /// Reboots the host, as `reboot` on it does; returns when it is down.
    ///
    /// # Errors
    /// When the host has been stopped.
    pub async fn reboot(&self) -> Result<(), Error> {
        self.ask(|done| Request::GoDown(DownKind::Reboot, done)).await
    }

    /// Takes the power away: no goodbye, and every process is gone. [`RunningHost::boot`] gives it back.
    ///
    /// # Errors
    /// When the host has been stopped.
    pub async fn crash(&self) -> Result<(), Error> {
        self.ask(|done| Request::GoDown(DownKind::Crash, done)).await
    }

    /// Boots the host if it is down: a new boot id, a fresh `run`, the same addresses.
    ///
    /// # Errors
    /// When the host has been stopped, or cannot boot.
    pub async fn boot(&self) -> Result<(), Error> {
        self.ask(Request::Boot).await?
    }

    /// Changes the faults for connections accepted from now on, over boots.
    ///
    /// # Errors
    /// When the host has been stopped.
    pub async fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        self.ask(|done| Request::Faults(faults, done)).await
    }

    /// Ends the host for good: it goes down if it is up, and gives its addresses back.
    pub async fn stop(mut self) {
        self.end().await;
    }

    pub(crate) async fn end(&mut self) {
        // A host that has ended already has nothing left to stop.
        let _ = self.ask(Request::Stop).await;
        self.ended = true;
    }

    /// Takes over the duty to kill what runs on a host that was not stopped.
    pub(crate) fn forsake(&mut self) -> Option<&Path> {
        (!std::mem::replace(&mut self.ended, true)).then_some(&*self.dir)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Error> {
        let stopped = || Error::Stopped(self.name.clone());
        let (done, answer) = oneshot::channel();
        self.requests.send(request(done)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
