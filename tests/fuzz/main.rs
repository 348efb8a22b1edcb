//! Parsers under fire: whatever comes from a file or from a stranger is refused or understood, and never a crash.
//!
//! `cargo test -p pipedown --test fuzz` takes some seconds and tries the same documents each time: a gate must not
//! fail now and then for whoever comes by. `PIPEDOWN_FUZZ_SECONDS=3600` makes it that many for each parser, and
//! `PIPEDOWN_FUZZ_SEED=…` tries others. No nightly toolchain, so no coverage: a document that leads to an outcome of
//! a new kind is kept and changed further.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what surprises a test is to end it, and how much was tried is shown"
)]

mod campaign;
mod mutate;
mod size;
mod targets;

use std::process::ExitCode;
use std::time::Duration;

use campaign::{Limits, run};
use libtest_mimic::{Arguments, Trial};
use targets::TARGETS;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let seed = number("PIPEDOWN_FUZZ_SEED").unwrap_or(1);
    let time = Duration::from_secs(number("PIPEDOWN_FUZZ_SECONDS").unwrap_or(3));
    // What panics is shown with the document that did it, once, and not at each attempt to make that smaller.
    std::panic::set_hook(Box::new(|_| {}));
    let trials = TARGETS.iter().map(|target| {
        Trial::test(target.name, move || {
            println!("{}", run(target, Limits { time, seed })?);
            Ok(())
        })
    });
    libtest_mimic::run(&args, trials.collect()).exit_code()
}
