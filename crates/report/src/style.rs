//! How reports look: zone, verbosity, colours.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use pipedown_model::{HostName, ShutdownHow};

use crate::{clock, relative};

/// Folds hosts into the shortest host set, e.g. `login[01-03]`.
pub type Fold = fn(&[HostName]) -> String;

/// How reports look.
#[derive(Debug, Clone)]
pub struct Style {
    /// The zone in which times are shown.
    pub zone: Tz,
    /// How hosts are folded.
    pub fold: Fold,
    /// How much is said.
    pub verbosity: Verbosity,
    /// Whether colours are used.
    pub colour: Colour,
    /// Whether plain lines begin with the time of their event.
    pub stamp: Stamp,
    /// The moment of which the end report speaks; the last event's if none. A replay gives the clock's.
    pub as_of: Option<DateTime<Utc>>,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Problems and the end report (`-q`).
    Quiet,
    /// What an operator wants to see pass.
    #[default]
    Normal,
    /// Steps, connections and every gate's verdict too (`-v`).
    Verbose,
}

/// Whether colours are used. `NO_COLOR` and terminals are the caller's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// No escape sequences.
    #[default]
    Off,
    /// ANSI colours.
    On,
}

/// Whether plain lines begin with the time of their event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// They don't: they are read as they appear.
    #[default]
    Off,
    /// They do: a replay, a log.
    On,
}

/// What a word means to the reader; the colour follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Caution,
    Bad,
}

impl Style {
    /// Makes a style for a zone: normal verbosity, no colours, no stamps.
    pub fn new(zone: Tz, fold: Fold) -> Self {
        Self {
            zone,
            fold,
            verbosity: Verbosity::default(),
            colour: Colour::default(),
            stamp: Stamp::default(),
            as_of: None,
        }
    }

    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let style = console::Style::new().force_styling(true);
        let style = match (self.colour, tone) {
            (Colour::Off, _) | (_, Tone::Plain) => return text.to_owned(),
            (Colour::On, Tone::Good) => style.green(),
            (Colour::On, Tone::Caution) => style.yellow(),
            (Colour::On, Tone::Bad) => style.red().bold(),
        };
        style.apply_to(text).to_string()
    }

    /// `18:00 CET (in 3 h 59 min)`.
    pub(crate) fn when(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        format!("{} ({})", clock(at, now, self.zone), relative(at, now))
    }

    pub(crate) fn fold<'a>(&self, hosts: impl IntoIterator<Item = &'a HostName>) -> String {
        let hosts: BTreeSet<&HostName> = hosts.into_iter().collect();
        let hosts: Vec<HostName> = hosts.into_iter().cloned().collect();
        (self.fold)(&hosts)
    }
}

/// What a timed change of sshd's configuration ends with.
pub(crate) const REVERTS: &str = "sshd's configuration reverts";

/// The words for how a window ends.
pub(crate) fn ending(how: Option<ShutdownHow>) -> &'static str {
    match how {
        Some(ShutdownHow::Poweroff) => "power-off",
        Some(ShutdownHow::Reboot) => "reboot",
        Some(ShutdownHow::Halt) => "halt",
        None => "window ends",
    }
}

/// `1 host`, `2 hosts`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
