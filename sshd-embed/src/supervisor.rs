//! The task that owns an embedded host: the only one that boots it and takes it down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::launch::Launch;
use crate::processes::kill_rooted;
use crate::tree::HostTree;
use crate::{DownKind, Error, Faults, HostEvent, HostState, KeyPair, RunningServer, Server};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;
/// How long to wait before a boot that failed after a reboot is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the owner of a host may ask for; each is answered when it is done.
pub(crate) enum Request {
    GoDown(DownKind, oneshot::Sender<()>),
    Boot(oneshot::Sender<Result<(), Error>>),
    Faults(Faults, oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// A host and whether it is up.
pub(crate) struct Supervisor {
    tree: Arc<HostTree>,
    server: Server,
    key: KeyPair,
    reboot_time: Duration,
    ports: Vec<Port>,
    up: Option<Up>,
    /// When a reboot is over.
    boot_at: Option<Instant>,
    state: watch::Sender<HostState>,
    events: broadcast::Sender<HostEvent>,
}

struct Up {
    server: RunningServer,
    control: pipe::Receiver,
    line: Vec<u8>,
}

/// An address that stays the host's own while it is down: bound, but not listened on, so that clients are refused
/// and nobody else takes it.
struct Port {
    addr: SocketAddr,
    reserved: Option<TcpSocket>,
}

impl Port {
    fn reserve(addr: SocketAddr) -> Result<Self, Error> {
        let failed = |source| Error::Listen { addr, source };
        let socket =
            if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        socket.set_reuseaddr(true).map_err(failed)?;
        socket.bind(addr).map_err(failed)?;
        let addr = socket.local_addr().map_err(failed)?;
        Ok(Self { addr, reserved: Some(socket) })
    }

    fn listen(&mut self) -> Result<tokio::net::TcpListener, Error> {
        let socket = match self.reserved.take() {
            Some(socket) => socket,
            None => Self::reserve(self.addr)?.reserved.ok_or(Error::NoAddress)?,
        };
        socket.listen(BACKLOG).map_err(|source| Error::Listen { addr: self.addr, source })
    }

    fn release(&mut self) {
        match Self::reserve(self.addr) {
            Ok(port) => *self = port,
            // It is tried again at the next boot.
            Err(error) => log::warn!("{error}"),
        }
    }
}

impl Supervisor {
    pub(crate) fn new(
        tree: Arc<HostTree>,
        mut server: Server,
        reboot_time: Duration,
        state: watch::Sender<HostState>,
        events: broadcast::Sender<HostEvent>,
    ) -> Result<Self, Error> {
        if server.addrs.is_empty() {
            return Err(Error::NoAddress);
        }
        let ports = server.addrs.iter().map(|&addr| Port::reserve(addr)).collect::<Result<_, _>>()?;
        let key = match server.key.take() {
            Some(key) => key,
            None => KeyPair::generate()?,
        };
        server.key = Some(key.clone());
        Ok(Self { tree, server, key, reboot_time, ports, up: None, boot_at: None, state, events })
    }

    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.ports.iter().map(|port| port.addr).collect()
    }

    pub(crate) fn host_key(&self) -> String {
        self.key.public_line()
    }

    /// Brings the host up, unless it is.
    pub(crate) fn boot(&mut self) -> Result<(), Error> {
        self.boot_at = None;
        if self.up.is_some() {
            return Ok(());
        }
        let boot_id = self.tree.boot()?;
        let path = self.tree.control();
        let control = pipe::OpenOptions::new()
            // Writing as well, so that the end of one writer is not the end of the file.
            .read_write(true)
            .open_receiver(&path)
            .map_err(Error::read(path))?;
        let listeners = self.ports.iter_mut().map(Port::listen).collect::<Result<_, _>>()?;
        let server = self.server.clone().serve(listeners, Launch::Rooted(Arc::clone(&self.tree)))?;
        self.up = Some(Up { server, control, line: Vec::new() });
        self.state.send_replace(HostState::Up { boot_id: boot_id.clone() });
        // Nobody has to be listening.
        let _ = self.events.send(HostEvent::Up { boot_id });
        Ok(())
    }

    /// Serves requests, the FIFO and the end of reboots, until the owner stops it or has gone.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let done = loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(Request::Stop(done)) => break Some(done),
                    None => break None,
                    Some(request) => self.serve(request).await,
                },
                kind = asked(self.up.as_mut()) => self.go_down(kind).await,
                () = at(self.boot_at) => self.boot_again(),
            }
        };
        match done {
            Some(done) => {
                self.go_down(DownKind::PowerOff).await;
                // Who asked may have gone.
                let _ = done.send(());
            }
            // Its owner was dropped: nobody waits for a goodbye.
            None => self.go_down(DownKind::Crash).await,
        }
    }

    async fn serve(&mut self, request: Request) {
        // Who asked may have gone.
        match request {
            Request::GoDown(kind, done) => {
                self.go_down(kind).await;
                let _ = done.send(());
            }
            Request::Boot(done) => {
                let _ = done.send(self.boot());
            }
            Request::Faults(faults, done) => {
                self.server.faults = faults.clone();
                if let Some(up) = &self.up {
                    up.server.set_faults(faults);
                }
                let _ = done.send(());
            }
            Request::Stop(done) => drop(done),
        }
    }

    fn boot_again(&mut self) {
        if let Err(error) = self.boot() {
            log::error!("host {}: {error}", self.tree.name());
            self.boot_at = Some(Instant::now() + RETRY);
            let _ = self.events.send(HostEvent::BootFailed(error.to_string()));
        }
    }

    /// Takes the host down: listeners, sessions, connections, and then everything that still runs.
    async fn go_down(&mut self, kind: DownKind) {
        self.boot_at = (kind == DownKind::Reboot).then(|| Instant::now() + self.reboot_time);
        let Some(up) = self.up.take() else { return };
        up.server.close_listeners().await;
        for port in &mut self.ports {
            port.release();
        }
        if let Some(text) = kind.farewell() {
            up.server.say_goodbye(text).await;
        }
        up.server.kill().await;
        let dir = self.tree.dir().to_path_buf();
        // It ends with the process table, and is awaited: a host that is down runs nothing.
        let _ = tokio::task::spawn_blocking(move || kill_rooted(|root| root == dir)).await;
        self.state.send_replace(HostState::Down(kind));
        let _ = self.events.send(HostEvent::Down(kind));
    }
}

/// Waits until a command on the host asks it to go down; forever while it is down.
async fn asked(up: Option<&mut Up>) -> DownKind {
    let Some(up) = up else { return std::future::pending().await };
    loop {
        match up.control.read_u8().await {
            Ok(b'\n') => {
                let line = std::mem::take(&mut up.line);
                if let Some(kind) = DownKind::from_action(&String::from_utf8_lossy(&line)) {
                    return kind;
                }
            }
            // No action is that long; what follows cannot make it one.
            Ok(byte) if up.line.len() < 32 => up.line.push(byte),
            Ok(_) => {}
            Err(error) => {
                log::error!("control FIFO: {error}");
                return std::future::pending().await;
            }
        }
    }
}

/// Waits for an instant, forever for none.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
