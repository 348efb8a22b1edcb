//! `pipedown hostkeys verify SET`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_ssh::{DnsFinding, DnsVoice, HostKey, HostScan, Target};
use serde::Serialize;

use super::collect::{CollectArgs, HostArgs, collect};
use super::scan::{account, code};
use super::witnesses::{DnsArgs, Opinion, Shown, Witnesses};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Compares the keys that hosts offer with what is known about them: who vouches, who contradicts
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct VerifyArgs {
    #[command(flatten)]
    hosts: HostArgs,
    /// Published list: known_hosts lines or JSON of `hostkeys scan`, in a file or at an https address
    #[arg(long, value_name = "FILE|URL")]
    list: Option<String>,
    /// Public keys of authorities that sign host certificates
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Do not ask DNS for SSHFP records
    #[arg(long, conflicts_with_all = ["dns_server", "trust_anchor"])]
    no_dns: bool,
    #[command(flatten)]
    dns: DnsArgs,
    #[command(flatten)]
    collect: CollectArgs,
}

const HELP: &str = "\
  pipedown hostkeys verify @login                                  # known_hosts and DNS
  pipedown hostkeys verify @login --list https://www.example.org/known_hosts
  pipedown hostkeys verify web1 --ca host_ca.pub --no-dns
  pipedown hostkeys verify web1 --dns-server 127.0.0.1:5353 --trust-anchor zone.key

DNS counts only as far as DNSSEC proves it, from a trust anchor down; what is not signed is shown and counts for
nothing, neither way.

Exit code: 0 every host has a key that somebody vouches for and nobody contradicts, 3 somebody contradicts or
nobody vouches, 4 some host could not be reached.";

/// A key with what everybody says about it.
struct Judged {
    key: HostKey,
    verdict: Verdict,
    opinions: Vec<Opinion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Vouched,
    NobodyVouches,
    Contradicted,
}

impl Verdict {
    fn of(opinions: &[Opinion]) -> Self {
        let says = |voice| opinions.iter().any(|opinion| opinion.voice == voice);
        if says(DnsVoice::Contradicts) {
            Self::Contradicted
        } else if says(DnsVoice::Vouches) {
            Self::Vouched
        } else {
            Self::NobodyVouches
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Vouched => "vouched for",
            Self::NobodyVouches => "nobody vouches",
            Self::Contradicted => "CONTRADICTED",
        }
    }
}

pub async fn run(around: &Surroundings, args: &VerifyArgs) -> Result<ExitCode, Stop> {
    let targets = args.hosts.targets(around)?;
    let witnesses = witnesses(around, args, &targets).await?;
    let mut options = args.collect.options()?;
    options.certificates = witnesses.wants_certificates();
    let scans = collect(around, targets, &options, args.collect.parallel).await;
    let found = dns_of(&scans, &witnesses).await;
    let now = Surroundings::now().timestamp().unsigned_abs();
    let mut hosts = Vec::new();
    for ((target, scan), dns) in scans.iter().zip(&found) {
        hosts.push((target, scan, judged(target, scan, dns.as_ref(), &witnesses, now)));
    }
    let text = if around.global.json { json(&hosts)? } else { table(&hosts) };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    if !around.global.json {
        around.note(talk(&scans, &hosts).trim_end());
    }
    let verdicts =
        hosts.iter().filter(|(_, scan, _)| scan.outcome.is_ok()).map(|(_, _, keys)| host_code(keys));
    Ok(verdicts.max().unwrap_or(ExitCode::Done).max(code(&scans)))
}

async fn witnesses(around: &Surroundings, args: &VerifyArgs, targets: &[Target]) -> Result<Witnesses, Stop> {
    let mut witnesses = Witnesses::default();
    witnesses.ask_known_hosts(around, targets);
    if !args.no_dns {
        witnesses.ask_dns(args.dns.lookup()?);
    }
    if let Some(list) = &args.list {
        witnesses.ask_list(list).await?;
    }
    if let Some(file) = &args.ca {
        witnesses.ask_authorities(file)?;
    }
    Ok(witnesses)
}

/// What DNS says about the hosts that have shown keys.
pub(super) async fn dns_of(scans: &[(Target, HostScan)], witnesses: &Witnesses) -> Vec<Option<DnsFinding>> {
    let asking = scans.iter().map(|(target, scan)| async move {
        if scan.outcome.is_ok() { witnesses.dns(target).await } else { None }
    });
    futures::future::join_all(asking).await
}

