//! Thousands of hosts in one process: they answer commands without running them, and some of them are broken.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};

use crate::launch::Launch;
use crate::server::RunningServer;
use crate::tree::write_file;
use crate::{Answers, AuthorizedKeys, Error, Faults, KeyPair, Limits, Server};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long a connect is waited for that is to show that nobody is let in any more.
const SILENCE: Duration = Duration::from_millis(250);
/// Connects after which an address that still lets one in is believed to always do so.
const MOST_FILLERS: usize = 16;

/// What is wrong with a host of a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrowdFault {
    /// Nobody listens: connections are refused.
    Refuse,
    /// Connects get no answer at all.
    DropSyn,
    /// It accepts, and never sends its version.
    StallBanner,
    /// It never answers the key exchange.
    StallKex,
    /// It rejects every key.
    DenyAuth,
    /// It takes commands, and never answers.
    Hang,
    /// Its commands print without end.
    Flood,
    /// Its connection breaks when a command has printed half a line.
    Die,
    /// It runs commands on this machine instead of answering them.
    Real,
}

impl CrowdFault {
    /// All there are, with their names.
    pub const ALL: [(&str, Self); 9] = [
        ("refuse", Self::Refuse),
        ("drop-syn", Self::DropSyn),
        ("stall-banner", Self::StallBanner),
        ("stall-kex", Self::StallKex),
        ("deny-auth", Self::DenyAuth),
        ("hang", Self::Hang),
        ("flood", Self::Flood),
        ("die", Self::Die),
        ("real", Self::Real),
    ];

    /// Gives its name, as in `stall-banner`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }

    /// What a server does that has it.
    fn faults(self) -> Faults {
        let mut faults = Faults::none();
        match self {
            // Their addresses are not the server's.
            Self::Refuse | Self::DropSyn => {}
            Self::StallBanner => faults.stall_banner = true,
            Self::StallKex => faults.stall_kex = true,
            Self::DenyAuth => faults.deny_auth = true,
            Self::Hang => faults.hang = true,
            Self::Flood => faults.flood = true,
            Self::Die => faults.break_off = true,
            Self::Real => faults.deaf_to_answers = true,
        }
        faults
    }
}

/// How many hosts of a crowd have a fault: `stall-banner=1%`, `die=3`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// What they have.
    pub fault: CrowdFault,
    amount: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Amount {
    Hosts(usize),
    Percent(f64),
}

impl Share {
    /// So many hosts.
    #[must_use]
    pub fn hosts(fault: CrowdFault, hosts: usize) -> Self {
        Self { fault, amount: Amount::Hosts(hosts) }
    }

    /// So many of a hundred hosts.
    #[must_use]
    pub fn percent(fault: CrowdFault, percent: f64) -> Self {
        Self { fault, amount: Amount::Percent(percent) }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no crowd is that large, and no share below 0"
    )]
    fn of(self, hosts: usize) -> usize {
        match self.amount {
            Amount::Hosts(some) => some,
            Amount::Percent(percent) => (hosts as f64 * percent / 100.0).round() as usize,
        }
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || CrowdFault::ALL.map(|(name, _)| name).join(", ");
        let (name, amount) = text.split_once('=').ok_or("expected FAULT=HOSTS or FAULT=PERCENT%")?;
        let fault = CrowdFault::ALL.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault);
        let fault = fault.ok_or_else(|| format!("no fault is called {name:?}: there are {}", names()))?;
        let amount = match amount.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| (0.0..=100.0).contains(p)).map(Amount::Percent),
            None => amount.parse().ok().map(Amount::Hosts),
        };
        Ok(Self { fault, amount: amount.ok_or("expected a number of hosts, or 0% to 100%")? })
    }
}

/// What a crowd is to be like.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CrowdOptions {
    /// Where its files are made; none: in a temporary directory that goes with the crowd.
    pub dir: Option<PathBuf>,
    /// What the hosts' names begin with [default: `node`]; a number follows.
    pub prefix: Option<String>,
    /// The port of all hosts that listen; 0 lets the system choose.
    pub port: u16,
    /// Users that may log in besides root.
    pub users: Vec<String>,
    /// How many hosts have which fault.
    pub shares: Vec<Share>,
    /// What commands are answered with.
    pub answers: Answers,
}

