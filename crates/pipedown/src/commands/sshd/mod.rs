//! `pipedown sshd …`: the hosts' sshd, and one of our own to look at clients with. One file per subcommand.

mod asking;
mod debug;
#[cfg(test)]
mod fixture;
mod log;
mod rollback;
mod status;
mod values;

use clap::{Args, Subcommand};
use pipedown_model::ExitCode;

use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// Shows what the hosts' sshd serve, and takes changes back; with --debug serves SSH on loopback for a look at clients
#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(arg_required_else_help = true)]
pub struct SshdArgs {
    #[command(subcommand)]
    command: Option<SshdCommand>,
    #[command(flatten)]
    debug: debug::DebugArgs,
}

const HELP: &str = "\
status, rollback and log are about the hosts' own sshd, whose configuration is
changed by playbooks (docs/SSHD.md):

  pipedown run keepalive-rollout -l @web --dry-run
  pipedown sshd status @web                # file and line of each value, and what runs
  pipedown sshd rollback web3              # back to the last confirmed state
  pipedown sshd log web3 --since 30m

--debug is another thing: an SSH server on 127.0.0.1, without privileges, for a
look at what a client does. Its host key is drawn at each start, and what a
client sees after its login is a small host in a temporary folder, which is gone
when the server ends (Ctrl-C). Every message is printed as it passes, both ways, with its number
and name.

The `ssh` line to copy, with a key made for it, and the host key's fingerprint
are said first. Commands run as you, confined (where the kernel has Landlock)
to the small host's folder: logging in as root makes nobody root. Only public
keys let anybody in. A refused login says why.

What passes before NEWKEYS is read from the wire with its contents; of what is
encrypted after that, numbers, names and lengths are shown, and never what was
typed.

  pipedown sshd --debug                    # then copy the line it says
  pipedown sshd --debug --port 2222 --authorized-keys ~/.ssh/id_ed25519.pub
  pipedown sshd --debug --once --json > trace.jsonl";

/// The subcommands.
#[derive(Debug, Subcommand)]
enum SshdCommand {
    /// Show what each sshd has on disk, what it runs, and who has set it
    Status(status::StatusArgs),
    /// Go back to the last confirmed state
    Rollback(rollback::RollbackArgs),
    /// Fetch what sshd has logged
    Log(log::LogArgs),
}

pub async fn run(around: &Surroundings, args: &SshdArgs) -> Result<ExitCode, Stop> {
    match &args.command {
        Some(SshdCommand::Status(args)) => status::run(around, args).await,
        Some(SshdCommand::Rollback(args)) => rollback::run(around, args).await,
        Some(SshdCommand::Log(args)) => log::run(around, args).await,
        None => debug::run(around, &args.debug).await,
    }
}
