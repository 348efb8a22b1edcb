//! The gates: what was seen on a host against what is planned there.

use chrono::{DateTime, Offset as _, TimeZone as _, Utc};
use pipedown_model::{
    Finding, FindingCode, HostFacts, HostName, HostPlan, Init, LogindState, Presence, RunId, Severity,
    StepSpec, TimeSource,
};

use crate::{LedgerEntry, ReplaceMode, Seen};

/// More than this is said, in milliseconds.
const SKEW_WARN: i64 = 2_000;
/// And more than this is refused.
const SKEW_REFUSE: i64 = 60_000;

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
    /// Whether there is a proven way in beside the plan's login: root on another connection, or one that is held.
    pub second_way: bool,
    /// How the time was given.
    pub time: &'a TimeSource,
    /// The controller's own machine id.
    pub controller_machine: Option<&'a str>,
    /// Whether the controller itself may be a target.
    pub allow_controller: bool,
}

/// Judges a host. Every finding with [`Severity::Refuse`] keeps the gate closed.
pub fn preflight(seen: &Seen, plan: &HostPlan, options: &GateOptions<'_>) -> Vec<Finding> {
    let gate = Gate { seen, facts: &seen.facts, plan, options };
    let mut findings = Vec::new();
    findings.extend(gate.privileges());
    findings.extend(gate.controller());
    findings.extend(gate.tombstone());
    findings.extend(gate.skew());
    findings.extend(gate.past_due());
    findings.extend(gate.zone());
    findings.extend(gate.window());
    findings.extend(gate.schedule());
    findings.extend(gate.nologin());
    findings.extend(gate.logind());
    findings.extend(gate.inhibitors());
    findings.extend(gate.lockout());
    findings.extend(gate.space());
    findings.extend(gate.tools());
    findings.extend(gate.persistence());
    findings
}

/// Whether the gate stays closed.
pub fn is_refused(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Refuse)
}

/// Finds hosts that are the same machine under another name: all but the first of each are refused.
pub fn same_machine<'a>(
    hosts: impl IntoIterator<Item = (&'a HostName, &'a HostFacts)>,
) -> Vec<(HostName, Finding)> {
    let mut known: Vec<(&str, &HostName)> = Vec::new();
    let mut findings = Vec::new();
    for (host, facts) in hosts {
        let Some(machine) = facts.machine_id.as_deref() else { continue };
        match known.iter().find(|(id, _)| *id == machine) {
            Some((_, first)) => findings.push((
                host.clone(),
                finding(
                    FindingCode::SameMachine,
                    Severity::Refuse,
                    format!("is the same machine as {first}, which is done once"),
                    "leave one of the names out; cloned machines need machine ids of their own",
                ),
            )),
            None => known.push((machine, host)),
        }
    }
    findings
}

/// Names what a run started on the host and what may or may not have finished.
pub fn unknown_effects(ledger: &[LedgerEntry]) -> Vec<Finding> {
    ledger
        .iter()
        .filter(|entry| entry.status.is_none())
        .map(|entry| {
            finding(
                FindingCode::UnknownEffect,
                Severity::Refuse,
                format!("{} was started before, and it is not known whether it finished", entry.name),
                "look at the host, then say --retry-unknown or --skip-unknown",
            )
        })
        .collect()
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

struct Gate<'a> {
    seen: &'a Seen,
    facts: &'a HostFacts,
    plan: &'a HostPlan,
    options: &'a GateOptions<'a>,
}

