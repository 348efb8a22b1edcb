//! Turns events into text: progress, plain lines, JSON lines, reports.
//!
//! A [`Reporter`] consumes events in the journal's order and decides nothing. Text that came from a host
//! or from a file is stripped of control characters before it is shown: see [`printable`].

mod describe;
mod dry_run;
mod effective;
mod error;
mod facts;
mod json;
mod listing;
mod live;
mod next_steps;
mod output;
mod plain;
mod printable;
mod problems;
mod reporter;
mod sink;
mod sshd_status;
mod standing;
mod status;
mod status_table;
mod style;
mod summary;
mod table;
mod time;

#[cfg(test)]
mod events_page;
#[cfg(test)]
mod fixture;

pub use effective::{EffectiveRow, effective};
pub use error::ReportError;
pub use facts::{FactRow, facts};
pub use json::Json;
pub use listing::{HostRow, PlaybookRow, RunRow, hosts, playbooks, runs};
pub use live::Live;
pub use output::{HostOutput, OutputGroup, Prefixer, diff_outputs, fold_outputs, group_outputs};
pub use plain::Plain;
pub use printable::printable;
pub use reporter::Reporter;
pub use sshd_status::{SshdChangeState, SshdFacts, SshdRow, SshdRunning, SshdValue, sshd_status};
pub use status::{AgendaState, StatusRow, WindowState};
pub use status_table::{Folding, status};
pub use style::{Colour, Fold, Stamp, Style, Verbosity};
pub use summary::summary;
pub use table::table;
pub use time::{clock, relative, span};
