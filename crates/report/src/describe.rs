//! One line for an event.

use chrono::{DateTime, Utc};
use pipedown_model::{
    ControllerMode, Effect, Event, EventKind, Evidence, ExitCode, Failure, Finding, FindingCode, HostName,
    HostPhase, LocalWhen, Mode, Outcome, Proof, RolledBackBy, RunState, SessionClass, Severity, SkipReason,
    StepId, StepRecord, Verdict,
};

use crate::style::{REVERTS, Tone, count, ending};
use crate::{Style, Verbosity, printable};

/// For whom a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Importance {
    Problem,
    Notable,
    Detail,
}

impl Importance {
    pub(crate) fn is_shown(self, verbosity: Verbosity) -> bool {
        let needed = match self {
            Self::Problem => Verbosity::Quiet,
            Self::Notable => Verbosity::Normal,
            Self::Detail => Verbosity::Verbose,
        };
        verbosity >= needed
    }
}

/// What is said about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) importance: Importance,
    pub(crate) tone: Tone,
    pub(crate) host: Option<HostName>,
    pub(crate) word: &'static str,
    pub(crate) text: String,
}

type Said = (Importance, Tone, &'static str, String);

const DETAIL: Importance = Importance::Detail;
const NOTABLE: Importance = Importance::Notable;
const PROBLEM: Importance = Importance::Problem;

/// Describes an event; `state` has it folded in.
pub(crate) fn describe(event: &Event, state: &RunState, style: &Style) -> Line {
    let (importance, tone, word, text) = of_run(event, state, style)
        .or_else(|| of_contact(event, state))
        .or_else(|| of_step(event, state))
        .or_else(|| of_trial(event))
        .or_else(|| of_window(event, state, style))
        .unwrap_or((NOTABLE, Tone::Caution, "unknown", "an event that a later version wrote".into()));
    Line { importance, tone, host: event.kind.host().cloned(), word, text: printable(&text) }
}

fn of_run(event: &Event, state: &RunState, style: &Style) -> Option<Said> {
    Some(match &event.kind {
        EventKind::PlanCompiled { supersedes, .. } => {
            let replaces = supersedes.as_ref().map(|r| format!("; replaces {r}")).unwrap_or_default();
            (NOTABLE, Tone::Plain, begun_word(state), begun(event.at, state, style) + &replaces)
        }
        EventKind::RunTaken { by, mode, epoch } => {
            let purpose = match mode {
                ControllerMode::Resume => "to resume it",
                ControllerMode::Cancel => "to cancel it",
            };
            (NOTABLE, Tone::Plain, "taken over", format!("by {by} {purpose} (epoch {epoch})"))
        }
        EventKind::LocalStarted { step, when } => {
            let when = match when {
                LocalWhen::Before => "before the hosts",
                LocalWhen::After => "after the hosts",
            };
            (DETAIL, Tone::Plain, "local", format!("{step}, {when}"))
        }
        EventKind::LocalFinished { step, outcome } => finished("local", step, outcome),
        EventKind::Gated { reason, .. } => (PROBLEM, Tone::Bad, "stopped", reason.clone()),
        EventKind::CancelRequested { by, reason, hosts } => {
            let scope = if hosts.is_empty() { "all hosts".to_owned() } else { style.fold(hosts) };
            (NOTABLE, Tone::Caution, "cancel", format!("of {scope}, asked for by {by}{}", because(reason)))
        }
        EventKind::BatchOpened { batch, of, hosts, budget } => {
            let text = format!("{batch} of {of}: {}; {budget}", style.fold(hosts));
            (NOTABLE, Tone::Plain, "batch", text)
        }
        EventKind::HealthChecked { batch, error } => match error {
            None => (NOTABLE, Tone::Good, "healthy", format!("batch {batch}")),
            Some(error) => (PROBLEM, Tone::Bad, "unhealthy", format!("batch {batch}: {}", failed(error))),
        },
        EventKind::RunFinished { verdict } => {
            (DETAIL, Tone::Plain, "finished", verdict_word(*verdict).into())
        }
        _ => return None,
    })
}

fn of_contact(event: &Event, state: &RunState) -> Option<Said> {
    Some(match &event.kind {
        EventKind::HostConnected { key, .. } => {
            (DETAIL, Tone::Plain, "connected", format!("{} {}", key.algorithm, key.fingerprint))
        }
        EventKind::HostSeen { skew_ms, facts, .. } => {
            let of = |class| facts.sessions.iter().filter(|s| s.class == class).count();
            let people = if facts.sessions_unreadable {
                "sessions could not be read".to_owned()
            } else {
                format!(
                    "{} on terminals, {} in the background",
                    of(SessionClass::Terminal),
                    of(SessionClass::Background)
                )
            };
            (DETAIL, Tone::Plain, "seen", format!("{}, {people}, clock {}", facts.os, skew(*skew_ms)))
        }
        EventKind::Found { finding, .. } => {
            let (importance, tone, word) = match finding.severity {
                Severity::Good => (DETAIL, Tone::Good, "ok"),
                // The end report says these once for all hosts.
                Severity::Info => (DETAIL, Tone::Plain, "note"),
                Severity::Warn => (PROBLEM, Tone::Caution, "warning"),
                Severity::Refuse => (PROBLEM, Tone::Bad, "refuse"),
            };
            (importance, tone, word, found(finding))
        }
        EventKind::Refused { host, error } => {
            // The gate's own line, just before, said it already.
            let importance = if is_found(state, host, error) { DETAIL } else { PROBLEM };
            (importance, Tone::Bad, "refused", failed(error))
        }
        EventKind::HostLost { host, during, effect, error } => {
            let phase = state.hosts.get(host).map(|h| &h.phase);
            lost(phase, during.as_ref(), *effect, error)
        }
        _ => return None,
    })
}

fn of_step(event: &Event, state: &RunState) -> Option<Said> {
    Some(match &event.kind {
        EventKind::StepStarted { step, attempt: 1, .. } => (DETAIL, Tone::Plain, "step", step.to_string()),
        EventKind::StepStarted { step, attempt, .. } => {
            (DETAIL, Tone::Plain, "step", format!("{step}, attempt {attempt}"))
        }
        EventKind::RebootStarted { boot_id, .. } => {
            (NOTABLE, Tone::Plain, "rebooting", format!("boot id {}", short(boot_id)))
        }
        EventKind::StepFinished { host, step, outcome } => {
            let (importance, tone, word, text) = finished("changed", step, outcome);
            // The event that says `armed` follows and says more; the one that says `rolled back` came before.
            let arms = *step == StepId::arm() && matches!(outcome, Outcome::Changed { .. });
            let rolled_back = matches!(outcome, Outcome::Failed { .. })
                && state.hosts.get(host).is_some_and(|h| h.rolled_back.is_some());
            (if arms || rolled_back { DETAIL } else { importance }, tone, word, text)
        }
        EventKind::Delivered { ttys, missed, .. } => {
            let mut text = format!("{} got the message", count(*ttys as usize, "terminal", "terminals"));
            if !missed.is_empty() {
                let missed: Vec<String> = missed.iter().map(|m| format!("{} ({})", m.user, m.why)).collect();
                text = format!("{text}; not reached: {}", missed.join(", "));
            }
            let tone = if missed.is_empty() { Tone::Good } else { Tone::Caution };
            (NOTABLE, tone, "told", text)
        }
        EventKind::UndoStarted { by, .. } => (DETAIL, Tone::Plain, "undo", taken_back_by(*by).into()),
        EventKind::UndoFinished { restored, .. } => {
            let text =
                if restored.is_empty() { "read back: nothing is armed".into() } else { restored.join("; ") };
            (NOTABLE, Tone::Good, "taken back", text)
        }
        EventKind::UndoFailed { error, .. } => (PROBLEM, Tone::Bad, "STILL ARMED", failed(error)),
        _ => return None,
    })
}

fn of_trial(event: &Event) -> Option<Said> {
    Some(match &event.kind {
        EventKind::TrialStarted { reverts_in_s, .. } => {
            let text =
                format!("new configuration stands; reverts in {reverts_in_s} s unless it is confirmed");
            (DETAIL, Tone::Plain, "trial", text)
        }
        EventKind::Confirmed { proofs, .. } => {
            let shown: Vec<String> = proofs.iter().map(proof).collect();
            (NOTABLE, Tone::Good, "confirmed", shown.join("; "))
        }
        EventKind::RolledBack { by, error, serves, .. } => {
            let serves =
                if serves.is_empty() { String::new() } else { format!("; serves {}", serves.join(", ")) };
            let text = format!("{}: {}{serves}", taken_back_by(*by), failed(error));
            (PROBLEM, Tone::Bad, "rolled back", text)
        }
        _ => return None,
    })
}

fn proof(proof: &Proof) -> String {
    let how = match proof.evidence {
        Evidence::Wire => "seen on the wire",
        Evidence::Reload => "taken over by the daemon",
        Evidence::Disk => "on disk",
        Evidence::Unproven => "unproven",
    };
    let detail = if proof.detail.is_empty() { String::new() } else { format!(" ({})", proof.detail) };
    format!("{} {how}{detail}", proof.what)
}

fn taken_back_by(by: RolledBackBy) -> &'static str {
    match by {
        RolledBackBy::Operator => "the operator cancels",
        RolledBackBy::FailedArm => "arming failed half-way",
        RolledBackBy::RequireAll => "another host failed and all were required",
        RolledBackBy::FailedTrial => "the trial did not hold",
        RolledBackBy::Deadman => "nobody confirmed in time",
    }
}