impl CrowdOptions {
    /// Makes its files in this directory, and leaves them there.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets what the hosts' names begin with.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.users.push(name.into());
        self
    }

    /// Adds broken hosts.
    #[must_use]
    pub fn share(mut self, share: Share) -> Self {
        self.shares.push(share);
        self
    }

    /// Sets the answers.
    #[must_use]
    pub fn answers(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }
}

/// A host of a crowd.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrowdHost {
    /// Its name.
    pub name: String,
    /// Where a client finds it, if it does.
    pub addr: SocketAddr,
    /// What is wrong with it.
    pub fault: Option<CrowdFault>,
}

/// Running hosts that cost nothing until somebody connects: one listener serves all their addresses, from 127.0.0.2
/// on, for clients on this machine only (Linux).
///
/// They have one host key. Below [`Crowd::dir`]: `id_ed25519`, `id_ed25519.pub`, `known_hosts`.
pub struct Crowd {
    dir: PathBuf,
    hosts: Vec<CrowdHost>,
    server: RunningServer,
    /// Holds a port on which nobody listens.
    _refusing: Option<TcpSocket>,
    _silent: Option<Silent>,
    /// Removes the directory in the end, when it was ours to choose.
    _temporary: Option<TempDir>,
}

impl Crowd {
    /// Starts `n` hosts.
    ///
    /// # Errors
    /// When a file cannot be written, an address cannot be listened on, there are more broken hosts than hosts, or the
    /// system cannot keep strangers out (not Linux).
    pub async fn start(n: usize, options: CrowdOptions) -> Result<Self, Error> {
        let (dir, temporary) = crate::fleet::place(options.dir.as_deref())?;
        let client = KeyPair::load_or_generate(&dir.join("id_ed25519"))?;
        let key = KeyPair::load_or_generate(&dir.join("host_key"))?;
        let faults = spread(n, &options.shares).ok_or(Error::TooManyFaults { hosts: n })?;
        let has = |fault: CrowdFault| faults.contains(&Some(fault));
        let refusing = has(CrowdFault::Refuse).then(|| bound(0)).transpose()?;
        let silent = has(CrowdFault::DropSyn).then(Silent::new).transpose()?;
        let listener = listening(options.port)?;
        let ports = Ports {
            open: port(listener.local_addr())?,
            refusing: refusing.as_ref().map_or(Ok(0), |socket| port(socket.local_addr()))?,
            silent: silent.as_ref().map_or(0, |silent| silent.port),
        };
        let prefix = options.prefix.as_deref().unwrap_or("node");
        let hosts = hosts(prefix, &faults, &ports);
        let known: String =
            hosts.iter().map(|host| crate::fleet::known_host(&host.addr, &key.public_line())).collect();
        write_file(&dir.join("known_hosts"), known.as_bytes(), 0o644)?;
        let mut server = Server::new()
            .host_key(key)
            .authorized_keys(AuthorizedKeys::new().with_key(&client))
            .limits(Limits { startups: usize::MAX >> 3, connections: usize::MAX, ..Limits::default() })
            .answers(options.answers)
            .user("root");
        server.users.extend(options.users);
        server.particular = particular(&hosts);
        let server = server.serve(vec![listener], Launch::System)?;
        Ok(Self { dir, hosts, server, _refusing: refusing, _silent: silent, _temporary: temporary })
    }

    /// Gives the hosts, in the order of their numbers.
    #[must_use]
    pub fn hosts(&self) -> &[CrowdHost] {
        &self.hosts
    }

    /// Gives the directory with the files that a client needs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the private key that every host lets in.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }

    /// Gives the file with the hosts' keys.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Counts the open connections, authenticated or not.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Counts the commands that run on this machine.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.server.commands()
    }

    /// Ends the crowd, and what still runs.
    pub async fn stop(self) {
        self.server.kill().await;
    }
}

/// Where hosts are found.
struct Ports {
    open: u16,
    refusing: u16,
    silent: u16,
}

fn hosts(prefix: &str, faults: &[Option<CrowdFault>], ports: &Ports) -> Vec<CrowdHost> {
    let width = faults.len().to_string().len().max(2);
    let host = |(number, fault): (usize, &Option<CrowdFault>)| CrowdHost {
        name: format!("{prefix}{number:0width$}"),
        addr: match fault {
            Some(CrowdFault::Refuse) => crate::fleet::numbered(number, ports.refusing),
            Some(CrowdFault::DropSyn) => crate::fleet::numbered(number, ports.silent),
            _ => crate::fleet::numbered(number, ports.open),
        },
        fault: *fault,
    };
    (1..).zip(faults).map(host).collect()
}

