//! `pipedown plan PLAYBOOK -l SET --at TIME [--out FILE]`.

use std::path::PathBuf;

use clap::Args;
use pipedown_model::ExitCode;

use crate::cli::{PlaybookArgs, TargetArgs, TimeArgs};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{compiling, terminal};

/// Shows, offline, what would happen on every host and when, with the exact texts. With --out the plan is written to a
/// file that `pipedown run FILE` executes byte by byte as it was reviewed.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    what: PlaybookArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Write the plan to a file (name it *.plan)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(around: &Surroundings, args: &PlanArgs) -> Result<ExitCode, Stop> {
    if args.out.as_ref().is_some_and(|path| path.extension().is_none_or(|e| e != "plan")) {
        return Err(Stop::usage("--out: the name of a plan ends in .plan, so that `pipedown run` knows it"));
    }
    let plan = match compiling::plan_file(&args.what.playbook)? {
        Some(plan) => plan,
        None => compiling::plan(around, &args.what, &args.targets, &args.time)?,
    };
    let json = pipedown_plan::to_json(&plan)?;
    if let Some(path) = &args.out {
        terminal::write_file(path, &json)
            .map_err(|e| Stop::failed(format!("write {}: {e}", path.display())))?;
        around.note(&format!("written: {}; run it with: pipedown run {}", path.display(), path.display()));
    }
    let text = if around.global.json {
        String::from_utf8_lossy(&json).into_owned()
    } else {
        pipedown_plan::timeline(&plan)
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}
