//! What real hosts do, one file per scenario; docs/LAB.md says what the lab is. Needs root and `PIPEDOWN_LAB=1`.
//!
//! The scenarios bring their hosts up and run all at once, each on hosts of its own. libtest would run as many as there
//! are processors, and has no moment at which a lab could be taken down: hence a `main` of our own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what surprises a test is to end it, and a skipped one says so"
)]

mod calling_off;
mod feed;
mod harness;

use std::process::ExitCode;

use harness::Scenario;

fn main() -> ExitCode {
    harness::main(vec![Scenario { name: "calling_off::early", hosts: &["bookworm03"], run: calling_off::early }])
}
