//! `pipedown fetch SET:/path… DIR`.

use std::path::PathBuf;

use clap::Args;
use pipedown_model::{ExitCode, FetchStep, StepSpec};

use crate::cli::{BatchArgs, ReachArgs};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::transfer::{Place, Work, see_through};

/// Fetches files from many hosts at once into DIR/HOST/NAME. What is here already is left alone.
#[derive(Debug, Args)]
#[command(after_help = HELP, mut_arg("host_timeout", |arg| arg.hide(true)))]
pub struct FetchArgs {
    /// Hosts, and a file on each of them; more than one for the same hosts may be named
    #[arg(value_name = "SET:/path", required = true)]
    from: Vec<String>,
    /// Folder of this machine; made if it is not there
    #[arg(value_name = "DIR", required = true)]
    into: PathBuf,
    /// Fetch folders with all that is in them; nothing is removed here
    #[arg(short, long)]
    recursive: bool,
    /// Read as root, with sudo (or as the inventory's `become` says)
    #[arg(long)]
    sudo: bool,
    /// Look at the hosts and say what would be fetched
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit code 2 if something would be fetched
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
    #[command(flatten)]
    batches: BatchArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
A file gets its name when all of it has arrived and its sum is right; a part that
a broken link has left is gone on with. A log that grows meanwhile is fetched as
long as it was when it was looked at. Small files come together, some hundred by
one command. docs/FILES.md says more.

  pipedown fetch @web:/var/log/app.log logs/           logs/web01/app.log, ...
  pipedown fetch -r 'web[01-40]:/etc/app' out/ --sudo
  pipedown fetch web01:/etc/motd web01:/etc/issue out/

Exit codes: 0 done, 3 some host failed, 4 some host unreachable, 5 stopped.";

pub async fn run(around: &Surroundings, args: FetchArgs) -> Result<ExitCode, Stop> {
    let places = args.from.iter().map(|text| Place::parse(text)).collect::<Result<Vec<Place>, Stop>>()?;
    let Some(first) = places.first() else { return Err(Stop::usage("which files?")) };
    if let Some(other) = places.iter().find(|place| place.set != first.set) {
        return Err(Stop::usage(format!("{} and {} are different hosts", first.set, other.set))
            .hint("fetch from one set of hosts at a time"));
    }
    let path = |place: &Place| if place.path.is_empty() { ".".to_owned() } else { place.path.clone() };
    let into = std::path::absolute(&args.into)
        .map_err(|error| Stop::failed(format!("find {}: {error}", args.into.display())))?;
    if into.to_str().is_none() {
        return Err(Stop::usage(format!("the name {} is not UTF-8", into.display())));
    }
    let step = FetchStep {
        paths: places.iter().map(path).collect(),
        into,
        recursive: args.recursive,
        root: args.sudo,
    };
    let work = Work {
        name: "fetch",
        shown: format!("{} into {}", args.from.join(" "), args.into.display()),
        set: &first.set,
        spec: StepSpec::Fetch(step),
        text: None,
        sudo: args.sudo,
        dry_run: args.dry_run,
        detailed: args.detailed_exitcode,
    };
    see_through(around, work, &args.batches, &args.reach).await
}
