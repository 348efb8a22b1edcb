//! What can go wrong, in classes that a report can group by.

mod hints;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::LinkEnd;
use crate::host_key::{HostKeyProblem, HostKeyRefusal};
use crate::route::TunnelProblem;

/// The phase of a connect, in the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Name resolution.
    Resolve,
    /// The TCP handshake.
    Connect,
    /// Waiting for the server's version line.
    Banner,
    /// Key exchange, which ends with the host key's verdict.
    KeyExchange,
    /// User authentication.
    Auth,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "name resolution",
            Self::Connect => "TCP connect",
            Self::Banner => "the version line",
            Self::KeyExchange => "key exchange",
            Self::Auth => "authentication",
        })
    }
}

/// What kind of failure it was: small enough to group a fleet by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// The name has no address.
    Unresolved,
    /// No TCP connection: refused, no route, reset.
    Unreachable,
    /// A phase ran into its deadline.
    TimedOut,
    /// Something answered that does not speak SSH.
    NotSsh,
    /// The key exchange failed, for want of a common algorithm for example.
    KeyExchange,
    /// The host key is not known.
    HostKeyUnknown,
    /// The host key contradicts known_hosts.
    HostKeyChanged,
    /// The host key is revoked.
    HostKeyRevoked,
    /// The server does not let this user in.
    AuthDenied,
    /// The connection was closed on us.
    Dropped,
    /// A bastion on the way is the trouble, not the host.
    Bastion,
}