fn of_window(event: &Event, state: &RunState, style: &Style) -> Option<Said> {
    Some(match &event.kind {
        EventKind::Armed { host, ends_with, fires, .. } => {
            let when = style.when(*fires, event.at);
            let reverts = state.hosts.get(host).is_some_and(|h| h.reverts());
            let what = if reverts { REVERTS } else { ending(*ends_with) };
            (NOTABLE, Tone::Good, "armed", format!("{what} {when}"))
        }
        EventKind::ShutdownObserved { evidence, .. } => (NOTABLE, Tone::Good, "going down", evidence.clone()),
        EventKind::Silent { since, .. } => {
            (NOTABLE, Tone::Plain, "silent", format!("since {}", crate::clock(*since, event.at, style.zone)))
        }
        EventKind::Settled { boot_ids: [before, after], .. } => {
            (NOTABLE, Tone::Good, "settled", format!("back, boot id {} -> {}", short(before), short(after)))
        }
        EventKind::NeverBack { error, .. } => (PROBLEM, Tone::Bad, "never back", failed(error)),
        EventKind::HostDone { .. } => match state.mode {
            Mode::DryRun => (DETAIL, Tone::Good, "done", "nothing was changed".into()),
            Mode::Apply if is_unchanged(event, state) => {
                (NOTABLE, Tone::Good, "unchanged", "all was so already".into())
            }
            // That it is done is seen from what it printed.
            Mode::Apply if has_run(event, state) => (DETAIL, Tone::Good, "done", "it succeeded".into()),
            Mode::Apply => {
                let what = crate::standing::files_are(state).unwrap_or("nothing is armed");
                (NOTABLE, Tone::Good, "done", what.into())
            }
        },
        _ => return None,
    })
}

