//! Calling a window off.

use std::time::Duration;

use pipedown_model::{DeliveryMiss, Operator, RunId};

use crate::agenda::{clean_text, one_line};
use crate::answer::{key_value, miss, outcome};
use crate::{Call, Changer, StepError, fragment};

const CALL: &str = "cancel";
/// The agenda is stopped, systemd reloads, users are told.
const DEADLINE: Duration = Duration::from_secs(120);

/// Which window is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// That of this run only.
    Run(RunId),
    /// Whatever window there is; the report names its owner.
    Any,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelResult {
    /// It was armed, and is called off.
    Cancelled,
    /// Nothing was armed; the run cannot be armed there any more.
    Nothing,
    /// It had ended before, as the tombstone says: `cancelled 1795456800 alice@admin`, `fired …`, `aborted …`.
    Ended(String),
    /// Another run's window stands there and is left alone.
    NotOurs {
        /// That run.
        run: String,
        /// Who armed it.
        operator: Operator,
    },
    /// Too late: the host is going down this moment.
    Firing,
}

/// What a cancel did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelReport {
    /// What became of the window.
    pub result: CancelResult,
    /// Run and operator of the window, when any was meant.
    pub owner: Option<String>,
    /// What was put back, and what could not be, one line each.
    pub restored: Vec<String>,
    /// How many terminals were told.
    pub told: u32,
    /// Who could not be told.
    pub missed: Vec<DeliveryMiss>,
    /// Whether the system log took the line about it.
    pub logged: bool,
}

/// Calls a window off. Users are told `text`, or else what was armed for that case.
///
/// # Errors
/// [`StepError::Host`] when not everything could be put back: the host may still go down, or keep something.
pub async fn cancel(
    changer: &mut Changer<'_>,
    which: &Which,
    text: Option<&str>,
) -> Result<CancelReport, StepError> {
    let name = &changer.name;
    let mut args = vec![
        match which {
            Which::Run(run) => run.to_string(),
            Which::Any => "any".to_owned(),
        },
        one_line(name.operator.as_str()),
        one_line(&name.reason),
    ];
    args.extend(text.map(clean_text));
    // It can be looked at, and repeated: no need for the ledger.
    let call = Call {
        name: CALL,
        source: fragment::cancel(),
        args,
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: None,
    };
    let reply = changer.call(call).await?;
    read(&outcome(CALL, &reply)?)
}

fn read(lines: &[String]) -> Result<CancelReport, StepError> {
    let mut report = CancelReport {
        result: CancelResult::Nothing,
        owner: None,
        restored: Vec::new(),
        told: 0,
        missed: Vec::new(),
        logged: true,
    };
    for line in lines {
        let (key, value) = key_value(line);
        match key {
            "result" => report.result = result(value, line)?,
            "window" => report.owner = Some(value.to_owned()),
            "told" => report.told = value.parse().unwrap_or(0),
            "missed" => report.missed.push(miss(value)),
            "unlogged" => report.logged = false,
            _ => report.restored.push(line.clone()),
        }
    }
    Ok(report)
}

fn result(value: &str, line: &str) -> Result<CancelResult, StepError> {
    let (word, rest) = key_value(value);
    Ok(match word {
        "cancelled" => CancelResult::Cancelled,
        "nothing" => CancelResult::Nothing,
        "ended" => CancelResult::Ended(rest.to_owned()),
        "not-ours" => {
            let (run, operator) = key_value(rest);
            CancelResult::NotOurs { run: run.to_owned(), operator: Operator::parse(operator) }
        }
        "firing" => CancelResult::Firing,
        _ => {
            return Err(StepError::Unread { call: CALL, line: line.to_owned(), wanted: "a result" });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_told_apart() {
        let read = |text: &str| read(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        let report =
            read("restored /etc/motd\ntold 2\nmissed bob terminal pts/3 blocked\nunlogged\nresult cancelled")
                .unwrap();
        insta::assert_debug_snapshot!(report, @r#"
        CancelReport {
            result: Cancelled,
            owner: None,
            restored: [
                "restored /etc/motd",
            ],
            told: 2,
            missed: [
                DeliveryMiss {
                    user: "bob",
                    why: "terminal pts/3 blocked",
                },
            ],
            logged: false,
        }
        "#);
        let of = |text| read(text).unwrap().result;
        assert_eq!(of("result nothing"), CancelResult::Nothing);
        assert_eq!(of("result firing"), CancelResult::Firing);
        assert_eq!(of("result ended fired 7 a@b"), CancelResult::Ended("fired 7 a@b".to_owned()));
        let other = CancelResult::NotOurs { run: "r2".to_owned(), operator: Operator::parse("bob@c") };
        assert_eq!(of("result not-ours r2 bob@c"), other);
        assert!(read("result what").is_err());
    }
}
