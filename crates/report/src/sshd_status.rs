//! What the hosts' sshd have on disk, what they run, and what pipedown has to do with it.

use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::{Failure, HostName, Operator, RunId};
use serde::Serialize;

use crate::printable::printable;
use crate::style::Tone;
use crate::table::pad;
use crate::{Style, span};

/// One host's answer; `sshd status --json` writes one object per host and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshdRow {
    /// The host.
    pub host: HostName,
    /// What answered; null when nothing did.
    pub sshd: Option<SshdFacts>,
    /// Why nothing is known; null when the host answered.
    pub error: Option<Failure>,
}

/// What is known of the sshd that serves a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshdFacts {
    /// What it says of itself: `OpenSSH_9.2p1 …`.
    pub version: String,
    /// How it is served: a unit's name, or `process 812`.
    pub served: String,
    /// Its main file.
    pub config: String,
    /// Whether what stands would be taken by a reload (`sshd -t`), and what it says if not.
    pub broken: Option<String>,
    /// What pipedown has there.
    pub change: SshdChangeState,
    /// What runs, as far as is known.
    pub running: SshdRunning,
    /// Files that differ from those that the last rollout has proven, are new, or are gone.
    pub drift: Vec<String>,
    /// Sessions that were open before and keep what was in force when they began.
    pub sessions: u32,
    /// The host's clock when it was asked.
    pub now: DateTime<Utc>,
    /// Values that a file or the command line sets, and those that differ from one identity to the other.
    pub values: Vec<SshdValue>,
}

/// What pipedown has changed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SshdChangeState {
    /// Nothing.
    None,
    /// On trial.
    Trial {
        /// The run.
        run: RunId,
        /// Who.
        operator: Operator,
        /// Seconds until the host puts back what stood.
        left_s: u64,
    },
    /// Confirmed.
    Confirmed {
        /// The run.
        run: RunId,
        /// Who.
        operator: Operator,
        /// When, by the host's clock.
        at: DateTime<Utc>,
        /// When the host puts back what stood, if it will.
        reverts: Option<DateTime<Utc>>,
    },
    /// The last one was put back.
    RolledBack {
        /// The run.
        run: RunId,
        /// When, by the host's clock.
        at: DateTime<Utc>,
        /// By whom and why.
        why: String,
    },
}

/// What runs, compared with what is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SshdRunning {
    /// Every new connection reads the files.
    EachConnection,
    /// Listener and files are those that a run has proven.
    AsOnDisk,
    /// The daemon still runs what a run has proven; the files have been edited since.
    AsProven,
    /// The files are those that a run has proven; the daemon was reloaded or started since.
    Reloaded,
    /// Files were edited, and the daemon took files over: which came first is not known.
    Unknown,
    /// A change is on trial.
    OnTrial,
    /// No run has proven anything here.
    Unproven,
}

impl SshdRunning {
    fn words(self) -> &'static str {
        match self {
            Self::EachConnection => "as on disk: each connection reads the files",
            Self::AsOnDisk => "as on disk: the files are those that the last rollout has proven",
            Self::AsProven => {
                "as the last rollout has proven it, NOT as on disk: edited since, and not reloaded"
            }
            Self::Reloaded => {
                "not known: reloaded or started since the last rollout; the files are those that it has proven"
            }
            Self::OnTrial => "not known: a change is on trial",
            Self::Unknown => "not known: edited and reloaded since the last rollout",
            Self::Unproven => "not known: no rollout has proven it",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::EachConnection | Self::AsOnDisk => Tone::Good,
            Self::AsProven | Self::Unknown | Self::OnTrial => Tone::Caution,
            Self::Reloaded | Self::Unproven => Tone::Plain,
        }
    }
}

/// A value that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshdValue {
    /// As sshd_config(5) spells it.
    pub keyword: String,
    /// As sshd prints it; as the file has it where sshd prints none.
    pub value: String,
    /// For whom; null for everyone asked about.
    pub identity: Option<String>,
    /// `FILE:LINE`, `command line` or `default`.
    pub from: String,
    /// Whether pipedown has set it.
    pub ours: bool,
}

/// Writes one block per host.
pub fn sshd_status(rows: &[SshdRow], style: &Style) -> String {
    let mut text = String::new();
    for row in rows {
        if !text.is_empty() {
            text.push('\n');
        }
        match (&row.sshd, &row.error) {
            (Some(facts), _) => block(&mut text, &row.host, facts, style),
            (None, error) => {
                let error = error.as_ref();
                let why = error.map_or_else(|| "no answer".to_owned(), |e| format!("failed to {}", e.text));
                text.push_str(&format!("{}  {}\n", row.host, style.paint(Tone::Bad, &printable(&why))));
                if let Some(hint) = error.and_then(|e| e.hint.as_ref()) {
                    text.push_str(&format!("  hint: {}\n", printable(hint)));
                }
            }
        }
    }
    text
}

