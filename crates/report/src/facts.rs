//! What hosts are, as a table.

use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::{FactSheet, Failure, HostName, Session};
use serde::Serialize;

use crate::printable::printable;
use crate::table::{shorten, table};
use crate::{Style, span};

/// The widest cell.
const TEXT: usize = 34;
/// So much of an id tells hosts, and boots, apart.
const ID: usize = 8;

/// One host; `facts --json` writes one object per host and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactRow {
    /// The host.
    pub host: HostName,
    /// Seconds since it was seen; null if it never was.
    pub age_s: Option<i64>,
    /// Whether it was asked now and did not answer: what is said then is as old as it is.
    pub stale: bool,
    /// What it is; null if it was never seen.
    #[serde(flatten)]
    pub facts: Option<FactSheet>,
    /// Why it did not answer; null when it did, or was not asked.
    pub error: Option<Failure>,
}

impl FactRow {
    /// Makes the row of a host as of `now`.
    pub fn new(host: HostName, facts: Option<FactSheet>, error: Option<Failure>, now: DateTime<Utc>) -> Self {
        let age_s = facts.as_ref().map(|facts| now.signed_duration_since(facts.seen).num_seconds().max(0));
        Self { host, age_s, stale: error.is_some(), facts, error }
    }
}

/// Writes the table, and below it who did not answer.
pub fn facts(rows: &[FactRow], style: &Style) -> String {
    let shown: Vec<[String; 11]> = rows.iter().map(cells).collect();
    let heading = ["HOST", "OS", "KERNEL", "ARCH", "SSHD", "INIT", "UP", "BOOT", "SKEW", "SEEN", "USERS"];
    let mut text = table(heading, &shown);
    for row in rows {
        let Some(error) = &row.error else { continue };
        let age = row.age_s.map(|age| format!("; what is shown is {} old", span(TimeDelta::seconds(age))));
        let age = age.unwrap_or_else(|| "; nothing is known of it".to_owned());
        text.push_str(&printable(&format!("{}: failed to {}{age}", style.fold([&row.host]), error.text)));
        text.push('\n');
        if let Some(hint) = &error.hint {
            text.push_str(&printable(&format!("  hint: {hint}")));
            text.push('\n');
        }
    }
    text
}

fn cells(row: &FactRow) -> [String; 11] {
    let unknown = || "unknown".to_owned();
    let host = row.host.to_string();
    let Some(facts) = &row.facts else {
        return [
            host,
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            "never".to_owned(),
            unknown(),
        ];
    };
    let cell =
        |text: &Option<String>| text.as_ref().map_or_else(unknown, |text| shorten(&printable(text), TEXT));
    let age = span(TimeDelta::seconds(row.age_s.unwrap_or_default()));
    [
        host,
        cell(&facts.os),
        cell(&facts.kernel),
        cell(&facts.arch),
        cell(&facts.sshd),
        cell(&facts.init),
        facts
            .uptime_s
            .map_or_else(unknown, |s| span(TimeDelta::seconds(i64::try_from(s).unwrap_or(i64::MAX / 1000)))),
        facts.boot_id.as_ref().map_or_else(unknown, |id| id.chars().take(ID).collect()),
        skew(facts),
        if row.stale { format!("{age} ago, OLD") } else { format!("{age} ago") },
        facts.users.as_deref().map_or_else(unknown, users),
    ]
}

/// The clocks' difference, as exactly as it is known.
fn skew(facts: &FactSheet) -> String {
    let error = facts.skew_error_ms;
    if facts.skew_ms.abs() <= error {
        return "none".to_owned();
    }
    let seconds = |ms: i64| format!("{}.{}", ms.abs() / 1000, ms.abs() % 1000 / 100);
    let sign = if facts.skew_ms < 0 { "-" } else { "+" };
    format!("{sign}{} s", seconds(facts.skew_ms))
}

fn users(sessions: &[Session]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for session in sessions {
        match counts.iter_mut().find(|(user, _)| *user == session.user) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((&session.user, 1)),
        }
    }
    let names = counts.iter().map(|(user, count)| match count {
        1 => (*user).to_owned(),
        n => format!("{user} ({n})"),
    });
    let text = names.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nobody".to_owned() } else { shorten(&printable(&text), TEXT) }
}

#[cfg(test)]
mod tests {
    use pipedown_model::{FailureClass, SessionClass};

    use super::*;
    use crate::fixture::{host, style};

    fn session(user: &str) -> Session {
        Session { user: user.to_owned(), tty: None, class: SessionClass::Background, from: String::new() }
    }

    #[test]
    fn what_is_old_and_what_is_not_known_is_said() {
        let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let text = |text: &str| Some(text.to_owned());
        let known = FactSheet {
            seen: now - TimeDelta::seconds(3),
            hostname: text("web01"),
            os: text("Debian GNU/Linux 12 (bookworm)\u{1b}[2J"),
            kernel: text("Linux 6.1.0-25-amd64"),
            arch: text("x86_64"),
            sshd: text("OpenSSH_9.2p1 Debian-2+deb12u7"),
            init: text("systemd 252"),
            machine_id: text("30e062ffeb734759a9ff0e737008a780"),
            boot_id: text("0f7e4a2c-0000-4000-8000-000000000000"),
            uptime_s: Some(93_784),
            login_user: text("root"),
            users: Some(vec![session("alice"), session("bob"), session("alice")]),
            skew_ms: -2500,
            skew_error_ms: 4,
        };
        let bare = FactSheet {
            seen: now - TimeDelta::seconds(93_784),
            os: None,
            init: None,
            boot_id: None,
            uptime_s: None,
            users: None,
            sshd: None,
            skew_ms: 3,
            ..known.clone()
        };
        let error = Failure::new(FailureClass::Connect, "connect to web02: refused").with_hint("is it up?");
        let nobody = FactSheet { users: Some(Vec::new()), ..known.clone() };
        let rows = [
            FactRow::new(host("web01"), Some(known), None, now),
            FactRow::new(host("web02"), Some(bare), Some(error.clone()), now),
            FactRow::new(host("web03"), None, Some(error), now),
            FactRow::new(host("web04"), Some(nobody), None, now),
        ];
        insta::assert_snapshot!(facts(&rows, &style()));
        let line = serde_json::to_string(&rows[2]).unwrap();
        assert!(line.starts_with(r#"{"host":"web03","age_s":null,"stale":true,"error":{"#), "{line}");
    }
}
