//! Files that go to a host, and files that come from it.

use pipedown_model::{Become, CopyStep, Effect, Failure, FailureClass, FetchStep, FileWanted, Mode, Outcome};
use pipedown_steps::files::{self, Channels, Starting};
use pipedown_steps::{ShellOptions, StepError, command, run_instead};

use super::goodbye::Held;
use super::turn::{AdhocTurn, Trouble};
use crate::Line;

/// A line on which fragments run one after the other, each on a channel of its own.
struct LineChannels<'a> {
    line: &'a dyn Line,
    to_root: Become,
    with_password: bool,
}

impl Channels for LineChannels<'_> {
    fn start(&self, words: Vec<String>) -> Starting<'_> {
        Box::pin(async move {
            let login = command(self.to_root, self.with_password);
            let exec = self.line.start(&login).await.map_err(StepError::Unstarted)?;
            let password = self.line.password().filter(|_| self.with_password);
            run_instead(exec, self.to_root, password, &words, &ShellOptions::default()).await
        })
    }

    fn expect(&self, bytes: u64) {
        self.line.expect(bytes);
    }

    fn moved(&self, bytes: u64) {
        self.line.moved(bytes);
    }
}

impl AdhocTurn<'_> {
    /// Copies what is not there yet.
    pub(crate) async fn copy(&self, step: &CopyStep, held: &Held) -> Result<Outcome, Trouble> {
        let text = self.context.plan.text(&step.manifest);
        let wanted: Vec<FileWanted> = serde_json::from_str(text).map_err(|error| {
            let text = format!("read the list of files of the plan: {error}");
            Trouble::Failed(Effect::None, Failure::new(FailureClass::Controller, text))
        })?;
        let channels = self.channels(step.root, held)?;
        let copied = files::copy(&channels, step, &wanted, self.mode == Mode::Apply).await?;
        Ok(self.outcome(copied.diff))
    }

    /// Fetches what is not here yet, into the host's own folder.
    pub(crate) async fn fetch(&self, step: &FetchStep, held: &Held) -> Result<Outcome, Trouble> {
        let channels = self.channels(step.root, held)?;
        let name = self.host.host.as_str();
        if name.contains('/') || matches!(name, "." | "..") {
            let text = format!("fetch from {name}: no folder can have that name");
            let failure = Failure::new(FailureClass::Controller, text)
                .with_hint("give the host another name in the inventory");
            return Err(Trouble::Failed(Effect::None, failure));
        }
        let folder = step.into.join(name);
        match files::fetch(&channels, step, &folder, self.mode == Mode::Apply).await {
            Ok(fetched) => Ok(self.outcome(fetched.diff)),
            // Whatever went wrong, nothing was changed on the host.
            Err(error) => Err(match Trouble::from(error) {
                Trouble::Lost(_, failure) => Trouble::Lost(Effect::None, failure),
                Trouble::Failed(_, failure) => Trouble::Failed(Effect::None, failure),
            }),
        }
    }

    fn channels<'a>(&self, root: bool, held: &'a Held) -> Result<LineChannels<'a>, Trouble> {
        let to_root = if root { self.host.target.r#become } else { Become::None };
        let with_password = to_root == Become::Sudo && self.context.opener.has_password();
        let line = held.line().ok_or_else(|| {
            let failure = Failure::new(FailureClass::Controller, "start the transfer: no connection");
            Trouble::Lost(Effect::None, failure)
        })?;
        Ok(LineChannels { line, to_root, with_password })
    }

    fn outcome(&self, diff: Vec<String>) -> Outcome {
        match (diff.is_empty(), self.mode) {
            (true, _) => Outcome::Unchanged,
            (false, Mode::Apply) => Outcome::Changed { diff },
            (false, Mode::DryRun) => Outcome::WouldChange { diff },
        }
    }
}