/// Why a host could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name could not be resolved.
    #[error("resolve {address} for {host}: {}", io_text(source))]
    Resolve {
        /// The host, as the user knows it.
        host: String,
        /// What was looked up.
        address: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No address accepted a TCP connection.
    #[error("connect to {host}: {}", attempts_text(attempts))]
    Tcp {
        /// The host, as the user knows it.
        host: String,
        /// Every address that was tried, with its failure.
        attempts: Vec<(SocketAddr, io::Error)>,
    },
    /// A phase ran into its deadline.
    #[error("connect to {host}: {phase} took longer than {}", seconds(*limit))]
    TimedOut {
        /// The host, as the user knows it.
        host: String,
        /// The phase.
        phase: Phase,
        /// Its deadline.
        limit: Duration,
    },
    /// What answered does not speak SSH.
    #[error("connect to {host}: the answer is not SSH, it begins with \"{first}\"")]
    NotSsh {
        /// The host, as the user knows it.
        host: String,
        /// The first bytes, escaped.
        first: String,
    },
    /// We and the server have no algorithm in common.
    #[error("connect to {host}: no {kind} in common, the server offers {}", theirs.join(", "))]
    NoCommonAlgorithm {
        /// The host, as the user knows it.
        host: String,
        /// Which kind: key exchange, host key, cipher, MAC or compression.
        kind: &'static str,
        /// What we offer.
        ours: Vec<String>,
        /// What the server offers.
        theirs: Vec<String>,
    },
    /// Nothing of what is asked for exists here.
    #[error("connect to {host}: nothing of \"{}\" is a {kind} algorithm known here", asked.join(",").escape_debug())]
    NoKnownAlgorithm {
        /// The host, as the user knows it.
        host: String,
        /// Which kind: key exchange, host key, cipher, MAC or public key.
        kind: &'static str,
        /// What was asked for.
        asked: Vec<String>,
    },
    /// The host proved itself with an RSA key that is too short.
    #[error("trust {host}: its RSA host key has {bits} bits only, {least} are required")]
    ShortHostKey {
        /// The host, as the user knows it.
        host: String,
        /// Its length.
        bits: u32,
        /// What is asked for (`RequiredRSASize`).
        least: u32,
    },
    /// The key exchange failed otherwise.
    #[error("connect to {host}: key exchange: {}", lowercase_first(&source.to_string()))]
    KeyExchange {
        /// The host, as the user knows it.
        host: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The host key was refused.
    #[error("trust {host}: host key {refusal}")]
    HostKey {
        /// The host, as the user knows it.
        host: String,
        /// The key and what is wrong with it.
        refusal: Box<HostKeyRefusal>,
    },
    /// The server refused every identity, or there was none to offer.
    #[error("log in to {host} as {user}: {}", denied_text(methods, accepted, tried, unusable, banner))]
    AuthDenied {
        /// The host, as the user knows it.
        host: String,
        /// The user.
        user: String,
        /// The methods that the server would still accept.
        methods: Vec<String>,
        /// What the server accepted before it asked for more (AuthenticationMethods).
        accepted: Vec<String>,
        /// The identities and methods that it refused.
        tried: Vec<String>,
        /// Identities that could not be offered, with the reason.
        unusable: Vec<String>,
        /// Whether the password was right, and has to be changed before anything else.
        expired: bool,
        /// What the server showed meanwhile, nologin's text for example; empty if nothing.
        banner: String,
    },
    /// The connection ended.
    #[error("connect to {host}: the connection ended during {phase}: {end}{}", said(banner))]
    Dropped {
        /// The host, as the user knows it.
        host: String,
        /// The phase in which it happened.
        phase: Phase,
        /// How it ended.
        end: LinkEnd,
        /// What the server showed before, nologin's text for example; empty if nothing.
        banner: String,
    },
    /// A bastion on the way could not be connected to. All hosts behind it share the source.
    #[error("connect to {host}: bastion {hop}: failed to {source}")]
    Bastion {
        /// The host, as the user knows it.
        host: String,
        /// The bastion.
        hop: String,
        /// What happened to the connection to the bastion.
        source: Arc<ConnectError>,
    },
    /// A bastion on the way is up, but there is no tunnel through it to the host.
    #[error("connect to {host}: bastion {hop}: {problem}")]
    Tunnel {
        /// The host, as the user knows it.
        host: String,
        /// The bastion.
        hop: String,
        /// Why not.
        problem: TunnelProblem,
    },
    /// A connection inside another one failed; standard error of the command that carries it tells more.
    #[error("{source}; the command that carries the connection says \"{}\"", stderr.replace('\n', "; "))]
    Carried {
        /// What happened.
        source: Box<ConnectError>,
        /// The command's last words, line by line.
        stderr: String,
    },
    /// The ProxyCommand could not be started.
    #[error("connect to {host}: start the ProxyCommand by {shell}: {}", io_text(source))]
    Command {
        /// The host, as the user knows it.
        host: String,
        /// The shell that was to run it.
        shell: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl ConnectError {
    /// The host, as the user knows it.
    pub fn host(&self) -> &str {
        match self {
            Self::Resolve { host, .. }
            | Self::Tcp { host, .. }
            | Self::TimedOut { host, .. }
            | Self::NotSsh { host, .. }
            | Self::NoCommonAlgorithm { host, .. }
            | Self::NoKnownAlgorithm { host, .. }
            | Self::ShortHostKey { host, .. }
            | Self::KeyExchange { host, .. }
            | Self::HostKey { host, .. }
            | Self::AuthDenied { host, .. }
            | Self::Dropped { host, .. }
            | Self::Bastion { host, .. }
            | Self::Tunnel { host, .. }
            | Self::Command { host, .. } => host,
            Self::Carried { source, .. } => source.host(),
        }
    }

    /// The class, for grouping.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Resolve { .. } => FailureClass::Unresolved,
            Self::Tcp { .. } => FailureClass::Unreachable,
            Self::TimedOut { .. } => FailureClass::TimedOut,
            Self::NotSsh { .. } => FailureClass::NotSsh,
            Self::NoCommonAlgorithm { .. }
            | Self::NoKnownAlgorithm { .. }
            | Self::ShortHostKey { .. }
            | Self::KeyExchange { .. } => FailureClass::KeyExchange,
            Self::HostKey { refusal, .. } => match refusal.problem {
                HostKeyProblem::Unknown { .. } => FailureClass::HostKeyUnknown,
                HostKeyProblem::Changed { .. } => FailureClass::HostKeyChanged,
                HostKeyProblem::Revoked { .. } | HostKeyProblem::RevocationUnknown { .. } => {
                    FailureClass::HostKeyRevoked
                }
            },
            Self::AuthDenied { .. } => FailureClass::AuthDenied,
            Self::Dropped { end: LinkEnd::Bastion { .. }, .. } | Self::Bastion { .. } => {
                FailureClass::Bastion
            }
            // A command that cannot reach the host has said so and ended.
            Self::Dropped { end: LinkEnd::Command(_), phase: Phase::Banner, .. } => FailureClass::Unreachable,
            Self::Dropped { .. } => FailureClass::Dropped,
            Self::Tunnel { problem, .. } => match problem {
                TunnelProblem::Unreachable(_) => FailureClass::Unreachable,
                TunnelProblem::Silent(_) => FailureClass::TimedOut,
                TunnelProblem::Forbidden(_) | TunnelProblem::Full(_) | TunnelProblem::Lost(_) => {
                    FailureClass::Bastion
                }
            },
            Self::Command { .. } => FailureClass::Unreachable,
            Self::Carried { source, .. } => source.class(),
        }
    }

    /// The phase in which it happened.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Resolve { .. } => Phase::Resolve,
            Self::Tcp { .. } | Self::Bastion { .. } | Self::Tunnel { .. } | Self::Command { .. } => {
                Phase::Connect
            }
            Self::NotSsh { .. } => Phase::Banner,
            Self::NoCommonAlgorithm { .. }
            | Self::NoKnownAlgorithm { .. }
            | Self::ShortHostKey { .. }
            | Self::KeyExchange { .. }
            | Self::HostKey { .. } => Phase::KeyExchange,
            Self::AuthDenied { .. } => Phase::Auth,
            Self::TimedOut { phase, .. } | Self::Dropped { phase, .. } => *phase,
            Self::Carried { source, .. } => source.phase(),
        }
    }

    /// The refused host key, so that a report can list all of them together.
    pub fn host_key(&self) -> Option<&HostKeyRefusal> {
        match self {
            Self::HostKey { refusal, .. } => Some(refusal),
            Self::Carried { source, .. } => source.host_key(),
            _ => None,
        }
    }

    /// The same with what the command that carries the connection has said, if anything.
    pub(crate) fn carried(self, stderr: String) -> Self {
        if stderr.is_empty() { self } else { Self::Carried { source: Box::new(self), stderr } }
    }

    /// Whether the server closed before it had said a word: sshd does so at random when many are at its door.
    pub(crate) fn is_drop_at_the_door(&self) -> bool {
        matches!(self, Self::Dropped { phase: Phase::Banner, end: LinkEnd::Closed | LinkEnd::Reset, .. })
    }

    /// Whether the server said that too many are at its door (sshd since 8.5).
    pub(crate) fn is_full_house(&self) -> bool {
        matches!(self, Self::NotSsh { first, .. } if first.starts_with("Exceeded MaxStartups"))
    }
}

