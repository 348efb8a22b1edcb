//! An authenticated connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure, Disconnect, Error};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::client::{Announced, Client};
use crate::error::{SshError, io_text, lowercase_first};
use crate::exec::{Exec, Queue};
use crate::exec_channel;
use crate::host_key::HostKey;
use crate::identity::ProvenIdentity;
use crate::keepalive::InUse;
use crate::route::{Refusals, Via};
use crate::stream::KillSwitch;
use crate::trace::{note_open, note_request};

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// The server said goodbye (RFC 4253, section 11.1).
    Disconnected {
        /// The reason's name.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The server closed the connection without a word.
    Closed,
    /// The server reset the connection.
    Reset,
    /// The server stopped answering keepalives, or nothing moved for too long.
    Silent,
    /// The server refused the last method that it had to offer.
    NoMethodLeft,
    /// This side ended it.
    GivenUp,
    /// The host sent more than this side could take: this many bytes were waiting.
    Overrun(usize),
    /// The link to the bastion on the way ended.
    Bastion {
        /// The bastion, as the user knows it.
        hop: String,
        /// How its link ended.
        end: Box<LinkEnd>,
    },
    /// The ProxyCommand ended: its status, and its last words.
    Command(String),
    /// The command that carries the connection ended: how, and its last words.
    Carrier(String),
    /// Something else.
    Failed(String),
}

impl LinkEnd {
    pub(crate) fn from_russh(error: &Error) -> Self {
        match error {
            Error::Disconnect | Error::HUP | Error::RecvError | Error::SendError => Self::Closed,
            Error::KeepaliveTimeout | Error::InactivityTimeout | Error::ConnectionTimeout => Self::Silent,
            Error::NoAuthMethod => Self::NoMethodLeft,
            Error::IO(error) => Self::from_io(error),
            other => Self::Failed(lowercase_first(&other.to_string())),
        }
    }

    fn from_io(error: &io::Error) -> Self {
        // Our own streams say it themselves.
        if let Some(end) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return end.clone();
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::ConnectionAborted => Self::GivenUp,
            io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Failed(io_text(error)),
        }
    }
}

/// So that our own streams can hand it through russh, inside an [`io::Error`].
impl std::error::Error for LinkEnd {}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected { code, message } => {
                write!(f, "the server disconnected: {} ({code})", message.escape_debug())
            }
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Reset => f.write_str("the connection was reset"),
            Self::Silent => f.write_str("the server stopped answering"),
            Self::NoMethodLeft => f.write_str("the server has no authentication method left"),
            Self::GivenUp => f.write_str("this side gave the connection up"),
            Self::Overrun(bytes) => {
                write!(f, "the host sent more than could be taken ({} MiB were waiting)", bytes >> 20)
            }
            Self::Bastion { hop, end } => write!(f, "the link to bastion {hop} is gone: {end}"),
            Self::Command(words) => write!(f, "the ProxyCommand ended: {words}"),
            Self::Carrier(words) => write!(f, "the command that carries the connection ended: {words}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// Why a channel was refused (RFC 4254, section 5.1). OpenSSH answers "connect failed" when MaxSessions is reached.
fn refusal_text(reason: &ChannelOpenFailure) -> String {
    let text = match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "administratively prohibited by the server",
        ChannelOpenFailure::ConnectFailed => "the server cannot open it; MaxSessions may be reached",
        ChannelOpenFailure::UnknownChannelType => "the server does not know sessions",
        ChannelOpenFailure::ResourceShortage => "the server is short of resources",
        ChannelOpenFailure::Other { code, .. } => return format!("refused by the server (code {code})"),
    };
    text.to_owned()
}

/// A connection to one host, logged in. Dropping it ends it at once, with everything that runs over it.
pub struct Connection {
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) session: Arc<Handle<Client>>,
    pub(crate) kill: KillSwitch,
    pub(crate) ended: watch::Receiver<Option<LinkEnd>>,
    pub(crate) exchanges: Arc<AtomicU64>,
    pub(crate) announced: Announced,
    pub(crate) host_key: HostKey,
    pub(crate) identity: String,
    pub(crate) proven: Option<ProvenIdentity>,
    pub(crate) server_version: String,
    pub(crate) banner: String,
    pub(crate) via: Via,
    pub(crate) refusals: Refusals,
    pub(crate) open_limit: Duration,
    pub(crate) close_limit: Duration,
    pub(crate) unread_limit: usize,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host", &self.host).field("via", &self.via).finish_non_exhaustive()
    }
}

