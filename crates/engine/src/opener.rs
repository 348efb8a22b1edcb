//! How the engine gets at a host: a connection with one privileged shell on it.

use futures::future::BoxFuture;
use pipedown_model::{Failure, HostKeySeen, HostPlan, RunId};
use pipedown_steps::HostShell;

/// Opens hosts. The roof implements it with SSH; tests with a local shell.
pub trait Opener: Send + Sync + 'static {
    /// Connects, verifies the host key, logs in and starts the shell. Every phase has a deadline of its own.
    /// `run`: whose ledger is kept there; without one only looking is possible.
    fn open<'a>(
        &'a self,
        run: Option<&'a RunId>,
        host: &'a HostPlan,
    ) -> BoxFuture<'a, Result<Opened, Failure>>;
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

/// What carries a shell.
pub trait Link: Send + Sync {
    /// Resolves when the other side has gone.
    fn gone(&self) -> BoxFuture<'static, ()>;

    /// Whether it has gone already.
    fn is_gone(&self) -> bool;

    /// Says goodbye, within a deadline.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

impl Opened {
    /// Whether the other side has gone.
    pub fn is_gone(&self) -> bool {
        self.link.is_gone()
    }

    /// Ends the shell, then the link.
    pub async fn close(self) {
        self.shell.close().await;
        self.link.close().await;
    }
}
