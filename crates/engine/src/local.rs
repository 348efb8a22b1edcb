//! Commands on the controller, before and after the hosts: a scheduler's drain, a silence in the alerting.

use std::process::Stdio;
use std::time::Duration;

use pipedown_model::{
    Effect, EventKind, Failure, FailureClass, LocalStep, LocalWhen, OnFailure, Outcome, RunId, RunState,
    StepRecord,
};
use tokio::io::AsyncReadExt;

use crate::context::Context;
use crate::recovery::{Decision, OnHost, decide};

/// How much of a command's output is kept for the report, in bytes.
const KEPT: u64 = 4096;

/// The commands on the controller of one run.
pub(crate) struct Locals<'a> {
    pub(crate) context: &'a Context,
    /// What was recorded before this process began.
    pub(crate) prior: Option<&'a RunState>,
}

impl Locals<'_> {
    /// Runs those of one moment.
    ///
    /// # Errors
    /// Why the run stops here: a command failed that must not, or nobody knows whether one has run.
    pub(crate) async fn run(&self, when: LocalWhen) -> Result<(), String> {
        for step in self.context.plan.local.iter().filter(|step| step.when == when) {
            self.step(step).await?;
        }
        Ok(())
    }

    async fn step(&self, step: &LocalStep) -> Result<(), String> {
        let Context { proposer, options, run: run_id, .. } = self.context;
        let id = &step.id;
        let record = self.prior.and_then(|prior| prior.local.get(id));
        let noted = step.on_failure == OnFailure::Continue;
        match decide(record, ended(record), false, noted, options.unknown) {
            Decision::Do => {}
            Decision::Passed | Decision::AlreadyDone | Decision::LeaveOut => return Ok(()),
            Decision::Unknown => {
                return Err(format!(
                    "step {id} began in an earlier attempt, and it is not known whether it finished: look, then resume \
                     with --retry-unknown or --skip-unknown"
                ));
            }
        }
        let intent = EventKind::LocalStarted { step: id.clone(), when: step.when };
        proposer.intend(intent).await.map_err(|e| e.to_string())?;
        let outcome = run(step, run_id, &options.host_set).await;
        let failed = match &outcome {
            Outcome::Failed { error, .. } => Some(error.text.clone()),
            _ => None,
        };
        proposer.tell(EventKind::LocalFinished { step: id.clone(), outcome }).await;
        match failed {
            Some(text) if !noted => Err(format!("step {id}: {text}")),
            _ => Ok(()),
        }
    }
}

/// The controller has no ledger beside its journal. A command that was killed at its deadline did not finish.
fn ended(record: Option<&StepRecord>) -> OnHost {
    match record {
        None => OnHost::NotStarted,
        Some(StepRecord::Started { .. }) => OnHost::Started,
        Some(StepRecord::Finished { outcome: Outcome::Failed { error, effect: Effect::Unknown } })
            if error.class == FailureClass::Deadline =>
        {
            OnHost::Started
        }
        Some(StepRecord::Finished { outcome: Outcome::Failed { .. } }) => OnHost::Failed,
        Some(StepRecord::Finished { .. }) => OnHost::Succeeded,
    }
}

/// Runs one command; no shell is involved. The argument `{hosts}` becomes the host set.
pub(crate) async fn run(step: &LocalStep, run: &RunId, hosts: &str) -> Outcome {
    let mut words = step.argv.iter().map(|word| if word == "{hosts}" { hosts } else { word.as_str() });
    let Some(program) = words.next() else {
        return failed("run an empty command".into(), Effect::None);
    };
    let child = tokio::process::Command::new(program)
        .args(words)
        .env("PIPEDOWN_RUN", run.as_str())
        .env("PIPEDOWN_HOSTS", hosts)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return failed(format!("start {program}: {e}"), Effect::None),
    };
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let talk = tokio::spawn(talk(child.stdout.take(), child.stderr.take()));
    let limit = Duration::from_secs(step.timeout_s.into());
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Outcome::Changed { diff: vec![step.argv.join(" ")] },
        Ok(Ok(status)) => {
            let said = talk.await.unwrap_or_default();
            failed(format!("run {program}: {status}{}", quoted(&said)), Effect::Unknown)
        }
        Ok(Err(e)) => failed(format!("wait for {program}: {e}"), Effect::Unknown),
        Err(_) => {
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.wait().await;
            let text = format!("run {program} within {} s", step.timeout_s);
            Outcome::Failed { error: Failure::new(FailureClass::Deadline, text), effect: Effect::Unknown }
        }
    }
}

fn failed(text: String, effect: Effect) -> Outcome {
    Outcome::Failed { error: Failure::new(FailureClass::Step, text), effect }
}

fn quoted(said: &str) -> String {
    match said.trim().lines().last() {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}

/// Drains both streams so that the command never blocks; keeps the beginning of what was said.
async fn talk(
    stdout: Option<tokio::process::ChildStdout>,
    stderr: Option<tokio::process::ChildStderr>,
) -> String {
    async fn drain(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            let _ = (&mut stream).take(KEPT).read_to_end(&mut kept).await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        kept
    }
    let (mut out, err) = tokio::join!(drain(stdout), drain(stderr));
    out.extend(err);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipedown_model::{LocalWhen, OnFailure, StepId};

    fn step(argv: &[&str], timeout_s: u32) -> LocalStep {
        LocalStep {
            id: StepId::new("local").unwrap(),
            when: LocalWhen::Before,
            argv: argv.iter().map(|s| (*s).to_owned()).collect(),
            on_failure: OnFailure::Abort,
            timeout_s,
        }
    }

    fn text(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Failed { error, .. } => error.text.clone(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn values_reach_the_command_as_they_are() {
        let run_id = RunId::new("r1").unwrap();
        let script = "test \"$1\" = 'a[1-2],$(reboot)' && test \"$PIPEDOWN_RUN\" = r1";
        let ok = run(&step(&["sh", "-c", script, "x", "{hosts}"], 5), &run_id, "a[1-2],$(reboot)").await;
        assert!(matches!(ok, Outcome::Changed { .. }), "{ok:?}");
    }

    #[tokio::test]
    async fn failures_say_what_the_command_said() {
        let run_id = RunId::new("r1").unwrap();
        let out = run(&step(&["sh", "-c", "echo no such partition >&2; exit 3"], 5), &run_id, "").await;
        assert_eq!(text(&out), "run sh: exit status: 3: no such partition");
        let out = run(&step(&["sh", "-c", "sleep 60 & sleep 60"], 1), &run_id, "").await;
        assert_eq!(text(&out), "run sh within 1 s");
        let out = run(&step(&["/nonexistent/x"], 1), &run_id, "").await;
        assert!(text(&out).starts_with("start /nonexistent/x"));
    }
}
