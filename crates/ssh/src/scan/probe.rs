//! One host's keys.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::answer::{
    GEX_REPLY, KEX_REPLY, answer, half_in_group, is_certificate, is_group_exchange, key_types, reply_key,
};
use super::hello::{Hello, ended, take_hello};
use super::packet::{Malformed, Values, put_packet, take_packet};
use crate::dial::dial;
use crate::error::{ConnectError, FailureClass, Phase};
use crate::host_key::HostKey;
use crate::options::Route;
use crate::proposal::Proposal;
use crate::target::{Deadlines, Target};
use crate::timeline::Timeline;

/// Our version line (RFC 4253, section 4.2).
const VERSION: &[u8] = concat!("SSH-2.0-pipedown_", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
/// SSH_MSG_DISCONNECT, SSH_MSG_IGNORE and SSH_MSG_DEBUG (RFC 4253, section 11).
const DISCONNECT: u8 = 1;
const IGNORE: u8 = 2;
const DEBUG: u8 = 4;
/// How many packets may come where one is waited for.
const MAX_ASIDES: usize = 16;
/// A throttled host is asked again after about this long, then twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(400);

/// What a scan asks for.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Key types (`ssh-ed25519`, …) to ask for; all that the server offers if empty.
    pub types: Vec<String>,
    /// Whether host certificates are asked for as well.
    pub certificates: bool,
    /// The limits of each connection.
    pub limits: Deadlines,
    /// How often a host that takes no more connections for now is asked again.
    pub retries: u32,
}

/// What a scan of one host came to.
#[derive(Debug)]
pub struct HostScan {
    /// The keys, or why there are none.
    pub outcome: Result<Scanned, ScanFailure>,
    /// How often the host took no more connections and was asked again.
    pub throttled: u32,
}

/// A host that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Where.
    pub address: SocketAddr,
    /// Its version line, escaped.
    pub version: String,
    /// Its keys, in its own order of preference.
    pub keys: Vec<HostKey>,
    /// Its certificates, if they were asked for.
    pub certificates: Vec<HostKey>,
    /// Key types that it offers and then did not show.
    pub missing: Vec<(String, ScanFailure)>,
}

/// Why a host showed no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanFailure {
    /// The kind.
    pub kind: ScanFailureKind,
    /// The rest, as a fragment.
    pub why: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScanFailureKind {
    /// The name has no address.
    Unresolved,
    /// Nothing listens on the port.
    Refused,
    /// No way there.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The host takes no more connections for now (MaxStartups, PerSourcePenalties), however often it was asked.
    Throttled,
    /// Something else listens there.
    NotSsh,
    /// It speaks SSH and showed no key.
    NoKey,
}

impl ScanFailureKind {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Throttled => "throttled",
            Self::NotSsh => "not_ssh",
            Self::NoKey => "no_key",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Unresolved => "check the name",
            Self::Refused => "check that sshd runs there, and the port (-p)",
            Self::Unreachable => "check the route to the host",
            Self::TimedOut => "the host is down, or a firewall drops the connection",
            Self::Throttled => {
                "lower --parallel, or raise MaxStartups on the host; sshd 9.8 and later also bar an address for a while \
                 (PerSourcePenalties)"
            }
            Self::NotSsh => "check the port (-p)",
            Self::NoKey => "`pipedown doctor` looks closer",
        }
    }
}

impl fmt::Display for ScanFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Collects a host's keys. The future may be dropped at any time.
pub async fn scan_host(target: &Target, options: &ScanOptions) -> HostScan {
    let mut throttled = 0;
    let first = loop {
        let first = match connect(target, options).await {
            Ok(connection) => begin(connection, options).await,
            Err(failure) => Err(failure),
        };
        match first {
            Err(failure) if failure.kind == ScanFailureKind::Throttled && throttled < options.retries => {
                pause(throttled).await;
                throttled += 1;
            }
            first => break first,
        }
    };
    let first = match first {
        Ok(first) => first,
        Err(failure) => return HostScan { outcome: Err(failure), throttled },
    };
    let others = first.others.iter().map(|(key_type, algorithm)| {
        let address = first.address;
        async move { (key_type.clone(), again(address, algorithm, options).await) }
    });
    let mut shown = vec![(first.key_type, Ok((first.key, 0)))];
    shown.extend(join_all(others).await);
    let mut scanned = Scanned {
        address: first.address,
        version: first.version,
        keys: Vec::new(),
        certificates: Vec::new(),
        missing: Vec::new(),
    };
    for (key_type, key) in shown {
        match key {
            Ok((key, times)) => {
                throttled = throttled.max(times);
                if is_certificate(&key_type) {
                    scanned.certificates.push(key)
                } else {
                    scanned.keys.push(key)
                }
            }
            Err(failure) => scanned.missing.push((key_type, failure)),
        }
    }
    HostScan { outcome: Ok(scanned), throttled }
}

