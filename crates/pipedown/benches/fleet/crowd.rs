//! A crowd of embedded hosts in a process of its own.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sshd_embed::{Answer, Answers, CrowdOptions, Share};
use tempfile::TempDir;

use crate::{Failure, myself};

/// The word that makes this program [`serve`].
pub const ROLE: &str = "serve-crowd";

/// The command that ends when as many clients as there are hosts wait for it.
pub const HOLD: &str = "hold";

/// The command that takes [`SLOW_TAKES`].
pub const SLOW: &str = "slow";

/// How long a command takes that is slow.
pub const SLOW_TAKES: Duration = Duration::from_secs(2);

/// A host.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub addr: SocketAddr,
}

/// Hosts that run until this is dropped.
pub struct Crowd {
    process: Child,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Where the keys are.
    pub dir: TempDir,
}

impl Crowd {
    /// Starts hosts and waits until they listen.
    ///
    /// # Errors
    /// When they do not.
    pub fn start(count: usize, faults: &[&str]) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(myself()?);
        command.arg(ROLE).arg(count.to_string()).arg(dir.path()).args(faults);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = process.stdout.take().map(BufReader::new).ok_or("failed to read from the crowd")?;
        let mut crowd = Self { process, hosts: Vec::with_capacity(count), dir };
        for line in lines.lines().take(count) {
            let line = line?;
            let (name, addr) = line.split_once(' ').ok_or("failed to understand the crowd")?;
            crowd.hosts.push(Host { name: name.to_owned(), addr: addr.parse()? });
        }
        if crowd.hosts.len() < count { Err("failed to start the crowd".into()) } else { Ok(crowd) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It stops when nobody holds the other end of its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves hosts until standard input ends. Arguments: how many, where, and faults.
pub fn serve(mut args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let (Some(count), Some(dir)) = (args.next(), args.next()) else {
        return Err("failed to find the crowd's arguments".into());
    };
    let count: usize = count.to_string_lossy().parse()?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let answers = Answers::default()
        .with(HOLD, Answer::status(0).together(count))
        .with(SLOW, Answer::status(0).stdout("it was slow\n").after(SLOW_TAKES));
    let mut options = CrowdOptions::default().dir(dir).answers(answers);
    for fault in args {
        options = options.share(fault.to_string_lossy().parse::<Share>()?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let crowd = runtime.block_on(sshd_embed::Crowd::start(count, options))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for host in crowd.hosts() {
        writeln!(out, "{} {}", host.name, host.addr)?;
    }
    out.flush()?;
    drop(out);
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    runtime.block_on(crowd.stop());
    Ok(())
}
