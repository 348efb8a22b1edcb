//! One gate each.

use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use pipedown_model::{
    Become, Finding, FindingCode, HostFacts, HostPlan, Init, LogindState, Presence, Session, Severity,
    StepSpec,
};

use super::{GateOptions, SecondWay, finding, good};
use crate::{ReplaceMode, Seen};

/// More than this is said, in milliseconds.
const SKEW_WARN: i64 = 2_000;
/// And more than this is refused.
const SKEW_REFUSE: i64 = 60_000;

pub(super) struct Gate<'a> {
    pub(super) seen: &'a Seen,
    pub(super) facts: &'a HostFacts,
    pub(super) plan: &'a HostPlan,
    pub(super) options: &'a GateOptions<'a>,
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

    /// Whether the host goes down in its turn.
    fn reboots(&self) -> bool {
        self.plan.steps.iter().any(|step| matches!(step.spec, StepSpec::Reboot(_)))
    }

    fn goes_down(&self) -> Option<()> {
        (self.reboots() || self.shutdown_at().is_some()).then_some(())
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

    pub(super) fn privileges(&self) -> Finding {
        let user = &self.facts.login_user;
        if !self.facts.root {
            return finding(
                FindingCode::Privileges,
                Severity::Refuse,
                format!("{user} is not root there"),
                "set `become = \"sudo\"` for this host in the inventory, or log in as root",
            );
        }
        let how = match self.plan.target.r#become {
            Become::None => format!("{user} is root"),
            Become::Sudo => format!("{user} becomes root with sudo"),
            Become::Doas => format!("{user} becomes root with doas"),
        };
        good(FindingCode::Privileges, how)
    }

    pub(super) fn controller(&self) -> Option<Finding> {
        let own = self.options.controller_machine?;
        if self.facts.machine_id.as_deref()? != own {
            return Some(good(FindingCode::IsController, "is another machine than this one"));
        }
        let severity = if self.options.allow_controller { Severity::Warn } else { Severity::Refuse };
        Some(finding(
            FindingCode::IsController,
            severity,
            "is the machine that pipedown runs on",
            "leave it out, or say --include-controller if you mean it",
        ))
    }

    pub(super) fn bastion(&self) -> Option<Finding> {
        let (first, others) = self.options.bastion_of.split_first()?;
        let severity = if self.options.allow_controller { Severity::Warn } else { Severity::Refuse };
        let others = match others.len() {
            0 => first.to_string(),
            1 => format!("{first} and another host of this run"),
            more => format!("{first} and {more} other hosts of this run"),
        };
        Some(finding(
            FindingCode::IsBastion,
            severity,
            format!("is a bastion: {others} cannot be reached without it"),
            "leave it to a run of its own, after the others; or say --include-controller if you mean it",
        ))
    }

    pub(super) fn tombstone(&self) -> Finding {
        let Some((_, line)) = self.seen.ended.iter().find(|(run, _)| run == self.options.run) else {
            return good(FindingCode::Tombstone, "nobody has called this run off there");
        };
        finding(
            FindingCode::Tombstone,
            Severity::Refuse,
            format!("this run has ended here: {}", tombstone_words(line)),
            "start a new run",
        )
    }

    pub(super) fn skew(&self) -> Finding {
        let skew = self.seen.skew_ms;
        let side = if skew < 0 { "behind" } else { "ahead of" };
        // What the measurement itself may be off by is nobody's fault.
        let error = self.seen.skew_error_ms;
        let least = skew.abs().saturating_sub(error);
        if least <= SKEW_WARN {
            let text = format!("its clock is {} ms {side} ours, give or take {error} ms", skew.abs());
            return good(FindingCode::Skew, text);
        }
        let severity =
            if least > SKEW_REFUSE && !self.options.allow_skew { Severity::Refuse } else { Severity::Warn };
        let tenths = skew.abs() / 100;
        finding(
            FindingCode::Skew,
            severity,
            format!("its clock is {}.{} s {side} ours, and decides", tenths / 10, tenths % 10),
            "set the host's clock (chrony, ntpd), or say --allow-skew",
        )
    }

    pub(super) fn past_due(&self) -> Option<Finding> {
        let left = self.shutdown_at()?.signed_duration_since(self.facts.now);
        if left > TimeDelta::zero() {
            return Some(good(FindingCode::PastDue, format!("{} until T by its own clock", words(left))));
        }
        Some(finding(
            FindingCode::PastDue,
            Severity::Refuse,
            format!("by its own clock the window was {} s ago", -left.num_seconds()),
            "choose a later time, and look at the host's clock",
        ))
    }

    pub(super) fn zone(&self) -> Option<Finding> {
        let at = self.plan.window?;
        let zone = &self.facts.zone;
        if self.same_offset(at) {
            let text = format!("{zone}: at T its clock shows what is announced");
            return Some(good(FindingCode::Zone, text));
        }
        if self.options.time.explicit {
            let text = format!("{zone}: the time was given in {}, and is meant so", self.plan.zone);
            return Some(good(FindingCode::Zone, text));
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

    pub(super) fn window(&self) -> Finding {
        let Some(window) = &self.facts.window else {
            return good(FindingCode::OtherWindow, "none is armed there");
        };
        if self.seen.window_phase.as_deref() == Some("firing") && window.alive {
            let text = "is going down this moment";
            return finding(FindingCode::OtherWindow, Severity::Refuse, text, "wait until it is back");
        }
        if &window.run == self.options.run {
            return good(FindingCode::OtherWindow, "only this run's own is armed there");
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
        finding(
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
        )
    }

    pub(super) fn schedule(&self) -> Finding {
        let Some(schedule) = &self.facts.schedule else {
            return good(FindingCode::ForeignSchedule, "no shutdown is scheduled");
        };
        let at = schedule.at.map(|at| at.format(" for %Y-%m-%d %H:%M:%S UTC").to_string());
        finding(
            FindingCode::ForeignSchedule,
            self.unless_replacing(),
            format!(
                "somebody else has scheduled a {}{} ({})",
                schedule.mode,
                at.unwrap_or_default(),
                schedule.by
            ),
            "ask who did; --replace supersedes it, and cancel puts it back if it is still ahead",
        )
    }

    pub(super) fn nologin(&self) -> Option<Finding> {
        if !self.keeps_users_out() {
            return None;
        }
        let Some(nologin) = &self.facts.nologin else {
            return Some(good(FindingCode::ForeignNologin, "no nologin stands"));
        };
        let (at_once, by_systemd) = (self.seen.nologin_at_once, self.seen.nologin_by_systemd);
        if at_once && self.plan.window.is_some() {
            return Some(finding(
                FindingCode::ForeignNologin,
                self.unless_replacing(),
                format!("{} stands since an earlier run: {:?}", nologin.path, nologin.first_line),
                "`pipedown run nologin-off` takes it away; --replace takes its place, and cancel puts it back",
            ));
        }
        if nologin.ours || by_systemd {
            let whose = match (at_once, by_systemd) {
                (true, _) => "pipedown's own, from an earlier run",
                (_, true) => "systemd's own",
                _ => "the armed window's own",
            };
            return Some(good(FindingCode::ForeignNologin, format!("{} is {whose}", nologin.path)));
        }
        Some(finding(
            FindingCode::ForeignNologin,
            self.unless_replacing(),
            format!("somebody else has put {} there: {:?}", nologin.path, nologin.first_line),
            "ask who did; --replace takes its place, and cancel puts it back",
        ))
    }

    /// Who is cut off by a reboot in the host's turn.
    pub(super) fn users(&self) -> Option<Finding> {
        if !self.reboots() {
            return None;
        }
        let code = FindingCode::Users;
        if self.facts.sessions_unreadable {
            let text = "who is logged in cannot be read; the reboot cuts them off";
            return Some(finding(code, Severity::Warn, text, ""));
        }
        let on = |session: &Session| match &session.tty {
            Some(tty) => format!("{} on {tty}", session.user),
            None => format!("{} in the background", session.user),
        };
        let users: Vec<String> = self.facts.sessions.iter().map(on).collect();
        Some(match users.as_slice() {
            [] => good(code, "nobody is logged in"),
            users => finding(code, Severity::Info, format!("the reboot cuts off {}", users.join(", ")), ""),
        })
    }

    pub(super) fn logind(&self) -> Option<Finding> {
        self.goes_down()?;
        let state = match self.facts.logind {
            LogindState::Masked => "masked",
            LogindState::Silent => "there and does not answer",
            LogindState::Running => return Some(good(FindingCode::Logind, "systemd-logind answers")),
            LogindState::Absent => return Some(good(FindingCode::Logind, "there is none to ask")),
        };
        Some(finding(
            FindingCode::Logind,
            Severity::Refuse,
            format!("systemd-logind is {state}: a shutdown may fail, or come at once"),
            "systemctl unmask systemd-logind, start it, and see that dbus runs",
        ))
    }

    pub(super) fn inhibitors(&self) -> Option<Finding> {
        self.goes_down()?;
        if self.facts.inhibitors.is_empty() {
            let asked = self.facts.logind == LogindState::Running
                && !self.seen.wanting_tools.iter().any(|tool| tool == "busctl");
            return asked.then(|| good(FindingCode::Inhibitor, "nothing blocks a shutdown"));
        }
        Some(finding(
            FindingCode::Inhibitor,
            Severity::Warn,
            format!("blocks a shutdown now: {}", self.facts.inhibitors.join(", ")),
            "what still blocks then is overridden; see systemd-inhibit --list on the host",
        ))
    }

    pub(super) fn lockout(&self) -> Option<Finding> {
        if !self.keeps_users_out() {
            return None;
        }
        let open = match self.options.second_way {
            _ if self.plan.target.user == "root" => Some("nologin does not keep root out"),
            SecondWay::Root => Some("root can log in, too: it was tried"),
            SecondWay::HeldConnection => Some("--follow holds a connection, over which cancel works"),
            SecondWay::None => None,
        };
        if let Some(text) = open {
            return Some(good(FindingCode::Lockout, text));
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

    /// Whether the plan writes below a folder.
    fn needs(&self, folder: &str) -> bool {
        (folder.ends_with("/run") && self.keeps_users_out())
            || folder.ends_with("/var/lib")
            || (folder.ends_with("/etc") && self.changes_motd())
    }

    pub(super) fn space(&self) -> Vec<Finding> {
        let needed = |line: &&String| line.split_once(": ").is_some_and(|(path, _)| self.needs(path));
        let full: Vec<Finding> = self
            .facts
            .unwritable
            .iter()
            .filter(needed)
            .map(|line| {
                finding(
                    FindingCode::Space,
                    Severity::Refuse,
                    format!("cannot write there: {line}"),
                    "make room, or remount it writable",
                )
            })
            .collect();
        if !full.is_empty() {
            return full;
        }
        let room = self.seen.room.iter().filter(|(folder, _)| self.needs(folder));
        let room: Vec<String> = room.map(|(folder, bytes)| format!("{folder} {}", size(*bytes))).collect();
        if room.is_empty() {
            return Vec::new();
        }
        vec![good(FindingCode::Space, format!("free: {}", room.join(", ")))]
    }

    pub(super) fn tools(&self) -> Vec<Finding> {
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
        if findings.is_empty() {
            findings.push(good(FindingCode::ToolMissing, "every tool that is used is there"));
        }
        findings
    }

    pub(super) fn persistence(&self) -> Option<Finding> {
        if !self.plan.arms() {
            return None;
        }
        if self.seen.keeps_window() {
            let text = "the window comes back after an unplanned reboot";
            return Some(good(FindingCode::NotPersistent, text));
        }
        let why = match self.facts.init {
            Init::Other => "it has no systemd",
            Init::Systemd => "its /etc is read-only",
        };
        Some(finding(
            FindingCode::NotPersistent,
            Severity::Info,
            format!("the window will not survive an unplanned reboot: {why}"),
            "pipedown status says LOST after one; arm again then",
        ))
    }
}

/// `3 h 59 min`, `29 min 58 s`, `12 s`.
fn words(left: TimeDelta) -> String {
    let seconds = left.num_seconds();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `812 MiB`, `20 GiB`.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebi @ 1..10_000 => format!("{mebi} MiB"),
        mebi => format!("{} GiB", mebi >> 10),
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
