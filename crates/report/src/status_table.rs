//! The hosts' answers as a table.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Offset, TimeDelta, Utc};
use chrono_tz::Tz;
use pipedown_model::{HostName, Session, SessionClass};

use crate::describe::failed;
use crate::printable::printable;
use crate::problems::without_own_name;
use crate::style::Tone;
use crate::table::{shorten, table};
use crate::{AgendaState, StatusRow, Style, WindowState, clock, span};

const TEXT: usize = 40;
/// The table is wide enough: `pipedown plan` shows the whole text.
const NEXT_TEXT: usize = 24;

/// Whether hosts that answer the same share a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Folding {
    /// A row for every host.
    #[default]
    PerHost,
    /// A row for every answer.
    Identical,
}

/// Writes the table, what needs attention below it, and the counts.
pub fn status(rows: &[StatusRow], folding: Folding, style: &Style) -> String {
    let mut lines: Vec<(Vec<&HostName>, [String; 8])> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let cells = cells(row, style);
        let new = lines.len();
        let place = match folding {
            Folding::PerHost => new,
            Folding::Identical => *places.entry(cells.clone()).or_insert(new),
        };
        match lines.get_mut(place) {
            Some((hosts, _)) => hosts.push(&row.host),
            None => lines.push((vec![&row.host], cells)),
        }
    }
    let shown: Vec<[String; 9]> = lines
        .into_iter()
        .map(|(hosts, [state, fires, left, by, agenda, nologin, next, users])| {
            let hosts = style.fold(hosts);
            // What is widest comes last: on a narrow terminal only its end is broken.
            [hosts, state, fires, left, by, agenda, nologin, users, next]
        })
        .collect();
    let heading = ["HOST", "STATE", "FIRES", "LEFT", "BY", "AGENDA", "NOLOGIN", "USERS", "NEXT"];
    format!("{}{}{}", table(heading, &shown), notes(rows, style), counts(rows, style))
}

fn cells(row: &StatusRow, style: &Style) -> [String; 8] {
    let now = row.now.unwrap_or(DateTime::UNIX_EPOCH);
    let fires = row.fires.map(|t| fires(t, now, row, style)).unwrap_or_default();
    let left = match (row.state, row.remaining_s) {
        (WindowState::Past, _) | (_, None) => String::new(),
        (_, Some(s)) if s >= 0 => span(TimeDelta::seconds(s)),
        (_, Some(s)) => format!("-{}", span(TimeDelta::seconds(s))),
    };
    let by = match (&row.operator, &row.run) {
        (Some(operator), Some(run)) => printable(&format!("{operator} {run}")),
        _ => String::new(),
    };
    let agenda = match row.agenda {
        Some(AgendaState::Alive) => "alive",
        Some(AgendaState::Dead) => "DEAD",
        Some(AgendaState::LostAtReboot) => "lost at reboot",
        None => "",
    };
    let nologin = match &row.nologin {
        Some(file) if file.ours => "ours".into(),
        Some(file) => format!("foreign: {}", shorten(&printable(&file.first_line), TEXT)),
        None => String::new(),
    };
    let state = style.paint(tone(row.state), row.state.word());
    [state, fires, left, by, agenda.into(), nologin, next(row, now, style), users(row)]
}

fn tone(state: WindowState) -> Tone {
    match state {
        WindowState::Unknown | WindowState::Lost => Tone::Bad,
        WindowState::Going | WindowState::OtherRun | WindowState::Past => Tone::Caution,
        WindowState::Armed => Tone::Good,
        WindowState::Ended | WindowState::None => Tone::Plain,
    }
}

fn fires(at: DateTime<Utc>, now: DateTime<Utc>, row: &StatusRow, style: &Style) -> String {
    let what = match row.ends_with.as_deref() {
        Some("poweroff") => "power-off".into(),
        Some("none") | None => "ends".into(),
        Some(other) => printable(other),
    };
    let there = row.zone.as_deref().and_then(|zone| clock_there(at, zone, style.zone));
    let there = there.map(|t| format!(" ({t} there)")).unwrap_or_default();
    format!("{what} {}{there}", clock(at, now, style.zone))
}

/// The host's own wall clock, if it differs from the zone shown.
fn clock_there(at: DateTime<Utc>, zone: &str, shown: Tz) -> Option<String> {
    let offset = match zone.parse::<Tz>() {
        Ok(zone) => at.with_timezone(&zone).offset().fix(),
        Err(_) => zone.parse::<chrono::FixedOffset>().ok()?,
    };
    let differs = at.with_timezone(&shown).offset().fix() != offset;
    differs.then(|| at.with_timezone(&offset).format("%H:%M").to_string())
}

fn next(row: &StatusRow, now: DateTime<Utc>, style: &Style) -> String {
    let Some(next) = &row.next else {
        return String::new();
    };
    let text =
        next.text.as_ref().map(|t| format!(" \"{}\"", shorten(&printable(t), NEXT_TEXT))).unwrap_or_default();
    format!("{} {}{text}", clock(next.at, now, style.zone), printable(&next.action))
}

