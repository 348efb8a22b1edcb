//! Sees, changes, verifies and undoes one thing on one host.

pub mod agenda;
mod answer;
mod arm;
mod cancel;
mod capability;
mod command;
mod diff;
mod error;
pub mod files;
mod fragment;
mod lane;
mod ledger;
mod look;
mod now;
mod preflight;
mod privilege;
mod reap;
mod reboot;
mod run;
mod script;
mod secret;
mod shell;
pub mod sshd;
mod wire;

#[cfg(test)]
mod host_tests;

pub use arm::{ArmReport, NologinFiles, Persistence, ReplaceMode, arm};
pub use cancel::{CancelReport, CancelResult, Which, cancel};
pub use capability::{ChangeName, Changer, Looker};
pub use command::{Printed, RunEnd, Running, Start};
pub use diff::{diff, nologin_files};
pub use error::StepError;
pub use fragment::library;
pub use ledger::LedgerEntry;
pub use look::{Seen, facts, look};
pub use now::{Foreign, Now, NowReport, now};
pub use pipedown_ssh::Exec;
pub use preflight::{GateOptions, SecondWay, preflight};
pub use privilege::command;
pub use reap::reap;
pub use reboot::{RebootOrder, reboot};
pub use run::{Guard, RunReport, check, run_step};
pub use script::script_words;
pub use secret::Secret;
pub use shell::{Call, HostShell, Reply, ShellOptions, run_instead};