/// Whether every step of the event's host found everything as it should be.
fn is_unchanged(event: &Event, state: &RunState) -> bool {
    let steps = event.kind.host().and_then(|host| state.hosts.get(host)).map(|host| &host.steps);
    steps.is_some_and(|steps| {
        let unchanged = |step: &StepRecord| *step == StepRecord::Finished { outcome: Outcome::Unchanged };
        !steps.is_empty() && steps.values().all(unchanged)
    })
}

/// Whether a gate's finding says the same as the refusal.
pub(crate) fn is_found(state: &RunState, host: &HostName, error: &Failure) -> bool {
    state.hosts.get(host).is_some_and(|h| {
        h.findings.iter().any(|f| f.severity == Severity::Refuse && error.text.contains(&f.text))
    })
}

fn begun_word(state: &RunState) -> &'static str {
    match state.mode {
        Mode::DryRun => "dry run",
        Mode::Apply => "run",
    }
}

fn begun(now: DateTime<Utc>, state: &RunState, style: &Style) -> String {
    let hosts = count(state.hosts.len(), "host", "hosts");
    let window = state.window.map(|t| format!(", window {}", style.when(t, now))).unwrap_or_default();
    let because = because(&state.reason);
    format!("{}: {} on {hosts}{window}, by {}{because}", state.run, state.playbook, state.by)
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// `+0.3 s`: the host's clock against ours.
fn skew(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    format!("{sign}{}.{} s", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000 / 100)
}

/// Enough of a boot id to tell two apart.
fn short(boot_id: &str) -> String {
    boot_id.chars().take(8).collect()
}

fn lost(phase: Option<&HostPhase>, during: Option<&StepId>, effect: Effect, error: &Failure) -> Said {
    let during = during.map(|s| format!(" during {s}")).unwrap_or_default();
    let text = failed(error);
    match (phase, effect) {
        (Some(HostPhase::Unreachable), _) if error.class.exit_code() == ExitCode::Failed => {
            (PROBLEM, Tone::Bad, "failed", text)
        }
        (Some(HostPhase::Unreachable), _) => (PROBLEM, Tone::Bad, "unreachable", text),
        (Some(HostPhase::Armed { .. }), _) => {
            (PROBLEM, Tone::Caution, "link lost", format!("stays armed; {text}"))
        }
        (Some(HostPhase::Undoing), _) => {
            (PROBLEM, Tone::Bad, "unknown", format!("not known: whether it was taken back; {text}"))
        }
        (_, Effect::None) => (PROBLEM, Tone::Bad, "link lost", format!("{text}{during}")),
        (_, Effect::Unknown) => {
            (PROBLEM, Tone::Bad, "unknown", format!("not known: what was changed{during}; {text}"))
        }
    }
}

fn finished(changed: &'static str, step: &StepId, outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Unchanged => (DETAIL, Tone::Plain, "unchanged", step.to_string()),
        Outcome::Changed { diff } if diff.is_empty() => (NOTABLE, Tone::Good, changed, step.to_string()),
        Outcome::Changed { diff } => (NOTABLE, Tone::Good, changed, format!("{step}: {}", few(diff))),
        // The end report of a dry run shows these line by line.
        Outcome::WouldChange { diff } => (DETAIL, Tone::Caution, "would", format!("{step}: {}", few(diff))),
        Outcome::Skipped { reason } => {
            let importance = if *reason == SkipReason::Operator { NOTABLE } else { DETAIL };
            (importance, Tone::Plain, "skipped", format!("{step}: {}", skipped(reason)))
        }
        Outcome::Ran { end, .. } => match end.failure() {
            None => (DETAIL, Tone::Good, "ran", step.to_string()),
            Some(error) => (PROBLEM, Tone::Bad, "failed", failed(&error)),
        },
        Outcome::Failed { error, effect: Effect::None } => {
            (PROBLEM, Tone::Bad, "failed", format!("{step}: {}", failed(error)))
        }
        Outcome::Failed { error, effect: Effect::Unknown } => {
            (PROBLEM, Tone::Bad, "unknown", format!("not known: what {step} changed; {}", failed(error)))
        }
    }
}

