//! `pipedown copy FILE… SET:/path`.

use std::path::PathBuf;

use clap::Args;
use pipedown_model::{CopyStep, ExitCode, StepSpec, TextId};

use crate::cli::{BatchArgs, ReachArgs};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::transfer::{Place, Work, manifest, see_through};

/// Copies files to many hosts at once. What is there already is left alone; a file gets its name when all of it has
/// arrived and its sum is right.
#[derive(Debug, Args)]
#[command(after_help = HELP, mut_arg("host_timeout", |arg| arg.hide(true)))]
pub struct CopyArgs {
    /// Files of this machine
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Hosts and where on them: SET:/path gives one file that name, SET:/path/ copies into it
    #[arg(value_name = "SET:/path", required = true)]
    to: String,
    /// Copy folders with all that is in them; nothing is removed on hosts
    #[arg(short, long)]
    recursive: bool,
    /// Mode of every file, in octal [default: that of the file that is replaced, or of FILE]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<u32>,
    /// Owner of everything [default: that of the file that is replaced, or who logs in]
    #[arg(long, value_name = "USER[:GROUP]", value_parser = owner)]
    owner: Option<String>,
    /// Make missing folders on the way
    #[arg(long)]
    parents: bool,
    /// Copy as root, with sudo (or as the inventory's `become` says)
    #[arg(long)]
    sudo: bool,
    /// Look at the hosts and say what would change
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit code 2 if something would change
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
    #[command(flatten)]
    batches: BatchArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
Each host is looked at first: a file with the same content and mode costs no
byte. Others go to a part beside the file, which becomes the file at once when
its sum is right: nobody ever sees half of one. A part that a broken link has
left is gone on with, by `pipedown resume` or by the same copy once more.

  pipedown copy motd @web:/etc/motd --sudo --dry-run
  pipedown copy motd issue 'web[01-40]:/etc/' --sudo --mode 0644
  pipedown copy -r conf.d @web:/etc/app/ --sudo --owner app:app --parents
  pipedown copy notes.txt web01:                       where the login begins

Links of hosts are followed: what they lead to is replaced. Small files go
together, some hundred in one command. docs/FILES.md says more.

Exit codes: 0 done, 3 some host failed, 4 some host unreachable, 5 stopped.";

fn mode(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777 && text.len() <= 5);
    bits.ok_or_else(|| "write permission bits in octal: 0644".to_owned())
}

fn owner(text: &str) -> Result<String, String> {
    let is_name = |name: &str| {
        !name.starts_with('-') && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
    };
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let given = !user.is_empty() || !group.is_empty();
    if given && is_name(user) && is_name(group) && !group.contains(':') {
        Ok(text.to_owned())
    } else {
        Err("write USER, USER:GROUP or :GROUP".to_owned())
    }
}

pub async fn run(around: &Surroundings, args: CopyArgs) -> Result<ExitCode, Stop> {
    let place = Place::parse(&args.to)?;
    let files = args.files.clone();
    let (to, recursive) = (place.clone(), args.recursive);
    // Sums take their time: signals and timers must not wait.
    let wanted = tokio::task::spawn_blocking(move || manifest(&files, &to, recursive))
        .await
        .map_err(|error| Stop::failed(format!("read the files: {error}")))??;
    let text = serde_json::to_string(&wanted).map_err(|e| Stop::failed(format!("list the files: {e}")))?;
    let step = CopyStep {
        manifest: TextId::of(text.as_bytes()),
        mode: args.mode,
        owner: args.owner.clone(),
        parents: args.parents,
        root: args.sudo,
    };
    let names: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
    let work = Work {
        name: "copy",
        shown: format!("{} to {}", names.join(" "), args.to),
        set: &place.set,
        spec: StepSpec::Copy(step),
        text: Some(text),
        sudo: args.sudo,
        dry_run: args.dry_run,
        detailed: args.detailed_exitcode,
    };
    see_through(around, work, &args.batches, &args.reach).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_owners_are_checked_here() {
        assert_eq!(
            ["644", "0644", "04755"].map(|text| mode(text).ok()),
            [Some(0o644), Some(0o644), Some(0o4755)]
        );
        assert!(["", "rw-", "0o644", "99", "100000", "-1"].iter().all(|text| mode(text).is_err()));
        assert!(["app", "app:app", ":adm", "0:0"].iter().all(|text| owner(text).is_ok()));
        assert!(["", ":", "-R", "a:-b", "a b", "a:b:c", "../x"].iter().all(|text| owner(text).is_err()));
    }
}
