//! `pipedown hostkeys trust SET --from SOURCE`.

use std::path::{Path, PathBuf};

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_ssh::{DnsVoice, HostKey, HostScan, KnownHostsFile, Target};

use super::collect::{CollectArgs, HostArgs, collect, name_of};
use super::scan::{account, code};
use super::verify::dns_of;
use super::witnesses::{DnsArgs, Opinion, Shown, Source, Witnesses};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Adds keys of hosts to known_hosts for which somebody vouches, after you have seen them
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct TrustArgs {
    #[command(flatten)]
    hosts: HostArgs,
    /// Who vouches: sshfp, `list FILE|URL`, `ca FILE` or `console-output FILE`
    #[arg(long, value_names = ["SOURCE", "FILE"], num_args = 1..=2, required_unless_present = "trust_on_first_use")]
    from: Vec<String>,
    /// Believe whoever answers now; said so in known_hosts
    #[arg(long, conflicts_with = "from")]
    trust_on_first_use: bool,
    /// known_hosts file to write [default: each host's first, ~/.ssh/known_hosts]
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the names hashed
    #[arg(short = 'H', long)]
    hash: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    dns: DnsArgs,
    #[command(flatten)]
    collect: CollectArgs,
}

const HELP: &str = "\
  pipedown hostkeys trust @login --from sshfp
  pipedown hostkeys trust @login --from list https://www.example.org/known_hosts
  pipedown hostkeys trust @login --from ca host_ca.pub --yes
  pipedown hostkeys trust web1 --from console-output console.log   # one host, one console

Shows every key with who vouches for it, asks once for their number, and writes all or none. Each line ends with
the date, the source and who added it. Keys that nobody vouches for, and hosts for which known_hosts has another
key, are left out and named. What one host has printed on its console vouches for that host only.

Exit code: 0 every host has a trusted key now, 3 some host was left out, 4 some host could not be reached,
5 not confirmed.";

/// A key that would be added.
struct Addition {
    file: PathBuf,
    name: String,
    host: String,
    key: HostKey,
    by: String,
}

/// What follows for all hosts.
#[derive(Default)]
struct Review {
    additions: Vec<Addition>,
    /// Hosts with a key that stands in known_hosts already.
    known: usize,
    /// Hosts that are left out, with the reason.
    left_out: Vec<String>,
}

pub async fn run(around: &Surroundings, args: &TrustArgs) -> Result<ExitCode, Stop> {
    let targets = args.hosts.targets(around)?;
    let witness = witness(args, &targets).await?;
    let mut options = args.collect.options()?;
    options.certificates = witness.wants_certificates();
    let mut known = Witnesses::default();
    known.ask_known_hosts(around, &targets);
    let scans = collect(around, targets, &options, args.collect.parallel).await;
    let review = review(around, args, &scans, &witness, &known).await?;
    around.note(account(&scans).trim_end());
    for reason in &review.left_out {
        terminal::say(&format!("left out: {reason}"));
    }
    let all = if review.left_out.is_empty() { ExitCode::Done } else { ExitCode::Failed }.max(code(&scans));
    if review.additions.is_empty() {
        around.note(&format!("nothing to add; {} hosts were known before", review.known));
        return Ok(all);
    }
    terminal::data(&shown(&review.additions)).map_err(|e| Stop::failed(format!("write: {e}")))?;
    confirm(args, &review.additions)?;
    write(args, &review.additions)?;
    around.note(&format!("added {} keys", review.additions.len()));
    Ok(all)
}

/// The one source that was named.
async fn witness(args: &TrustArgs, targets: &[Target]) -> Result<Witnesses, Stop> {
    let mut witness = Witnesses::default();
    let words: Vec<&str> = args.from.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {}
        ["sshfp"] => witness.ask_dns(args.dns.lookup()?),
        ["list", list] => witness.ask_list(list).await?,
        ["ca", file] => witness.ask_authorities(Path::new(file))?,
        ["console-output", file] => {
            if targets.len() != 1 {
                return Err(Stop::usage(format!(
                    "one console is one host's, and {} were named",
                    targets.len()
                ))
                .hint("run it once for each host, with that host's output"));
            }
            witness.ask_console(Path::new(file))?;
        }
        ["sshfp", _] => {
            return Err(Stop::usage("--from sshfp takes no file").hint("name hosts before --from"));
        }
        [source @ ("list" | "ca" | "console-output")] => {
            return Err(Stop::usage(format!("--from {source} needs a file")).hint("see --help for examples"));
        }
        [source, ..] => {
            return Err(
                Stop::usage(format!("{source} cannot vouch")).hint("sshfp, list, ca or console-output")
            );
        }
    }
    Ok(witness)
}

