//! What the procedure asks of a host: through the shell on it, through its link, and anew over the network.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use pipedown_model::{Failure, HostPlan, RunId};
use pipedown_steps::sshd::{
    ConfirmReport, RollbackReport, RollbackScope, SshdChange, SshdChecked, SshdIdentity, SshdSeen,
    SshdStaged, SshdTrial, TrialReport,
};
use pipedown_steps::{ChangeName, Changer, Looker, StepError, sshd};

use crate::{Login, Opened, Opener};

/// A host with an sshd. The shell and the link answer; in tests, a model of a host does.
pub(crate) trait Machine: Send {
    fn look<'a>(&'a mut self, logins: &'a [String]) -> BoxFuture<'a, Result<SshdSeen, StepError>>;

    fn check<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        changes: &'a [SshdChange],
        identities: &'a [SshdIdentity],
    ) -> BoxFuture<'a, Result<SshdChecked, StepError>>;

    fn stage<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        changes: &'a [SshdChange],
    ) -> BoxFuture<'a, Result<SshdStaged, StepError>>;

    fn unstage<'a>(&'a mut self, seen: &'a SshdSeen) -> BoxFuture<'a, Result<(), StepError>>;

    /// A whole login through the candidate; the key that was accepted, in words.
    fn canary<'a>(
        &'a mut self,
        account: &'a str,
        staged: &'a SshdStaged,
    ) -> BoxFuture<'a, Result<String, Failure>>;

    fn trial<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        trial: &'a SshdTrial,
    ) -> BoxFuture<'a, Result<TrialReport, StepError>>;

    fn confirm<'a>(&'a mut self, seen: &'a SshdSeen) -> BoxFuture<'a, Result<ConfirmReport, StepError>>;

    fn rollback<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        scope: RollbackScope,
    ) -> BoxFuture<'a, Result<RollbackReport, StepError>>;

    /// Who has banned an address there, in words.
    fn bans<'a>(&'a mut self, address: &'a str) -> BoxFuture<'a, Result<Vec<String>, StepError>>;

    /// A login on a connection of its own, with that key.
    fn log_in<'a>(&'a mut self, account: &'a str) -> BoxFuture<'a, Result<Box<dyn Login>, Failure>>;

    /// Takes a new connection in place of one that has gone.
    fn reopen(&mut self) -> BoxFuture<'_, Result<(), Failure>>;
}

/// A host that is open.
pub(crate) struct OnHost<'a> {
    pub(crate) opened: &'a mut Opened,
    pub(crate) opener: Arc<dyn Opener>,
    pub(crate) run: &'a RunId,
    pub(crate) host: &'a HostPlan,
    pub(crate) name: ChangeName,
}

impl OnHost<'_> {
    fn changer(&mut self) -> Changer<'_> {
        Changer::new(&mut self.opened.shell, self.name.clone())
    }

    fn looker(&mut self) -> Looker<'_> {
        Looker::new(&mut self.opened.shell)
    }
}

impl Machine for OnHost<'_> {
    fn look<'a>(&'a mut self, logins: &'a [String]) -> BoxFuture<'a, Result<SshdSeen, StepError>> {
        async move { sshd::sshd_look(&mut self.looker(), logins).await }.boxed()
    }

    fn check<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        changes: &'a [SshdChange],
        identities: &'a [SshdIdentity],
    ) -> BoxFuture<'a, Result<SshdChecked, StepError>> {
        async move { sshd::sshd_check(&mut self.looker(), seen, changes, identities).await }.boxed()
    }

    fn stage<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        changes: &'a [SshdChange],
    ) -> BoxFuture<'a, Result<SshdStaged, StepError>> {
        async move { sshd::sshd_stage(&mut self.changer(), seen, changes).await }.boxed()
    }

    fn unstage<'a>(&'a mut self, seen: &'a SshdSeen) -> BoxFuture<'a, Result<(), StepError>> {
        async move { sshd::sshd_unstage(&mut self.changer(), seen).await }.boxed()
    }

    fn canary<'a>(
        &'a mut self,
        account: &'a str,
        staged: &'a SshdStaged,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        self.opened.link.canary(self.host, account, &staged.command)
    }

    fn trial<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        trial: &'a SshdTrial,
    ) -> BoxFuture<'a, Result<TrialReport, StepError>> {
        async move { sshd::sshd_trial(&mut self.changer(), seen, trial).await }.boxed()
    }

    fn confirm<'a>(&'a mut self, seen: &'a SshdSeen) -> BoxFuture<'a, Result<ConfirmReport, StepError>> {
        async move { sshd::sshd_confirm(&mut self.changer(), seen).await }.boxed()
    }

    fn rollback<'a>(
        &'a mut self,
        seen: &'a SshdSeen,
        scope: RollbackScope,
    ) -> BoxFuture<'a, Result<RollbackReport, StepError>> {
        async move { sshd::sshd_rollback(&mut self.changer(), seen, scope).await }.boxed()
    }

    fn bans<'a>(&'a mut self, address: &'a str) -> BoxFuture<'a, Result<Vec<String>, StepError>> {
        async move { sshd::sshd_bans(&mut self.looker(), address).await }.boxed()
    }

    fn log_in<'a>(&'a mut self, account: &'a str) -> BoxFuture<'a, Result<Box<dyn Login>, Failure>> {
        self.opener.log_in(self.host, account)
    }

    fn reopen(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            *self.opened = self.opener.open(Some(self.run), self.host).await?;
            Ok(())
        }
        .boxed()
    }
}
