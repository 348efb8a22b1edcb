//! A playbook's script, run at once over the link.

use std::time::Duration;

use pipedown_model::{Plan, RunStep, StepId};

use crate::{Call, Changer, Looker, Reply, StepError, fragment};

const CALL: &str = "run";

/// Which guard said that there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The path of `creates` is there.
    Creates,
    /// The script of `unless` succeeds.
    Unless,
}

/// What a script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// The guard because of which it did not run.
    pub guard: Option<Guard>,
    /// Its exit status.
    pub status: i32,
    /// Whether its time was up, and its process group killed.
    pub timed_out: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Whether more came than is kept.
    pub truncated: bool,
}

/// Runs a script unless its guards say that there is nothing to do. A status other than 0 is no error.
///
/// # Errors
/// What a call can fail with, and [`StepError::Unread`] when the guards' answer is missing.
pub async fn run_step(
    changer: &mut Changer<'_>,
    plan: &Plan,
    step: &StepId,
    run: &RunStep,
) -> Result<RunReport, StepError> {
    let mut args = vec![
        run.creates.clone().unwrap_or_else(|| "-".to_owned()),
        run.unless.as_ref().map(|id| plan.text(id).to_owned()).unwrap_or_default(),
        plan.text(&run.script).to_owned(),
    ];
    args.extend(run.args.iter().cloned());
    let call = Call {
        name: CALL,
        source: fragment::run(),
        args,
        input: Vec::new(),
        deadline: Duration::from_secs(run.timeout_s.into()),
        ledger: Some(step.to_string()),
    };
    read(changer.call(call).await?)
}

/// Runs a script that looks and changes nothing: the host keeps no record of it. A status other than 0 is no error.
///
/// # Errors
/// What a call can fail with.
pub async fn check(looker: &mut Looker<'_>, script: &str, limit: Duration) -> Result<RunReport, StepError> {
    let args = vec!["-".to_owned(), String::new(), script.to_owned()];
    let call =
        Call { name: CALL, source: fragment::run(), args, input: Vec::new(), deadline: limit, ledger: None };
    read(looker.call(call).await?)
}

fn read(reply: Reply) -> Result<RunReport, StepError> {
    let line_end = reply.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(reply.stdout.len());
    let (first, rest) = reply.stdout.split_at(line_end);
    let guard = match first {
        b"guard none" => None,
        b"guard creates" => Some(Guard::Creates),
        b"guard unless" => Some(Guard::Unless),
        // The deadline came while a guard ran.
        _ if reply.timed_out => None,
        _ => {
            let line = String::from_utf8_lossy(first).into_owned();
            return Err(StepError::Unread { call: CALL, line, wanted: "a guard's answer" });
        }
    };
    Ok(RunReport {
        guard,
        status: reply.status,
        timed_out: reply.timed_out,
        stdout: rest.get(1..).unwrap_or_default().to_vec(),
        stderr: reply.stderr,
        truncated: reply.truncated,
    })
}
