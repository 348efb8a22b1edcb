//! `pipedown hostkeys find NAME|SET`: as `ssh-keygen -F`.

use std::path::PathBuf;

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_ssh::{KnownHosts, KnownLine, Marker};
use serde::Serialize;

use super::known;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Finds the lines of known_hosts that name a host, hashed or not
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct FindArgs {
    #[arg(
        help = "Hosts, or a name as known_hosts writes it: host, [host]:port",
        value_name = "NAME|SET",
        required = true
    )]
    names: Vec<String>,
    /// The file [default: those that ssh reads for the host]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

const HELP: &str = "\
  pipedown hostkeys find web1
  pipedown hostkeys find '[192.0.2.7]:2222' -f /etc/ssh/ssh_known_hosts
The exit code is 3 if a host is not found.";

#[derive(Serialize)]
struct Row {
    name: String,
    file: PathBuf,
    line: usize,
    marker: Option<&'static str>,
    algorithm: String,
    fingerprint: String,
}

pub fn run(around: &Surroundings, args: &FindArgs) -> Result<ExitCode, Stop> {
    let mut rows: Vec<Row> = Vec::new();
    let mut code = ExitCode::Done;
    for name in &args.names {
        for (name, lines) in found(around, args, name)? {
            if lines.is_empty() {
                around.note(&format!("{}: not found", pipedown_report::printable(&name)));
                code = ExitCode::Failed;
            }
            rows.extend(lines.into_iter().map(|line| row(&name, line)));
        }
    }
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        rows.iter().map(text).collect()
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(code)
}

fn found(around: &Surroundings, args: &FindArgs, name: &str) -> Result<Vec<(String, Vec<KnownLine>)>, Stop> {
    match &args.file {
        // A name that is written as in the file is looked up as it is.
        Some(file) if name.starts_with('[') => {
            Ok(vec![(name.to_owned(), KnownHosts::read(std::slice::from_ref(file)).lines(name))])
        }
        None if name.starts_with('[') => {
            let file = known::own_file(around, None)?;
            Ok(vec![(name.to_owned(), KnownHosts::read(&[file]).lines(name))])
        }
        file => {
            let hosts = known::of_set(around, name, file.as_deref())?;
            Ok(hosts.into_iter().map(|host| (host.target.name, host.lines)).collect())
        }
    }
}

fn row(name: &str, KnownLine { place, marker, key }: KnownLine) -> Row {
    Row {
        name: name.to_owned(),
        file: place.file,
        line: place.line,
        marker: marker.map(Marker::as_str),
        algorithm: key.algorithm().to_owned(),
        fingerprint: key.fingerprint(),
    }
}

fn text(row: &Row) -> String {
    let marker = row.marker.map(|marker| format!(" {marker}")).unwrap_or_default();
    let place = format!("{}:{}", row.file.display(), row.line);
    format!(
        "{} {}{marker} {} {}\n",
        pipedown_report::printable(&row.name),
        pipedown_report::printable(&place),
        row.algorithm,
        row.fingerprint
    )
}