impl Gate<'_> {
    /// Refuses, or warns when whatever stands may be taken over.
    fn unless_replacing(&self) -> Severity {
        if *self.options.replace == ReplaceMode::Any { Severity::Warn } else { Severity::Refuse }
    }

    fn shutdown_at(&self) -> Option<DateTime<Utc>> {
        self.plan.steps.iter().find_map(|step| match &step.spec {
            StepSpec::Shutdown { at, .. } => Some(*at),
            _ => None,
        })
    }

    /// Whether the plan puts a nologin there.
    fn keeps_users_out(&self) -> bool {
        self.plan
            .steps
            .iter()
            .any(|step| matches!(step.spec, StepSpec::Nologin { presence: Presence::Present, .. }))
    }

    fn changes_motd(&self) -> bool {
        self.plan.steps.iter().any(|step| matches!(step.spec, StepSpec::Motd { .. }))
    }

    fn privileges(&self) -> Option<Finding> {
        (!self.facts.root).then(|| {
            finding(
                FindingCode::Privileges,
                Severity::Refuse,
                format!("{} is not root there", self.facts.login_user),
                "set `become = \"sudo\"` for this host in the inventory, or log in as root",
            )
        })
    }

    fn controller(&self) -> Option<Finding> {
        let own = self.options.controller_machine?;
        if self.facts.machine_id.as_deref() != Some(own) {
            return None;
        }
        let severity = if self.options.allow_controller { Severity::Warn } else { Severity::Refuse };
        Some(finding(
            FindingCode::IsController,
            severity,
            "is the machine that pipedown runs on",
            "leave it out, or say --include-controller if you mean it",
        ))
    }

    fn tombstone(&self) -> Option<Finding> {
        let (_, line) = self.seen.ended.iter().find(|(run, _)| run == self.options.run)?;
        Some(finding(
            FindingCode::Tombstone,
            Severity::Refuse,
            format!("this run has ended here: {}", tombstone_words(line)),
            "start a new run",
        ))
    }

    fn skew(&self) -> Option<Finding> {
        let skew = self.seen.skew_ms;
        // What the measurement itself may be off by is nobody's fault.
        let least = skew.abs().saturating_sub(self.seen.skew_error_ms);
        if least <= SKEW_WARN {
            return None;
        }
        let severity =
            if least > SKEW_REFUSE && !self.options.allow_skew { Severity::Refuse } else { Severity::Warn };
        let tenths = skew.abs() / 100;
        let side = if skew < 0 { "behind" } else { "ahead of" };
        Some(finding(
            FindingCode::Skew,
            severity,
            format!("its clock is {}.{} s {side} ours, and decides", tenths / 10, tenths % 10),
            "set the host's clock (chrony, ntpd), or say --allow-skew",
        ))
    }

    fn past_due(&self) -> Option<Finding> {
        let at = self.shutdown_at()?;
        (at <= self.facts.now).then(|| {
            let since = self.facts.now.signed_duration_since(at).num_seconds();
            finding(
                FindingCode::PastDue,
                Severity::Refuse,
                format!("by its own clock the window was {since} s ago"),
                "choose a later time, and look at the host's clock",
            )
        })
    }

    fn zone(&self) -> Option<Finding> {
        let at = self.plan.window?;
        if self.options.time.explicit || self.same_offset(at) {
            return None;
        }
        Some(finding(
            FindingCode::Zone,
            Severity::Refuse,
            format!(
                "its time zone is {}, and the time was given as {:?} in {}",
                self.facts.zone, self.options.time.given, self.plan.zone
            ),
            "say which zone is meant: --tz ZONE, or --tz host for each host's own",
        ))
    }

    /// Whether the host's clock shows the same time of day as the plan's zone at T.
    fn same_offset(&self, at: DateTime<Utc>) -> bool {
        let offset = |zone: &str| {
            let zone: chrono_tz::Tz = zone.parse().ok()?;
            Some(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
        };
        let planned = offset(&self.plan.zone);
        if self.facts.zone == self.plan.zone || planned.is_none() {
            return true;
        }
        // A host that names no zone has but its present offset.
        planned == offset(&self.facts.zone).or_else(|| parse_offset(&self.seen.offset))
    }

    fn window(&self) -> Option<Finding> {
        let window = self.facts.window.as_ref()?;
        if self.seen.window_phase.as_deref() == Some("firing") && window.alive {
            let text = "is going down this moment";
            return Some(finding(FindingCode::OtherWindow, Severity::Refuse, text, "wait until it is back"));
        }
        if &window.run == self.options.run {
            return None;
        }
        let severity = match self.options.replace {
            ReplaceMode::Run(run) if *run == window.run => Severity::Info,
            _ => self.unless_replacing(),
        };
        let state = match (window.lost, window.alive) {
            (true, _) => ", LOST by a reboot",
            (false, false) => ", whose agenda does not run",
            (false, true) => "",
        };
        Some(finding(
            FindingCode::OtherWindow,
            severity,
            format!(
                "run {} of {} owns its window ({} at {}{state})",
                window.run,
                window.operator,
                window.ends_with,
                window.fires.format("%Y-%m-%d %H:%M:%S UTC")
            ),
            format!("pipedown cancel {}, or supersede it with --replace", window.run),
        ))
    }

    fn schedule(&self) -> Option<Finding> {
        let schedule = self.facts.schedule.as_ref()?;
        let at = schedule.at.map(|at| at.format(" for %Y-%m-%d %H:%M:%S UTC").to_string());
        Some(finding(
            FindingCode::ForeignSchedule,
            self.unless_replacing(),
            format!(
                "somebody else has scheduled a {}{} ({})",
                schedule.mode,
                at.unwrap_or_default(),
                schedule.by
            ),
            "ask who did; --replace supersedes it, and cancel puts it back if it is still ahead",
        ))
    }

    fn nologin(&self) -> Option<Finding> {
        let nologin = self.facts.nologin.as_ref()?;
        if nologin.ours || self.seen.nologin_by_systemd || !self.keeps_users_out() {
            return None;
        }
        Some(finding(
            FindingCode::ForeignNologin,
            self.unless_replacing(),
            format!("somebody else has put {} there: {:?}", nologin.path, nologin.first_line),
            "ask who did; --replace takes its place, and cancel puts it back",
        ))
    }

    fn logind(&self) -> Option<Finding> {
        let state = match self.facts.logind {
            LogindState::Masked => "masked",
            LogindState::Silent => "there and does not answer",
            LogindState::Running | LogindState::Absent => return None,
        };
        self.shutdown_at()?;
        Some(finding(
            FindingCode::Logind,
            Severity::Refuse,
            format!("systemd-logind is {state}: a shutdown may fail, or come at once"),
            "systemctl unmask systemd-logind, start it, and see that dbus runs",
        ))
    }

    fn inhibitors(&self) -> Option<Finding> {
        if self.facts.inhibitors.is_empty() {
            return None;
        }
        self.shutdown_at()?;
        Some(finding(
            FindingCode::Inhibitor,
            Severity::Warn,
            format!("blocks a shutdown now: {}", self.facts.inhibitors.join(", ")),
            "what still blocks at T is overridden; see systemd-inhibit --list on the host",
        ))
    }

    fn lockout(&self) -> Option<Finding> {
        if self.plan.target.user == "root" || !self.keeps_users_out() || self.options.second_way {
            return None;
        }
        let severity = if self.options.accept_lockout { Severity::Warn } else { Severity::Refuse };
        let root = match self.facts.root_login.as_str() {
            "yes" | "keys" => "sshd would let root in, but that was not tried",
            "no" => "sshd does not let root in",
            _ => "whether sshd lets root in is not known",
        };
        Some(finding(
            FindingCode::Lockout,
            severity,
            format!("nologin shuts {} out, and with it pipedown cancel; {root}", self.plan.target.user),
            "stay connected with --follow, log in as root, or say --accept-lockout",
        ))
    }

    fn space(&self) -> Vec<Finding> {
        let needs = |path: &str| {
            let whole = |folder: &str| path.ends_with(folder);
            (whole("/run") && self.keeps_users_out())
                || whole("/var/lib")
                || (whole("/etc") && self.changes_motd())
        };
        self.facts
            .unwritable
            .iter()
            .filter(|line| line.split_once(": ").is_some_and(|(path, _)| needs(path)))
            .map(|line| {
                finding(
                    FindingCode::Space,
                    Severity::Refuse,
                    format!("cannot write there: {line}"),
                    "make room, or remount it writable",
                )
            })
            .collect()
    }

    fn tools(&self) -> Vec<Finding> {
        let missing = &self.facts.missing_tools;
        let mut findings = Vec::new();
        if !missing.is_empty() {
            let text = format!("it lacks {}", missing.join(", "));
            let hint = "install coreutils, util-linux, sed, grep and awk, or busybox";
            findings.push(finding(FindingCode::ToolMissing, Severity::Refuse, text, hint));
        }
        for tool in &self.seen.wanting_tools {
            let (text, hint) = if tool == "logger" {
                ("it lacks logger: nothing will be in its system log", "install bsdutils or busybox")
            } else {
                ("it lacks busctl: inhibitors and logind's schedule are not seen", "")
            };
            findings.push(finding(FindingCode::ToolMissing, Severity::Warn, text, hint));
        }
        findings
    }

    fn persistence(&self) -> Option<Finding> {
        if !self.plan.arms() {
            return None;
        }
        let why = match self.facts.init {
            Init::Other => "it has no systemd",
            Init::Systemd
                if self.facts.unwritable.iter().any(|line| line.contains("/etc/systemd/system: ")) =>
            {
                "its /etc is read-only"
            }
            Init::Systemd => return None,
        };
        Some(finding(
            FindingCode::NotPersistent,
            Severity::Info,
            format!("the window will not survive an unplanned reboot: {why}"),
            "pipedown status says LOST after one; arm again then",
        ))
    }
}

/// `cancelled 1795456800 alice@admin` in words.
fn tombstone_words(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let [what, at, by @ ..] = words.as_slice() else { return line.to_owned() };
    let at = at.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    match at {
        Some(at) => format!("{what} {} by {}", at.format("%Y-%m-%d %H:%M:%S UTC"), by.join(" ")),
        None => line.to_owned(),
    }
}

/// Seconds of an offset such as `+0530`.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests;
