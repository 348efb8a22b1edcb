//! `pipedown hostkeys show FILE…`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_ssh::ListedKey;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Shows fingerprints of keys in files
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ShowArgs {
    /// known_hosts files, public keys, output of ssh-keyscan; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

const HELP: &str = "\
  pipedown hostkeys show /etc/ssh/ssh_host_ed25519_key.pub
  ssh-keyscan web1 | pipedown hostkeys show -";

pub fn run(_around: &Surroundings, args: &ShowArgs) -> Result<ExitCode, Stop> {
    let mut text = String::new();
    for file in &args.files {
        let bytes = read(file)?;
        let keys = pipedown_ssh::read_keys(file, &bytes);
        if keys.is_empty() {
            return Err(Stop::bad_input(format!("{} holds no key", file.display())));
        }
        for ListedKey { place, key, .. } in &keys {
            text.push_str(&format!("{place} {key}\n"));
        }
    }
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn read(file: &Path) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map_err(|e| Stop::failed(format!("read {}: {e}", file.display())))?;
    Ok(bytes)
}
