//! The one error type of this crate.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything that can keep a server or an embedded host from starting or from obeying.
///
/// The text fits "failed to …"; the source says why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be bound or listened on.
    #[error("listen on {addr}")]
    Listen {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory could not be made, changed or removed.
    #[error("write {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key could not be parsed.
    #[error("parse {what}")]
    Key {
        /// Where the key came from.
        what: String,
        /// What the parser said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gave no random bytes.
    #[error("draw random bytes: {0}")]
    Random(String),
    /// A server was started that nobody could log in to.
    #[error("start a server with no {missing}: nobody could log in")]
    NobodyCouldLogIn {
        /// `users` or `authorized keys`.
        missing: &'static str,
    },
    /// A server was started with nothing to listen on.
    #[error("start a server without an address to listen on")]
    NoAddress,
    /// A user or host name is not one that fits a file of columns and a path.
    #[error("accept {0:?} as a name: use letters, digits, '.', '_' and '-'")]
    Name(String),
    /// A directory holds something else than an embedded host.
    #[error("make a host of {}: it is neither empty nor an embedded host", .0.display())]
    NotAHost(PathBuf),
    /// A program that a host cannot do without is not installed.
    #[error("find {0} in PATH")]
    Tool(&'static str),
    /// The shell does not look commands up in `PATH`, so that a power-off could reach the real machine.
    #[error("use {} as a host's shell: it runs its own `poweroff` whatever PATH says", .0.display())]
    Shell(PathBuf),
    /// A crowd was to have more broken hosts than hosts.
    #[error("break more hosts than the {hosts} there are")]
    TooManyFaults {
        /// How many there are.
        hosts: usize,
    },
    /// The host's task has ended.
    #[error("reach host {0}: it has been stopped")]
    Stopped(String),
}

impl Error {
    pub(crate) fn read(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Write { path, source }
    }
}
