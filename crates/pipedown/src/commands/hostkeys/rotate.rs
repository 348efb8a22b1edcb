//! `pipedown hostkeys rotate SET`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use pipedown_model::ExitCode;
use pipedown_ssh::{
    Connector, FailureClass, HostKey, KeyUpdate, KnownHostsFile, Target, Update, UpdateObjection,
};
use serde::Serialize;

use super::collect::{HostArgs, name_of};
use crate::cli::duration;
use crate::reach;
use crate::secrets::Prompt;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Learns all keys of hosts that are trusted already, proven over one login each
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RotateArgs {
    #[command(flatten)]
    hosts: HostArgs,
    /// Remove keys that a host does not announce any more
    #[arg(long)]
    prune: bool,
    /// Only show what would change
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Write the names hashed
    #[arg(short = 'H', long)]
    hash: bool,
    /// How many hosts at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Limit for TCP's connect, and again for the version line
    #[arg(short = 'T', long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    connect_timeout: Duration,
}

const HELP: &str = "\
  pipedown hostkeys rotate @login --dry-run    # which keys are new, which are gone
  pipedown hostkeys rotate @login              # learn the new ones
  pipedown hostkeys rotate @login --prune      # and forget those that the hosts have no more

A rotation without a gap: add the new key on the host and keep the old one, run `rotate` on every controller,
remove the old key from the host, run `rotate --prune`.

The rules are those of UpdateHostKeys in ssh_config(5): the key in use has to stand in a known_hosts file of
yours, on a line for this host alone; the host proves every new key (hostkeys-prove-00@openssh.com).

Exit code: 0 done, or nothing to do, 3 some host proves nothing or may not be changed, 4 some host could not be
reached, 5 not confirmed.";

/// What one login has shown.
enum Finding {
    Update(Box<Proposal>),
    Objection(UpdateObjection),
    Failed { code: ExitCode, why: String, hint: String },
}

/// What would change in one file because of one host.
struct Proposal {
    file: PathBuf,
    name: String,
    used: HostKey,
    announced: Vec<HostKey>,
    update: KeyUpdate,
}

#[derive(Serialize)]
struct Row<'a> {
    host: &'a str,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub async fn run(around: &Surroundings, args: &RotateArgs) -> Result<ExitCode, Stop> {
    let targets = args.hosts.targets(around)?;
    let connector = reach::connector(around, args.connect_timeout, Prompt::default());
    for target in &targets {
        connector.unlock(target).await;
    }
    let at_once = usize::from(crate::descriptors::at_once(around, args.parallel, targets.len(), 0));
    let asking = targets.iter().enumerate().map(|(number, target)| {
        let connector = &connector;
        async move { (number, target, look(around, connector, target).await) }
    });
    let mut found: Vec<_> = futures::stream::iter(asking).buffer_unordered(at_once).collect().await;
    found.sort_unstable_by_key(|(number, ..)| *number);
    let found: Vec<(&Target, Finding)> =
        found.into_iter().map(|(_, target, finding)| (target, finding)).collect();
    for warning in connector.warnings() {
        around.note(&format!("note: {warning}"));
    }
    show(around, args, &found)?;
    let changes = changes(&found, args.prune);
    if changes.is_empty() || args.dry_run {
        return Ok(code(&found));
    }
    let keys: usize = changes
        .iter()
        .map(|p| p.update.learn.len() + if args.prune { p.update.forget.len() } else { 0 })
        .sum();
    confirm(args, keys)?;
    for proposal in changes {
        write(args, proposal)?;
    }
    around.note(&format!("{keys} changes written"));
    Ok(code(&found))
}

