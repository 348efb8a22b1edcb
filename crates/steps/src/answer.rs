//! What a fragment answers: lines of a key and a value.

use pipedown_model::{DeliveryMiss, FindingCode};

use crate::{Reply, StepError};

/// Splits a line into its first word and the rest.
pub(crate) fn key_value(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// A reply's lines; bytes that are no text are replaced, control characters dropped.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split('\n')
        .filter(|line| !line.is_empty())
        .map(|line| line.chars().filter(|c| !c.is_control() || *c == '\t').collect())
        .collect()
}

/// The lines of a fragment that came to its end, or why it did not.
pub(crate) fn outcome(call: &'static str, reply: &Reply) -> Result<Vec<String>, StepError> {
    if reply.timed_out {
        return Err(StepError::TimedOut { call });
    }
    let lines = lines(&reply.stdout);
    if lines.iter().any(|line| line.starts_with("result ")) {
        return Ok(lines);
    }
    if let Some(refusal) = lines.iter().find_map(|line| line.strip_prefix("refused ")) {
        return Err(refused(refusal));
    }
    let said = lines.iter().rev().find_map(|line| line.strip_prefix("failed "));
    let stderr = String::from_utf8_lossy(&reply.stderr);
    let text = match said {
        Some(said) => said.to_owned(),
        None => format!("finish {call}: status {}, {}", reply.status, last(&stderr)),
    };
    Err(StepError::Host { call, text })
}

fn last(stderr: &str) -> String {
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Why the host's own gate stayed closed.
fn refused(refusal: &str) -> StepError {
    let (why, rest) = key_value(refusal);
    let (code, text, hint) = match why {
        "tombstone" => {
            (FindingCode::Tombstone, format!("arm: this run has ended here ({rest})"), "start a new run")
        }
        "past" => (
            FindingCode::PastDue,
            "arm: by the host's own clock its time is past".to_owned(),
            "choose a later time, and look at the host's clock",
        ),
        "window" => (
            FindingCode::OtherWindow,
            format!("change what belongs to the window of run {rest}"),
            "cancel that run, or supersede it with --replace",
        ),
        "schedule" => (
            FindingCode::ForeignSchedule,
            format!("arm: somebody else has scheduled a shutdown ({rest})"),
            "ask who did, or supersede it with --replace",
        ),
        "nologin" => (
            FindingCode::ForeignNologin,
            format!("change {rest}: somebody else has put it there"),
            "ask who did, or supersede it with --replace: cancel puts it back",
        ),
        "firing" => (
            FindingCode::OtherWindow,
            "arm: the host is going down this moment".to_owned(),
            "wait until it is back",
        ),
        _ => (
            FindingCode::Privileges,
            format!("change the host: {refusal}"),
            "log in as root, or set `become` for this host in the inventory",
        ),
    };
    StepError::Refused { code, text, hint }
}

/// A line `missed USER WHY…`.
pub(crate) fn miss(value: &str) -> DeliveryMiss {
    let (user, why) = key_value(value);
    DeliveryMiss { user: user.to_owned(), why: why.to_owned() }
}
