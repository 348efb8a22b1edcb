//! `pipedown hostkeys scan` beside ssh-keyscan, on the same hosts in the same run:
//! `cargo bench -p pipedown --bench scan`.
//!
//! The hosts are embedded ones (sshd-embed) in a process of their own, each on an address of its own and all on one
//! port, as ssh-keyscan wants them. Both programs ask for all key types that they know; ssh-keyscan is also told
//! the one type that the hosts have, so that it makes as many connections as we do.

#[path = "../window/usage.rs"]
mod usage;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use sshd_embed::{Addressing, FleetOptions};
use usage::Usage;

/// The program that is measured.
const PIPEDOWN: &str = env!("CARGO_BIN_EXE_pipedown");
/// The word that makes this program [`serve`].
const SERVE: &str = "serve-scanned";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures scans of host keys.
#[derive(Debug, Parser)]
struct Cli {
    /// How many hosts
    #[arg(long, default_value_t = 1000)]
    hosts: usize,
    /// How often, in turn; the median counts
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Said by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let result = match args.next().as_ref().and_then(|first| first.to_str()) {
        Some(SERVE) => serve(args),
        Some(usage::ROLE) => return usage::watch(args),
        _ => measure(&Cli::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("failed to measure: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(to: &mut impl Write, line: &str) {
    // Nobody who reads is nobody to tell.
    let _ = writeln!(to, "{line}");
}

fn measure(cli: &Cli) -> Result<(), Failure> {
    if !cli.bench {
        say(&mut std::io::stderr(), "nothing measured: run it with `cargo bench -p pipedown --bench scan`");
        return Ok(());
    }
    let hosts = Hosts::start(cli.hosts)?;
    let programs = [
        ("pipedown hostkeys scan", pipedown(&hosts)),
        ("ssh-keyscan", keyscan(&hosts, &[])),
        ("ssh-keyscan -t ed25519", keyscan(&hosts, &["-t", "ed25519"])),
    ];
    let mut usages = [const { Vec::new() }; 3];
    for _ in 0..cli.times.max(1) {
        for ((_, command), usages) in programs.iter().zip(&mut usages) {
            let keys = keys(command)?;
            if keys != cli.hosts {
                return Err(format!("{command:?} found {keys} keys of {} hosts", cli.hosts).into());
            }
            usages.push(usage::of(command)?);
        }
    }
    let out = &mut std::io::stdout();
    let (count, times) = (cli.hosts, cli.times.max(1));
    say(
        out,
        &format!(
            "| {count} hosts, medians of {times} | wall | processor time | peak memory | ratio of wall | of processor time |"
        ),
    );
    say(out, "| --- | --- | --- | --- | --- | --- |");
    let medians = usages.map(median);
    let [ours, ..] = &medians;
    for ((name, _), theirs) in programs.iter().zip(&medians) {
        say(out, &row(name, theirs, ours));
    }
    Ok(())
}

/// What a program takes, and how much of that we take.
fn row(name: &str, usage: &Usage, ours: &Usage) -> String {
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    let ratio = |a: Duration, b: Duration| format!("{:.2}", a.as_secs_f64() / b.as_secs_f64().max(1e-9));
    let [wall, processor] = [ratio(ours.wall, usage.wall), ratio(ours.processor, usage.processor)];
    let memory = usage.memory / 1024;
    format!("| {name} | {} | {} | {memory} MiB | {wall} | {processor} |", ms(usage.wall), ms(usage.processor))
}

fn median(usages: Vec<Usage>) -> Usage {
    let middle = |mut values: Vec<Duration>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let mut memory: Vec<u64> = usages.iter().map(|usage| usage.memory).collect();
    memory.sort_unstable();
    Usage {
        wall: middle(usages.iter().map(|usage| usage.wall).collect()),
        processor: middle(usages.iter().map(|usage| usage.processor).collect()),
        memory: memory.get(memory.len() / 2).copied().unwrap_or_default(),
        status: Some(0),
    }
}

/// How many keys a command finds: nothing is measured that does not do the same.
fn keys(command: &Command) -> Result<usize, Failure> {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    let output = again.stdin(Stdio::null()).output()?;
    Ok(output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .count())
}

fn pipedown(hosts: &Hosts) -> Command {
    let mut command = Command::new(PIPEDOWN);
    command.args(["hostkeys", "scan", "-F", "none", "-q", "-T", "60s", "-p", &hosts.port.to_string(), "-f"]);
    command.arg(hosts.list.path());
    command
}

fn keyscan(hosts: &Hosts, types: &[&str]) -> Command {
    let mut command = Command::new("ssh-keyscan");
    command.args(types).args(["-T", "60", "-p", &hosts.port.to_string(), "-f"]).arg(hosts.list.path());
    command
}

/// Hosts that run until this is dropped.
struct Hosts {
    process: Child,
    port: u16,
    list: tempfile::NamedTempFile,
}

impl Hosts {
    fn start(count: usize) -> Result<Self, Failure> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(SERVE).arg(count.to_string()).arg(port.to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = process.stdout.take().map(BufReader::new).ok_or("failed to read from the hosts")?;
        let mut list = tempfile::NamedTempFile::new()?;
        let mut started = 0;
        for line in lines.lines().take(count) {
            writeln!(list, "{}", line?)?;
            started += 1;
        }
        list.flush()?;
        let hosts = Self { process, port, list };
        if started < count { Err("failed to start the hosts".into()) } else { Ok(hosts) }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // They stop when nobody holds the other end of their standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves hosts until standard input ends. Arguments: how many, and the port.
fn serve(mut args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let mut number = || args.next()?.to_str()?.parse::<usize>().ok();
    let (Some(count), Some(port)) = (number(), number()) else {
        return Err("failed to find the hosts' arguments".into());
    };
    let options = FleetOptions::default().addressing(Addressing::Addresses(u16::try_from(port)?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let fleet = runtime.block_on(sshd_embed::Fleet::start(count, options))?;
    let mut out = std::io::stdout().lock();
    for address in fleet.hosts().iter().flat_map(|host| host.addrs()) {
        writeln!(out, "{}", address.ip())?;
    }
    out.flush()?;
    drop(out);
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    runtime.block_on(fleet.stop());
    Ok(())
}

/// This program, to be started once more.
fn myself() -> Result<OsString, Failure> {
    Ok(std::env::current_exe()?.into_os_string())
}