fn changes<'a>(found: &'a [(&'a Target, Finding)], prune: bool) -> Vec<&'a Proposal> {
    let proposals = found.iter().filter_map(|(_, finding)| match finding {
        Finding::Update(proposal) => Some(&**proposal),
        _ => None,
    });
    proposals.filter(|p| !p.update.learn.is_empty() || (prune && !p.update.forget.is_empty())).collect()
}

/// Logs in, hears what is announced, and has it proven.
async fn look(around: &Surroundings, connector: &Connector, target: &Target) -> Finding {
    let connection = match connector.connect(target).await {
        Ok(connection) => connection,
        Err(error) => {
            let code = match error.class() {
                FailureClass::Unresolved | FailureClass::Unreachable | FailureClass::TimedOut => {
                    ExitCode::Unreachable
                }
                _ => ExitCode::Failed,
            };
            return Finding::Failed { code, why: error.to_string(), hint: error.hint() };
        }
    };
    let used = connection.host_key().clone();
    let failed = |error: pipedown_ssh::SshError| Finding::Failed {
        code: ExitCode::Failed,
        why: error.to_string(),
        hint: "nothing is learned from a host that does not prove its keys".to_owned(),
    };
    let announced = match connection.announced_host_keys().await {
        Ok(announced) => announced,
        Err(error) => return failed(error),
    };
    let (file, update) = match plan(around, target, &used, &announced) {
        Ok(planned) => planned,
        Err(finding) => return finding,
    };
    if let Err(error) = connection.prove_host_keys(&update.learn).await {
        return failed(error);
    }
    connection.close().await;
    Finding::Update(Box::new(Proposal { file, name: name_of(target), used, announced, update }))
}

/// The file that knows the key in use, and what would change in it.
fn plan(
    around: &Surroundings,
    target: &Target,
    used: &HostKey,
    announced: &[HostKey],
) -> Result<(PathBuf, KeyUpdate), Finding> {
    let usual =
        || around.home().map(pipedown_ssh::Settings::for_home).unwrap_or_default().default_known_hosts;
    let mut objection = UpdateObjection::NotInFile;
    for path in target.trust.user_files.clone().unwrap_or_else(usual) {
        let failed = |error: pipedown_ssh::SshError| Finding::Failed {
            code: ExitCode::Failed,
            why: error.to_string(),
            hint: "check who may read and write the file".to_owned(),
        };
        let file = KnownHostsFile::open(&path).map_err(failed)?;
        match KeyUpdate::plan(&file, &name_of(target), used, announced) {
            Ok(update) => return Ok((path, update)),
            Err(UpdateObjection::NotInFile) => {}
            Err(other) => objection = other,
        }
    }
    Err(Finding::Objection(objection))
}

fn show(around: &Surroundings, args: &RotateArgs, found: &[(&Target, Finding)]) -> Result<(), Stop> {
    let rows: Vec<Row<'_>> =
        found.iter().flat_map(|(target, finding)| rows(target, finding, args.prune)).collect();
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        let cells = |row: &Row<'_>| {
            let note = row.why.clone().or_else(|| row.file.clone()).unwrap_or_default();
            [
                pipedown_report::printable(row.host),
                row.change.replace('_', " "),
                row.r#type.unwrap_or_default().escape_debug().to_string(),
                row.fingerprint.clone().unwrap_or_default(),
                pipedown_report::printable(&note),
            ]
        };
        let cells: Vec<_> = rows.iter().map(cells).collect();
        pipedown_report::table(["HOST", "CHANGE", "TYPE", "FINGERPRINT", "WHERE OR WHY"], &cells)
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    for (_, finding) in found {
        if let Finding::Failed { hint, .. } = finding {
            around.note(&format!("  hint: {hint}"));
        }
    }
    Ok(())
}

fn rows<'a>(target: &'a Target, finding: &'a Finding, prune: bool) -> Vec<Row<'a>> {
    let row =
        |change, why| Row { host: &target.name, change, r#type: None, fingerprint: None, file: None, why };
    match finding {
        Finding::Objection(objection) => vec![row("left_alone", Some(objection.to_string()))],
        Finding::Failed { why, .. } => vec![row("failed", Some(why.clone()))],
        Finding::Update(proposal) if proposal.update.is_empty() => vec![row("up_to_date", None)],
        Finding::Update(proposal) => {
            let key = |change, key: &'a HostKey, why| Row {
                r#type: Some(key.algorithm()),
                fingerprint: Some(key.fingerprint()),
                file: Some(proposal.file.display().to_string()),
                ..row(change, why)
            };
            let kept = (!prune).then(|| "kept; --prune removes it".to_owned());
            let learn = proposal.update.learn.iter().map(|new| key("learn", new, None));
            let forget = proposal.update.forget.iter().map(|(_, old)| key("gone", old, kept.clone()));
            learn.chain(forget).collect()
        }
    }
}

fn code(found: &[(&Target, Finding)]) -> ExitCode {
    let of = |(_, finding): &(&Target, Finding)| match finding {
        Finding::Update(_) => ExitCode::Done,
        Finding::Objection(_) => ExitCode::Failed,
        Finding::Failed { code, .. } => *code,
    };
    found.iter().map(of).max().unwrap_or(ExitCode::Done)
}

fn confirm(args: &RotateArgs, keys: usize) -> Result<(), Stop> {
    if args.yes {
        return Ok(());
    }
    if !terminal::can_ask() {
        return Err(Stop::refused(format!("{keys} changes would be written, and nobody can be asked"))
            .hint("look at them with --dry-run, then add --yes"));
    }
    if terminal::confirm(&format!("write {keys} changes?")) {
        return Ok(());
    }
    Err(Stop::refused("not confirmed; nothing was changed"))
}

fn write(args: &RotateArgs, proposal: &Proposal) -> Result<(), Stop> {
    let day = Surroundings::now().format("%Y-%m-%d");
    let remark = format!("pipedown {day} {}: rotate, proven by the host", Surroundings::operator());
    let Proposal { file, name, used, announced, update } = proposal;
    let how = Update { proven: &update.learn, prune: args.prune, hash: args.hash, remark: &remark };
    let written = pipedown_ssh::update_known_hosts(file, name, used, announced, &how);
    match written.map_err(|e| Stop::failed(e.to_string()))? {
        Ok(_) => Ok(()),
        // Somebody has changed the file since it was looked at.
        Err(objection) => {
            Err(Stop::refused(format!("{}: {objection}; nothing was changed for it", proposal.name)))
        }
    }
}