/// What was changed, in one line: a tree has thousands of files. The event has them all.
fn few(diff: &[String]) -> String {
    const MOST: usize = 8;
    match diff.split_at_checked(MOST) {
        Some((first, rest)) if rest.len() > 1 => format!("{}; and {} more", first.join("; "), rest.len()),
        _ => diff.join("; "),
    }
}

/// Whether a command was run on the event's host as it was typed.
fn has_run(event: &Event, state: &RunState) -> bool {
    let host = event.kind.host().and_then(|host| state.hosts.get(host));
    host.is_some_and(crate::standing::has_run)
}

pub(crate) fn skipped(reason: &SkipReason) -> &'static str {
    match reason {
        SkipReason::Guard => "its guard says there is nothing to do",
        SkipReason::AlreadyDone => "done before, by the host's ledger",
        SkipReason::Operator => "the operator said so",
    }
}

/// `no connection: failed to …`.
pub(crate) fn failed(error: &Failure) -> String {
    format!("{}: failed to {}", error.class.label(), error.text)
}

fn found(finding: &Finding) -> String {
    let hint = finding.hint.as_ref().map(|h| format!(" (hint: {h})")).unwrap_or_default();
    format!("{}: {}{hint}", gate(finding.code), finding.text)
}

/// The words for what a gate looked at.
pub(crate) fn gate(code: FindingCode) -> &'static str {
    match code {
        FindingCode::Skew => "clock",
        FindingCode::PastDue => "time left",
        FindingCode::OtherWindow => "other window",
        FindingCode::ForeignSchedule => "foreign schedule",
        FindingCode::ForeignNologin => "foreign nologin",
        FindingCode::Logind => "logind",
        FindingCode::Inhibitor => "inhibitor",
        FindingCode::Users => "users",
        FindingCode::Rebooting => "reboot",
        FindingCode::Lockout => "lockout",
        FindingCode::Privileges => "privileges",
        FindingCode::Space => "space",
        FindingCode::ToolMissing => "tools",
        FindingCode::Tombstone => "cancelled before",
        FindingCode::IsController => "controller",
        FindingCode::IsBastion => "bastion",
        FindingCode::SameMachine => "same machine",
        FindingCode::Zone => "time zone",
        FindingCode::NotPersistent => "persistence",
        FindingCode::UnknownEffect => "unknown effect",
        FindingCode::Sshd => "sshd",
        FindingCode::Access => "access",
        FindingCode::OtherChange => "other change",
    }
}