/// Waits before a host is asked again, not all at the same time.
async fn pause(times: u32) {
    let random = RandomState::new().build_hasher().finish() % 1000;
    let longest = PAUSE * 2_u32.saturating_pow(times.min(8));
    sleep(longest / 2 + longest * u32::try_from(random).unwrap_or(0) / 1000).await;
}

async fn connect(target: &Target, options: &ScanOptions) -> Result<TcpStream, ScanFailure> {
    // Its address may be another host's on this side of the bastion.
    if target.link.route != Route::Direct {
        let why = "it is reached through a bastion or a command, and a scan goes directly".to_owned();
        return Err(ScanFailure { kind: ScanFailureKind::Unreachable, why });
    }
    dial(target, &options.limits, &Timeline::default()).await.map_err(|error| from_connect(&error))
}

fn from_connect(error: &ConnectError) -> ScanFailure {
    let kind = match (error, error.class()) {
        (ConnectError::Tcp { attempts, .. }, _)
            if attempts.iter().any(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused) =>
        {
            ScanFailureKind::Refused
        }
        (_, FailureClass::Unresolved) => ScanFailureKind::Unresolved,
        (_, FailureClass::TimedOut) if error.phase() == Phase::Resolve => ScanFailureKind::Unresolved,
        (_, FailureClass::TimedOut) => ScanFailureKind::TimedOut,
        _ => ScanFailureKind::Unreachable,
    };
    ScanFailure { kind, why: error.to_string() }
}

/// What the first connection brings.
struct First {
    address: SocketAddr,
    version: String,
    key_type: String,
    key: HostKey,
    /// Further types, and the algorithms to ask for them by.
    others: Vec<(String, String)>,
}

async fn begin(stream: TcpStream, options: &ScanOptions) -> Result<First, ScanFailure> {
    let address = stream.peer_addr().map_err(|error| lost(&error))?;
    let mut talk = Talk { stream, buffer: Vec::new() };
    let (version, proposal) = talk.greet(&options.limits).await?;
    let wanted = |key_type: &str| {
        if is_certificate(key_type) {
            options.certificates
        } else {
            options.types.is_empty() || options.types.iter().any(|wanted| wanted == key_type)
        }
    };
    let offered = key_types(&proposal);
    let (mut types, others): (Vec<_>, Vec<_>) =
        offered.into_iter().partition(|(key_type, _)| wanted(key_type));
    if types.is_empty() {
        let others: Vec<_> = others.into_iter().map(|(key_type, _)| key_type).collect();
        return Err(no_key(format!("it offers only {}", others.join(", "))));
    }
    let (key_type, algorithm) = types.remove(0);
    let key = talk.key(&proposal, &algorithm, &options.limits).await?;
    Ok(First { address, version, key_type, key, others: types })
}

/// One more type, from the same address; and how often the host had to be asked again.
async fn again(
    address: SocketAddr,
    algorithm: &str,
    options: &ScanOptions,
) -> Result<(HostKey, u32), ScanFailure> {
    let once = async || {
        let connecting = timeout(options.limits.connect, TcpStream::connect(address)).await;
        let stream = connecting.map_err(|_| too_slow("TCP connect"))?.map_err(|error| lost(&error))?;
        let mut talk = Talk { stream, buffer: Vec::new() };
        let (_, proposal) = talk.greet(&options.limits).await?;
        talk.key(&proposal, algorithm, &options.limits).await
    };
    let mut times = 0;
    loop {
        match once().await {
            Err(failure) if failure.kind == ScanFailureKind::Throttled && times < options.retries => {
                pause(times).await;
                times += 1;
            }
            key => return key.map(|key| (key, times)),
        }
    }
}