impl Connection {
    /// Starts a command on a channel of its own.
    ///
    /// Returns as soon as the request is on its way: input that is written at once travels with it. Whether the
    /// server accepted the command shows in the output ([`Chunk::Refused`](crate::Chunk::Refused)). Dropping the
    /// future is safe: a channel that opens after all is closed again.
    ///
    /// # Errors
    ///
    /// When the channel is refused or not confirmed in time, or the link is gone.
    pub async fn exec(&self, command: &str) -> Result<Exec, SshError> {
        let (channel, in_use) = self.channel().await?;
        let (reader, writer) = channel.split();
        note_request("exec");
        writer.exec(true, command).await.map_err(|_| self.lost())?;
        Ok(exec_channel::start(reader, writer, in_use, Queue::new(self.unread_limit)))
    }

    /// As [`exec`](Self::exec), for the only command that the connection carries: one whose output is not read is not
    /// ended, but waits for its reader, and everything else on the connection waits with it.
    ///
    /// # Errors
    ///
    /// As [`exec`](Self::exec).
    pub async fn exec_alone(&self, command: &str) -> Result<Exec, SshError> {
        let (channel, in_use) = self.channel().await?;
        let (reader, writer) = channel.split();
        note_request("exec");
        writer.exec(true, command).await.map_err(|_| self.lost())?;
        Ok(exec_channel::start(reader, writer, in_use, Queue::patient(self.unread_limit)))
    }

    /// Starts a subsystem on a channel of its own (RFC 4254, section 6.5): `sftp` for example.
    ///
    /// # Errors
    ///
    /// As [`exec`](Self::exec); a subsystem that the server does not have shows in the output
    /// ([`Chunk::Refused`](crate::Chunk::Refused)).
    pub async fn subsystem(&self, name: &str) -> Result<Exec, SshError> {
        let (channel, in_use) = self.channel().await?;
        let (reader, writer) = channel.split();
        note_request("subsystem");
        writer.request_subsystem(true, name).await.map_err(|_| self.lost())?;
        Ok(exec_channel::start(reader, writer, in_use, Queue::new(self.unread_limit)))
    }

    /// Starts the login shell on a pseudo-terminal (RFC 4254, section 6.2), as a person at a keyboard would.
    ///
    /// Output and error arrive together as [`Chunk::Stdout`](crate::Chunk::Stdout), as the terminal shows them.
    ///
    /// # Errors
    ///
    /// As [`exec`](Self::exec).
    pub async fn terminal(&self, term: &str, columns: u32, rows: u32) -> Result<Exec, SshError> {
        let (channel, in_use) = self.channel().await?;
        let (reader, writer) = channel.split();
        note_request("pty-req");
        writer.request_pty(true, term, columns, rows, 0, 0, &[]).await.map_err(|_| self.lost())?;
        note_request("shell");
        writer.request_shell(true).await.map_err(|_| self.lost())?;
        Ok(exec_channel::start(reader, writer, in_use, Queue::new(self.unread_limit)))
    }

    /// Asks for new keys (RFC 4253, section 9) as soon as nothing else is under way; they are in place once
    /// [`key_exchanges`](Self::key_exchanges) has grown. Both sides do this by themselves after much traffic.
    ///
    /// # Errors
    ///
    /// When the link is gone.
    pub async fn rekey(&self) -> Result<(), SshError> {
        self.session.rekey_soon().await.map_err(|_| self.lost())
    }

