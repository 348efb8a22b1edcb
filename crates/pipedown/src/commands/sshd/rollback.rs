//! `pipedown sshd rollback SET`.

use std::sync::Arc;

use clap::Args;
use futures::FutureExt as _;
use pipedown_engine::{Opener as _, visit};
use pipedown_model::{ExitCode, Failure, FailureClass, HostName, HostPlan};
use pipedown_report::printable;
use pipedown_steps::sshd::{
    RollbackReport, RollbackScope, SshdOwner, SshdState, SshdTrialPhase, sshd_look, sshd_rollback,
};
use pipedown_steps::{ChangeName, Changer, Looker};
use serde::Serialize;

use super::asking::{AskArgs, Asked};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Goes back to the last confirmed state: files that were edited since are put back to it; if none was, the last confirmed
/// change itself is taken back. Then a new login must work. A host where a trial waits is left alone.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RollbackArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Say only what there is to go back from
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Why: written to every host's system log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

const HELP: &str = "\
  pipedown sshd status web3
  pipedown sshd rollback web3 --dry-run
  pipedown sshd rollback web3 --yes --reason 'slow logins'

Exit code: 0 all hosts serve what stood (or had nothing to go back from), 3 some
failed, 4 some did not answer, 5 another run's change waits there.";

/// What became of a host, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    host: HostName,
    result: &'static str,
    lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

pub async fn run(around: &Surroundings, args: &RollbackArgs) -> Result<ExitCode, Stop> {
    let Asked { hosts, opener, parallel } = args.ask.ready(around).await?;
    if !args.dry_run {
        consent(args, &hosts)?;
    }
    let name = ChangeName {
        run: around.new_run(Surroundings::now())?,
        operator: Surroundings::operator(),
        reason: args.reason.clone(),
    };
    let (second, dry_run) = (Arc::clone(&opener), args.dry_run);
    let answers = visit(opener, None, hosts, parallel, move |opened, host| {
        let (name, second) = (name.clone(), Arc::clone(&second));
        async move {
            let mut looker = Looker::new(&mut opened.shell);
            let seen = sshd_look(&mut looker, &[]).await.map_err(|e| e.failure())?;
            if dry_run {
                return Ok(would(&seen.state));
            }
            let mut changer = Changer::new(&mut opened.shell, name);
            let report = sshd_rollback(&mut changer, &seen, RollbackScope::Confirmed).await;
            let report = report.map_err(|e| e.failure())?;
            if matches!(report, RollbackReport::RolledBack { .. }) {
                // The connection in hand stays open meanwhile.
                enter(&second, host).await?;
            }
            Ok(told(report))
        }
        .boxed()
    });
    let mut code = ExitCode::Done;
    let mut rows = Vec::new();
    for (host, answer) in answers.await {
        let host = host.host;
        let row = match answer {
            Ok((result, lines)) => Row { host, result, lines, error: None },
            Err(error) => Row { host, result: "failed", lines: Vec::new(), error: Some(error) },
        };
        code = code.max(code_of(&row));
        rows.push(row);
    }
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        rows.iter().map(shown).collect()
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(code)
}

fn consent(args: &RollbackArgs, hosts: &[HostPlan]) -> Result<(), Stop> {
    if args.yes {
        return Ok(());
    }
    if !terminal::can_ask() {
        return Err(Stop::usage("nobody can be asked for confirmation here").hint("add --yes"));
    }
    let names: Vec<HostName> = hosts.iter().map(|host| host.host.clone()).collect();
    let what = format!("go back to the last confirmed sshd configuration on {}", pipedown_plan::fold(&names));
    if terminal::confirm(&format!("{what}: go ahead?")) {
        return Ok(());
    }
    Err(Stop::refused("not confirmed; nothing was changed"))
}

fn would(state: &SshdState) -> (&'static str, Vec<String>) {
    match (&state.trial, &state.confirmed) {
        (Some(trial), _) if trial.phase == SshdTrialPhase::Armed => {
            let SshdOwner { run, operator, .. } = &trial.owner;
            let left = trial.left_s;
            let words = format!("would be left alone: the trial of run {run} ({operator}) has {left} s left");
            ("busy", vec![words])
        }
        (Some(trial), _) => {
            ("would_roll_back", vec![format!("the interrupted trial of run {}", trial.owner.run)])
        }
        (None, Some(confirmed)) if confirmed.changed_files.is_empty() => {
            let run = &confirmed.owner.run;
            ("would_roll_back", vec![format!("the change of run {run}, confirmed {}", confirmed.at)])
        }
        (None, Some(confirmed)) => {
            let edited = confirmed.changed_files.iter().map(|file| format!("what was edited in {file}"));
            ("would_roll_back", edited.collect())
        }
        (None, None) => ("nothing", vec!["nothing of pipedown's stands there".to_owned()]),
    }
}

/// Logs in anew.
async fn enter(opener: &SshOpener, host: &HostPlan) -> Result<(), Failure> {
    match opener.open(None, host).await {
        Ok(opened) => {
            opened.close().await;
            Ok(())
        }
        Err(error) => {
            let text = format!("log in anew after what stood was put back: {}", error.text);
            let hint = "keep a session that is open there, and look at sshd's log: pipedown sshd log";
            Err(Failure::new(FailureClass::ReadBack, text).with_hint(hint))
        }
    }
}

fn told(report: RollbackReport) -> (&'static str, Vec<String>) {
    match report {
        RollbackReport::RolledBack { mut done, to } => {
            done.push(match to.split_once(' ') {
                Some(("confirmed", run)) => format!("serves what run {run} had confirmed"),
                Some(("before", run)) => format!("serves what stood before run {run}"),
                _ => format!("serves what stood: {to}"),
            });
            ("rolled_back", done)
        }
        RollbackReport::Already(last) => {
            ("nothing", vec![format!("put back before: run {}, {}: {}", last.run, last.by, last.why)])
        }
        RollbackReport::Confirmed | RollbackReport::Nothing => {
            ("nothing", vec!["there is nothing to go back to".to_owned()])
        }
        RollbackReport::Busy { owner, what } => {
            let whose = owner.map(|o| format!(" of run {} ({})", o.run, o.operator)).unwrap_or_default();
            ("busy", vec![format!("left alone: {what}{whose}")])
        }
    }
}

fn code_of(row: &Row) -> ExitCode {
    match (&row.error, row.result) {
        (Some(error), _) => error.class.exit_code(),
        (None, "busy") => ExitCode::Stopped,
        (None, _) => ExitCode::Done,
    }
}

fn shown(row: &Row) -> String {
    let word = row.result.replace('_', " ");
    let mut text = match &row.error {
        Some(error) => format!("{}  failed to {}\n", row.host, printable(&error.text)),
        None => format!("{}  {word}\n", row.host),
    };
    if let Some(hint) = row.error.as_ref().and_then(|error| error.hint.as_ref()) {
        text.push_str(&format!("  hint: {}\n", printable(hint)));
    }
    text.extend(row.lines.iter().map(|line| format!("  {}\n", printable(line))));
    text
}
