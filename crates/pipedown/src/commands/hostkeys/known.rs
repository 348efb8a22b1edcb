//! What known_hosts holds for the hosts of a set, and where keys are read from.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pipedown_ssh::{KnownHosts, KnownLine, Settings, Target, lookup_name};

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets;

/// A host with the lines that name it.
pub struct KnownTarget {
    /// How it is reached.
    pub target: Target,
    /// Its names as known_hosts writes them, with the port unless that is 22.
    pub names: Vec<String>,
    /// The lines, each once, in the order of the files.
    pub lines: Vec<KnownLine>,
}

/// The hosts of a set, with the lines of `file`, or of the files that ssh would read for them.
pub fn of_set(around: &Surroundings, set: &str, file: Option<&Path>) -> Result<Vec<KnownTarget>, Stop> {
    let inventory = around.inventory_if_any()?;
    let configured = around.targets()?;
    let mut found = Vec::new();
    for request in targets::chosen(inventory.as_deref(), set, &mut around.outside())? {
        let target = configured.of(&request).map_err(|e| Stop::bad_input(format!("{e}")))?;
        let files = file.map_or_else(|| files_of(around, &target), |file| vec![file.to_owned()]);
        let known = KnownHosts::read(&files);
        let names = names_of(&target);
        let mut lines: Vec<KnownLine> = Vec::new();
        for line in names.iter().flat_map(|name| known.lines(name)) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        found.push(KnownTarget { target, names, lines });
    }
    Ok(found)
}

fn names_of(target: &Target) -> Vec<String> {
    if let Some(alias) = &target.trust.alias {
        return vec![alias.to_ascii_lowercase()];
    }
    let mut names = vec![lookup_name(&target.name, target.port)];
    let address = lookup_name(&target.address, target.port);
    if !names.contains(&address) {
        names.push(address);
    }
    names
}

fn files_of(around: &Surroundings, target: &Target) -> Vec<PathBuf> {
    let usual = around.home().map(Settings::for_home).unwrap_or_default();
    let user = target.trust.user_files.clone().unwrap_or(usual.default_known_hosts);
    let global = target.trust.global_files.clone().unwrap_or(usual.default_global_known_hosts);
    user.into_iter().chain(global).collect()
}

/// The file that is changed when none is named: the user's own.
pub fn own_file(around: &Surroundings, file: Option<&PathBuf>) -> Result<PathBuf, Stop> {
    let own = || around.home().map(|home| home.join(".ssh/known_hosts"));
    file.cloned()
        .or_else(own)
        .ok_or_else(|| Stop::failed("find known_hosts: HOME is not set").hint("name the file with -f"))
}

/// Whether an argument is a file rather than hosts.
pub fn is_file(argument: &str) -> bool {
    argument == "-" || argument.contains('/') || Path::new(argument).is_file()
}

/// Reads a file, or standard input.
pub fn read(file: &Path) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map_err(|e| Stop::bad_input(format!("{} cannot be read: {e}", file.display())))?;
    Ok(bytes)
}
