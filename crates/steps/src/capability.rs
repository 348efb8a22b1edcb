//! Who may do what to a host: a dry run holds a [`Looker`], and nothing that takes one can change anything.

use pipedown_model::{Operator, RunId};

use crate::{Call, HostShell, Reply, StepError};

/// May look at a host, and nothing else.
#[derive(Debug)]
pub struct Looker<'a> {
    shell: &'a mut HostShell,
}

impl<'a> Looker<'a> {
    /// Takes the shell of a host.
    pub fn new(shell: &'a mut HostShell) -> Self {
        Self { shell }
    }

    pub(crate) async fn call(&mut self, call: Call) -> Result<Reply, StepError> {
        self.shell.call(call).await
    }
}

/// May change a host, in the name of a run and a person.
#[derive(Debug)]
pub struct Changer<'a> {
    shell: &'a mut HostShell,
    /// In whose name; every change is logged with it.
    pub(crate) name: ChangeName,
}

/// In whose name a host is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeName {
    /// The run.
    pub run: RunId,
    /// Who.
    pub operator: Operator,
    /// Why.
    pub reason: String,
}

impl<'a> Changer<'a> {
    /// Takes the shell of a host.
    pub fn new(shell: &'a mut HostShell, name: ChangeName) -> Self {
        Self { shell, name }
    }

    /// Lends it for looking only.
    pub fn looker(&mut self) -> Looker<'_> {
        Looker { shell: self.shell }
    }

    pub(crate) async fn call(&mut self, call: Call) -> Result<Reply, StepError> {
        self.shell.call(call).await
    }
}