/// A conversation up to the server's key.
struct Talk {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Talk {
    /// Version lines, and the server's proposal.
    async fn greet(&mut self, limits: &Deadlines) -> Result<(String, Proposal), ScanFailure> {
        // Who cannot take it will not answer either, and that says more.
        let _ = self.stream.set_nodelay(true);
        let _ = self.stream.write_all(VERSION).await;
        let version =
            timeout(limits.banner, self.hello()).await.map_err(|_| too_slow("the version line"))??;
        let proposal =
            timeout(limits.key_exchange, self.packet()).await.map_err(|_| too_slow("key exchange"))??;
        let proposal =
            Proposal::parse(&proposal).ok_or_else(|| no_key("its proposal is damaged".to_owned()))?;
        Ok((version, proposal))
    }

    async fn hello(&mut self) -> Result<String, ScanFailure> {
        loop {
            let hello = match take_hello(&mut self.buffer) {
                Some(hello) => hello,
                None => match self.read().await {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => ended(&self.buffer),
                },
            };
            return match hello {
                Hello::Version(version) => Ok(version),
                Hello::Throttled(why) => Err(ScanFailure { kind: ScanFailureKind::Throttled, why }),
                Hello::NotSsh(first) => {
                    let why = format!("the answer is not SSH, it begins with \"{first}\"");
                    Err(ScanFailure { kind: ScanFailureKind::NotSsh, why })
                }
            };
        }
    }

    /// The key that the server signs with under this algorithm.
    async fn key(
        &mut self,
        proposal: &Proposal,
        algorithm: &str,
        limits: &Deadlines,
    ) -> Result<HostKey, ScanFailure> {
        let Some([kexinit, half]) = answer(proposal, algorithm) else {
            return Err(no_key(format!(
                "no key exchange in common, it offers {}",
                proposal.key_exchange.join(", ")
            )));
        };
        let mut out = Vec::new();
        put_packet(&mut out, &kexinit);
        put_packet(&mut out, &half);
        let exchange = async {
            self.stream.write_all(&out).await.map_err(|error| lost(&error))?;
            let reply = self.packet().await?;
            if !is_group_exchange(&half) {
                return Ok((KEX_REPLY, reply));
            }
            let half = half_in_group(&reply).ok_or_else(|| no_key("its group is damaged".to_owned()))?;
            let mut out = Vec::new();
            put_packet(&mut out, &half);
            self.stream.write_all(&out).await.map_err(|error| lost(&error))?;
            Ok((GEX_REPLY, self.packet().await?))
        };
        let (expected, reply) =
            timeout(limits.key_exchange, exchange).await.map_err(|_| too_slow("key exchange"))??;
        if reply.first() != Some(&expected) {
            return Err(no_key(format!(
                "message {} came for its key",
                reply.first().copied().unwrap_or_default()
            )));
        }
        let blob = reply_key(&reply).map(<[u8]>::to_vec);
        blob.and_then(HostKey::from_blob).ok_or_else(|| no_key("its key is damaged".to_owned()))
    }

    /// The next packet that matters.
    async fn packet(&mut self) -> Result<Vec<u8>, ScanFailure> {
        for _ in 0..MAX_ASIDES {
            let packet = loop {
                match take_packet(&mut self.buffer) {
                    Ok(Some(packet)) => break packet,
                    Ok(None) if self.read().await.map_err(|error| lost(&error))? => {}
                    Ok(None) => {
                        return Err(no_key("it closed the connection during the key exchange".to_owned()));
                    }
                    Err(Malformed) => return Err(no_key("it sent a damaged packet".to_owned())),
                }
            };
            match packet.first() {
                Some(&DISCONNECT) => return Err(no_key(goodbye(&packet))),
                Some(&(IGNORE | DEBUG)) => {}
                _ => return Ok(packet),
            }
        }
        Err(no_key("it sent nothing but asides".to_owned()))
    }

    /// Reads some more; false at the end.
    async fn read(&mut self) -> io::Result<bool> {
        self.buffer.reserve(4096);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

/// What SSH_MSG_DISCONNECT says.
fn goodbye(packet: &[u8]) -> String {
    let mut values = Values(packet);
    let text = values.bytes(5).and_then(|_| values.string()).unwrap_or_default();
    let text: String = text.iter().take(200).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    format!("it ended the connection: {text}")
}

fn no_key(why: String) -> ScanFailure {
    ScanFailure { kind: ScanFailureKind::NoKey, why }
}

fn lost(error: &io::Error) -> ScanFailure {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ScanFailureKind::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ScanFailureKind::NoKey,
        _ => ScanFailureKind::Unreachable,
    };
    ScanFailure { kind, why: error.to_string() }
}

fn too_slow(what: &str) -> ScanFailure {
    ScanFailure { kind: ScanFailureKind::TimedOut, why: format!("{what} took too long") }
}
