//! Looking at a host: everything that gates, plans and people ask about, in one round trip.

mod facts;
mod lines;
mod window;

use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::{HostFacts, Init, RunId};

use crate::{Call, Looker, StepError, fragment};

pub use facts::facts;

const CALL: &str = "look";
/// Each question that may hang has a shorter one on the host.
const DEADLINE: Duration = Duration::from_secs(30);
/// How far apart the bounds of the clocks' difference may be.
const VAGUE: i64 = 500;

/// A host as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Everything that is journaled.
    pub facts: HostFacts,
    /// Host clock minus controller clock, in milliseconds.
    pub skew_ms: i64,
    /// By how much the difference may be off: half the time that the answer took.
    pub skew_error_ms: i64,
    /// How long the answer took.
    pub took: Duration,
    /// The host's offset from UTC at the time, e.g. `+0100`.
    pub offset: String,
    /// Whether sshd asks PAM: without it, it looks at `/etc/nologin` only. None when sshd does not say.
    pub uses_pam: Option<bool>,
    /// How much room there is: folder, and free bytes.
    pub room: Vec<(String, u64)>,
    /// Whether the nologin that stands is systemd's own, while booting or going down.
    pub nologin_by_systemd: bool,
    /// Whether the nologin that stands was put there at once by a run without a window (`nologin-on`).
    pub nologin_at_once: bool,
    /// What became of runs here: run, and its tombstone's line.
    pub ended: Vec<(RunId, String)>,
    /// Hash of the list of all files of the window.
    pub window_sums: Option<pipedown_model::TextId>,
    /// What the window is about to do or undergo: `armed`, `firing`, `cancelling`, `replacing`.
    pub window_phase: Option<String>,
    /// What an arm that was killed has left behind; the next arm or cancel removes it.
    pub leftovers: Vec<String>,
    /// Tools without which a part of the evidence is missing, but nothing fails.
    pub wanting_tools: Vec<String>,
}

impl Seen {
    /// Whether a window that is armed there comes back after an unplanned reboot.
    pub fn keeps_window(&self) -> bool {
        let read_only = |line: &String| line.contains("/etc/systemd/system: ");
        self.facts.init == Init::Systemd && !self.facts.unwritable.iter().any(read_only)
    }
}

/// Looks at a host; changes nothing.
///
/// # Errors
/// What a call can fail with, and [`StepError::Unread`] with the line that has another form than it should.
pub async fn look(
    looker: &mut Looker<'_>,
    clock: &(dyn Fn() -> DateTime<Utc> + Send + Sync),
) -> Result<Seen, StepError> {
    let sent = clock();
    let reply = looker.call(call(CALL, fragment::look())).await?;
    let received = clock();
    if reply.timed_out {
        return Err(StepError::TimedOut { call: CALL });
    }
    let mut seen = parse(&reply.stdout, sent, received)?;
    if seen.skew_error_ms > VAGUE {
        // sudo, or a slow host, took part of that time: a plain question tells better.
        let sent = clock();
        let reply = looker.call(call("clock", "date +%s.%N")).await?;
        let received = clock();
        let host = lines::time(String::from_utf8_lossy(&reply.stdout).trim())?;
        let (skew, error) = skew(sent, host, host, received);
        if error < seen.skew_error_ms {
            (seen.skew_ms, seen.skew_error_ms) = (skew, error);
        }
    }
    Ok(seen)
}

fn call(name: &'static str, source: &'static str) -> Call {
    Call { name, source, args: Vec::new(), input: Vec::new(), deadline: DEADLINE, ledger: None }
}

/// The difference of the clocks in milliseconds, and by how much it may be off.
///
/// The host read its clock first at `begun` and last at `done`, both between `sent` and `received`: so the difference
/// lies between `done - received` and `begun - sent`.
fn skew(
    sent: DateTime<Utc>,
    begun: DateTime<Utc>,
    done: DateTime<Utc>,
    received: DateTime<Utc>,
) -> (i64, i64) {
    let least = done.signed_duration_since(received).num_milliseconds();
    let most = begun.signed_duration_since(sent).num_milliseconds();
    (least.midpoint(most), (most.saturating_sub(least) / 2).abs())
}

/// Reads the lines of `look.sh`.
pub(crate) fn parse(stdout: &[u8], sent: DateTime<Utc>, received: DateTime<Utc>) -> Result<Seen, StepError> {
    let lines = lines::Lines::read(stdout)?;
    let facts = lines.facts()?;
    let (skew_ms, skew_error_ms) = skew(sent, facts.now, lines.done()?, received);
    let took = received.signed_duration_since(sent).to_std().unwrap_or_default();
    Ok(Seen {
        skew_ms,
        skew_error_ms,
        took,
        offset: lines.text("offset"),
        uses_pam: lines.sshd("usepam").map(|value| value == "yes"),
        room: lines.space().into_iter().map(|space| (space.folder, space.bytes)).collect(),
        nologin_by_systemd: lines.nologin_by_systemd(),
        nologin_at_once: lines.nologin_at_once(),
        ended: lines.ended(),
        window_sums: lines.id("sums-hash"),
        window_phase: lines.first("phase").map(str::to_owned),
        leftovers: lines.all("leftover").map(str::to_owned).collect(),
        wanting_tools: lines.wanting_tools(),
        facts,
    })
}

#[cfg(test)]
mod tests;
