//! `pipedown hostkeys scan SET`.

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_ssh::{HostKey, HostScan, ScanFailureKind, Scanned, Target};
use serde::Serialize;

use super::collect::{CollectArgs, HostArgs, collect, name_of};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Collects the keys that hosts offer. Trusts nothing
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ScanArgs {
    #[command(flatten)]
    hosts: HostArgs,
    #[command(flatten)]
    collect: CollectArgs,
    /// Write the names hashed
    #[arg(short = 'H', long)]
    hash: bool,
}

const HELP: &str = "\
  pipedown hostkeys scan @login > scanned              # as known_hosts has them
  pipedown hostkeys scan web1 web2 192.0.2.7 -p 2222   # need not be in the inventory
  pipedown hostkeys scan -f hosts.txt --types ed25519
  pipedown hostkeys scan @login --json

Keys go to standard output as known_hosts lines, the account of every host to standard error.
A scan proves nothing: whoever answers on the way could answer instead. Before keys are trusted, somebody has to
vouch for them: `pipedown hostkeys verify` and `trust`.

Exit code: 0 every host showed its keys, 4 some could not be reached (refused and throttled ones too),
3 something answered and showed no key.";

/// A host, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    host: &'a str,
    address: String,
    port: u16,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<KeyRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<MissingRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// How often it was asked again because it took no more connections.
    throttled: u32,
}

#[derive(Debug, Serialize)]
struct KeyRow {
    r#type: String,
    fingerprint: String,
    line: String,
}

#[derive(Debug, Serialize)]
struct MissingRow<'a> {
    r#type: &'a str,
    why: &'a str,
}

pub async fn run(around: &Surroundings, args: &ScanArgs) -> Result<ExitCode, Stop> {
    let targets = args.hosts.targets(around)?;
    let mut options = args.collect.options()?;
    options.certificates = false;
    let scans = collect(around, targets, &options, args.collect.parallel).await;
    let text = if around.global.json {
        let rows: Vec<Row<'_>> = scans.iter().map(|(target, scan)| row(target, scan)).collect();
        crate::commands::json_lines(&rows)?
    } else {
        let mut text = String::new();
        for (target, scan) in &scans {
            for key in scan.outcome.iter().flat_map(|scanned| &scanned.keys) {
                text.push_str(&line(target, key, args.hash)?);
                text.push('\n');
            }
        }
        text
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    if !around.global.json {
        around.note(&format!("{}; nothing is trusted yet", account(&scans).trim_end()));
    }
    Ok(code(&scans))
}

fn line(target: &Target, key: &HostKey, hash: bool) -> Result<String, Stop> {
    pipedown_ssh::known_hosts_line(&name_of(target), key, hash).map_err(|e| Stop::failed(e.to_string()))
}

fn row<'a>(target: &'a Target, scan: &'a HostScan) -> Row<'a> {
    let mut row = Row {
        host: &target.name,
        address: target.address.clone(),
        port: target.port,
        status: "found",
        version: None,
        keys: Vec::new(),
        missing: Vec::new(),
        why: None,
        hint: None,
        throttled: scan.throttled,
    };
    match &scan.outcome {
        Ok(Scanned { address, version, keys, missing, .. }) => {
            row.address = address.ip().to_string();
            row.version = Some(version);
            row.keys = keys.iter().map(|key| key_row(target, key)).collect();
            row.missing =
                missing.iter().map(|(r#type, failure)| MissingRow { r#type, why: &failure.why }).collect();
        }
        Err(failure) => {
            row.status = failure.kind.word();
            row.why = Some(&failure.why);
            row.hint = Some(failure.kind.hint());
        }
    }
    row
}

fn key_row(target: &Target, key: &HostKey) -> KeyRow {
    KeyRow {
        r#type: key.algorithm().to_owned(),
        fingerprint: key.fingerprint(),
        line: format!("{} {}", name_of(target), key.to_openssh()),
    }
}

/// Every host that has something to be said about, then all in one line.
pub(super) fn account(scans: &[(Target, HostScan)]) -> String {
    let mut text = String::new();
    let (mut found, mut keys) = (0_usize, 0_usize);
    let mut failed: Vec<(ScanFailureKind, usize)> = Vec::new();
    for (target, scan) in scans {
        let name = pipedown_report::printable(&target.name);
        match &scan.outcome {
            Ok(scanned) => {
                found += 1;
                keys += scanned.keys.len();
                for (key_type, failure) in &scanned.missing {
                    text.push_str(&format!(
                        "{name}: offers {} and did not show it: {failure}\n",
                        key_type.escape_debug()
                    ));
                }
                if scan.throttled > 0 {
                    text.push_str(&format!("{name}: throttled, found after {} more tries\n", scan.throttled));
                }
            }
            Err(failure) => {
                let kind = failure.kind;
                text.push_str(&format!(
                    "{name}: {}: {}\n",
                    shown(kind),
                    pipedown_report::printable(&failure.why)
                ));
                match failed.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, count)) => *count += 1,
                    None => failed.push((kind, 1)),
                }
            }
        }
    }
    failed.sort_unstable();
    for (kind, _) in &failed {
        text.push_str(&format!("  hint ({}): {}\n", shown(*kind), kind.hint()));
    }
    let failed: String = failed.iter().map(|(kind, count)| format!(", {count} {}", shown(*kind))).collect();
    let hosts = scans.len();
    text.push_str(&format!("{hosts} hosts: {found} found with {keys} keys{failed}\n"));
    text
}

fn shown(kind: ScanFailureKind) -> String {
    kind.word().replace('_', " ")
}

pub(super) fn code(scans: &[(Target, HostScan)]) -> ExitCode {
    let of = |(_, scan): &(Target, HostScan)| match &scan.outcome {
        Ok(scanned) if scanned.missing.is_empty() => ExitCode::Done,
        Ok(_) => ExitCode::Failed,
        Err(failure) => match failure.kind {
            ScanFailureKind::NotSsh | ScanFailureKind::NoKey => ExitCode::Failed,
            _ => ExitCode::Unreachable,
        },
    };
    scans.iter().map(of).max().unwrap_or(ExitCode::Done)
}
