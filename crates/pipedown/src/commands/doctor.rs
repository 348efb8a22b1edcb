//! `pipedown doctor HOST…`: the layered checklist.

mod patients;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use pipedown_model::ExitCode;
use pipedown_ssh::doctor::{Checkup, LayerKind, Verdict};
use serde::Serialize;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;
use crate::trace::{Page, Trace};

/// Find out why a host cannot be reached, or what is not as it should be: each layer from the name to the session
/// gets a verdict, the time it took, evidence, and a hint that says what to change and on which side.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct DoctorArgs {
    /// Hosts: of the inventory (sets too: login[01-40], @group), or any other name; USER@HOST for another user
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// Another login that may read the server's log: root@ (same host), or USER@HOST. When a login is refused, the
    /// lines about our own connection tell apart what looks the same from outside
    #[arg(long, value_name = "USER@[HOST]")]
    log_via: Option<String>,
    /// The log file there [default: the journal, then /var/log/auth.log, secure, messages, syslog]
    #[arg(long, value_name = "FILE", requires = "log_via")]
    log_file: Option<PathBuf>,
    /// Limit for each layer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = crate::cli::duration)]
    timeout: Duration,
    /// How many hosts at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Show every SSH message as it passes, with number, name and layer; hosts are examined one after the other
    #[arg(long)]
    trace: bool,
}

const HELP: &str = "\
  pipedown doctor login01
  pipedown doctor '@login' --json
  pipedown doctor alice@login01 --log-via root@
  pipedown doctor login01 --trace             # what passes, message by message
  pipedown doctor appliance --log-via root@loghost --log-file /var/log/remote/appliance.log

Exit codes: 0 every host is fine (warnings too); 4 some host cannot be reached (name, tcp, version line,
key exchange); 3 some host does not trust us, or we it (host key, authentication, session).";

pub async fn run(around: &Surroundings, args: &DoctorArgs) -> Result<ExitCode, Stop> {
    let trace = match args.trace {
        true => Some(Trace::begin(Page::new(around.global.json))?),
        false => None,
    };
    let examined = examine_all(around, args, trace.as_ref()).await;
    let traced = trace.map_or(Ok(()), Trace::finish);
    examined.and_then(|code| traced.map(|()| code))
}

async fn examine_all(
    around: &Surroundings,
    args: &DoctorArgs,
    trace: Option<&Trace>,
) -> Result<ExitCode, Stop> {
    let connector = patients::connector(around, args.timeout, trace);
    let patients = patients::find(around, args, connector.settings()).await?;
    for patient in &patients {
        connector.unlock(&patient.target).await;
    }
    let checkups = futures::stream::iter(patients.iter().map(|patient| patient.examined(&connector)));
    // A trace of several hosts at once could be read by nobody.
    let mut checkups = checkups.buffered(if args.trace { 1 } else { args.parallel.into() });
    let mut code = ExitCode::Done;
    let colours = around.colours(&std::io::stdout());
    let mut first = true;
    while let Some(checkup) = checkups.next().await {
        if let Some(trace) = trace {
            trace.caught_up().await;
        }
        code = code.max(exit_code(&checkup));
        let text = if around.global.json {
            super::json_lines(&[Row::of(&checkup)])?
        } else {
            text::render(&checkup, first, colours)
        };
        first = false;
        terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    }
    Ok(code)
}

/// What cannot be reached is another class than what does not let us in.
fn exit_code(checkup: &Checkup) -> ExitCode {
    match checkup.first_bad() {
        None => ExitCode::Done,
        Some((_, layer)) => match layer.kind {
            LayerKind::Name | LayerKind::Tcp | LayerKind::Version | LayerKind::KeyExchange => {
                ExitCode::Unreachable
            }
            LayerKind::Configuration
            | LayerKind::HostKey
            | LayerKind::Authentication
            | LayerKind::Session
            | LayerKind::Sftp
            | LayerKind::Forwarding => ExitCode::Failed,
        },
    }
}

/// A host as `--json` has it.
#[derive(Serialize)]
struct Row<'a> {
    host: &'a str,
    verdict: &'static str,
    layers: Vec<LayerRow<'a>>,
}

#[derive(Serialize)]
struct LayerRow<'a> {
    /// The machine: the host itself, or a hop on the way.
    machine: &'a str,
    layer: &'static str,
    verdict: &'static str,
    took_ms: Option<f64>,
    evidence: &'a [String],
    hint: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(checkup: &'a Checkup) -> Self {
        let layers = checkup.sections.iter().flat_map(|section| {
            section.layers.iter().map(|layer| LayerRow {
                machine: &section.host,
                layer: key(layer.kind.name()),
                verdict: key(layer.verdict.word()),
                took_ms: layer.took.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3),
                evidence: &layer.evidence,
                hint: layer.hint.as_deref(),
            })
        });
        Self { host: &checkup.host, verdict: verdict(checkup), layers: layers.collect() }
    }
}

fn verdict(checkup: &Checkup) -> &'static str {
    match checkup.verdict() {
        Verdict::NotReached | Verdict::Good => "good",
        other => other.word(),
    }
}

/// Words of a machine's kind have no blanks.
fn key(word: &'static str) -> &'static str {
    match word {
        "not reached" => "not_reached",
        "version line" => "version_line",
        "key exchange" => "key_exchange",
        "host key" => "host_key",
        other => other,
    }
}
