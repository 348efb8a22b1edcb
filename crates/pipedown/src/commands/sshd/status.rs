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
            why: if back.why.is_empty() { back.by.clone() } else { format!("{}: {}", back.by, back.why) },
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
    // While a trial stands, the listener has taken over other files than those proven.
    if seen.state.trial.is_some() {
        return SshdRunning::OnTrial;
    }
    let Some(confirmed) = &seen.state.confirmed else { return SshdRunning::Unproven };
    match (confirmed.same_listener, confirmed.changed_files.is_empty()) {
        (true, true) => SshdRunning::AsOnDisk,
        (true, false) => SshdRunning::AsProven,
        // What it has read may have been edited and put right since.
        (false, true) => SshdRunning::Reloaded,
        (false, false) => SshdRunning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use pipedown_model::{Operator, RunId};
    use pipedown_steps::sshd::{SshdConfirmed, SshdOwner, SshdRolledBack, SshdTrialPhase, SshdTrialSeen};

    use super::super::fixture;
    use super::*;

    fn owner(seen: &SshdSeen, run: &str) -> SshdOwner {
        SshdOwner {
            run: RunId::new(run).unwrap(),
            operator: Operator::new("ops", "ctl"),
            since: seen.now - TimeDelta::minutes(5),
            reason: String::new(),
        }
    }

    fn bare() -> SshdSeen {
        fixture::seen(&[("/etc/ssh/sshd_config", "Port 22\n")])
    }

    fn confirmed(same_listener: bool, changed: &[&str]) -> SshdSeen {
        let mut seen = bare();
        seen.state.confirmed = Some(SshdConfirmed {
            owner: owner(&seen, "20261122-aaaaaa"),
            at: seen.now - TimeDelta::minutes(4),
            same_listener,
            changed_files: changed.iter().map(|file| (*file).to_owned()).collect(),
            reverts: None,
            alive: false,
        });
        seen
    }

    #[test]
    fn what_runs_is_never_guessed() {
        assert_eq!(running(&bare()), SshdRunning::Unproven);
        assert_eq!(running(&confirmed(true, &[])), SshdRunning::AsOnDisk);
        assert_eq!(running(&confirmed(true, &["/etc/ssh/sshd_config"])), SshdRunning::AsProven);
        assert_eq!(running(&confirmed(false, &[])), SshdRunning::Reloaded);
        assert_eq!(running(&confirmed(false, &["/etc/ssh/sshd_config"])), SshdRunning::Unknown);
        let mut each = confirmed(false, &["/etc/ssh/sshd_config"]);
        each.service = SshdService::PerConnection { unit: "ssh.socket".to_owned() };
        assert_eq!(running(&each), SshdRunning::EachConnection);
    }

    #[test]
    fn the_latest_change_is_the_one_that_is_told() {
        assert_eq!(change(&bare()), SshdChangeState::None);
        let mut seen = confirmed(true, &[]);
        let word = |seen: &SshdSeen| match change(seen) {
            SshdChangeState::None => "none".to_owned(),
            SshdChangeState::Trial { run, left_s, .. } => format!("trial {run} {left_s}"),
            SshdChangeState::Confirmed { run, .. } => format!("confirmed {run}"),
            SshdChangeState::RolledBack { run, why, .. } => format!("put back {run} {why}"),
        };
        assert_eq!(word(&seen), "confirmed 20261122-aaaaaa");
        let back = |minutes| SshdRolledBack {
            run: RunId::new("20261122-bbbbbb").unwrap(),
            at: seen.now - TimeDelta::minutes(minutes),
            began: None,
            by: "deadman".to_owned(),
            why: "nobody confirmed".to_owned(),
        };
        let (before, after) = (back(9), back(1));
        seen.state.rolled_back = Some(before);
        assert_eq!(word(&seen), "confirmed 20261122-aaaaaa");
        seen.state.rolled_back = Some(after);
        assert_eq!(word(&seen), "put back 20261122-bbbbbb deadman: nobody confirmed");
        seen.state.trial = Some(SshdTrialSeen {
            owner: owner(&seen, "20261122-cccccc"),
            phase: SshdTrialPhase::Armed,
            left_s: 34,
            alive: true,
        });
        assert_eq!(
            (word(&seen).as_str(), running(&seen)),
            ("trial 20261122-cccccc 34", SshdRunning::OnTrial)
        );
    }
}
