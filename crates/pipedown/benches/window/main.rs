//! The figures of docs/PERFORMANCE.md, measured on loopback against embedded hosts, with ratios to what else is
//! installed here: `cargo bench -p pipedown --bench window`.
//!
//! No window is ever armed on this machine itself: the hosts are directories (sshd-embed), and OpenSSH's own
//! server, which is started for comparison, only runs `true`.

mod controller;
mod delay;
mod fleet;
mod follow;
mod openssh;
mod realm;
mod round_trips;
mod rows;
mod startup;
mod tools;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// The program that is measured.
const PIPEDOWN: &str = env!("CARGO_BIN_EXE_pipedown");

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Startup,
    RoundTrips,
    Controller,
    Follow,
}

/// Measures pipedown.
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How many hosts are armed at once
    #[arg(long, default_value_t = 100)]
    hosts: usize,
    /// How often round trips and processor time are measured; the median counts
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// For how long hosts are followed
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    follow: Duration,
    /// Said by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let result = match args.next().as_ref().and_then(|first| first.to_str()) {
        // This program measures itself as well: both need a process of their own.
        Some(fleet::ROLE) => fleet::serve(args),
        Some(usage::ROLE) => return usage::watch(args),
        _ => measure(&Cli::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            rows::talk(&format!("failed to measure: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Result<(), Failure> {
    if !cli.bench {
        rows::talk("nothing measured: run it with `cargo bench -p pipedown --bench window`");
        return Ok(());
    }
    if cfg!(debug_assertions) {
        return Err("this is not a release build".into());
    }
    let wanted = |part| cli.parts.is_empty() || cli.parts.contains(&part);
    rows::machine();
    if wanted(Part::Startup) {
        startup::measure()?;
    }
    if wanted(Part::RoundTrips) {
        round_trips::measure(cli.times)?;
    }
    if wanted(Part::Controller) {
        controller::measure(cli.hosts, cli.times)?;
    }
    if wanted(Part::Follow) {
        follow::measure(cli.hosts, cli.follow)?;
    }
    Ok(())
}

/// This program, to be started once more.
fn myself() -> Result<OsString, Failure> {
    Ok(std::env::current_exe()?.into_os_string())
}
