//! Things done at once over the link, without a window: broadcast, motd, nologin.

use std::time::Duration;

use pipedown_model::{DeliveryMiss, Presence, StepId};

use crate::agenda::{clean_text, one_line};
use crate::answer::{key_value, miss, outcome};
use crate::{Call, Changer, StepError, fragment};

const CALL: &str = "now";
const DEADLINE: Duration = Duration::from_secs(60);

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now<'a> {
    /// A message to every terminal.
    Broadcast {
        /// The text.
        text: &'a str,
        /// The step, for the host's ledger: a message must not be sent twice.
        step: &'a StepId,
    },
    /// nologin is put there, or what stood before us is put back.
    Nologin {
        /// Which of the two.
        presence: Presence,
        /// The text.
        text: &'a str,
    },
    /// The same for the motd.
    Motd {
        /// Which of the two.
        presence: Presence,
        /// The text.
        text: &'a str,
    },
}

/// What to do with what somebody else has put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Leave it alone, and refuse.
    Keep,
    /// Take its place (`--replace`).
    Replace,
}

/// What it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NowReport {
    /// Whether anything changed.
    pub changed: bool,
    /// What, one line each.
    pub diff: Vec<String>,
    /// How many terminals got a message.
    pub told: u32,
    /// Who did not get it.
    pub missed: Vec<DeliveryMiss>,
    /// Whether the system log took the line about it.
    pub logged: bool,
}

/// Does one thing at once.
///
/// # Errors
/// [`StepError::Refused`] when what stands is somebody else's, [`StepError::Host`] when something fails there.
pub async fn now(
    changer: &mut Changer<'_>,
    what: &Now<'_>,
    foreign: Foreign,
) -> Result<NowReport, StepError> {
    let name = &changer.name;
    let (action, presence, text, step) = match what {
        Now::Broadcast { text, step } => ("broadcast", None, *text, Some(step.to_string())),
        Now::Nologin { presence, text } => ("nologin", Some(*presence), *text, None),
        Now::Motd { presence, text } => ("motd", Some(*presence), *text, None),
    };
    let foreign = match foreign {
        Foreign::Keep => "keep",
        Foreign::Replace => "replace",
    };
    let mut args = vec![name.run.to_string(), one_line(name.operator.as_str()), one_line(&name.reason)];
    args.extend([foreign.to_owned(), action.to_owned()]);
    args.extend(presence.map(|presence| match presence {
        Presence::Present => "present".to_owned(),
        Presence::Absent => "absent".to_owned(),
    }));
    let input = clean_text(text).into_bytes();
    let call = Call { name: CALL, source: fragment::now(), args, input, deadline: DEADLINE, ledger: step };
    let reply = changer.call(call).await?;
    Ok(read(&outcome(CALL, &reply)?))
}

fn read(lines: &[String]) -> NowReport {
    let mut report =
        NowReport { changed: false, diff: Vec::new(), told: 0, missed: Vec::new(), logged: true };
    for line in lines {
        let (key, value) = key_value(line);
        match key {
            "result" => report.changed = value == "changed",
            "told" => report.told = value.parse().unwrap_or(0),
            "missed" => report.missed.push(miss(value)),
            "unlogged" => report.logged = false,
            _ => report.diff.push(line.clone()),
        }
    }
    report
}
