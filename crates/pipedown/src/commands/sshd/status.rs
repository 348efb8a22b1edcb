//! `pipedown sshd status SET`.

use clap::Args;
use futures::FutureExt as _;
use pipedown_engine::visit;
use pipedown_model::ExitCode;
use pipedown_report::{Colour, SshdChangeState, SshdFacts, SshdRow, SshdRunning};
use pipedown_steps::Looker;
use pipedown_steps::sshd::{SshdSeen, SshdService, sshd_look};

use super::asking::{AskArgs, Asked, logins};
use super::values::values;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Shows what each sshd has on disk, with file and line of every value that is set; what it runs, as far as that is
/// proven; what pipedown has changed; and what differs from the last rollout. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct StatusArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Defaults too: every value that sshd has
    #[arg(long)]
    defaults: bool,
}

const HELP: &str = "\
Values are those for the login and for each of the host's `logins` in the
inventory (sshd -T -C). A line that ends with `for NAME` is not the same for all.

  pipedown sshd status @web
  pipedown sshd status --all --json

Exit code: 0, 3 if some sshd would not take what it has on disk, 4 if some host
did not answer.";

pub async fn run(around: &Surroundings, args: &StatusArgs) -> Result<ExitCode, Stop> {
    let Asked { hosts, opener, parallel } = args.ask.ready(around).await?;
    let answers = visit(opener, None, hosts, parallel, |opened, host| {
        let logins = logins(&host.target);
        async move {
            let seen = sshd_look(&mut Looker::new(&mut opened.shell), &logins).await;
            seen.map_err(|e| e.failure())
        }
        .boxed()
    });
    let rows: Vec<SshdRow> = answers
        .await
        .into_iter()
        .map(|(host, answer)| match answer {
            Ok(seen) => SshdRow { host: host.host, sshd: Some(facts(&seen, args.defaults)), error: None },
            Err(error) => SshdRow { host: host.host, sshd: None, error: Some(error) },
        })
        .collect();
    let mut style = around.style();
    style.colour = if around.colours(&std::io::stdout()) { Colour::On } else { Colour::Off };
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        pipedown_report::sshd_status(&rows, &style)
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(rows.iter().map(code).max().unwrap_or(ExitCode::Done))
}

fn code(row: &SshdRow) -> ExitCode {
    match (&row.error, &row.sshd) {
        (Some(error), _) => error.class.exit_code(),
        (None, Some(SshdFacts { broken: Some(_), .. })) => ExitCode::Failed,
        (None, _) => ExitCode::Done,
    }
}

fn facts(seen: &SshdSeen, defaults: bool) -> SshdFacts {
    let served = match (&seen.service, &seen.listener) {
        (SshdService::Service { unit, socket: Some(socket) }, _) => format!("{unit} with {socket}"),
        (SshdService::Service { unit, socket: None }, _) => unit.clone(),
        (SshdService::PerConnection { unit }, _) => format!("{unit}, a process for each connection"),
        (SshdService::Process, Some(listener)) => format!("process {}", listener.pid),
        (SshdService::Process, None) => "a process".to_owned(),
    };
    SshdFacts {
        version: seen.version.clone(),
        served,
        config: seen.main.clone(),
        broken: (!seen.baseline.ok).then(|| seen.baseline.text.join("; ")),
        change: change(seen),
        running: running(seen),
        drift: seen.state.confirmed.as_ref().map(|c| c.changed_files.clone()).unwrap_or_default(),
        sessions: seen.sessions,
        now: seen.now,
        values: values(seen, defaults),
    }
}

fn change(seen: &SshdSeen) -> SshdChangeState {
    let state = &seen.state;
    if let Some(trial) = &state.trial {
        let (run, operator) = (trial.owner.run.clone(), trial.owner.operator.clone());
        return SshdChangeState::Trial { run, operator, left_s: trial.left_s };
    }
    // A change that was put back after the last confirmed one is what there is to know.
    let newer = |at| state.confirmed.as_ref().is_none_or(|confirmed| confirmed.at < at);
    match (&state.rolled_back, &state.confirmed) {
        (Some(back), _) if newer(back.at) => SshdChangeState::RolledBack {
            run: back.run.clone(),
            at: back.at,
            why: format!("{}: {}", back.by, back.why),
        },
        (_, Some(confirmed)) => SshdChangeState::Confirmed {
            run: confirmed.owner.run.clone(),
            operator: confirmed.owner.operator.clone(),
            at: confirmed.at,
            reverts: confirmed.reverts,
        },
        _ => SshdChangeState::None,
    }
}

/// What follows of listener and files: nothing is guessed.
fn running(seen: &SshdSeen) -> SshdRunning {
    if matches!(seen.service, SshdService::PerConnection { .. }) {
        return SshdRunning::EachConnection;
    }
    let Some(confirmed) = &seen.state.confirmed else { return SshdRunning::Unproven };
    // While a trial stands, or after one was put back, the listener has taken over other files than those proven.
    if seen.state.trial.is_some() {
        return SshdRunning::Unknown;
    }
    match (confirmed.same_listener, confirmed.changed_files.is_empty()) {
        (_, true) => SshdRunning::AsOnDisk,
        (true, false) => SshdRunning::AsProven,
        (false, false) => SshdRunning::Unknown,
    }
}
