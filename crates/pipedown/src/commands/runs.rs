//! `pipedown runs`.

use clap::Args;
use pipedown_engine::SqliteJournal;
use pipedown_model::ExitCode;
use pipedown_report::RunRow;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Lists the runs recorded on this machine, newest first.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RunsArgs {
    /// Only runs because of which some host may still go down
    #[arg(long)]
    active: bool,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    most: usize,
}

const HELP: &str = "\
The records are in --state-dir. They are a help, not the truth: `pipedown
status` asks the hosts.";

pub fn run(around: &Surroundings, args: &RunsArgs) -> Result<ExitCode, Stop> {
    let now = Surroundings::now();
    let mut rows = Vec::new();
    for run in around.state.runs()? {
        if rows.len() >= args.most {
            break;
        }
        match SqliteJournal::read(&around.state, &run) {
            Ok(recorded) => {
                let row = recorded.state.map(|state| RunRow::new(&state, now));
                rows.extend(row.filter(|row| row.active || !args.active));
            }
            Err(e) => terminal::say(&format!("note: failed to {e}")),
        }
    }
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        pipedown_report::runs(&rows, now, &around.style())
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}