async fn review(
    around: &Surroundings,
    args: &TrustArgs,
    scans: &[(Target, HostScan)],
    witness: &Witnesses,
    known: &Witnesses,
) -> Result<Review, Stop> {
    let found = dns_of(scans, witness).await;
    let now = Surroundings::now().timestamp().unsigned_abs();
    let mut review = Review::default();
    for ((target, scan), dns) in scans.iter().zip(&found) {
        let Ok(scanned) = &scan.outcome else { continue };
        let shown = Shown { target, certificates: &scanned.certificates, dns: dns.as_ref() };
        let file = file_of(around, args, target)?;
        let mut reasons = Vec::new();
        let (mut is_known, mut added) = (false, Vec::new());
        for key in &scanned.keys {
            if let Some(opinion) =
                known.opinions(&shown, key, now).into_iter().find(|o| o.source == Source::KnownHosts)
            {
                match opinion.voice {
                    DnsVoice::Vouches => {
                        is_known = true;
                        continue;
                    }
                    DnsVoice::Contradicts => {
                        reasons.push(format!("{}: {}", key.algorithm(), opinion.said));
                        continue;
                    }
                    DnsVoice::Silent => {}
                }
            }
            match voucher(args, &witness.opinions(&shown, key, now)) {
                Ok(by) => added.push((key, by)),
                Err(reason) => reasons.push(format!("{}: {reason}", key.algorithm())),
            }
        }
        let name = || pipedown_report::printable(&target.name);
        if !added.is_empty() {
            let addition = |(key, by): (&HostKey, String)| Addition {
                file: file.clone(),
                name: name_of(target),
                host: name(),
                key: key.clone(),
                by,
            };
            review.additions.extend(added.into_iter().map(addition));
        } else if is_known {
            review.known += 1;
        } else {
            review.left_out.push(format!("{}: {}", name(), pipedown_report::printable(&reasons.join("; "))));
        }
    }
    Ok(review)
}

/// Who vouches, or why nobody does.
fn voucher(args: &TrustArgs, opinions: &[Opinion]) -> Result<String, String> {
    if args.trust_on_first_use {
        return Ok("trust-on-first-use, nobody vouches".to_owned());
    }
    match opinions.iter().find(|opinion| opinion.voice == DnsVoice::Vouches) {
        Some(opinion) => Ok(format!("{}, {}", opinion.source.word(), opinion.said)),
        None => Err(opinions
            .iter()
            .map(|o| format!("{}: {}", o.source.word(), o.said))
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

fn file_of(around: &Surroundings, args: &TrustArgs, target: &Target) -> Result<PathBuf, Stop> {
    let of_target = || target.trust.user_files.as_ref().and_then(|files| files.first().cloned());
    let usual = || around.home().map(|home| home.join(".ssh/known_hosts"));
    let file = args.output.clone().or_else(of_target).or_else(usual);
    file.ok_or_else(|| Stop::failed("find a known_hosts file: HOME is not set").hint("name one with -o FILE"))
}

fn shown(additions: &[Addition]) -> String {
    let row = |a: &Addition| {
        let by = pipedown_report::printable(&a.by);
        [a.host.clone(), a.key.algorithm().escape_debug().to_string(), a.key.fingerprint(), by]
    };
    let rows: Vec<_> = additions.iter().map(row).collect();
    pipedown_report::table(["HOST", "TYPE", "FINGERPRINT", "VOUCHED FOR BY"], &rows)
}

fn confirm(args: &TrustArgs, additions: &[Addition]) -> Result<(), Stop> {
    if args.yes {
        return Ok(());
    }
    let count = additions.len();
    if !terminal::can_ask() {
        return Err(Stop::refused(format!("{count} keys would be added, and nobody can be asked"))
            .hint("look at them, then add --yes"));
    }
    let mut files: Vec<_> = additions.iter().map(|a| a.file.display().to_string()).collect();
    files.dedup();
    let answer = terminal::ask(&format!(
        "Add these to {}? Type their number ({count}) to go ahead:",
        files.join(", ")
    ));
    if answer == count.to_string() {
        return Ok(());
    }
    Err(Stop::refused("not confirmed; nothing was changed"))
}

/// Writes file by file, each of them whole or not at all.
fn write(args: &TrustArgs, additions: &[Addition]) -> Result<(), Stop> {
    let failed = |e: pipedown_ssh::SshError| Stop::failed(e.to_string());
    let mut files: Vec<&PathBuf> = additions.iter().map(|addition| &addition.file).collect();
    files.sort();
    files.dedup();
    let day = Surroundings::now().format("%Y-%m-%d");
    let operator = Surroundings::operator();
    for path in files {
        let mut file = KnownHostsFile::open(path).map_err(failed)?;
        for addition in additions.iter().filter(|addition| &addition.file == path) {
            let line =
                pipedown_ssh::known_hosts_line(&addition.name, &addition.key, args.hash).map_err(failed)?;
            let by = pipedown_report::printable(&addition.by);
            file.add(&format!("{line} pipedown {day} {operator}: {by}"));
        }
        file.save().map_err(failed)?;
    }
    Ok(())
}