/// One word or two for a verdict.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Armed => "armed",
        Verdict::HostsFailed => "hosts failed",
        Verdict::NeedsAttention => "needs attention",
        Verdict::Cancelled => "cancelled",
        Verdict::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Story, host, step, style};

    #[test]
    fn a_host_on_which_all_was_so_already_says_so() {
        let said = |outcome: Outcome| {
            let mut story = Story::of(Mode::Apply, "keepalive-rollout", "", None, &["web01"]);
            story.connect("web01");
            let (web01, sshd) = (host("web01"), step("sshd-config"));
            story.push(EventKind::StepStarted { host: web01.clone(), step: sshd.clone(), attempt: 1 });
            story.push(EventKind::StepFinished { host: web01.clone(), step: sshd, outcome });
            story.push(EventKind::HostDone { host: web01 });
            let (event, state) = story.told.last().unwrap();
            describe(event, state, &style()).word
        };
        assert_eq!(said(Outcome::Unchanged), "unchanged");
        assert_eq!(said(Outcome::Changed { diff: Vec::new() }), "done");
    }

    #[test]
    fn of_a_tree_that_was_copied_some_files_are_named() {
        let files = |count: usize| (1..=count).map(|n| format!("/etc/app/{n}: new")).collect::<Vec<_>>();
        for all in [1, 8, 9] {
            assert_eq!(few(&files(all)), files(all).join("; "));
        }
        assert_eq!(few(&files(10)), format!("{}; and 2 more", files(8).join("; ")));
    }

    #[test]
    fn who_moves_files_hears_nothing_of_windows() {
        let said = |playbook: &str| {
            let mut story = Story::of(Mode::Apply, playbook, "motd", None, &["web01"]);
            story.connect("web01");
            let (web01, step) = (host("web01"), step(playbook));
            story.push(EventKind::StepStarted { host: web01.clone(), step: step.clone(), attempt: 1 });
            let outcome = Outcome::Changed { diff: Vec::new() };
            story.push(EventKind::StepFinished { host: web01.clone(), step, outcome });
            story.push(EventKind::HostDone { host: web01 });
            let (event, state) = story.told.last().unwrap();
            let line = describe(event, state, &style()).text;
            story.end();
            let end = crate::summary(story.state(), story.now(), &style());
            (line, end.trim_end().lines().last().unwrap_or_default().to_owned())
        };
        let both = |line: &str, end: &str| (line.to_owned(), end.to_owned());
        assert_eq!(said("copy"), both("its files are there", "done on every host"));
        assert_eq!(said("fetch"), both("its files are here", "done on every host"));
        assert_eq!(said("nologin-on"), both("nothing is armed", "done on every host; nothing is armed"));
    }
}
