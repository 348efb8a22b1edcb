//! Five small changes on real hosts, as a playbook of ours and as one of Ansible's, in turn:
//! `cargo bench -p pipedown --bench changes`. docs/PERFORMANCE.md has the latest figures.
//!
//! The hosts are OpenSSH's sshd on loopback addresses, each in namespaces of its own: what changes them changes nothing on
//! this machine, and needs root.

mod machines;
#[path = "../window/rows.rs"]
mod rows;
#[path = "../window/usage.rs"]
mod usage;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;

use crate::machines::{Machines, write};
use crate::rows::{Table, goal, median, ms, ratio, talk};
use crate::usage::Usage;

/// The program that is measured.
const PIPEDOWN: &str = env!("CARGO_BIN_EXE_pipedown");
const OURS: &str = include_str!("five.toml");
const THEIRS: &str = include_str!("five.yml");
/// What ours may be of Ansible's.
const GOALS: [(&str, f64); 2] =
    [("wall, of Ansible's", 1.0 / 20.0), ("processor time, of Ansible's", 1.0 / 40.0)];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures pipedown.
#[derive(Debug, Parser)]
struct Cli {
    /// How many hosts, 250 at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=250))]
    hosts: u8,
    /// How often, in turn; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    times: u16,
    /// Said by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == usage::ROLE) {
        // This program measures itself as well: that needs a process of its own.
        return usage::watch(args);
    }
    match start(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            talk(&format!("failed to measure: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start(cli: &Cli) -> Result<(), Failure> {
    if !cli.bench {
        talk("nothing measured: run it with `cargo bench -p pipedown --bench changes`");
        return Ok(());
    }
    if cfg!(debug_assertions) {
        return Err("this is not a release build".into());
    }
    rows::machine();
    measure(cli.hosts, cli.times)
}

/// This program, to be started once more.
fn myself() -> Result<OsString, Failure> {
    Ok(std::env::current_exe()?.into_os_string())
}

/// Measures both in turn. Every round makes changes that were not made before.
///
/// # Errors
/// When the hosts do not start, or a program fails.
fn measure(hosts: u8, times: u16) -> Result<(), Failure> {
    let machines = Machines::start(hosts)?;
    let top = machines.dir.path();
    furnish(&machines)?;
    let peer = is_installed("ansible-playbook");
    if !peer {
        talk("ansible-playbook: not installed");
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=times {
        if peer {
            theirs.push(usage::of(&ansible(top, &format!("a{round}")))?);
        }
        ours.push(usage::of(&pipedown(top, &format!("p{round}")))?);
        // Both have done the same, or the figures say nothing.
        for who in ["a", "p"].into_iter().skip(usize::from(!peer)) {
            are_made(&machines, &format!("{who}{round}"))?;
        }
    }
    report(hosts, middle(&ours), peer.then(|| middle(&theirs)));
    Ok(())
}

fn middle(taken: &[Usage]) -> Usage {
    Usage {
        wall: median(taken.iter().map(|usage| usage.wall).collect()).unwrap_or_default(),
        processor: median(taken.iter().map(|usage| usage.processor).collect()).unwrap_or_default(),
        memory: median(taken.iter().map(|usage| usage.memory).collect()).unwrap_or_default(),
        ..Usage::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(hosts: u8, ours: Usage, theirs: Option<Usage>) {
    let title = format!("Five small changes on {hosts} real hosts");
    let mut table = Table::new(&[
        "what",
        "wall",
        "processor time a host",
        "largest process",
        "wall, of ours",
        "time, of ours",
    ]);
    let [wall, processor] = [ours.wall.as_secs_f64(), ours.processor.as_secs_f64()];
    let rows = [("pipedown run", Some(ours)), ("ansible-playbook", theirs)];
    for (what, usage) in rows.into_iter().filter_map(|(what, usage)| Some((what, usage?))) {
        table.row([
            what.into(),
            ms(usage.wall).into(),
            ms(usage.processor / u32::from(hosts)).into(),
            format!("{:.1} MiB", usage.memory as f64 / 1024.0).into(),
            ratio(usage.wall.as_secs_f64(), wall).into(),
            ratio(usage.processor.as_secs_f64(), processor).into(),
        ]);
    }
    table.print(&title);
    let Some(theirs) = theirs else { return };
    let mut goals = Table::new(&["goal", "at most", "measured", ""]);
    let parts = [wall / theirs.wall.as_secs_f64(), processor / theirs.processor.as_secs_f64()];
    for ((what, most), part) in GOALS.into_iter().zip(parts) {
        goals.row([
            what.into(),
            format!("{most:.3}").into(),
            format!("{part:.3}").into(),
            goal(part, most).into(),
        ]);
    }
    goals.print("Goals");
}

fn furnish(machines: &Machines) -> Result<(), Failure> {
    let (top, port) = (machines.dir.path(), machines.port);
    let (key, known) = (top.join("id_ed25519"), top.join("known_hosts"));
    let mut toml = format!("[defaults]\nuser = \"root\"\nidentity_file = {key:?}\nknown_hosts = {known:?}\n");
    let mut ini = String::new();
    for (name, address) in &machines.hosts {
        toml.push_str(&format!("[hosts.{name}]\naddress = \"{address}\"\nport = {port}\n"));
        ini.push_str(&format!("{name} ansible_host={address} ansible_port={port} ansible_user=root\n"));
    }
    let config = format!(
        "[defaults]\nforks = 16\ninventory = {top}/hosts.ini\nprivate_key_file = {}\ngathering = explicit\n\
         interpreter_python = /usr/bin/python3\n[ssh_connection]\npipelining = True\n\
         ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={} \
         -o IdentitiesOnly=yes -o IdentityAgent=none\n\
         control_path_dir = {top}/control\n",
        key.display(),
        known.display(),
        top = top.display(),
    );
    fs::create_dir_all(top.join("control"))?;
    for (file, text) in [
        ("inventory.toml", toml.as_str()),
        ("hosts.ini", &ini),
        ("ansible.cfg", &config),
        ("five.toml", OURS),
        ("five.yml", THEIRS),
    ] {
        write(&top.join(file), text)?;
    }
    Ok(())
}

fn pipedown(top: &Path, round: &str) -> Command {
    let mut command = Command::new(PIPEDOWN);
    command.args(["-F", "none", "-i"]).arg(top.join("inventory.toml")).arg("run").arg(top.join("five.toml"));
    command.args(["--all", "--yes", "--var"]).arg(format!("round={round}"));
    command.env("HOME", top).env("XDG_STATE_HOME", top.join("state"));
    command
}

fn ansible(top: &Path, round: &str) -> Command {
    let mut command = Command::new("ansible-playbook");
    command.arg(top.join("five.yml")).arg("-e").arg(format!("round={round}"));
    command.env("HOME", top).env("ANSIBLE_CONFIG", top.join("ansible.cfg")).env_remove("SSH_AUTH_SOCK");
    command
}

fn are_made(machines: &Machines, round: &str) -> Result<(), Failure> {
    for (name, _) in &machines.hosts {
        let host = machines.dir.path().join(name);
        let made = [
            format!("etc/sysctl.d/90-{round}.conf"),
            format!("var/lib/{round}/made"),
            format!("var/lib/{round}/last"),
        ];
        if let Some(missing) = made.iter().find(|path| !host.join(path).exists()) {
            return Err(format!("{name}: {missing} was not made").into());
        }
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
