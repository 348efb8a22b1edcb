//! How the engine gets at a host: a connection with one privileged shell on it.

use futures::future::BoxFuture;
use pipedown_model::{Failure, HostKeySeen, HostName, HostPlan, RunId};
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

/// What carries a shell.
pub trait Link: Send + Sync {
    /// Resolves when the other side has gone.
    fn gone(&self) -> BoxFuture<'static, ()>;

    /// Whether it has gone already.
    fn is_gone(&self) -> bool;

    /// Opens one more shell over the same link.
    fn another_shell(&self) -> BoxFuture<'_, Result<HostShell, Failure>>;

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
