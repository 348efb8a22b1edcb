//! `pipedown plan PLAYBOOK -l SET --at TIME [--out FILE]`.

use std::path::PathBuf;

use clap::Args;
use pipedown_model::ExitCode;

use crate::cli::{BatchArgs, PlaybookArgs, TargetArgs, TimeArgs};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{compiling, terminal};

/// Shows, offline, what would happen on every host and when, with the exact texts. With --out the plan is written to a
/// file that `pipedown run FILE` executes byte by byte as it was reviewed.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct PlanArgs {
    #[command(flatten)]
    pub what: PlaybookArgs,
    /// Write the plan to a file (name it *.plan)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    batches: BatchArgs,
}

const HELP: &str = "\
Nothing is connected to. What is printed is what would be armed: every entry
of every host's agenda, with its time there and its exact text. With --out it
is written to a file; `pipedown run FILE` then does what was reviewed.

  pipedown plan graceful-shutdown -l @login --at 18:00 --reason 'new fans'
  pipedown plan graceful-reboot --all --at 2026-12-01T06:00 --tz host
  pipedown plan graceful-shutdown -l @login --at 18:00 --first-notice T-1h
  pipedown plan graceful-shutdown -l @login --at 18:00 --out w.plan
  pipedown plan sshd-hardening --all --passwords no --batch 1,10%,rest";

pub fn run(around: &Surroundings, args: &PlanArgs) -> Result<ExitCode, Stop> {
    if args.out.as_ref().is_some_and(|path| path.extension().is_none_or(|e| e != "plan")) {
        return Err(Stop::usage("--out: the name of a plan ends in .plan, so that `pipedown run` knows it"));
    }
    let mut plan = compiling::plan(around, &args.what, &args.targets, &args.time)?;
    if args.batches != BatchArgs::default() && compiling::is_plan(&args.what.playbook) {
        return Err(Stop::usage(
            "a plan has its batches: leave --batch and --max-failures to `pipedown run`",
        ));
    }
    if !args.batches.batch.is_empty() {
        plan.batches.clone_from(&args.batches.batch);
    }
    plan.max_failures = args.batches.max_failures.or(plan.max_failures);
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
