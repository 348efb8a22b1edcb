//! `pipedown show RUN`: a recorded run through the reporter that showed it live.

use clap::Args;
use pipedown_engine::SqliteJournal;
use pipedown_model::{Event, ExitCode};
use pipedown_report::{Json, Plain, Stamp};

use super::exec::LookArgs;
use crate::adhoc;
use crate::drive::Screen;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Shows a recorded run again. The id may be shortened to any part that only one run has.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ShowArgs {
    /// The run, see `pipedown runs`
    run: String,
    #[command(flatten)]
    output: LookArgs,
}

const HELP: &str = "\
The id may be shortened to any part that only one run has. With --json: the
events as they were recorded, one JSON object per line (docs/EVENTS.md).

  pipedown show 7f3kq2 -v
  pipedown show 7f3kq2 -b                       what commands printed, folded
  pipedown show 7f3kq2 --json | jq 'select(.kind == \"armed\") | .host'";

pub fn run(around: &Surroundings, args: &ShowArgs) -> Result<ExitCode, Stop> {
    let run = around.state.find(&args.run)?;
    let recorded = SqliteJournal::read(&around.state, &run)?;
    if around.global.json {
        // The recorded lines, so that what a later version wrote keeps its fields.
        let mut json = Json::new(Box::new(terminal::Data));
        recorded.lines.iter().for_each(|line| json.raw(line));
        args.output.output().again(around, &run, &recorded.plan)?;
        return Ok(ExitCode::Done);
    }
    let mut style = around.style();
    style.stamp = Stamp::On;
    style.as_of = Some(Surroundings::now());
    // Of a command, what it printed is the data.
    let out: Box<dyn std::io::Write + Send> = match adhoc::is_one(&recorded.plan) {
        true => Box::new(std::io::stderr()),
        false => Box::new(terminal::Data),
    };
    let mut screen = Screen::new(Box::new(Plain::new(out, style)), None);
    let show = |event: &Event| screen.show(event);
    recorded.events.iter().for_each(show);
    screen.finish();
    args.output.output().again(around, &run, &recorded.plan)?;
    Ok(ExitCode::Done)
}