fn attempts_text(attempts: &[(SocketAddr, io::Error)]) -> String {
    attempts
        .iter()
        .map(|(address, error)| format!("{address}: {}", io_text(error)))
        .collect::<Vec<_>>()
        .join("; ")
}

/// An I/O error as a fragment: in lower case, without the system's number where Rust has a name for it.
pub(crate) fn io_text(error: &io::Error) -> String {
    let name = error.kind().to_string();
    if error.raw_os_error().is_some() && name != "uncategorized error" {
        name
    } else {
        lowercase_first(&error.to_string())
    }
}

/// Error texts are fragments; those of others may begin with a capital.
pub(crate) fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn denied_text(
    methods: &[String],
    accepted: &[String],
    tried: &[String],
    unusable: &[String],
    banner: &str,
) -> String {
    let list = |before: &str, items: &[String]| {
        if items.is_empty() { String::new() } else { format!("{before}{}", items.join(", ")) }
    };
    let tried = match (accepted.is_empty(), tried.is_empty()) {
        (true, true) => "no identity to offer".to_owned(),
        (true, false) => list("denied; tried ", tried),
        (false, _) => {
            format!("accepted {}, but more is asked for{}", accepted.join(", "), list("; tried ", tried))
        }
    };
    let unusable = list("; not usable: ", unusable);
    format!("{tried}{unusable}{}{}", list("; the server offers ", methods), said(banner))
}

/// The server's own words. They come from outside: no control characters.
fn said(banner: &str) -> String {
    let words = banner.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { words } else { format!("; the server says \"{}\"", words.escape_debug()) }
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

/// What can go wrong on a connection that is up, and with files.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The server did not confirm a channel in time.
    #[error("open a channel to {host}: no answer within {}", seconds(*limit))]
    OpenTimedOut {
        /// The host, as the user knows it.
        host: String,
        /// The deadline.
        limit: Duration,
    },
    /// The server refused a channel.
    #[error("open a channel to {host}: {reason}")]
    OpenRefused {
        /// The host, as the user knows it.
        host: String,
        /// The server's reason.
        reason: String,
    },
    /// The link is gone.
    #[error("reach {host}: {end}")]
    LinkLost {
        /// The host, as the user knows it.
        host: String,
        /// How it ended.
        end: LinkEnd,
    },
    /// The command does not take input any more.
    #[error("write to the command's standard input: {reason}")]
    StdinClosed {
        /// Why not.
        reason: &'static str,
    },
    /// There is no command left to signal.
    #[error("send {name} to the command: it has ended")]
    SignalUnsent {
        /// The signal's name.
        name: String,
    },
    /// A file of keys cannot be read or written.
    #[error("{doing} {}: {}", path.display(), io_text(source))]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file, as it was named.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of keys was changed by others while we did.
    #[error("change {}: it was changed by others meanwhile, and is as they left it", .0.display())]
    FileChanged(PathBuf),
    /// The system has no randomness to give.
    #[error("draw a salt: {0}")]
    NoRandomness(String),
    /// The server does not prove that it holds the host keys that it announces.
    #[error("have the host keys of {host} proven: {reason}")]
    HostKeysUnproven {
        /// The host, as the user knows it.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// A local child process lacks a pipe.
    #[error("drive a local process: its {0} is not a pipe")]
    NotPiped(&'static str),
}
