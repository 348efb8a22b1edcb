//! Embedded hosts in a process of their own, so that their work is not counted as the controller's.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use sshd_embed::{Confine, FleetOptions, HostOptions};
use tempfile::TempDir;

use crate::{Failure, PIPEDOWN, myself};

/// The word that makes this program [`serve`].
pub const ROLE: &str = "serve-fleet";

/// A host that listens on 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
}

/// Hosts that run until this is dropped.
pub struct Fleet {
    process: Child,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Where their files and the keys are.
    pub dir: TempDir,
}

impl Fleet {
    /// Starts hosts and waits until they listen.
    ///
    /// # Errors
    /// When they do not.
    pub fn start(count: usize) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(myself()?);
        command.arg(ROLE).arg(count.to_string()).arg(dir.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = process.stdout.take().map(BufReader::new).ok_or("failed to read from the fleet")?;
        let mut fleet = Self { process, hosts: Vec::with_capacity(count), dir };
        for line in lines.lines().take(count) {
            let line = line?;
            let (name, port) = line.split_once(' ').ok_or("failed to understand the fleet")?;
            fleet.hosts.push(Host { name: name.to_owned(), port: port.parse()? });
        }
        if fleet.hosts.len() < count {
            return Err("failed to start the fleet".into());
        }
        Ok(fleet)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // It stops when nobody holds the other end of its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves hosts until standard input ends. Arguments: how many, and where.
pub fn serve(mut args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let (Some(count), Some(dir)) = (args.next(), args.next()) else {
        return Err("failed to find the fleet's arguments".into());
    };
    let count: usize = count.to_string_lossy().parse()?;
    let confine = Confine { program: PIPEDOWN.into(), args: vec!["confine".into()] };
    let options = FleetOptions::default().dir(dir).host(HostOptions::default().confine(confine));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let fleet = runtime.block_on(sshd_embed::Fleet::start(count, options))?;
    let mut out = std::io::stdout().lock();
    for host in fleet.hosts() {
        for addr in host.addrs() {
            writeln!(out, "{} {}", host.name(), addr.port())?;
        }
    }
    out.flush()?;
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    runtime.block_on(fleet.stop());
    Ok(())
}
