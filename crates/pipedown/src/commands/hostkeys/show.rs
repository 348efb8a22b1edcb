//! `pipedown hostkeys show SET|FILE…`.

use std::path::Path;

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_report::printable;
use pipedown_ssh::{FingerprintHash, HostCertificate, HostKey, read_keys};
use serde::Serialize;

use super::known;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Shows fingerprints of keys: those that known_hosts holds for hosts, or those in files
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ShowArgs {
    /// Hosts; or known_hosts files, public keys, output of ssh-keyscan, `-` for standard input
    #[arg(value_name = "SET|FILE", required = true)]
    from: Vec<String>,
    /// Show MD5 fingerprints, as older programs do
    #[arg(long)]
    md5: bool,
    /// Compare with a fingerprint, or with the keys in a file; the exit code is 3 if a key is another
    #[arg(long, value_name = "FINGERPRINT|FILE")]
    expect: Option<String>,
}

const HELP: &str = "\
  pipedown hostkeys show web1
  pipedown hostkeys show /etc/ssh/ssh_host_ed25519_key.pub -v    # as a picture
  ssh-keyscan web1 | pipedown hostkeys show - --expect SHA256:rvfWuezNQiIe…";

/// A key and what is said about it.
struct Shown {
    place: String,
    names: String,
    marker: &'static str,
    key: HostKey,
    comment: String,
}

/// What a key is compared with.
enum Expected {
    Fingerprint(String),
    Keys(Vec<HostKey>),
}

#[derive(Serialize)]
struct Row<'a> {
    place: &'a str,
    names: &'a str,
    marker: Option<&'a str>,
    algorithm: &'a str,
    bits: u32,
    sha256: String,
    md5: String,
    comment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_expected: Option<bool>,
}

