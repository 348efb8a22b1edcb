//! How the engine gets at a host: a connection with one privileged shell on it.

use futures::future::BoxFuture;
use pipedown_model::{Failure, HostKeySeen, HostName, HostPlan, RunId};
use pipedown_steps::{Exec, HostShell, Secret};

/// Opens hosts. The roof implements it with SSH; tests with a local shell.
pub trait Opener: Send + Sync + 'static {
    /// Connects, verifies the host key, logs in and starts the shell. Every phase has a deadline of its own.
    /// `run`: whose ledger is kept there; without one only looking is possible.
    fn open<'a>(
        &'a self,
        run: Option<&'a RunId>,
        host: &'a HostPlan,
    ) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// Logs in on a new connection, with one key and one try: the key that [`Link::canary`] has shown to open the account.
    fn log_in<'a>(
        &'a self,
        host: &'a HostPlan,
        account: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Login>, Failure>>;

    /// Connects, verifies the host key and logs in, and starts nothing: for what is done once, over a connection of its own.
    fn dial<'a>(&'a self, host: &'a HostPlan) -> BoxFuture<'a, Result<Dialed, Failure>>;

    /// Whether sudo is given a password.
    fn has_password(&self) -> bool {
        false
    }

    /// How many connections may be waited for beside those of the hosts that are at work, `parallel` of them: each takes
    /// descriptors.
    fn spare(&self, parallel: u16) -> usize {
        let _ = parallel;
        0
    }

    /// The hosts of the run that are reached through this one, as far as is known.
    fn reached_through(&self, host: &HostPlan) -> Vec<HostName> {
        let _ = host;
        Vec::new()
    }
}

/// An open host.
pub struct Opened {
    /// The host's key, verified.
    pub key: HostKeySeen,
    /// The shell.
    pub shell: HostShell,
    /// What carries it.
    pub link: Box<dyn Link>,
}

/// A host that was dialed.
pub struct Dialed {
    /// The host's key, verified.
    pub key: HostKeySeen,
    /// The connection.
    pub line: Box<dyn Line>,
}

/// A connection on which nothing runs yet.
pub trait Line: Send + Sync {
    /// Starts a command on a channel of its own: a line for the login shell. Who does not read its output holds it up,
    /// and with it everything else on this line.
    fn start<'a>(&'a self, command: &'a str) -> BoxFuture<'a, Result<Exec, Failure>>;

    /// Starts a subsystem on a channel of its own: `sftp`.
    fn subsystem<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Exec, Failure>>;

    /// So many bytes of files more are to go over it.
    fn expect(&self, _bytes: u64) {}

    /// So many have gone.
    fn moved(&self, _bytes: u64) {}

    /// What sudo is given, if it is to have a password.
    fn password(&self) -> Option<Secret>;

    /// Says goodbye, within a deadline.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What carries a shell.
pub trait Link: Send + Sync {
    /// Resolves when the other side has gone.
    fn gone(&self) -> BoxFuture<'static, ()>;

    /// Whether it has gone already.
    fn is_gone(&self) -> bool;

    /// The server's software, as its version line names it (RFC 4253, section 4.2), if that is known.
    fn server(&self) -> Option<String> {
        None
    }

    /// Opens one more shell over the same link.
    fn another_shell(&self) -> BoxFuture<'_, Result<HostShell, Failure>>;

    /// Logs in as an account through a server that `command`, run as root, is at the far end of a channel of this link:
    /// `sshd -i -f …`. Tells which key was accepted, in words.
    fn canary<'a>(
        &'a self,
        host: &'a HostPlan,
        account: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<String, Failure>>;

    /// Says goodbye, within a deadline.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A login that holds a connection and does nothing with it.
pub trait Login: Send + Sync {
    /// Runs a command that does nothing: a login may be let in and still be of no use.
    fn runs(&mut self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Waits for the server's next question whether we are still there, `keepalive@openssh.com`; false when the connection
    /// is gone. Questions that came since the last call are not lost.
    fn keepalive(&mut self) -> BoxFuture<'_, bool>;

    /// Reads and answers no more. Resolves when the server has closed the connection.
    fn stall(self: Box<Self>) -> BoxFuture<'static, ()>;

    /// Says goodbye, within a deadline.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

impl Opened {
    /// Whether the other side has gone.
    pub fn is_gone(&self) -> bool {
        self.link.is_gone()
    }

    /// Ends the shell, then the link. A shell that does not answer is ended from a second one.
    pub async fn close(self) {
        if self.shell.is_wedged() && !self.link.is_gone() {
            self.end_wedged().await;
        }
        self.shell.close().await;
        self.link.close().await;
    }

    /// A host that is frozen as a whole does not answer here either: then nothing more can be done from afar.
    async fn end_wedged(&self) {
        if let Ok(mut second) = self.link.another_shell().await {
            let _ = pipedown_steps::reap(&mut second).await;
            second.close().await;
        }
    }
}
