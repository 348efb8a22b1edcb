//! `pipedown hostkeys …`: who the hosts are, and who says so. One file per subcommand.

mod show;

use clap::{Args, Subcommand};
use pipedown_model::ExitCode;

use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// Shows, finds and keeps the keys by which hosts prove who they are
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct HostkeysArgs {
    #[command(subcommand)]
    command: HostkeysCommand,
}

const HELP: &str = "\
  pipedown hostkeys show ~/.ssh/known_hosts
  pipedown hostkeys show /etc/ssh/ssh_host_ed25519_key.pub -v    # as a picture
  pipedown hostkeys COMMAND --help says more.";

/// The subcommands.
#[derive(Debug, Subcommand)]
enum HostkeysCommand {
    /// Show fingerprints of keys in files; with -v as pictures
    Show(show::ShowArgs),
}

pub async fn run(around: &Surroundings, args: HostkeysArgs) -> Result<ExitCode, Stop> {
    match args.command {
        HostkeysCommand::Show(args) => show::run(around, &args),
    }
}