fn block(text: &mut String, host: &HostName, facts: &SshdFacts, style: &Style) {
    let SshdFacts { version, served, config, .. } = facts;
    text.push_str(&printable(&format!("{host}  {version}, {served}, {config}")));
    text.push('\n');
    let mut line = |name: &str, tone: Tone, words: &str| {
        let words = style.paint(tone, &printable(words));
        text.push_str(&format!("  {}  {words}\n", pad(name, 8)));
    };
    if let Some(broken) = &facts.broken {
        line("BROKEN", Tone::Bad, &format!("the next reload or restart fails: {broken}"));
    }
    let (tone, change) = change(facts, style);
    line("change", tone, &change);
    line("running", facts.running.tone(), facts.running.words());
    if !facts.drift.is_empty() {
        line("drift", Tone::Caution, &facts.drift.join(", "));
    }
    if facts.sessions > 0 {
        let words = format!("{} open now keep what was in force when they began", facts.sessions);
        line("sessions", Tone::Plain, &words);
    }
    values(text, &facts.values);
}

fn change(facts: &SshdFacts, style: &Style) -> (Tone, String) {
    let when = |at: DateTime<Utc>| style.when(at, facts.now);
    match &facts.change {
        SshdChangeState::None => (Tone::Plain, "none of pipedown's".to_owned()),
        SshdChangeState::Trial { run, operator, left_s } => {
            let left = span(TimeDelta::seconds(i64::try_from(*left_s).unwrap_or(i64::from(u32::MAX))));
            (
                Tone::Caution,
                format!("on trial: run {run} of {operator}, put back in {left} unless it is confirmed"),
            )
        }
        SshdChangeState::Confirmed { run, operator, at, reverts } => {
            let reverts = reverts.map(|at| format!("; put back {}", when(at))).unwrap_or_default();
            (Tone::Good, format!("confirmed: run {run} of {operator}, {}{reverts}", when(*at)))
        }
        SshdChangeState::RolledBack { run, at, why } => {
            (Tone::Caution, format!("put back: run {run}, {}: {why}", when(*at)))
        }
    }
}

fn values(text: &mut String, values: &[SshdValue]) {
    let widest = |pick: fn(&SshdValue) -> &str| values.iter().map(|v| pick(v).len()).max().unwrap_or(0);
    let keyword = widest(|v| &v.keyword);
    let value = widest(|v| &v.value).min(40);
    for v in values {
        let whom = v.identity.as_ref().map(|who| format!("  for {who}")).unwrap_or_default();
        let ours = if v.ours { "  pipedown's" } else { "" };
        let name = pad(&printable(&v.keyword), keyword);
        let shown = pad(&printable(&v.value), value);
        text.push_str(&format!("  {name}  {shown}  {}{ours}{}\n", printable(&v.from), printable(&whom)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, host, style};

    fn facts(change: SshdChangeState, running: SshdRunning) -> SshdFacts {
        let value = |keyword: &str, value: &str, identity: Option<&str>, from: &str, ours| SshdValue {
            keyword: keyword.into(),
            value: value.into(),
            identity: identity.map(Into::into),
            from: from.into(),
            ours,
        };
        SshdFacts {
            version: "OpenSSH_9.2p1 Debian-2+deb12u7".into(),
            served: "ssh.service".into(),
            config: "/etc/ssh/sshd_config".into(),
            broken: None,
            change,
            running,
            drift: Vec::new(),
            sessions: 2,
            now: at("2026-11-22T17:00:00Z"),
            values: vec![
                value("ClientAliveInterval", "60", None, "/etc/ssh/sshd_config.d/00-pipedown.conf:3", true),
                value("X11Forwarding", "yes", None, "/etc/ssh/sshd_config:90", false),
                value("ClientAliveInterval", "0", Some("sftp"), "/etc/ssh/sshd_config:122", false),
            ],
        }
    }

    #[test]
    fn every_state_has_its_words() {
        let run = RunId::new("20261122-7f3kq2").unwrap();
        let operator = Operator::new("ops", "ctl");
        let confirmed = SshdChangeState::Confirmed {
            run: run.clone(),
            operator: operator.clone(),
            at: at("2026-11-22T14:00:00Z"),
            reverts: Some(at("2026-11-22T17:30:00Z")),
        };
        let trial = SshdChangeState::Trial { run: run.clone(), operator, left_s: 34 };
        let back = SshdChangeState::RolledBack {
            run,
            at: at("2026-11-22T16:58:00Z"),
            why: "deadman: nobody confirmed".into(),
        };
        let row = |sshd| SshdRow { host: host("login01"), sshd: Some(sshd), error: None };
        let mut edited = facts(confirmed.clone(), SshdRunning::AsProven);
        edited.drift = vec!["/etc/ssh/sshd_config".into()];
        edited.broken = Some("line 3: Bad configuration option: Prot".into());
        let error = Failure::new(pipedown_model::FailureClass::Connect, "connect to login05: refused")
            .with_hint("look");
        let rows = [
            row(facts(SshdChangeState::None, SshdRunning::Unproven)),
            row(facts(trial, SshdRunning::OnTrial)),
            row(facts(confirmed.clone(), SshdRunning::AsOnDisk)),
            row(facts(confirmed, SshdRunning::Reloaded)),
            row(edited),
            row(facts(back, SshdRunning::EachConnection)),
            SshdRow { host: host("login05"), sshd: None, error: Some(error) },
        ];
        insta::assert_snapshot!(sshd_status(&rows, &style()));
        insta::assert_snapshot!(serde_json::to_string(&rows[4]).unwrap());
    }
}
