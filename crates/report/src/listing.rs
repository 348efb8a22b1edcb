//! Tables of what there is: runs, hosts, playbooks.

use chrono::{DateTime, Utc};
use pipedown_model::{HostName, Mode, Operator, RunId, RunState, Target, Verdict};
use serde::Serialize;

use crate::describe::verdict_word;
use crate::printable::printable;
use crate::table::table;
use crate::{Style, clock};

/// One run; `runs --json` writes one object per run and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Playbook.
    pub playbook: String,
    /// Dry run or real.
    pub mode: Mode,
    /// The last verdict; null while a process works on it, or after that process died.
    pub verdict: Option<Verdict>,
    /// Whether some host may still go down because of it.
    pub active: bool,
    /// How many hosts it has.
    pub hosts: usize,
    /// Earliest T.
    pub window: Option<DateTime<Utc>>,
    /// Who began it.
    pub by: Operator,
    /// When it began.
    pub began: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

impl RunRow {
    /// Makes the row of a run as of `now`.
    pub fn new(state: &RunState, now: DateTime<Utc>) -> Self {
        Self {
            run: state.run.clone(),
            playbook: state.playbook.clone(),
            mode: state.mode,
            verdict: state.verdict,
            active: state.is_active(now),
            hosts: state.hosts.len(),
            window: state.window,
            by: state.by.clone(),
            began: state.began,
            reason: state.reason.clone(),
        }
    }
}

/// One host of the inventory; `hosts --json` writes one object per host and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// The host.
    pub host: HostName,
    /// How it is reached.
    #[serde(flatten)]
    pub target: Target,
    /// IANA zone in which its texts tell the time.
    pub zone: String,
    /// The groups it is in.
    pub groups: Vec<String>,
}

/// One playbook; `playbooks --json` writes one object per playbook and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaybookRow {
    /// Its name.
    pub name: String,
    /// `required`, `optional` or `none`.
    pub window: String,
    /// A path, or `built in`.
    pub origin: String,
    /// One line.
    pub description: String,
}

/// Writes the table of runs.
pub fn runs(rows: &[RunRow], now: DateTime<Utc>, style: &Style) -> String {
    let cells = |row: &RunRow| {
        let state = match (row.mode, row.verdict) {
            (Mode::DryRun, _) => "dry run",
            (Mode::Apply, Some(verdict)) => verdict_word(verdict),
            (Mode::Apply, None) => "unfinished",
        };
        let active = if row.active { "active, " } else { "" };
        let time = |at| clock(at, now, style.zone);
        [
            row.run.to_string(),
            printable(&row.playbook),
            format!("{active}{state}"),
            row.hosts.to_string(),
            row.window.map(time).unwrap_or_default(),
            printable(row.by.as_str()),
            time(row.began),
            printable(&row.reason),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    table(["RUN", "PLAYBOOK", "STATE", "HOSTS", "WINDOW", "BY", "BEGAN", "REASON"], &rows)
}

/// Writes the table of hosts.
pub fn hosts(rows: &[HostRow]) -> String {
    let cells = |row: &HostRow| {
        let address = match row.target.port {
            22 => row.target.address.clone(),
            port if row.target.address.contains(':') => format!("[{}]:{port}", row.target.address),
            port => format!("{}:{port}", row.target.address),
        };
        let privilege = match row.target.r#become {
            pipedown_model::Become::None => "",
            pipedown_model::Become::Sudo => "sudo",
            pipedown_model::Become::Doas => "doas",
        };
        [
            row.host.to_string(),
            printable(&address),
            printable(&row.target.user),
            privilege.to_owned(),
            printable(&row.zone),
            printable(&row.groups.join(", ")),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    table(["HOST", "ADDRESS", "USER", "BECOME", "ZONE", "GROUPS"], &rows)
}

/// Writes the table of playbooks.
pub fn playbooks(rows: &[PlaybookRow]) -> String {
    let cells = |row: &PlaybookRow| {
        [&row.name, &row.window, &row.origin, &row.description].map(|cell| printable(cell))
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    table(["PLAYBOOK", "WINDOW", "ORIGIN", "DESCRIPTION"], &rows)
}

#[cfg(test)]
mod tests {
    use pipedown_model::Become;

    use super::*;
    use crate::fixture::{at, cancelled, dry, host, mixed, style};

    #[test]
    fn the_table_of_runs() {
        let now = at("2026-11-22T16:45:00Z");
        let rows: Vec<RunRow> =
            [mixed(), dry(), cancelled()].iter().map(|story| RunRow::new(story.state(), now)).collect();
        insta::assert_snapshot!(runs(&rows, now, &style()));
        insta::assert_json_snapshot!(rows[0]);
    }

    #[test]
    fn the_table_of_hosts() {
        let row = |name: &str, address: &str, port, r#become| HostRow {
            host: host(name),
            target: Target {
                address: address.into(),
                port,
                user: "ops".into(),
                logins: Vec::new(),
                identity_files: Vec::new(),
                known_hosts: Vec::new(),
                r#become,
            },
            zone: "Europe/Paris".into(),
            groups: vec!["login".into(), "debian".into()],
        };
        let rows = [
            row("login01", "login01.example.org", 22, Become::Sudo),
            row("login02", "2001:db8::2", 2222, Become::None),
            row("login03", "192.0.2.3", 2222, Become::Doas),
        ];
        insta::assert_snapshot!(hosts(&rows));
        insta::assert_json_snapshot!(rows[0]);
    }

    #[test]
    fn the_table_of_playbooks() {
        let row = |name: &str, window: &str, description: &str| PlaybookRow {
            name: name.into(),
            window: window.into(),
            origin: "built in".into(),
            description: description.into(),
        };
        let rows = [
            row("graceful-shutdown", "required", "Tells users, keeps new logins out, powers off on time"),
            row("announce", "optional", "Tells users something"),
        ];
        insta::assert_snapshot!(playbooks(&rows));
    }
}
