//! What commands on many hosts cost, beside whatever else runs commands on many hosts and is installed:
//! `cargo bench -p pipedown --bench fleet`. docs/PERFORMANCE.md has the goals and the latest figures.
//!
//! All hosts are on loopback: OpenSSH's sshd on many addresses, and crowds of embedded hosts (sshd-embed) that answer
//! commands without running them, each in processes of their own so that their work is not counted. `true` is all that
//! ever runs. Programs take turns, and ratios are of one run.

mod adhoc;
mod binary;
mod contest;
mod copies;
mod crowd;
mod held;
#[path = "../changes/machines.rs"]
mod machines;
mod peers;
mod realm;
#[path = "../window/rows.rs"]
mod rows;
mod sets;
mod soak;
mod sshds;
#[path = "../window/startup.rs"]
mod startup;
#[path = "../window/usage.rs"]
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
    /// `true` on 100 real sshds
    Real,
    /// `true` on 1,000 embedded hosts
    Thousand,
    /// `true` on 10,000 embedded hosts
    TenThousand,
    /// Memory of 2,000 connections that are held
    Held,
    /// Folding 100,000 names
    Fold,
    /// Counting an inventory of 50,000 hosts
    Count,
    /// 64 MiB, and 200 small files, to 20 real sshds
    Copy,
    /// Start-up and size of the binary
    Binary,
    /// The same again and again; only when asked for
    Soak,
}

/// Measures pipedown.
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure [default: all but soak]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often, in turn; the median counts
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// How long a soak takes
    #[arg(long, default_value = "20m", value_parser = humantime::parse_duration)]
    soak: Duration,
    /// Said by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let result = match args.next().as_ref().and_then(|first| first.to_str()) {
        // This program measures itself as well: both need a process of their own.
        Some(crowd::ROLE) => crowd::serve(args),
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
        rows::talk("nothing measured: run it with `cargo bench -p pipedown --bench fleet`");
        return Ok(());
    }
    if cfg!(debug_assertions) {
        return Err("this is not a release build".into());
    }
    let all = [
        Part::Binary,
        Part::Real,
        Part::Thousand,
        Part::TenThousand,
        Part::Held,
        Part::Fold,
        Part::Count,
        Part::Copy,
    ];
    let parts = if cli.parts.is_empty() { &all[..] } else { &cli.parts };
    let times = cli.times.max(1);
    rows::machine();
    for part in parts {
        let done = match part {
            Part::Real => adhoc::real(times),
            Part::Thousand => adhoc::thousand(times),
            Part::TenThousand => adhoc::ten_thousand(times),
            Part::Held => held::measure(times),
            Part::Fold => sets::fold(times),
            Part::Count => sets::count(times),
            Part::Copy => copies::measure(times),
            Part::Binary => binary::measure(),
            Part::Soak => soak::measure(cli.soak),
        };
        if let Err(error) = done {
            // What can be measured is measured all the same.
            rows::talk(&format!("{part:?}: failed to measure: {error}"));
        }
    }
    Ok(())
}

/// This program, to be started once more.
fn myself() -> Result<OsString, Failure> {
    Ok(std::env::current_exe()?.into_os_string())
}
