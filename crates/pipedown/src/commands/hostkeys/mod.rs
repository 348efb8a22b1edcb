//! `pipedown hostkeys …`: who the hosts are, and who says so. One file per subcommand.

mod collect;
mod edit;
mod export;
mod find;
mod known;
mod published;
mod rotate;
mod scan;
mod show;
mod trust;
mod verify;
mod witnesses;

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
  pipedown hostkeys scan @login > scanned
  pipedown hostkeys verify @login
  pipedown hostkeys trust @login --from sshfp
  pipedown hostkeys rotate @login --dry-run
  pipedown hostkeys find web1
  pipedown hostkeys export @web --format sshfp-zone
  pipedown hostkeys COMMAND --help says more.";

/// The subcommands.
#[derive(Debug, Subcommand)]
enum HostkeysCommand {
    /// Show fingerprints of hosts' keys, or of keys in files; with -v as pictures
    Show(show::ShowArgs),
    /// Collect the keys that hosts offer; trusts nothing
    Scan(scan::ScanArgs),
    /// Compare the keys that hosts offer with known_hosts, DNS, a published list, a host CA
    Verify(verify::VerifyArgs),
    /// Add keys to known_hosts for which somebody vouches
    Trust(trust::TrustArgs),
    /// Learn all keys of hosts that are trusted already
    Rotate(rotate::RotateArgs),
    /// Find the lines of known_hosts that name a host
    Find(find::FindArgs),
    /// Hash the names in known_hosts
    Hash(edit::HashArgs),
    /// Remove the lines of known_hosts that name a host
    Remove(edit::RemoveArgs),
    /// Print SSHFP records for DNS
    Sshfp(export::SshfpArgs),
    /// Write down what is known of the inventory's hosts: known_hosts, authorities, DNS zone, JSON
    Export(export::ExportArgs),
}

pub async fn run(around: &Surroundings, args: HostkeysArgs) -> Result<ExitCode, Stop> {
    match args.command {
        HostkeysCommand::Show(args) => show::run(around, &args),
        HostkeysCommand::Scan(args) => scan::run(around, &args).await,
        HostkeysCommand::Verify(args) => verify::run(around, &args).await,
        HostkeysCommand::Trust(args) => trust::run(around, &args).await,
        HostkeysCommand::Rotate(args) => rotate::run(around, &args).await,
        HostkeysCommand::Find(args) => find::run(around, &args),
        HostkeysCommand::Hash(args) => edit::hash(around, &args),
        HostkeysCommand::Remove(args) => edit::remove(around, &args),
        HostkeysCommand::Sshfp(args) => export::sshfp(around, &args),
        HostkeysCommand::Export(args) => export::export(around, &args),
    }
}
