//! The server against real clients: OpenSSH's `ssh`, and russh where `ssh` cannot say what is to be said.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what surprises a test is to end it, and a skipped one says so"
)]

mod binary;
mod crowd;
mod faults;
mod hosts;
mod protocol;
mod sessions;
mod support;
