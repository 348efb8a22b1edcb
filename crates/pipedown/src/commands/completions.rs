//! `pipedown completions SHELL`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use pipedown_model::{ExitCode, sshd_keywords};
use pipedown_plan::Playbook;

use crate::arguments::{self, COMMANDS};
use crate::cli::Cli;
use crate::compiling;
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
    let (listed, _) = compiling::catalog()?.list();
    let playbooks: Vec<Playbook> = listed.into_iter().flatten().collect();
    let mut command = Cli::command();
    for name in COMMANDS {
        command =
            command.mut_subcommand(name, |sub| known_values(arguments::with_variables(sub, &playbooks)));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pipedown", &mut script);
    crate::terminal::data(&String::from_utf8_lossy(&script))
        .map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

/// Offers the keywords of sshd_config(5) where one is to be typed.
fn known_values(command: Command) -> Command {
    let keywords = || sshd_keywords().iter().filter(|keyword| keyword.until.is_none());
    let settings = PossibleValuesParser::new(keywords().map(|keyword| &*format!("{}=", keyword.name).leak()));
    let names = PossibleValuesParser::new(keywords().map(|keyword| keyword.name));
    command
        .mut_arg("set", |option| option.value_parser(settings))
        .mut_arg("unset", |option| option.value_parser(names))
}
