//! The window that is armed on a host, out of the lines of `look.sh`.

use chrono::{DateTime, Utc};
use pipedown_model::{NextEntry, Operator, RunId, TextId, WindowSeen};

use super::lines::{Lines, unread};
use crate::StepError;
use crate::agenda::{Action, Entry};
use crate::answer::key_value;

impl Lines {
    /// The window, if there is one. One whose files are damaged is an error that names the line.
    pub(super) fn window(&self, now: DateTime<Utc>) -> Result<Option<WindowSeen>, StepError> {
        let Some(run) = self.owner("run") else { return Ok(None) };
        let entries: Vec<Entry> = self.all("agenda").map(Entry::parse).collect::<Result<_, _>>()?;
        let (Some(last), Some(not_after)) =
            (entries.last(), entries.iter().map(|entry| entry.not_after).max())
        else {
            return Err(unread("agenda", "an agenda"));
        };
        let ending = entries.iter().find_map(|entry| match entry.action {
            Action::Shutdown { how, .. } => Some((entry.at, how.word())),
            _ => None,
        });
        let (fires, ends_with) = ending.unwrap_or((last.at, "none"));
        let alive = self.first("alive") == Some("yes");
        Ok(Some(WindowSeen {
            run: RunId::new(run).map_err(|_| unread(format!("owner run {run}"), "a run"))?,
            operator: Operator::parse(self.owner("operator").unwrap_or("-")),
            reason: self.owner("reason").unwrap_or_default().to_owned(),
            armed: self.instant("armed").unwrap_or(DateTime::UNIX_EPOCH),
            fires: crate::agenda::instant(fires),
            not_after: crate::agenda::instant(not_after),
            ends_with: ends_with.to_owned(),
            agenda: self.id("agenda-hash").ok_or_else(|| unread("agenda-hash", "a hash"))?,
            alive,
            lost: !alive && self.first("window-boot") != self.first("boot"),
            next: self.next_entry(&entries, now),
            cancel_script: self.text("cancel").trim_start_matches("sh ").to_owned(),
            last_delivery: self.last_delivery(),
        }))
    }

    fn owner(&self, key: &str) -> Option<&str> {
        self.all("owner").map(key_value).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn next_entry(&self, entries: &[Entry], now: DateTime<Utc>) -> Option<NextEntry> {
        let next = entries.iter().find(|entry| entry.instant() > now)?;
        Some(NextEntry {
            at: next.instant(),
            action: next.action.word().to_owned(),
            text: next.action.text().and_then(|id| self.first_line_of(id)),
        })
    }

    fn first_line_of(&self, id: &TextId) -> Option<String> {
        let hex = id.hex();
        self.all("text").map(key_value).find(|(name, _)| *name == hex).map(|(_, line)| line.to_owned())
    }

    /// `EPOCH COUNT`, then a line `USER WHY` for each that was not reached.
    fn last_delivery(&self) -> Option<String> {
        let mut lines = self.all("delivered");
        let (_, reached) = key_value(lines.next()?);
        let plural = if reached == "1" { "" } else { "s" };
        let missed: Vec<String> = lines
            .map(|line| {
                let (user, why) = key_value(line);
                format!("{user} ({why})")
            })
            .collect();
        Some(if missed.is_empty() {
            format!("{reached} terminal{plural}")
        } else {
            format!("{reached} terminal{plural}; not reached: {}", missed.join(", "))
        })
    }
}
