//! `pipedown hostkeys sshfp` and `export`: what is known, for others.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use pipedown_model::ExitCode;
use pipedown_ssh::{HostKey, Marker, read_keys};
use serde::Serialize;

use super::known::{self, KnownTarget};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Prints the SSHFP records of hosts for DNS
#[derive(Debug, Args)]
#[command(after_help = SSHFP_HELP)]
pub struct SshfpArgs {
    /// Hosts that known_hosts knows; or known_hosts files, output of ssh-keyscan, `-` for standard input
    #[arg(value_name = "SET|FILE", required = true)]
    from: Vec<String>,
    /// The generic form that every name server takes (RFC 3597)
    #[arg(long)]
    generic: bool,
    /// The name to print, for files of keys without names
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

const SSHFP_HELP: &str = "\
  pipedown hostkeys sshfp @web >> zone
  ssh-keyscan web1 | pipedown hostkeys sshfp - --generic
  pipedown hostkeys sshfp /etc/ssh/ssh_host_ed25519_key.pub --name web1.example.org.";

/// Writes down what is known of the inventory's hosts
#[derive(Debug, Args)]
#[command(after_help = EXPORT_HELP)]
pub struct ExportArgs {
    /// Hosts; all of the inventory if left out
    #[arg(value_name = "SET")]
    set: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::KnownHosts)]
    format: Format,
    /// Take the keys from this file only
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

const EXPORT_HELP: &str = "\
  pipedown hostkeys export > ssh_known_hosts
  pipedown hostkeys export @web --format sshfp-zone
  pipedown hostkeys export --format cert-authority";

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    // No doc comments: they would become paragraphs in the help.
    KnownHosts,
    CertAuthority,
    SshfpZone,
    Json,
}

#[derive(Serialize)]
struct Row {
    name: String,
    algorithm: String,
    digest_type: u8,
    record: String,
}

#[derive(Serialize)]
struct HostRow<'a> {
    host: &'a str,
    names: &'a [String],
    keys: Vec<String>,
    fingerprints: Vec<String>,
    authorities: Vec<String>,
}

pub fn sshfp(around: &Surroundings, args: &SshfpArgs) -> Result<ExitCode, Stop> {
    let mut keys: Vec<(String, HostKey)> = Vec::new();
    for from in &args.from {
        if known::is_file(from) {
            keys.extend(in_file(args, from)?);
            continue;
        }
        for host in known::of_set(around, from, None)? {
            let name = args.name.clone().unwrap_or_else(|| host.target.name.clone());
            keys.extend(marked(&host, None).map(|key| (name.clone(), key.clone())));
        }
    }
    let rows = records(&keys, args.generic);
    if rows.is_empty() {
        around.note("no key that SSHFP has a number for; certificates and keys of tokens have none");
    }
    print_records(around, &rows)?;
    Ok(if rows.is_empty() { ExitCode::Failed } else { ExitCode::Done })
}

fn in_file(args: &SshfpArgs, from: &str) -> Result<Vec<(String, HostKey)>, Stop> {
    let file = Path::new(from);
    let mut named = Vec::new();
    for listed in read_keys(file, &known::read(file)?) {
        if listed.before.starts_with('@') {
            continue;
        }
        let names: Vec<String> = match &args.name {
            Some(name) => vec![name.clone()],
            None => listed.before.split(',').filter_map(plain_name).collect(),
        };
        if names.is_empty() {
            return Err(Stop::usage(format!("{}: which host has this key?", listed.place))
                .hint("say it with --name web1.example.org."));
        }
        named.extend(names.into_iter().map(|name| (name, listed.key.clone())));
    }
    Ok(named)
}

/// A name that can stand in DNS: no hash, no pattern, no port.
fn plain_name(part: &str) -> Option<String> {
    let name = part.strip_prefix('[').and_then(|rest| rest.split_once("]:")).map_or(part, |(name, _)| name);
    let is_plain = !name.is_empty() && !name.starts_with(['|', '!']) && !name.contains(['*', '?', ' ', '"']);
    is_plain.then(|| name.to_owned())
}

