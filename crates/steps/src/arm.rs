//! Arming a host: the agenda goes there, is started, and is read back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::{RunId, TextId};

use crate::agenda::{AgendaFiles, instant};
use crate::answer::{key_value, outcome};
use crate::{Call, Changer, StepError, fragment};

const CALL: &str = "arm";
/// A slow disk syncs, systemd reloads, and the agenda takes its first look.
const DEADLINE: Duration = Duration::from_secs(120);

/// What an arm may take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaceMode {
    /// Nothing: whatever stands refuses it.
    Fresh,
    /// The window of this run (`postpone`).
    Run(RunId),
    /// Whatever stands: a window, a schedule, a nologin (`--replace`).
    Any,
}

/// Which files keep users out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NologinFiles {
    /// `/run/nologin`, as pam_nologin(8) reads it.
    #[default]
    Run,
    /// `/etc/nologin` too, since sshd there does not use PAM.
    RunAndEtc,
}

/// What becomes of the agenda when the host reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It comes back.
    Persistent,
    /// It does not: a unit of this boot only, since `/etc` is read-only.
    Transient,
    /// It does not: a detached process, since there is no systemd.
    Detached,
}

/// A window that stands, as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmReport {
    /// Whether it was so before.
    pub unchanged: bool,
    /// Hash of the agenda.
    pub agenda: TextId,
    /// The process that executes it.
    pub process: u32,
    /// Whether it survives a reboot.
    pub persistence: Persistence,
    /// When, by the host's clock.
    pub armed: DateTime<Utc>,
    /// The command with which root calls it off on the host.
    pub cancel: String,
    /// Whether the system log took the line about it.
    pub logged: bool,
}

/// Arms a window. What is done half-way is taken back by the host itself.
///
/// # Errors
/// [`StepError::Refused`] when the host's own gate stays closed, [`StepError::Host`] when something fails there,
/// [`StepError::ReadBack`] when what stands is not what was sent, and what a call can fail with.
pub async fn arm(
    changer: &mut Changer<'_>,
    files: &AgendaFiles,
    mode: &ReplaceMode,
    nologins: NologinFiles,
) -> Result<ArmReport, StepError> {
    let reply = changer.call(request(files, mode, nologins)).await?;
    read(files, &outcome(CALL, &reply)?)
}

fn request(files: &AgendaFiles, mode: &ReplaceMode, nologins: NologinFiles) -> Call {
    let mode = match mode {
        ReplaceMode::Fresh => "fresh".to_owned(),
        ReplaceMode::Run(run) => format!("run:{run}"),
        ReplaceMode::Any => "any".to_owned(),
    };
    let nologins = match nologins {
        NologinFiles::Run => "run",
        NologinFiles::RunAndEtc => "run+etc",
    };
    Call {
        name: CALL,
        source: fragment::arm(),
        args: vec![files.run().to_string(), mode, nologins.to_owned()],
        input: files.archive(),
        deadline: DEADLINE,
        // It can be looked at, and repeated: no need for the ledger.
        ledger: None,
    }
}

/// Compares what the host read back with what was sent.
fn read(files: &AgendaFiles, lines: &[String]) -> Result<ArmReport, StepError> {
    let value = |key: &'static str| {
        let found = lines.iter().map(|line| key_value(line)).find(|(name, _)| *name == key);
        found.map(|(_, value)| value).ok_or(StepError::ReadBack { what: key, found: "nothing".to_owned() })
    };
    let hash = |key: &'static str, sent: TextId| {
        let found = value(key)?;
        match TextId::parse(found) {
            Ok(id) if id == sent => Ok(id),
            _ => Err(StepError::ReadBack { what: key, found: found.to_owned() }),
        }
    };
    hash("sums", files.sums_hash())?;
    let persistence = match value("persistence")? {
        "persistent" => Persistence::Persistent,
        "transient" => Persistence::Transient,
        "detached" => Persistence::Detached,
        other => return Err(StepError::ReadBack { what: "persistence", found: other.to_owned() }),
    };
    let number = |key: &'static str| {
        let found = value(key)?;
        found.parse::<i64>().map_err(|_| StepError::ReadBack { what: key, found: found.to_owned() })
    };
    let process = number("process")?;
    Ok(ArmReport {
        unchanged: value("result")? == "unchanged",
        agenda: hash("agenda", files.agenda_hash())?,
        process: u32::try_from(process)
            .map_err(|_| StepError::ReadBack { what: "process", found: process.to_string() })?,
        persistence,
        armed: instant(number("armed")?),
        cancel: value("cancel")?.to_owned(),
        logged: !lines.iter().any(|line| line == "unlogged"),
    })
}

#[cfg(test)]
mod tests;
