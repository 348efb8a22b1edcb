//! `pipedown completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use pipedown_model::ExitCode;

use crate::cli::Cli;
use crate::stop::Stop;

/// For example: pipedown completions bash > ~/.local/share/bash-completion/completions/pipedown
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

const HELP: &str = "\
  pipedown completions bash > ~/.local/share/bash-completion/completions/pipedown
  pipedown completions zsh > ~/.zfunc/_pipedown            (a folder of $fpath)
  pipedown completions fish > ~/.config/fish/completions/pipedown.fish";

pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pipedown", &mut script);
    crate::terminal::data(&String::from_utf8_lossy(&script))
        .map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}