    /// How many key exchanges there were, whoever asked for them; the first is that of the connect.
    pub fn key_exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Acquire)
    }

    async fn channel(&self) -> Result<(Channel<Msg>, InUse), SshError> {
        let in_use = InUse::new(self.kill.keepalives());
        let (opened, channel) = oneshot::channel();
        let session = Arc::clone(&self.session);
        note_open("session");
        // Cancelling russh's open leaves the channel behind, so the open runs to its end in a task of its own.
        tokio::spawn(async move {
            let result = session.channel_open_session().await;
            if let Err(Ok(unwanted)) = opened.send(result) {
                // Nobody waits any more; a failure means that the link, and with it the channel, is gone.
                let _ = unwanted.close().await;
            }
        });
        match timeout(self.open_limit, channel).await {
            Ok(Ok(Ok(channel))) => Ok((channel, in_use)),
            Ok(Ok(Err(error))) => Err(self.open_error(error)),
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => Err(SshError::OpenTimedOut { host: self.host.clone(), limit: self.open_limit }),
        }
    }

    fn open_error(&self, error: Error) -> SshError {
        match error {
            Error::ChannelOpenFailure(reason) => {
                SshError::OpenRefused { host: self.host.clone(), reason: refusal_text(&reason) }
            }
            _ => self.lost(),
        }
    }

    pub(crate) fn lost(&self) -> SshError {
        let end = self.ended.borrow().clone().unwrap_or(LinkEnd::Closed);
        SshError::LinkLost { host: self.host.clone(), end }
    }

    /// The host's name, as the user knows it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The user we are logged in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The host key that the host proved to hold.
    pub fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// The identity that the server accepted: a file's name, or the agent's comment.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The key or certificate that alone was enough to log in; `None` if a password was, or more than one was asked
    /// for.
    pub fn proven_identity(&self) -> Option<&ProvenIdentity> {
        self.proven.as_ref()
    }

    /// The server's software, as its version line names it (RFC 4253, section 4.2):
    /// `OpenSSH_9.2p1 Debian-2+deb12u7`.
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// What the server showed before and during the login (RFC 4252, section 5.4); empty if nothing.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// The way to the host.
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// Our end of the TCP connection; `None` if there is none of ours.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self.via {
            Via::Tcp { local, .. } => Some(local),
            Via::Command | Via::Bastion(_) | Via::Channel => None,
        }
    }

    /// The host's end of the TCP connection; `None` if there is none of ours.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self.via {
            Via::Tcp { peer, .. } => Some(peer),
            Via::Command | Via::Bastion(_) | Via::Channel => None,
        }
    }

    /// Waits until the link is gone and tells how it ended. The future does not borrow the connection.
    pub fn closed(&self) -> impl Future<Output = LinkEnd> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            // An error means that the session's task is gone without having said why.
            let end = ended.wait_for(Option::is_some).await.map(|end| end.clone()).unwrap_or_default();
            end.unwrap_or(LinkEnd::Closed)
        }
    }

    /// How many times the server has asked for a sign of life by a request named `keepalive@openssh.com`
    /// (`ClientAliveInterval`, sshd_config(5)). It was answered each time.
    ///
    /// OpenSSH 8.4 and 10.0 ask once per interval; 9.2 was seen to take two intervals from one to the next. All of them
    /// drop a client that does not answer one such time after the last of `ClientAliveCountMax` requests.
    ///
    /// They are counted while no channel is open, as far as that can be told from outside the SSH library; so use a
    /// connection on which nothing runs, to an OpenSSH server, without keepalives of our own
    /// ([`LinkOptions::keepalive`](crate::LinkOptions::keepalive) zero): to the server those are signs of life as well.
    pub fn keepalives(&self) -> u64 {
        self.kill.keepalives().count()
    }

    /// Waits until [`keepalives`](Self::keepalives) has come to a number. The future does not borrow the connection.
    ///
    /// # Errors
    ///
    /// How the link ended, when it did before.
    pub fn keepalive(&self, number: u64) -> impl Future<Output = Result<(), LinkEnd>> + Send + use<> {
        let mut count = self.kill.keepalives().watch();
        let closed = self.closed();
        async move {
            tokio::select! {
                biased;
                Ok(_) = count.wait_for(|count| *count >= number) => Ok(()),
                end = closed => Err(end),
            }
        }
    }

    /// Plays dead: from now on nothing that the server sends is answered, and nothing is sent, while the TCP
    /// connection stays open. The future resolves when the server has closed or reset it, and tells which; it does not
    /// borrow the connection. How long that takes is the caller's to measure, and to bound.
    ///
    /// What arrives is taken from the socket and thrown away: a server's close comes behind everything that it has
    /// sent, however much that is. With keepalives of our own
    /// ([`LinkOptions::keepalive`](crate::LinkOptions::keepalive)) this side would give up by itself
    /// ([`LinkEnd::Silent`]).
    pub fn stall(&self) -> impl Future<Output = LinkEnd> + Send + use<> {
        self.kill.stall();
        self.closed()
    }

    /// Whether the link is gone.
    pub fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Says goodbye and waits until the link is gone, within [`Deadlines::close`](crate::Deadlines::close). A
    /// server that does not let go is left behind.
    pub async fn close(self) {
        let goodbye = async {
            if self.session.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
                self.closed().await;
            }
        };
        if timeout(self.close_limit, goodbye).await.is_err() {
            log::debug!("{} did not let go in time", self.host);
        }
        self.kill.kill();
    }
}
