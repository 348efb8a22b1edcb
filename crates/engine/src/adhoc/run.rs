//! A command as it was typed, from its start to its end.

use std::sync::Arc;

use pipedown_model::{
    Become, CommandEnd, Effect, ExecCommand, ExecStep, Failure, FailureClass, HostPlan, Outcome,
    OutputStream, Plan, StepSpec,
};
use pipedown_steps::{Printed, RunEnd, Running, Start, StepError, script_words};

use super::goodbye::Held;
use super::recorder::OutputChunk;
use super::turn::{AdhocTurn, Trouble};

/// How much of each stream there was.
#[derive(Debug, Default)]
struct Kept {
    stdout: u64,
    stderr: u64,
}

/// Whether the command of a host's plan can be put on the wire as it is.
///
/// # Errors
/// Why it cannot.
pub fn sendable(plan: &Plan, host: &HostPlan) -> Result<(), StepError> {
    let mut steps = host.steps.iter().filter_map(|step| match &step.spec {
        StepSpec::Exec(exec) => Some(exec),
        _ => None,
    });
    steps.try_for_each(|exec| start(plan, host, exec, true)?.line().map(drop))
}

fn start(plan: &Plan, host: &HostPlan, step: &ExecStep, has_password: bool) -> Result<Start, StepError> {
    let to_root = if step.root { host.target.r#become } else { Become::None };
    Ok(Start {
        words: words(plan, &step.command)?,
        to_root,
        with_password: to_root == Become::Sudo && has_password,
        timeout_s: step.timeout_s,
    })
}

impl AdhocTurn<'_> {
    /// Runs a command; its output goes to the recorder as it comes.
    pub(crate) async fn exec(&self, step: &ExecStep, held: &mut Held) -> Result<Outcome, Trouble> {
        let context = self.context;
        let start = start(&context.plan, self.host, step, context.opener.has_password())?;
        let line = start.line()?;
        let recorder = context.recorder.as_ref();
        let place = u32::try_from(self.index).unwrap_or(u32::MAX);
        if let Some(recorder) = recorder.filter(|_| self.is_again()) {
            recorder.begin_again(place).await;
        }
        let (exec, password) = {
            let line_to = held.line().ok_or_else(no_line)?;
            let exec = line_to.start(&line).await.map_err(|error| Trouble::Lost(Effect::None, error))?;
            (exec, line_to.password().filter(|_| start.with_password))
        };
        let input = context.input.as_ref().filter(|_| step.input).map(Arc::clone);
        let running = held.runs(Running::begin(exec, &start, password, input).await?);
        let mut kept = Kept::default();
        let mut flood = false;
        while let Some(printed) = running.next().await {
            let (stream, mut bytes, count) = match printed {
                Printed::Stdout(bytes) => (OutputStream::Stdout, bytes, &mut kept.stdout),
                Printed::Stderr(bytes) => (OutputStream::Stderr, bytes, &mut kept.stderr),
            };
            let room = usize::try_from(step.output_limit.saturating_sub(*count)).unwrap_or(usize::MAX);
            flood = bytes.len() > room;
            bytes.truncate(room);
            *count = count.saturating_add(bytes.len() as u64);
            if let Some(recorder) = recorder.filter(|_| !bytes.is_empty()) {
                recorder.keep(OutputChunk { host: place, stream, bytes: bytes.into() }).await;
            }
            if flood {
                break;
            }
        }
        let end = if flood { None } else { Some(running.end()) };
        if let Some(recorder) = recorder {
            recorder.settle().await.map_err(|error| unkept(&error))?;
        }
        let end = match end {
            None => CommandEnd::Flood { limit: step.output_limit },
            Some(end) => command_end(end?, step.timeout_s),
        };
        Ok(Outcome::Ran { end, stdout: kept.stdout, stderr: kept.stderr })
    }
}

fn command_end(end: RunEnd, timeout_s: Option<u32>) -> CommandEnd {
    match end {
        RunEnd::Exit(status) => CommandEnd::Exit { status },
        RunEnd::Signal(name) => CommandEnd::Signal { name },
        RunEnd::Deadline => CommandEnd::Deadline { after_s: timeout_s.unwrap_or_default() },
    }
}

/// Program and arguments.
fn words(plan: &Plan, command: &ExecCommand) -> Result<Vec<String>, StepError> {
    Ok(match command {
        ExecCommand::Line(text) => vec!["sh".to_owned(), "-c".to_owned(), plan.text(text).to_owned()],
        ExecCommand::Argv(words) => words.clone(),
        ExecCommand::Script { script, name, args } => script_words(plan.text(script), name, args)?,
    })
}

/// The command came to its end, but its output is not all there: nobody shall take it for the whole.
fn unkept(error: &str) -> Trouble {
    let failure = Failure::new(FailureClass::Controller, error.to_owned())
        .with_hint("the command ran; free the disk of the state directory, or give --state-dir");
    Trouble::Failed(Effect::Unknown, failure)
}

fn no_line() -> Trouble {
    Trouble::Lost(Effect::None, Failure::new(FailureClass::Controller, "start the command: no connection"))
}