fn judged(
    target: &Target,
    scan: &HostScan,
    dns: Option<&DnsFinding>,
    witnesses: &Witnesses,
    now: u64,
) -> Vec<Judged> {
    let Ok(scanned) = &scan.outcome else { return Vec::new() };
    let shown = Shown { target, certificates: &scanned.certificates, dns };
    let judge = |key: &HostKey| {
        let opinions = witnesses.opinions(&shown, key, now);
        Judged { key: key.clone(), verdict: Verdict::of(&opinions), opinions }
    };
    scanned.keys.iter().map(judge).collect()
}

fn host_code(keys: &[Judged]) -> ExitCode {
    let any = |verdict| keys.iter().any(|key| key.verdict == verdict);
    if any(Verdict::Contradicted) || !any(Verdict::Vouched) { ExitCode::Failed } else { ExitCode::Done }
}

type Host<'a> = (&'a Target, &'a HostScan, Vec<Judged>);

fn table(hosts: &[Host<'_>]) -> String {
    let mut rows = Vec::new();
    for (target, _, keys) in hosts {
        for judged in keys {
            let says = |o: &Opinion| format!("{}: {}", o.source.word(), pipedown_report::printable(&o.said));
            let opinions: Vec<String> = judged.opinions.iter().map(says).collect();
            rows.push([
                pipedown_report::printable(&target.name),
                judged.key.algorithm().escape_debug().to_string(),
                judged.key.fingerprint(),
                judged.verdict.shown().to_owned(),
                opinions.join("; "),
            ]);
        }
    }
    if rows.is_empty() {
        String::new()
    } else {
        pipedown_report::table(["HOST", "TYPE", "FINGERPRINT", "VERDICT", "WHO SAYS WHAT"], &rows)
    }
}

/// The hosts that showed nothing, what to do, and the sum.
fn talk(scans: &[(Target, HostScan)], hosts: &[Host<'_>]) -> String {
    let mut text = account(scans);
    let keys = || hosts.iter().flat_map(|(_, _, keys)| keys);
    let hints: BTreeSet<&str> =
        keys().flat_map(|key| &key.opinions).filter_map(|opinion| opinion.hint.as_deref()).collect();
    for hint in hints {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    let count = |verdict| keys().filter(|key| key.verdict == verdict).count();
    text.push_str(&format!(
        "{} keys vouched for, {} contradicted, {} that nobody vouches for\n",
        count(Verdict::Vouched),
        count(Verdict::Contradicted),
        count(Verdict::NobodyVouches)
    ));
    text
}

#[derive(Serialize)]
struct HostRow<'a> {
    host: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    keys: Vec<KeyRow<'a>>,
}

#[derive(Serialize)]
struct KeyRow<'a> {
    r#type: &'a str,
    fingerprint: String,
    verdict: Verdict,
    opinions: Vec<OpinionRow<'a>>,
}

#[derive(Serialize)]
struct OpinionRow<'a> {
    source: &'static str,
    voice: &'static str,
    said: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

fn json(hosts: &[Host<'_>]) -> Result<String, Stop> {
    let opinion = |opinion: &'_ Opinion| -> (&'static str, &'static str) {
        let voice = match opinion.voice {
            DnsVoice::Vouches => "vouches",
            DnsVoice::Contradicts => "contradicts",
            DnsVoice::Silent => "silent",
        };
        (opinion.source.word(), voice)
    };
    let rows = hosts.iter().map(|(target, scan, keys)| HostRow {
        host: &target.name,
        status: scan.outcome.as_ref().map_or_else(|failure| failure.kind.word(), |_| "found"),
        why: scan.outcome.as_ref().err().map(|failure| failure.why.as_str()),
        keys: keys
            .iter()
            .map(|judged| KeyRow {
                r#type: judged.key.algorithm(),
                fingerprint: judged.key.fingerprint(),
                verdict: judged.verdict,
                opinions: judged
                    .opinions
                    .iter()
                    .map(|o| {
                        let (source, voice) = opinion(o);
                        OpinionRow { source, voice, said: &o.said, hint: o.hint.as_deref() }
                    })
                    .collect(),
            })
            .collect(),
    });
    crate::commands::json_lines(&rows.collect::<Vec<_>>())
}