fn particular(hosts: &[CrowdHost]) -> HashMap<IpAddr, Faults> {
    hosts.iter().filter_map(|host| Some((host.addr.ip(), host.fault?.faults()))).collect()
}

/// Gives every fault its hosts, evenly among the others; none when there are too few.
fn spread(n: usize, shares: &[Share]) -> Option<Vec<Option<CrowdFault>>> {
    let mut left: Vec<(CrowdFault, usize)> = shares.iter().map(|share| (share.fault, share.of(n))).collect();
    let broken: usize = left.iter().map(|(_, count)| count).sum();
    let mut faults = vec![None; n];
    let mut turn = 0;
    for nth in 0..broken {
        let at = nth * n / broken;
        left.retain(|(_, count)| *count > 0);
        turn = (turn + 1) % left.len();
        let (fault, count) = left.get_mut(turn)?;
        *count -= 1;
        let place = faults.get_mut(at)?;
        if place.replace(*fault).is_some() {
            return None;
        }
    }
    Some(faults)
}

fn port(addr: io::Result<SocketAddr>) -> Result<u16, Error> {
    addr.map(|addr| addr.port()).map_err(|source| Error::Listen { addr: anywhere(0), source })
}

fn anywhere(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

/// A socket with this port on every address of the loopback interface, and on no other.
fn bound(port: u16) -> Result<TcpSocket, Error> {
    let addr = anywhere(port);
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        only_loopback(&socket)?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(socket)
    };
    bind().map_err(|source| Error::Listen { addr, source })
}

/// Keeps packets of other interfaces out (socket(7), `SO_BINDTODEVICE`).
#[cfg(target_os = "linux")]
fn only_loopback(socket: &TcpSocket) -> io::Result<()> {
    socket.bind_device(Some(b"lo"))
}

#[cfg(not(target_os = "linux"))]
fn only_loopback(_: &TcpSocket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn listening(port: u16) -> Result<TcpListener, Error> {
    let listen = |source| Error::Listen { addr: anywhere(port), source };
    bound(port)?.listen(BACKLOG).map_err(listen)
}

/// A port that nobody accepts at, with as many connections as it lets wait: Linux drops what comes then (listen(2)).
struct Silent {
    port: u16,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    fn new() -> Result<Self, Error> {
        let listen = |source| Error::Listen { addr: anywhere(0), source };
        let listener = bound(0)?.listen(0).map_err(listen)?;
        let port = port(listener.local_addr())?;
        let mut waiting = Vec::new();
        while waiting.len() < MOST_FILLERS {
            match TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), SILENCE) {
                Ok(stream) => waiting.push(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Self { port, _listener: listener, _waiting: waiting });
                }
                Err(source) => return Err(Error::Listen { addr: anywhere(port), source }),
            }
        }
        Err(Error::Listen { addr: anywhere(port), source: io::ErrorKind::Unsupported.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_spread_evenly() {
        let shares: Vec<Share> =
            CrowdFault::ALL.iter().map(|(_, fault)| Share::percent(*fault, 1.0)).collect();
        let faults = spread(1000, &shares).unwrap();
        for (name, fault) in CrowdFault::ALL {
            assert_eq!(faults.iter().filter(|has| **has == Some(fault)).count(), 10, "{name}");
        }
        let healthy: Vec<&[_]> = faults.split(Option::is_some).collect();
        assert!(healthy.iter().all(|between| between.len() <= 12), "{faults:?}");
    }

    #[test]
    fn as_many_as_there_are_can_be_broken() {
        assert!(spread(3, &[Share::hosts(CrowdFault::Die, 3)]).unwrap().iter().all(Option::is_some));
        assert_eq!(spread(3, &[Share::hosts(CrowdFault::Die, 4)]), None);
        assert_eq!(spread(0, &[]), Some(vec![]));
    }

    #[test]
    fn shares_are_read() {
        assert_eq!("die=3".parse(), Ok(Share::hosts(CrowdFault::Die, 3)));
        assert_eq!("stall-kex=0.5%".parse(), Ok(Share::percent(CrowdFault::StallKex, 0.5)));
        for wrong in ["die", "die=", "die=101%", "die=-1", "dies=3", "die=NaN%"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