pub fn run(around: &Surroundings, args: &ShowArgs) -> Result<ExitCode, Stop> {
    let mut shown = Vec::new();
    for from in &args.from {
        shown.extend(if known::is_file(from) { in_file(from)? } else { of_hosts(around, from)? });
    }
    let expected = args.expect.as_deref().map(expected).transpose()?;
    let hash = if args.md5 { FingerprintHash::Md5 } else { FingerprintHash::Sha256 };
    let is_expected = |shown: &Shown| expected.as_ref().map(|expected| expected.is(&shown.key));
    let text = if around.global.json {
        let rows: Vec<_> = shown.iter().map(|shown| shown.row(is_expected(shown))).collect();
        crate::commands::json_lines(&rows)?
    } else {
        let one = |shown: &Shown| {
            let beside = expected.as_ref().and_then(|expected| expected.beside(&shown.key));
            shown.text(hash, is_expected(shown), around.global.verbose, beside)
        };
        shown.iter().map(one).collect()
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    let is_good = shown.iter().all(|shown| is_expected(shown) != Some(false));
    Ok(if is_good && !shown.is_empty() { ExitCode::Done } else { ExitCode::Failed })
}

fn in_file(from: &str) -> Result<Vec<Shown>, Stop> {
    let file = Path::new(from);
    let keys = read_keys(file, &known::read(file)?);
    if keys.is_empty() {
        return Err(Stop::bad_input(format!("{} holds no key", file.display()))
            .hint("public keys, known_hosts and the output of ssh-keyscan hold some; of a private key take the .pub"));
    }
    let shown = keys.into_iter().map(|listed| Shown {
        place: listed.place.to_string(),
        names: listed.before,
        marker: "",
        key: listed.key,
        comment: listed.comment,
    });
    Ok(shown.collect())
}

fn of_hosts(around: &Surroundings, set: &str) -> Result<Vec<Shown>, Stop> {
    let mut shown = Vec::new();
    for host in known::of_set(around, set, None)? {
        if host.lines.is_empty() {
            around.note(&format!("{}: no key is known", host.target.name));
        }
        shown.extend(host.lines.into_iter().map(|line| Shown {
            place: line.place.to_string(),
            names: host.target.name.clone(),
            marker: line.marker.map(pipedown_ssh::Marker::as_str).unwrap_or_default(),
            key: line.key,
            comment: String::new(),
        }));
    }
    Ok(shown)
}

fn expected(given: &str) -> Result<Expected, Stop> {
    if given.starts_with("SHA256:") || given.starts_with("MD5:") {
        return Ok(Expected::Fingerprint(given.trim_end_matches('=').to_owned()));
    }
    let file = Path::new(given);
    let keys: Vec<_> = read_keys(file, &known::read(file)?).into_iter().map(|listed| listed.key).collect();
    if keys.is_empty() {
        return Err(Stop::usage(format!("{} is neither a fingerprint nor a file of keys", file.display()))
            .hint("a fingerprint begins with SHA256: or MD5:"));
    }
    Ok(Expected::Keys(keys))
}

impl Expected {
    fn is(&self, key: &HostKey) -> bool {
        match self {
            Self::Fingerprint(print) => [FingerprintHash::Sha256, FingerprintHash::Md5]
                .iter()
                .any(|h| key.fingerprint_by(*h) == *print),
            Self::Keys(keys) => keys.iter().any(|expected| expected.plain() == key.plain()),
        }
    }

    /// The key that is worth a look beside another: of the same kind.
    fn beside(&self, key: &HostKey) -> Option<&HostKey> {
        let Self::Keys(keys) = self else { return None };
        keys.iter().find(|expected| expected.plain().algorithm() == key.plain().algorithm())
    }
}

impl Shown {
    fn row(&self, is_expected: Option<bool>) -> Row<'_> {
        Row {
            place: &self.place,
            names: &self.names,
            marker: Some(self.marker).filter(|marker| !marker.is_empty()),
            algorithm: self.key.algorithm(),
            bits: self.key.bits(),
            sha256: self.key.fingerprint(),
            md5: self.key.fingerprint_by(FingerprintHash::Md5),
            comment: &self.comment,
            is_expected,
        }
    }

    fn text(
        &self,
        hash: FingerprintHash,
        is_expected: Option<bool>,
        with_art: bool,
        beside: Option<&HostKey>,
    ) -> String {
        let verdict = match is_expected {
            None => "",
            Some(true) => "equal      ",
            Some(false) => "DIFFERENT  ",
        };
        let words = [
            self.key.bits().to_string(),
            self.key.fingerprint_by(hash),
            printable(&self.names),
            self.marker.to_owned(),
            printable(&self.comment),
            format!("({})", self.key.kind()),
            format!("[{}]", printable(&self.place)),
        ];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let mut text = format!("{verdict}{}\n", words.join(" "));
        if let Some(certificate) = self.key.certificate() {
            text.push_str(&summary(&certificate));
        }
        if with_art {
            text.push_str(&pictures(&self.key, beside, hash));
        }
        text
    }
}

/// The picture of a key; the expected one at its right side.
fn pictures(key: &HostKey, beside: Option<&HostKey>, hash: FingerprintHash) -> String {
    let left = key.randomart(hash);
    let Some(beside) = beside else { return format!("{left}\n") };
    let right = beside.randomart(hash);
    left.lines().zip(right.lines()).map(|(left, right)| format!("{left}   {right}\n")).collect()
}

fn summary(certificate: &HostCertificate) -> String {
    let list = |names: Vec<String>, none: &str| {
        if names.is_empty() { none.to_owned() } else { printable(&names.join(", ")) }
    };
    let options = certificate.critical_options.iter().map(|option| option.name.clone()).collect();
    format!(
        "    {} certificate {} \"{}\" by {} ({})\n    for {}; {}; critical options: {}\n",
        if certificate.is_host { "host" } else { "user" },
        certificate.serial,
        printable(&certificate.key_id),
        certificate.authority,
        printable(&certificate.signature_algorithm),
        list(certificate.principals.clone(), "every name"),
        certificate.validity(),
        list(options, "none"),
    )
}