fn records(keys: &[(String, HostKey)], is_generic: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (name, key) in keys {
        for record in key.sshfp() {
            let text = record.record(name, is_generic);
            if !rows.iter().any(|row| row.record == text) {
                let algorithm = key.algorithm().to_owned();
                rows.push(Row {
                    name: name.clone(),
                    algorithm,
                    digest_type: record.digest_type,
                    record: text,
                });
            }
        }
    }
    rows
}

fn print_records(around: &Surroundings, rows: &[Row]) -> Result<(), Stop> {
    let text = if around.global.json {
        crate::commands::json_lines(rows)?
    } else {
        rows.iter().map(|row| format!("{}\n", pipedown_report::printable(&row.record))).collect()
    };
    say(&text)
}

pub fn export(around: &Surroundings, args: &ExportArgs) -> Result<ExitCode, Stop> {
    let sets = match &args.set {
        Some(set) => vec![set.clone()],
        None => {
            let inventory = around.inventory()?;
            let all = inventory.select(&pipedown_plan::HostSet::all())?;
            all.iter().map(|name| name.as_str().to_owned()).collect()
        }
    };
    let mut hosts = Vec::new();
    for set in &sets {
        hosts.extend(known::of_set(around, set, args.file.as_deref())?);
    }
    let marker = (args.format == Format::CertAuthority).then_some(Marker::CertAuthority);
    let mut code = ExitCode::Done;
    for host in hosts.iter().filter(|host| marked(host, marker).next().is_none()) {
        around.note(&format!("{}: nothing is known", host.target.name));
        code = ExitCode::Failed;
    }
    let is_json = around.global.json || args.format == Format::Json;
    match args.format {
        _ if is_json => say(&crate::commands::json_lines(&hosts.iter().map(row).collect::<Vec<_>>())?)?,
        Format::SshfpZone => {
            let keys: Vec<_> = hosts
                .iter()
                .flat_map(|host| marked(host, None).map(|key| (host.target.name.clone(), key.clone())))
                .collect();
            print_records(around, &records(&keys, false))?;
        }
        Format::KnownHosts | Format::CertAuthority | Format::Json => {
            say(&hosts.iter().flat_map(|host| lines(host, marker)).collect::<String>())?;
        }
    }
    Ok(code)
}

fn lines(host: &KnownTarget, marker: Option<Marker>) -> Vec<String> {
    let before = marker.map(|marker| format!("{} ", marker.as_str())).unwrap_or_default();
    let names = host.names.join(",");
    marked(host, marker).map(|key| format!("{before}{names} {}\n", key.to_openssh())).collect()
}

fn row(host: &KnownTarget) -> HostRow<'_> {
    let keys: Vec<_> = marked(host, None).collect();
    HostRow {
        host: &host.target.name,
        names: &host.names,
        fingerprints: keys.iter().map(|key| key.fingerprint()).collect(),
        keys: keys.iter().map(|key| key.to_openssh()).collect(),
        authorities: marked(host, Some(Marker::CertAuthority)).map(HostKey::to_openssh).collect(),
    }
}

/// The keys of a host's lines with this marker, each once. Keys that are revoked for it are left out.
fn marked(host: &KnownTarget, marker: Option<Marker>) -> impl Iterator<Item = &HostKey> {
    let is_revoked = |key: &HostKey| {
        host.lines.iter().any(|line| line.marker == Some(Marker::Revoked) && line.key == *key)
    };
    let mut keys: Vec<&HostKey> = Vec::new();
    for line in host.lines.iter().filter(|line| line.marker == marker) {
        if !keys.contains(&&line.key) && !is_revoked(&line.key) {
            keys.push(&line.key);
        }
    }
    keys.into_iter()
}

fn say(text: &str) -> Result<(), Stop> {
    terminal::data(text).map_err(|e| Stop::failed(format!("write: {e}")))
}
