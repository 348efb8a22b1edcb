//! Which hosts are asked for their keys, and asking them.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use pipedown_plan::Inventory;
use pipedown_ssh::{Deadlines, HostScan, ScanOptions, Target, scan_host};

use crate::cli::duration;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets;

/// How often a host that takes no more connections is asked again.
const RETRIES: u32 = 5;

/// Which hosts.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Host sets of the inventory (login[01-40], @group), or names and addresses
    #[arg(value_name = "SET", required_unless_present = "file")]
    sets: Vec<String>,
    /// Read names from a file, one a line; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Port of hosts that are not in the inventory
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
}

/// How they are asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Asking hosts")]
pub struct CollectArgs {
    /// Key types to ask for: ed25519, ecdsa, rsa, dsa, ed25519-sk, ecdsa-sk, or their names in the protocol [default: all
    /// that a host offers]
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    types: Vec<String>,
    /// How many hosts at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
    /// Limit for TCP's connect, again for the version line, and again for the key
    #[arg(short = 'T', long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    connect_timeout: Duration,
}

impl HostArgs {
    /// The hosts. The inventory is optional: names outside of it are as good.
    pub fn targets(&self, around: &Surroundings) -> Result<Vec<Target>, Stop> {
        let inventory = around.inventory_if_any()?;
        let mut names = self.sets.clone();
        if let Some(file) = &self.file {
            names.extend(names_in(&read(file)?));
        }
        let resolver = around.targets()?;
        let mut seen = HashSet::new();
        let mut targets = Vec::new();
        for name in &names {
            for mut request in targets::chosen(inventory.as_deref(), name, &mut around.outside())? {
                if !seen.insert(request.name.clone()) {
                    continue;
                }
                if !is_known(inventory.as_deref(), &request.name) {
                    request.port = request.port.or(self.port);
                }
                targets.push(resolver.of(&request)?);
            }
        }
        if targets.is_empty() {
            return Err(Stop::usage("no host is named").hint("name hosts, sets, or a file with -f"));
        }
        Ok(targets)
    }
}

fn is_known(inventory: Option<&Inventory>, name: &str) -> bool {
    let name = pipedown_model::HostName::new(name).ok();
    name.is_some_and(|name| inventory.is_some_and(|inventory| inventory.host(&name).is_some()))
}

/// The first word of each line: the file may be one for ssh-keyscan, or a hosts list with remarks.
fn names_in(text: &str) -> Vec<String> {
    let words = text.lines().filter_map(|line| line.split('#').next()?.split_whitespace().next());
    words.map(str::to_owned).collect()
}

/// The text of a file, or of standard input.
pub(super) fn read(file: &Path) -> Result<String, Stop> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map_err(|e| Stop::failed(format!("read {}: {e}", file.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl CollectArgs {
    /// What is asked for.
    pub fn options(&self) -> Result<ScanOptions, Stop> {
        let limit = self.connect_timeout;
        let mut types = Vec::new();
        for given in &self.types {
            types.extend(types_of(given)?);
        }
        let limits = Deadlines {
            resolve: limit,
            connect: limit,
            banner: limit,
            key_exchange: limit,
            ..Deadlines::default()
        };
        Ok(ScanOptions { types, certificates: false, limits, retries: RETRIES })
    }
}

/// The protocol's names of what ssh-keyscan and ssh-keygen call a type.
fn types_of(given: &str) -> Result<Vec<String>, Stop> {
    let names: &[&str] = match given {
        "ed25519" => &["ssh-ed25519"],
        "ecdsa" => &["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
        "rsa" => &["ssh-rsa"],
        "dsa" => &["ssh-dss"],
        "ed25519-sk" => &["sk-ssh-ed25519@openssh.com"],
        "ecdsa-sk" => &["sk-ecdsa-sha2-nistp256@openssh.com"],
        full if full.contains("ssh-") || full.contains("-sha2-") => return Ok(vec![full.to_owned()]),
        _ => {
            return Err(Stop::usage(format!("{given} is no key type")).hint(
                "ed25519, ecdsa, rsa, dsa, ed25519-sk, ecdsa-sk, or a name such as ecdsa-sha2-nistp256",
            ));
        }
    };
    Ok(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Asks the hosts; in the order in which they were named.
pub async fn collect(
    around: &Surroundings,
    targets: Vec<Target>,
    options: &ScanOptions,
    parallel: u16,
) -> Vec<(Target, HostScan)> {
    let at_once = usize::from(crate::descriptors::at_once(around, parallel, targets.len(), 0));
    let asking = targets.into_iter().enumerate().map(|(number, target)| async move {
        let scan = scan_host(&target, options).await;
        (number, (target, scan))
    });
    // A silent host must not keep those behind it waiting.
    let mut scans: Vec<_> = futures::stream::iter(asking).buffer_unordered(at_once).collect().await;
    scans.sort_unstable_by_key(|(number, _)| *number);
    scans.into_iter().map(|(_, scan)| scan).collect()
}

/// The name under which a host stands in known_hosts.
pub fn name_of(target: &Target) -> String {
    match &target.trust.alias {
        Some(alias) => alias.to_ascii_lowercase(),
        None => pipedown_ssh::lookup_name(&target.name, target.port),
    }
}

#[cfg(test)]
mod tests {
    use pipedown_model::ExitCode;

    use super::*;

    #[test]
    fn files_for_ssh_keyscan_are_lists_of_names() {
        assert_eq!(names_in("web1\n# web2\n 192.0.2.1 web3 # x\n\n"), ["web1", "192.0.2.1"]);
    }

    #[test]
    fn types_by_their_usual_names() {
        assert_eq!(types_of("ecdsa").unwrap().len(), 3);
        assert_eq!(types_of("rsa").unwrap(), ["ssh-rsa"]);
        assert_eq!(types_of("ssh-ed25519").unwrap(), ["ssh-ed25519"]);
        assert_eq!(types_of("ed448").unwrap_err().code, ExitCode::Usage);
    }
}
