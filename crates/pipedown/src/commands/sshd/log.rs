//! `pipedown sshd log SET`.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use futures::FutureExt as _;
use pipedown_engine::visit;
use pipedown_model::{ExitCode, Failure, FailureClass, HostName};
use pipedown_steps::Looker;
use pipedown_steps::sshd::{SshdState, sshd_log, sshd_look};
use serde::Serialize;

use super::asking::{AskArgs, Asked};
use crate::cli::duration;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Fetches what sshd has logged: the window of a timed change (`sshd-loglevel`), or of a given length until now.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct LogArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// How far back, by the host's clock [default: since the last change of pipedown's, or 30m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Write one file per host, HOST.log, instead of printing
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

const HELP: &str = "\
Without --since: from the moment when pipedown's last change was begun there,
also if it has been put back since; 30 minutes where there was none.
The last 6000 lines of sshd's are fetched.

  pipedown run sshd-loglevel --level DEBUG3 --for 30m -l web01
  pipedown sshd log web01 --output-dir logs/";

/// A line of the log, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    host: &'a HostName,
    line: &'a str,
}

pub async fn run(around: &Surroundings, args: &LogArgs) -> Result<ExitCode, Stop> {
    let Asked { hosts, opener, parallel } = args.ask.ready(around).await?;
    let since = args.since;
    let answers = visit(opener, None, hosts, parallel, move |opened, _| {
        async move {
            let mut looker = Looker::new(&mut opened.shell);
            let seen = sshd_look(&mut looker, &[]).await.map_err(|e| e.failure())?;
            let given = since.and_then(|since| TimeDelta::from_std(since).ok()).map(|since| seen.now - since);
            let usual = seen.now - TimeDelta::minutes(30);
            let from = given.or_else(|| last_change(&seen.state)).unwrap_or(usual);
            let logged = sshd_log(&mut looker, &seen, from, seen.now).await.map_err(|e| e.failure())?;
            if logged.sources.is_empty() {
                let text = "find a log of sshd's: there is neither a journal nor auth.log, secure, messages or syslog in \
                            /var/log";
                return Err(Failure::new(FailureClass::Step, text));
            }
            Ok((logged, from))
        }
        .boxed()
    });
    let mut code = ExitCode::Done;
    for (host, answer) in answers.await {
        match answer {
            Ok((logged, from)) => {
                if logged.lines.is_empty() {
                    let (since, read) = (from.format("%Y-%m-%d %H:%M:%S UTC"), logged.sources.join(", "));
                    around.note(&format!("{}: sshd has logged nothing since {since} ({read})", host.host));
                }
                put(around, args, &host.host, &logged.lines)?;
            }
            Err(error) => {
                terminal::say(&format!(
                    "{}: failed to {}",
                    host.host,
                    pipedown_report::printable(&error.text)
                ));
                code = code.max(error.class.exit_code());
            }
        }
    }
    Ok(code)
}

/// When the last change of pipedown's was begun, also when it has been put back since.
fn last_change(state: &SshdState) -> Option<DateTime<Utc>> {
    let confirmed = state.confirmed.as_ref().map(|confirmed| confirmed.owner.since);
    let back = state.rolled_back.as_ref().and_then(|back| back.began);
    state.trial.as_ref().map(|trial| trial.owner.since).or_else(|| confirmed.max(back))
}

fn put(around: &Surroundings, args: &LogArgs, host: &HostName, lines: &[String]) -> Result<(), Stop> {
    if let Some(folder) = &args.output_dir {
        let path = folder.join(format!("{host}.log"));
        let failed = |e| Stop::failed(format!("write {}: {e}", path.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        terminal::write_file(&path, text.as_bytes()).map_err(failed)?;
        around.note(&format!(
            "{}: {} line{}",
            path.display(),
            lines.len(),
            if lines.len() == 1 { "" } else { "s" }
        ));
        return Ok(());
    }
    let text = if around.global.json {
        crate::commands::json_lines(&lines.iter().map(|line| Row { host, line }).collect::<Vec<_>>())?
    } else {
        lines.iter().map(|line| format!("{host}: {}\n", pipedown_report::printable(line))).collect()
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))
}
