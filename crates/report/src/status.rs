//! What the hosts themselves say of their windows.

use chrono::{DateTime, Utc};
use pipedown_model::{
    Failure, FileSeen, HostFacts, HostName, NextEntry, Operator, RunId, ScheduleSeen, Session, WindowSeen,
};
use serde::Serialize;

/// One host's answer; `status --json` writes one object per host and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusRow {
    /// The host.
    pub host: HostName,
    /// How its window stands.
    pub state: WindowState,
    /// The run that owns the window.
    pub run: Option<RunId>,
    /// Who armed it.
    pub operator: Option<Operator>,
    /// Why.
    pub reason: Option<String>,
    /// When it was armed, by the host's clock.
    pub armed: Option<DateTime<Utc>>,
    /// When the last entry fires; for a shutdown, T.
    pub fires: Option<DateTime<Utc>>,
    /// After this moment nothing fires any more.
    pub not_after: Option<DateTime<Utc>>,
    /// Seconds from the host's clock to `fires`; negative when past.
    pub remaining_s: Option<i64>,
    /// `poweroff`, `reboot`, `halt` or `none`.
    pub ends_with: Option<String>,
    /// Whether the process that executes the window lives.
    pub agenda: Option<AgendaState>,
    /// What comes next.
    pub next: Option<NextEntry>,
    /// The last broadcast: how many terminals, and who could not be reached.
    pub last_delivery: Option<String>,
    /// Path of the script with which root cancels on the host itself.
    pub cancel_script: Option<String>,
    /// The file that keeps new logins out.
    pub nologin: Option<FileSeen>,
    /// Who is logged in or has work running; null when it could not be read.
    pub sessions: Option<Vec<Session>>,
    /// A shutdown that someone else scheduled.
    pub schedule: Option<ScheduleSeen>,
    /// The host's clock when it was asked.
    pub now: Option<DateTime<Utc>>,
    /// The host's zone: an IANA name or an offset.
    pub zone: Option<String>,
    /// Why nothing is known; null when the host answered.
    pub error: Option<Failure>,
}

/// How a host's window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// The host did not answer: not known.
    Unknown,
    /// It was armed and will not fire: the agenda's process is gone, or did not come back after a reboot.
    Lost,
    /// Its time has come and it may still fire.
    Going,
    /// Armed, by another run than the one asked for.
    OtherRun,
    /// Armed.
    Armed,
    /// Its last moment has passed and the host is up.
    Past,
    /// The run that was asked for fired, ended or was called off there; nothing is armed.
    Ended,
    /// Nothing is armed.
    None,
}

/// Whether the process that executes a window lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgendaState {
    /// It lives.
    Alive,
    /// It is gone.
    Dead,
    /// The host has rebooted since, and it did not come back.
    LostAtReboot,
}

impl WindowState {
    /// The word that the table shows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "not known",
            Self::Lost => "LOST",
            Self::Going => "going",
            Self::OtherRun => "other run's",
            Self::Armed => "armed",
            Self::Past => "past",
            Self::Ended => "ended",
            Self::None => "none",
        }
    }
}

impl StatusRow {
    /// Makes the row of a host that was asked; `asked` is the run that the operator named.
    pub fn new(host: HostName, answer: Result<HostFacts, Failure>, asked: Option<&RunId>) -> Self {
        match answer {
            Ok(facts) => Self::answered(host, facts, asked),
            Err(error) => Self { error: Some(error), ..Self::empty(host) },
        }
    }

    fn empty(host: HostName) -> Self {
        Self {
            host,
            state: WindowState::Unknown,
            run: None,
            operator: None,
            reason: None,
            armed: None,
            fires: None,
            not_after: None,
            remaining_s: None,
            ends_with: None,
            agenda: None,
            next: None,
            last_delivery: None,
            cancel_script: None,
            nologin: None,
            sessions: None,
            schedule: None,
            now: None,
            zone: None,
            error: None,
        }
    }

    fn answered(host: HostName, facts: HostFacts, asked: Option<&RunId>) -> Self {
        let now = facts.now;
        let ended = asked.is_some_and(|run| facts.ended.contains(run));
        let row = Self {
            state: if ended { WindowState::Ended } else { WindowState::None },
            nologin: facts.nologin,
            sessions: (!facts.sessions_unreadable).then_some(facts.sessions),
            schedule: facts.schedule,
            now: Some(now),
            zone: Some(facts.zone),
            ..Self::empty(host)
        };
        match facts.window {
            None => row,
            Some(window) => row.with_window(window, now, asked),
        }
    }

    fn with_window(self, window: WindowSeen, now: DateTime<Utc>, asked: Option<&RunId>) -> Self {
        Self {
            state: state_of(&window, now, asked),
            agenda: Some(if window.lost {
                AgendaState::LostAtReboot
            } else if window.alive {
                AgendaState::Alive
            } else {
                AgendaState::Dead
            }),
            run: Some(window.run),
            operator: Some(window.operator),
            reason: Some(window.reason),
            armed: Some(window.armed),
            fires: Some(window.fires),
            not_after: Some(window.not_after),
            remaining_s: Some((window.fires - now).num_seconds()),
            ends_with: Some(window.ends_with),
            next: window.next,
            last_delivery: window.last_delivery,
            cancel_script: Some(window.cancel_script),
            ..self
        }
    }
}

fn state_of(window: &WindowSeen, now: DateTime<Utc>, asked: Option<&RunId>) -> WindowState {
    if now > window.not_after {
        WindowState::Past
    } else if asked.is_some_and(|run| *run != window.run) {
        WindowState::OtherRun
    } else if window.lost || !window.alive {
        WindowState::Lost
    } else if now >= window.fires {
        WindowState::Going
    } else {
        WindowState::Armed
    }
}
