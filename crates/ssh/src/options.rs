//! What may be said about one host beyond its name: ssh_config(5) has a keyword for each of these.

use std::path::PathBuf;
use std::time::Duration;

use crate::identity::ProvenIdentity;
use crate::target::Target;

/// Who we are to the host, and how we prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginOptions {
    /// Private key files to offer first, in this order (`IdentityFile`).
    pub identities: Vec<PathBuf>,
    /// Whether, when no file is named, those of
    /// [`Settings::default_identities`](crate::Settings::default_identities) are offered; not after
    /// `IdentityFile none`.
    pub default_identities: bool,
    /// The one identity that is offered, once, and nothing else is tried: neither other keys nor a password. A login that
    /// is refused then counts once with whoever counts refusals on the host.
    pub only_identity: Option<ProvenIdentity>,
    /// User certificates beside those that are found next to their keys (`CertificateFile`).
    pub certificates: Vec<PathBuf>,
    /// Whether the agent's keys are left out unless a file of the above is their public half (`IdentitiesOnly`).
    pub identities_only: bool,
    /// Which agent is asked (`IdentityAgent`).
    pub agent: Agent,
    /// Authentication methods by preference (`PreferredAuthentications`); the usual order if `None`.
    pub methods: Option<Vec<String>>,
    /// Whether keys may be offered (`PubkeyAuthentication`).
    pub public_key: bool,
    /// Whether a password may be asked for (`PasswordAuthentication`).
    pub password: bool,
    /// Whether the server's questions may be passed on (`KbdInteractiveAuthentication`).
    pub keyboard_interactive: bool,
    /// How often a password is asked for (`NumberOfPasswordPrompts`).
    pub password_prompts: u32,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            default_identities: true,
            only_identity: None,
            certificates: Vec::new(),
            identities_only: false,
            agent: Agent::Default,
            methods: None,
            public_key: true,
            password: true,
            keyboard_interactive: true,
            password_prompts: 3,
        }
    }
}

/// An authentication agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Agent {
    /// The one of [`Settings::agent_socket`](crate::Settings::agent_socket).
    #[default]
    Default,
    /// None.
    None,
    /// The one that listens on this socket.
    Socket(PathBuf),
}

/// Who vouches for the host's key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustOptions {
    /// The user's known_hosts files (`UserKnownHostsFile`). `None` means
    /// [`Settings::default_known_hosts`](crate::Settings::default_known_hosts).
    pub user_files: Option<Vec<PathBuf>>,
    /// The machine's known_hosts files (`GlobalKnownHostsFile`). `None` means
    /// [`Settings::default_global_known_hosts`](crate::Settings::default_global_known_hosts).
    pub global_files: Option<Vec<PathBuf>>,
    /// The name under which the host stands in known_hosts (`HostKeyAlias`): without a port, whatever the port.
    pub alias: Option<String>,
    /// What happens to a host that nothing is known about (`StrictHostKeyChecking`).
    pub unknown: UnknownHost,
    /// Whether DNS may vouch (`VerifyHostKeyDNS`).
    pub dns: DnsTrust,
    /// Files of keys that are never trusted: lists, or key revocation lists (`RevokedHostKeys`).
    pub revoked: Vec<PathBuf>,
    /// A command that prints known_hosts lines, and its arguments (`KnownHostsCommand`). What is known before the
    /// connect is replaced already; `%f`, `%H`, `%I`, `%K`, `%t` and `%%` are left: they need what the host offers.
    pub command: Option<String>,
    /// Whether keys that the host announces after the login are learned (`UpdateHostKeys`).
    pub learn: bool,
    /// Whether lines that are written are hashed (`HashKnownHosts`).
    pub hash: bool,
}

/// What happens to a host that nothing is known about. A host whose key contradicts is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownHost {
    /// It is refused (`yes`, and `ask`: nobody is asked in the middle of a run).
    #[default]
    Refuse,
    /// Its key is accepted, recorded and reported (`accept-new`, and `no`).
    Record,
}

/// Whether SSHFP records vouch for a host's key (RFC 4255). Only answers that DNSSEC proves do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsTrust {
    /// They are not looked at.
    #[default]
    No,
    /// They are looked at and reported (`ask`).
    Report,
    /// They vouch (`yes`).
    Yes,
}

/// Algorithms by preference, as their names in the protocol; `None` means our own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlgorithmOptions {
    /// `KexAlgorithms`.
    pub key_exchange: Option<Vec<String>>,
    /// `HostKeyAlgorithms`; when it is said, what known_hosts holds does not change the order.
    pub host_key: Option<Vec<String>>,
    /// `Ciphers`.
    pub cipher: Option<Vec<String>>,
    /// `MACs`.
    pub mac: Option<Vec<String>>,
    /// `PubkeyAcceptedAlgorithms`.
    pub public_key: Option<Vec<String>>,
    /// Smaller RSA keys, the host's and ours, are not used (`RequiredRSASize`), in bits.
    pub rsa_bits: Option<u32>,
}

impl AlgorithmOptions {
    /// The fewest bits that an RSA key may have: 1024 when nothing is said, as for ssh(1).
    pub(crate) fn least_rsa_bits(&self) -> u32 {
        self.rsa_bits.unwrap_or(1024)
    }
}

/// The link itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkOptions {
    /// Limit for TCP's connect (`ConnectTimeout`); the deadline of [`Settings`](crate::Settings) if `None`.
    pub connect_timeout: Option<Duration>,
    /// Silence after which a keepalive is sent (`ServerAliveInterval`); the one of [`Settings`](crate::Settings) if
    /// `None`.
    pub keepalive: Option<Duration>,
    /// Unanswered keepalives after which the link is given up (`ServerAliveCountMax`).
    pub keepalive_max: Option<usize>,
    /// Which addresses are used (`AddressFamily`).
    pub family: AddressFamily,
    /// Our end's address (`BindAddress`).
    pub bind: Option<String>,
    /// How the host is reached.
    pub route: Route,
}

/// Which addresses are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// All.
    #[default]
    Any,
    /// IPv4 only (`inet`).
    V4,
    /// IPv6 only (`inet6`).
    V6,
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// Over TCP, by ourselves.
    #[default]
    Direct,
    /// Through other hosts, the first hop first (`ProxyJump`). Only the first may have a route of its own, and that
    /// is `Direct` or a `Command`: ways to the way are part of the list.
    Jump(Vec<Target>),
    /// Through the standard input and output of a command for the user's shell (`ProxyCommand`, tokens replaced).
    Command(String),
}
