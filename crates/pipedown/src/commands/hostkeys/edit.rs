//! `pipedown hostkeys hash` and `remove`: as `ssh-keygen -H` and `-R`.

use std::path::PathBuf;

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_report::printable;
use pipedown_ssh::{KnownHostsFile, Marker, NamedLine, SshError};

use super::known;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Hashes the names in known_hosts, so that a stolen file tells no names
#[derive(Debug, Args)]
#[command(after_help = HASH_HELP)]
pub struct HashArgs {
    /// The file [default: ~/.ssh/known_hosts]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Keep what was there before, names and all, in FILE.old
    #[arg(long)]
    backup: bool,
}

const HASH_HELP: &str = "\
  pipedown hostkeys hash
  pipedown hostkeys hash -f ./known_hosts --backup
Lines with patterns or markers stay as they are, and are named.";

/// Removes the lines of known_hosts that name a host
#[derive(Debug, Args)]
#[command(after_help = REMOVE_HELP)]
pub struct RemoveArgs {
    #[arg(help = "A name as known_hosts writes it: host, [host]:port", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// The file [default: ~/.ssh/known_hosts]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Remove lines with @cert-authority or @revoked too
    #[arg(long)]
    markers: bool,
    /// Remove lines too that name the host only by a pattern
    #[arg(long)]
    patterns: bool,
    /// Keep what was there before in FILE.old
    #[arg(long)]
    backup: bool,
}

const REMOVE_HELP: &str = "\
  pipedown hostkeys remove web1 --dry-run
  pipedown hostkeys remove '[192.0.2.7]:2222' 192.0.2.7
The exit code is 3 if nothing was found for a name. Lines that nobody can read are kept.";

pub fn hash(around: &Surroundings, args: &HashArgs) -> Result<ExitCode, Stop> {
    let path = known::own_file(around, args.file.as_ref())?;
    let mut file = open(&path)?;
    let done = file.hash_names().map_err(stop)?;
    save(around, &file, args.backup)?;
    for (line, reason) in &done.kept {
        around.note(&format!("{}:{line}: kept as it is: {reason}", path.display()));
    }
    say(&format!("{}: {} names hashed, {} lines kept\n", path.display(), done.names, done.kept.len()))?;
    Ok(ExitCode::Done)
}

pub fn remove(around: &Surroundings, args: &RemoveArgs) -> Result<ExitCode, Stop> {
    let path = known::own_file(around, args.file.as_ref())?;
    let mut file = open(&path)?;
    let mut code = ExitCode::Done;
    let mut text = String::new();
    for name in &args.names {
        let mut removed = 0_usize;
        for line in file.naming(name) {
            let what = described(&line);
            if let Some(option) = kept(args, &line) {
                around.note(&format!(
                    "{}:{}: kept: {what}; {option} removes it",
                    path.display(),
                    line.number
                ));
                continue;
            }
            file.remove(line.number);
            removed = removed.saturating_add(1);
            let verb = if args.dry_run { "would be removed" } else { "removed" };
            text.push_str(&format!("{}:{}: {verb}: {what}\n", path.display(), line.number));
        }
        if removed == 0 {
            around.note(&format!("{}: not found in {}", printable(name), path.display()));
            code = ExitCode::Failed;
        }
    }
    if !args.dry_run {
        save(around, &file, args.backup)?;
    }
    say(&text)?;
    Ok(code)
}

/// The option that a line needs to go.
fn kept(args: &RemoveArgs, line: &NamedLine) -> Option<&'static str> {
    if line.marker.is_some() && !args.markers {
        Some("--markers")
    } else if !line.is_literal && !args.patterns {
        Some("--patterns")
    } else {
        None
    }
}

fn described(line: &NamedLine) -> String {
    let marker = line.marker.map(Marker::as_str).unwrap_or_default();
    let others = match line.others.as_slice() {
        [] => String::new(),
        others => format!(", also for {}", printable(&others.join(","))),
    };
    format!("{marker}{}{}{others}", if marker.is_empty() { "" } else { " " }, line.key)
}

fn open(path: &std::path::Path) -> Result<KnownHostsFile, Stop> {
    let file = KnownHostsFile::open(path).map_err(stop)?;
    if !file.exists() {
        return Err(Stop::bad_input(format!("there is no {}", path.display())).hint("name the file with -f"));
    }
    Ok(file)
}

fn save(around: &Surroundings, file: &KnownHostsFile, is_backed_up: bool) -> Result<(), Stop> {
    if is_backed_up {
        let old = file.back_up().map_err(stop)?;
        around.note(&format!("what was there before: {}", old.display()));
    }
    file.save().map_err(stop)?;
    Ok(())
}

fn stop(error: SshError) -> Stop {
    let is_changed = matches!(error, SshError::FileChanged(_));
    let stop = Stop::failed(error.to_string());
    if is_changed { stop.hint("nothing was written; try again") } else { stop }
}

fn say(text: &str) -> Result<(), Stop> {
    terminal::data(text).map_err(|e| Stop::failed(format!("write: {e}")))
}
