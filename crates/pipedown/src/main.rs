//! The pipedown command: argv, environment, terminal, wiring, signals, exit code.

mod adhoc;
mod arguments;
mod bastions;
mod cli;
mod commands;
mod compiling;
mod descriptors;
mod drive;
mod fact_cache;
mod inventory_program;
mod output;
mod outside;
mod reach;
mod rollout;
mod secrets;
mod settings;
mod stop;
mod surroundings;
mod targets;
mod terminal;
mod trace;
mod transfer;

use std::process::ExitCode as ProcessExit;

use clap::FromArgMatches;
use clap::error::ErrorKind;
use pipedown_model::ExitCode;

use crate::cli::{Cli, Command};
use crate::stop::Stop;
use crate::surroundings::Surroundings;

fn main() -> ProcessExit {
    let prepared = arguments::prepare(std::env::args_os().collect(), compiling::playbook);
    let read = prepared.command.try_get_matches_from(prepared.args);
    let cli = match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return wrong(&error, prepared.problem),
    };
    if let Command::Confine { args } = cli.command {
        return sshd_embed::confine_main(args);
    }
    let code = match Surroundings::gather(cli.global) {
        Ok(around) => match dispatch(&around, cli.command) {
            Ok(code) => code,
            Err(stop) => {
                terminal::say(&stop.render(around.colours(&std::io::stderr())));
                stop.code
            }
        },
        Err(stop) => {
            terminal::say(&stop.render(false));
            stop.code
        }
    };
    if let Some(error) = terminal::unwritten() {
        let stop = Stop::failed(format!("write to standard output: {error}"))
            .hint("a run is recorded: `pipedown runs` lists it, `pipedown show RUN` shows it again");
        terminal::say(&stop.render(false));
        return ProcessExit::from(stop.code.code());
    }
    ProcessExit::from(code.code())
}

/// Says why the command line cannot be read, or what was asked for in its place.
fn wrong(error: &clap::Error, problem: Option<Stop>) -> ProcessExit {
    // An option is unknown because the playbook is: that is the better reason.
    if let Some(problem) = problem.filter(|_| error.kind() == ErrorKind::UnknownArgument) {
        terminal::say(&problem.render(false));
        return ProcessExit::from(problem.code.code());
    }
    // A closed terminal is no reason for another exit code.
    let _ = error.print();
    let fine = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    ProcessExit::from(if fine { 0 } else { ExitCode::Usage.code() })
}

fn dispatch(around: &Surroundings, command: Command) -> Result<ExitCode, Stop> {
    use crate::commands as c;
    match command {
        Command::Plan(args) => c::plan::run(around, &args),
        Command::Runs(args) => c::runs::run(around, &args),
        Command::Show(args) => c::show::run(around, &args),
        Command::Hosts(args) => c::hosts::run(around, &args),
        Command::Playbooks(args) => c::playbooks::run(around, &args),
        Command::Completions(args) => c::completions::run(&args),
        Command::Confine { .. } => Ok(ExitCode::Internal),
        command => {
            descriptors::raise();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(|e| Stop::failed(format!("start the runtime: {e}")))?;
            let done = runtime.block_on(connected(around, command));
            // A prompt that still waits on a blocking thread must not hold the process.
            runtime.shutdown_background();
            done
        }
    }
}

/// The commands that talk to hosts.
async fn connected(around: &Surroundings, command: Command) -> Result<ExitCode, Stop> {
    use crate::commands as c;
    match command {
        Command::Demo(args) => c::demo::run(around, &args).await,
        Command::Sshd(args) => c::sshd::run(around, &args).await,
        Command::Run(args) => c::run::run(around, args).await,
        Command::Status(args) => c::status::run(around, &args).await,
        Command::Cancel(args) => c::cancel::run(around, &args).await,
        Command::Postpone(args) => c::postpone::run(around, &args).await,
        Command::Resume(args) => c::resume::run(around, &args).await,
        Command::Exec(args) => c::exec::run(around, args).await,
        Command::Copy(args) => c::copy::run(around, args).await,
        Command::Fetch(args) => c::fetch::run(around, args).await,
        Command::Facts(args) => c::facts::run(around, &args).await,
        Command::Doctor(args) => c::doctor::run(around, &args).await,
        Command::Hostkeys(args) => c::hostkeys::run(around, args).await,
        Command::Plan(_)
        | Command::Runs(_)
        | Command::Show(_)
        | Command::Hosts(_)
        | Command::Playbooks(_)
        | Command::Completions(_)
        | Command::Confine { .. } => Ok(ExitCode::Internal),
    }
}
