//! The gates: what was seen on a host against what is planned there.

mod gate;

use pipedown_model::{Finding, FindingCode, HostName, HostPlan, RunId, Severity, TimeSource};

use crate::{ReplaceMode, Seen};
use gate::Gate;

/// The way in that stays open when nologin has shut out the plan's login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondWay {
    /// None that is proven.
    None,
    /// Root's own login: it was tried.
    Root,
    /// The connection that `--follow` holds, which `cancel` reaches over the control socket.
    HeldConnection,
}

/// What the gates need to know besides the host and its plan.
#[derive(Debug, Clone, Copy)]
pub struct GateOptions<'a> {
    /// The run that asks.
    pub run: &'a RunId,
    /// What may be taken over.
    pub replace: &'a ReplaceMode,
    /// Whether clocks may differ by any amount (`--allow-skew`).
    pub allow_skew: bool,
    /// Whether our own login may be shut out (`--accept-lockout`).
    pub accept_lockout: bool,
    /// The proven way in beside the plan's login.
    pub second_way: SecondWay,
    /// How the time was given.
    pub time: &'a TimeSource,
    /// The controller's own machine id.
    pub controller_machine: Option<&'a str>,
    /// The hosts of the run that are reached through this one.
    pub bastion_of: &'a [HostName],
    /// Whether the controller itself, or a host that others are reached through, may be a target.
    pub allow_controller: bool,
}

/// Judges a host: the verdict of every gate that the plan has to pass, the good ones too. Every finding with
/// [`Severity::Refuse`] keeps the host as it is.
pub fn preflight(seen: &Seen, plan: &HostPlan, options: &GateOptions<'_>) -> Vec<Finding> {
    let gate = Gate { seen, facts: &seen.facts, plan, options };
    let mut findings = vec![gate.privileges()];
    findings.extend(gate.controller());
    findings.extend(gate.bastion());
    findings.push(gate.tombstone());
    findings.push(gate.skew());
    findings.extend(gate.past_due());
    findings.extend(gate.zone());
    findings.push(gate.window());
    findings.push(gate.schedule());
    findings.extend(gate.nologin());
    findings.extend(gate.users());
    findings.extend(gate.logind());
    findings.extend(gate.inhibitors());
    findings.extend(gate.lockout());
    findings.extend(gate.space());
    findings.extend(gate.tools());
    findings.extend(gate.persistence());
    findings
}

fn finding(
    code: FindingCode,
    severity: Severity,
    text: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
    Finding { code, severity, text: text.into(), hint }
}

/// The verdict of a gate that is open.
fn good(code: FindingCode, text: impl Into<String>) -> Finding {
    Finding { code, severity: Severity::Good, text: text.into(), hint: None }
}

#[cfg(test)]
mod tests;
