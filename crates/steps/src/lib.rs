//! Sees, changes, verifies and undoes one thing on one host.

mod error;
mod lane;
mod ledger;
mod privilege;
mod secret;
mod shell;
mod wire;

pub use error::StepError;
pub use ledger::LedgerEntry;
pub use privilege::command;
pub use secret::Secret;
pub use shell::{Call, HostShell, Reply, ShellOptions};
