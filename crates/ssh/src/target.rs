//! Who to connect to, and within which limits.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::dns::SshfpLookup;
use crate::options::{AlgorithmOptions, LinkOptions, LoginOptions, TrustOptions};
use crate::trace::Watcher;

/// A host to log in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name as the user knows it: looked up in known_hosts and used in messages.
    pub name: String,
    /// The name or address that is resolved and connected to; also looked up in known_hosts when nothing is
    /// known under `name`.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// Who we are to the host.
    pub login: LoginOptions,
    /// Who vouches for its key.
    pub trust: TrustOptions,
    /// What is offered in the key exchange.
    pub algorithms: AlgorithmOptions,
    /// The link itself.
    pub link: LinkOptions,
}

impl Target {
    /// Describes a host with default identities, agent and known_hosts files.
    pub fn new(
        name: impl Into<String>,
        address: impl Into<String>,
        port: u16,
        user: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port,
            user: user.into(),
            login: LoginOptions::default(),
            trust: TrustOptions::default(),
            algorithms: AlgorithmOptions::default(),
            link: LinkOptions::default(),
        }
    }
}

/// How long each phase may take. Every phase has a clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the name to a list of addresses.
    pub resolve: Duration,
    /// From the first SYN to an established connection, over all addresses together.
    pub connect: Duration,
    /// From the established connection to the server's version line (RFC 4253, section 4.2).
    pub banner: Duration,
    /// From the version line to the end of the key exchange.
    pub key_exchange: Duration,
    /// For all authentication attempts together.
    pub auth: Duration,
    /// From the request for a channel to its confirmation.
    pub open: Duration,
    /// For saying goodbye in [`Connection::close`](crate::Connection::close).
    pub close: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            banner: Duration::from_secs(10),
            key_exchange: Duration::from_secs(15),
            auth: Duration::from_secs(30),
            open: Duration::from_secs(15),
            close: Duration::from_secs(3),
        }
    }
}

/// What all connections of one [`Connector`](crate::Connector) share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The deadlines of the phases.
    pub deadlines: Deadlines,
    /// After this much silence of an authenticated server a keepalive is sent.
    pub keepalive: Duration,
    /// After this many unanswered keepalives the link is given up.
    pub keepalive_max: usize,
    /// A link on which nothing moves for this long is given up, in any phase after the version line.
    pub inactivity: Duration,
    /// How many bytes of output one command may have waiting to be read before it is ended.
    pub unread_limit: usize,
    /// The shell that runs a ProxyCommand; the value of `$SHELL`.
    pub shell: PathBuf,
    /// The agent's socket; the value of `$SSH_AUTH_SOCK`, if any.
    pub agent_socket: Option<PathBuf>,
    /// The identities of targets that name none.
    pub default_identities: Vec<PathBuf>,
    /// The user's known_hosts files, for targets that name none.
    pub default_known_hosts: Vec<PathBuf>,
    /// The machine's known_hosts files, for targets that name none.
    pub default_global_known_hosts: Vec<PathBuf>,
    /// Asks for SSHFP records, for targets that want it ([`TrustOptions::dns`]); without it nobody is asked.
    pub sshfp: Option<SshfpLookup>,
    /// Who watches the bytes of all connections, for a trace.
    pub watcher: Option<Arc<dyn Watcher>>,
    /// The clock that says whether a certificate is valid.
    pub now: fn() -> SystemTime,
}

impl Settings {
    /// Fills in the files that OpenSSH's client uses for a user with this home directory (ssh_config(5),
    /// IdentityFile, UserKnownHostsFile and GlobalKnownHostsFile). No agent is set.
    pub fn for_home(home: impl AsRef<Path>) -> Self {
        let ssh = home.as_ref().join(".ssh");
        Self {
            default_identities: ["id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"]
                .iter()
                .map(|name| ssh.join(name))
                .collect(),
            default_known_hosts: vec![ssh.join("known_hosts"), ssh.join("known_hosts2")],
            default_global_known_hosts: vec![
                PathBuf::from("/etc/ssh/ssh_known_hosts"),
                PathBuf::from("/etc/ssh/ssh_known_hosts2"),
            ],
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadlines: Deadlines::default(),
            keepalive: Duration::from_secs(15),
            keepalive_max: 3,
            inactivity: Duration::from_secs(120),
            unread_limit: 4 * 1024 * 1024,
            shell: PathBuf::from("/bin/sh"),
            agent_socket: None,
            default_identities: Vec::new(),
            default_known_hosts: Vec::new(),
            default_global_known_hosts: Vec::new(),
            sshfp: None,
            watcher: None,
            now: SystemTime::now,
        }
    }
}

/// Something that was left out and that the user should hear about once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Warning {
    /// The file it is about.
    pub file: PathBuf,
    /// The line in it, counted from 1.
    pub line: Option<usize>,
    /// What is wrong, and what was done about it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.text),
            None => write!(f, "{}: {}", self.file.display(), self.text),
        }
    }
}