fn users(row: &StatusRow) -> String {
    if row.error.is_some() {
        return String::new();
    }
    let Some(sessions) = &row.sessions else {
        return "not known".into();
    };
    let mut people: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for session in sessions {
        let (terminals, work) = people.entry(&session.user).or_default();
        match session.class {
            SessionClass::Terminal => terminals.push(of_terminal(session)),
            SessionClass::Background => work.push(printable(&session.from)),
        }
    }
    let shown = people.into_iter().map(|(user, (terminals, work))| {
        let terminals = terminals.into_iter();
        let work = (!work.is_empty()).then(|| format!("background: {}", work.join(" ")));
        let all: Vec<String> = terminals.chain(work).collect();
        format!("{} ({})", printable(user), all.join(", "))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn of_terminal(session: &Session) -> String {
    session.tty.as_deref().map_or_else(|| "no terminal".into(), printable)
}

/// What hosts share but for their own name is said once.
fn notes(rows: &[StatusRow], style: &Style) -> String {
    let mut notes: Vec<(String, String, Vec<&HostName>)> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        for own in notes_of(row, style) {
            let shared = without_own_name(&own, &row.host);
            let place = *places.entry(shared.clone()).or_insert(notes.len());
            match notes.get_mut(place) {
                Some((_, _, hosts)) => hosts.push(&row.host),
                None => notes.push((shared, own, vec![&row.host])),
            }
        }
    }
    let line = |(shared, own, hosts): (String, String, Vec<&HostName>)| {
        let text = if hosts.len() == 1 { own } else { shared };
        format!("{}: {text}\n", style.fold(hosts))
    };
    let lines: String = notes.into_iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn notes_of(row: &StatusRow, style: &Style) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(error) = &row.error {
        let hint = error.hint.as_ref().map(|h| format!(" (hint: {h})")).unwrap_or_default();
        notes.push(printable(&format!("not known: {}{hint}", failed(error))));
    }
    if row.state == WindowState::Lost {
        notes.push("the window will not fire; cancel it to clear it, or run it again".into());
    }
    if row.state == WindowState::Past {
        notes.push("the window's last moment has passed and the host is up; cancel it to clear it".into());
    }
    if let Some(schedule) = &row.schedule {
        let now = row.now.unwrap_or(DateTime::UNIX_EPOCH);
        let at = schedule.at.map_or_else(|| "at a time not known".into(), |t| clock(t, now, style.zone));
        notes.push(printable(&format!(
            "a {} that is not ours is scheduled {at} by {}",
            schedule.mode, schedule.by
        )));
    }
    notes
}

fn counts(rows: &[StatusRow], style: &Style) -> String {
    let mut counts: BTreeMap<WindowState, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.state).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(s, n)| format!("{n} {}", style.paint(tone(*s), s.word()))).collect();
    format!("\n{}\n", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use pipedown_model::{Failure, HostFacts, RunId, ScheduleSeen};

    use super::*;
    use crate::fixture::{at, facts, host, no_connection, nologin, run, seen_window, session, style, window};

    fn with(name: &str, change: impl FnOnce(&mut HostFacts)) -> (HostName, Result<HostFacts, Failure>) {
        let mut facts = facts(name);
        facts.window = Some(seen_window());
        change(&mut facts);
        (host(name), Ok(facts))
    }

    fn rows(asked: Option<&RunId>) -> Vec<StatusRow> {
        let other = RunId::new("20261121-other1").unwrap();
        let answers = [
            with("login01", |f| f.nologin = Some(nologin(true, "going down at 18:00"))),
            with("login02", |f| f.nologin = Some(nologin(true, "going down at 18:00"))),
            with("login03", |f| f.window.as_mut().unwrap().lost = true),
            with("login04", |f| f.window.as_mut().unwrap().alive = false),
            with("login05", |f| f.now = window() + TimeDelta::seconds(4)),
            with("login06", |f| f.now = window() + TimeDelta::hours(1)),
            with("login07", |f| {
                f.window = None;
                f.sessions = vec![session("käthe\u{1b}]0;x", None, SessionClass::Terminal, "")];
                f.nologin = Some(nologin(false, "disk swap until 5pm"));
                f.schedule = Some(ScheduleSeen {
                    at: Some(at("2026-11-22T20:00:00Z")),
                    mode: "reboot".into(),
                    by: "logind".into(),
                });
            }),
            with("login08", |f| {
                f.window.as_mut().unwrap().run = other;
                f.zone = "-0500".into();
                f.sessions_unreadable = true;
            }),
            (host("login09"), Err(no_connection("login09"))),
            (host("login10"), Err(no_connection("login10"))),
        ];
        answers.into_iter().map(|(host, answer)| StatusRow::new(host, answer, asked)).collect()
    }

    #[test]
    fn a_row_for_every_host() {
        insta::assert_snapshot!(status(&rows(Some(&run())), Folding::PerHost, &style()));
    }

    #[test]
    fn a_row_for_every_answer() {
        insta::assert_snapshot!(status(&rows(None)[..3], Folding::Identical, &style()));
    }

    #[test]
    fn the_json_form() {
        let rows = rows(Some(&run()));
        insta::assert_json_snapshot!([&rows[0], &rows[8]]);
    }

    #[test]
    fn hosts_of_which_nothing_is_known_are_never_shown_as_free() {
        let rows = rows(None);
        assert_eq!(rows[8].state, WindowState::Unknown);
        assert_eq!(rows[8].sessions, None);
        assert_eq!(rows[7].sessions, None);
    }
}
