//! Programs that do the same, in turn.

use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::rows::{Table, goal, median, ratio, talk};
use crate::usage::{self, Usage};

/// A program and what it took.
pub struct Entry {
    /// What it is called.
    pub name: &'static str,
    command: Command,
    taken: Vec<Usage>,
}

/// Programs that do the same; the first is ours.
pub struct Contest(Vec<Entry>);

impl Contest {
    /// Lets each run once in every round. Those that fail are told and left out, but ours.
    ///
    /// # Errors
    /// When ours fails.
    pub fn hold(programs: Vec<(&'static str, Command)>, times: usize) -> Result<Self, Failure> {
        Self::hold_and_settle(programs, times, || Ok(()))
    }

    /// Like [`Contest::hold`], and does something after each of them that did not fail.
    ///
    /// # Errors
    /// When ours fails, or what is done afterwards.
    pub fn hold_and_settle(
        programs: Vec<(&'static str, Command)>,
        times: usize,
        settle: impl Fn() -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let entry = |(name, command)| Entry { name, command, taken: Vec::new() };
        let mut entries: Vec<Entry> = programs.into_iter().map(entry).collect();
        let mut failed = Vec::new();
        for round in 0..times {
            for (nth, entry) in entries.iter_mut().enumerate() {
                if failed.contains(&entry.name) {
                    continue;
                }
                match usage::of(&entry.command) {
                    Ok(usage) => {
                        talk(&format!("  round {}: {}: {}", round + 1, entry.name, brief(&usage)));
                        entry.taken.push(usage);
                        settle()?;
                    }
                    Err(error) if nth == 0 => return Err(error),
                    Err(error) => {
                        talk(&format!("{}: not measured: {error}", entry.name));
                        failed.push(entry.name);
                    }
                }
            }
        }
        entries.retain(|entry| !failed.contains(&entry.name));
        Ok(Self(entries))
    }

    /// What a program took: the median of each figure.
    pub fn taken(&self, name: &str) -> Option<Usage> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| middle(&entry.taken))
    }

    /// What ours took.
    pub fn ours(&self) -> Usage {
        self.0.first().map(|entry| middle(&entry.taken)).unwrap_or_default()
    }

    /// The least of the others' wall times.
    pub fn fastest_peer(&self) -> Option<Duration> {
        self.0.iter().skip(1).map(|entry| middle(&entry.taken).wall).min()
    }

    /// Prints them all, for so many hosts.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn print(&self, title: &str, hosts: usize) {
        let mut table =
            Table::new(&["what", "wall", "CPU a host", "largest process", "our wall is", "our CPU is"]);
        let ours = self.ours();
        for entry in &self.0 {
            let usage = middle(&entry.taken);
            table.row([
                entry.name.into(),
                format!("{:.2} s", usage.wall.as_secs_f64()).into(),
                format!("{:.2} ms", usage.processor.as_secs_f64() * 1e3 / hosts as f64).into(),
                format!("{:.1} MiB", usage.memory as f64 / 1024.0).into(),
                ratio(ours.wall.as_secs_f64(), usage.wall.as_secs_f64()).into(),
                part(ours.processor, usage.processor).into(),
            ]);
        }
        table.print(title);
    }
}

fn brief(usage: &Usage) -> String {
    format!("wall {:.2} s, CPU {:.2} s", usage.wall.as_secs_f64(), usage.processor.as_secs_f64())
}

/// One time as a part of another.
fn part(ours: Duration, theirs: Duration) -> String {
    format!("{:.3}", quotient(ours, theirs))
}

/// One time divided by another.
pub fn quotient(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64().max(1e-9)
}

fn middle(taken: &[Usage]) -> Usage {
    Usage {
        wall: median(taken.iter().map(|usage| usage.wall).collect()).unwrap_or_default(),
        processor: median(taken.iter().map(|usage| usage.processor).collect()).unwrap_or_default(),
        memory: median(taken.iter().map(|usage| usage.memory).collect()).unwrap_or_default(),
        ..Usage::default()
    }
}

/// Goals and what came of them.
pub struct Goals(Table);

impl Goals {
    /// None yet.
    pub fn new() -> Self {
        Self(Table::new(&["goal", "at most", "measured", ""]))
    }

    /// A figure that is to be small; none: it could not be measured.
    pub fn most(&mut self, what: &str, most: f64, measured: Option<f64>) {
        let (measured, met) = match measured {
            Some(value) => (format!("{value:.3}"), goal(value, most)),
            None => ("-".to_owned(), "not measured"),
        };
        self.0.row([what.into(), format!("{most:.3}").into(), measured.into(), met.into()]);
    }

    /// Prints them.
    pub fn print(&self) {
        self.0.print("Goals");
    }
}
