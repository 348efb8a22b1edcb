//! An SSH client with deadlines, kill switches and strict host keys.
//!
//! The client has never heard of playbooks: it reaches a host, proves who the host is, logs in and runs
//! commands. What it promises beyond the protocol:
//!
//! * every phase of a connect has a deadline of its own, and an abandoned connect leaves neither a task nor a
//!   socket behind (see [`Connector::connect`]);
//! * a host key is either known or refused; nothing is asked in the middle ([`KnownHosts`]);
//! * every channel is drained all the time, into bounded memory ([`Exec`]);
//! * a [`Connection`] that is dropped is gone, whatever it was waiting for.
//!
//! What somebody needs who changes the server that he is connected through:
//!
//! * [`Connector::connect_on`]: a whole login on a channel of a connection in hand, to an `sshd -i` with another
//!   configuration; what it says on standard error is part of the failure;
//! * [`LoginOptions::only_identity`]: one key, one try, so that a refusal counts once;
//! * [`Connection::keepalive`] and [`Connection::stall`]: whether the server asks for signs of life, and whether it
//!   drops who gives none.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use pipedown_ssh::{Chunk, Connector, Settings, Target};
//!
//! let connector = Connector::new(Settings::for_home("/home/ops"), None);
//! let connection = connector.connect(&Target::new("web1", "192.0.2.10", 22, "ops")).await?;
//! let mut exec = connection.exec("cat").await?;
//! exec.stdin.write_all(b"hello\n").await?;
//! exec.stdin.eof();
//! while let Some(chunk) = exec.output.next().await {
//!     if let Chunk::Exit(status) = chunk {
//!         assert_eq!(status, 0);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod algorithms;
mod announced;
mod auth;
mod carrier;
mod client;
mod config;
mod connection;
mod connector;
mod dial;
mod dns;
pub mod doctor;
mod error;
mod exec;
mod exec_channel;
mod exec_local;
mod host_key;
mod identity;
mod keepalive;
mod key_ring;
mod known_hosts;
mod options;
mod proposal;
mod route;
mod scan;
mod secrets;
mod stream;
mod target;
mod timeline;
pub mod trace;
mod trust;

#[cfg(test)]
mod tests;

pub use algorithms::AlgorithmList;
pub use announced::{KeyUpdate, Update, UpdateObjection, update_known_hosts};
pub use carrier::Carrier;
pub use config::{
    ConfigError, ConfigSource, EffectiveSetting, Local, Origin, Place as ConfigPlace, Request, SshConfig,
};
pub use connection::{Connection, LinkEnd};
pub use connector::Connector;
pub use dns::{Anchors, DigestType, DnsError, DnsFinding, DnsVerdict, DnsVoice, SshfpLookup, SshfpRecord};
pub use error::{ConnectError, FailureClass, Phase, SshError};
pub use exec::{Chunk, Exec, ExecOutput, ExecSignals, ExecStdin};
pub use host_key::{
    CertificateOption, CertificateProblem, FingerprintHash, HostCertificate, HostKey, HostKeyProblem,
    HostKeyRefusal, ListedKey, OtherKey, Place, RevokedKeys, Sshfp, read_keys,
};
pub use identity::ProvenIdentity;
pub use known_hosts::{
    HashedNames, KnownHost, KnownHosts, KnownHostsFile, KnownLine, Marker, NamedLine, Recording, Verdict,
    known_hosts_line, lookup_name, record,
};
pub use options::{
    AddressFamily, Agent, AlgorithmOptions, DnsTrust, LinkOptions, LoginOptions, Route, TrustOptions,
    UnknownHost,
};
pub use proposal::{Negotiated, Proposal};
pub use route::{TunnelProblem, Via};
pub use scan::{HostScan, ScanFailure, ScanFailureKind, ScanOptions, Scanned, scan_host};
pub use secrets::{SecretText, Secrets, ServerPrompt, ServerQuestions};
pub use target::{Deadlines, Settings, Target, Warning};
pub use timeline::{Observed, Timeline};
