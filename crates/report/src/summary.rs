//! The end report of a run.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use pipedown_model::{HostName, HostPhase, Mode, RunState, Verdict};

use crate::dry_run::dry_run;
use crate::next_steps::next_steps;
use crate::problems::{on_controller, problems, went_on};
use crate::standing::{Standing, files_are, has_run};
use crate::style::{REVERTS, Tone, count, ending};
use crate::table::pad;
use crate::{Style, clock, printable};

type Tally<'a> = BTreeMap<Standing, Vec<&'a HostName>>;

/// Writes the end report as of `now`: hosts by where they stand, every problem with its hint, the next
/// commands, and the verdict in words.
pub fn summary(state: &RunState, now: DateTime<Utc>, style: &Style) -> String {
    let mut tally = Tally::new();
    for (name, host) in &state.hosts {
        tally.entry(Standing::of(host, state.mode)).or_default().push(name);
    }
    let mut text = heading(state, now, style);
    text.push_str(&standings(state, &tally, now, style));
    if state.mode == Mode::DryRun {
        text.push_str(&dry_run(state, style));
    }
    text.push_str(&problems(state, style));
    text.push_str(&on_controller(state));
    text.push_str(&next_steps(state, now, style));
    text.push_str(&verdict(state, &tally, now, style));
    text
}

fn heading(state: &RunState, now: DateTime<Utc>, style: &Style) -> String {
    let what = if state.mode == Mode::DryRun { "dry run" } else { "run" };
    let hosts = count(state.hosts.len(), "host", "hosts");
    let window = state.window.map(|t| format!(", window {}", style.when(t, now))).unwrap_or_default();
    printable(&format!("{what} {}: {} on {hosts}{window}", state.run, state.playbook)) + "\n"
}

fn standings(state: &RunState, tally: &Tally<'_>, now: DateTime<Utc>, style: &Style) -> String {
    let digits = tally.values().map(|h| h.len().to_string().len()).max().unwrap_or(1);
    let words = tally.keys().map(|s| s.label().len()).max().unwrap_or(0);
    let folded: Vec<String> = tally.values().map(|hosts| style.fold(hosts.iter().copied())).collect();
    let width = folded.iter().map(|f| console::measure_text_width(f)).max().unwrap_or(0).min(40);
    let lines = tally.iter().zip(&folded).map(|((standing, hosts), folded)| {
        let word = style.paint(standing.tone(), &pad(standing.label(), words));
        let when = when(*standing, state, hosts, now, style);
        let line = format!("  {:>digits$} {word}  {}  {when}", hosts.len(), pad(folded, width));
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// When something happens, for the standings where something still does.
fn when(
    standing: Standing,
    state: &RunState,
    hosts: &[&HostName],
    now: DateTime<Utc>,
    style: &Style,
) -> String {
    if standing == Standing::Silent {
        // From here a host that is off looks like one that hangs.
        return "answers no more".into();
    }
    if !matches!(standing, Standing::Armed | Standing::StillArmed | Standing::StillGoingDown) {
        return String::new();
    }
    let hosts = || hosts.iter().filter_map(|h| state.hosts.get(*h));
    // A window that this run never read back is not known to end in a certain way.
    let unread = if standing == Standing::StillGoingDown { "shutdown" } else { ending(None) };
    let endings: BTreeSet<&str> = hosts()
        .map(|h| if h.reverts() { REVERTS } else { h.ends_with.map_or(unread, |how| ending(Some(how))) })
        .collect();
    let ending = if endings.len() == 1 { endings.first().copied() } else { None };
    let ending = ending.unwrap_or(unread);
    let moments: BTreeSet<DateTime<Utc>> = hosts()
        .filter_map(|h| match h.phase {
            HostPhase::Armed { fires, .. } => Some(fires),
            _ => state.window,
        })
        .collect();
    match (moments.first(), moments.last()) {
        (Some(first), Some(last)) if first != last => {
            format!("{ending} {} to {}", clock(*first, now, style.zone), clock(*last, now, style.zone))
        }
        (Some(only), _) if *only <= now => {
            format!("{ending} {}: its time has passed, not known whether it fired", style.when(*only, now))
        }
        (Some(only), _) => format!("{ending} {}", style.when(*only, now)),
        (None, _) => ending.to_owned(),
    }
}

fn verdict(state: &RunState, tally: &Tally<'_>, now: DateTime<Utc>, style: &Style) -> String {
    let number =
        |wanted: &[Standing]| -> usize { wanted.iter().filter_map(|s| tally.get(s)).map(Vec::len).sum() };
    let hosts = |n: usize| count(n, "host", "hosts");
    let all = state.hosts.len();
    let problems: usize = tally.iter().filter(|(s, _)| s.is_problem()).map(|(_, h)| h.len()).sum();
    let (tone, text) = match state.verdict {
        None => (Tone::Bad, "unfinished: the process that worked on this run did not end it".to_owned()),
        Some(_) if state.mode == Mode::DryRun => dry_verdict(number(&[Standing::WouldChange]), problems, all),
        Some(Verdict::Clean) if state.hosts.values().any(has_run) => {
            (Tone::Good, format!("succeeded on {}", hosts(all)))
        }
        Some(Verdict::Clean) if files_are(state).is_some() => (Tone::Good, "done on every host".into()),
        Some(Verdict::Clean) => (Tone::Good, "done on every host; nothing is armed".into()),
        Some(Verdict::Armed) => armed_verdict(state, now),
        Some(Verdict::Cancelled) => (Tone::Good, cancelled_verdict(tally)),
        Some(Verdict::HostsFailed) if state.hosts.values().any(has_run) => {
            (Tone::Bad, format!("succeeded on {} of {}", number(&[Standing::Done]), hosts(all)))
        }
        Some(Verdict::HostsFailed) => (
            Tone::Bad,
            format!("not all: {problems} of {} {} not where asked for", hosts(all), are(problems)),
        ),
        Some(Verdict::NeedsAttention) => {
            let still = number(&[Standing::StillGoingDown, Standing::StillArmed]);
            let unknown = number(&[Standing::Unknown]);
            (Tone::Bad, attention(still, unknown, problems - still - unknown))
        }
        Some(Verdict::Stopped) => {
            let why = state.gate.as_deref().unwrap_or("a gate closed");
            (Tone::Bad, format!("stopped: {}", printable(why)))
        }
    };
    let went_on = went_on(state);
    if went_on == 0 {
        return format!("\n{}\n", style.paint(tone, &text));
    }
    let tone = if tone == Tone::Good { Tone::Caution } else { tone };
    let text = format!("{text}; but a step failed and was gone past on {}", hosts(went_on));
    format!("\n{}\n", style.paint(tone, &text))
}

/// Hosts that went down as planned before or beside those that were called off are told as well.
fn cancelled_verdict(tally: &Tally<'_>) -> String {
    let number =
        |wanted: &[Standing]| -> usize { wanted.iter().filter_map(|s| tally.get(s)).map(Vec::len).sum() };
    let hosts = |n: usize| count(n, "host", "hosts");
    let back = number(&[Standing::Cancelled, Standing::TakenBack]);
    let taken_back = match back {
        0 => "cancelled: nothing had been armed".to_owned(),
        n => format!("cancelled: taken back on {} and read back", hosts(n)),
    };
    let down = number(&[Standing::GoingDown, Standing::Silent]);
    let settled = number(&[Standing::Settled]);
    let mut text = taken_back;
    if down > 0 {
        text.push_str(&format!("; {} went down as planned", hosts(down)));
    }
    if settled > 0 {
        text.push_str(&format!("; {} rebooted and settled", hosts(settled)));
    }
    text + "; nothing is armed"
}

/// Read later, a run that ended armed says nothing of what its hosts did then.
fn armed_verdict(state: &RunState, now: DateTime<Utc>) -> (Tone, String) {
    let fires = state.hosts.values().filter_map(|h| match h.phase {
        HostPhase::Armed { fires, .. } => Some(fires),
        _ => None,
    });
    let (passed, ahead): (Vec<_>, Vec<_>) = fires.partition(|t| *t <= now);
    let hosts = |n: usize| count(n, "host", "hosts");
    match (passed.len(), ahead.len()) {
        (0, n) => {
            let they = if n == 1 { "goes" } else { "go" };
            (Tone::Good, format!("armed: {} {they} on alone; this controller may leave", hosts(n)))
        }
        (n, _) => {
            let asks = format!("`pipedown status {}` asks them", state.run);
            (
                Tone::Caution,
                format!("armed: the time of {} has passed, not known what came of it; {asks}", hosts(n)),
            )
        }
    }
}

fn dry_verdict(would_change: usize, problems: usize, all: usize) -> (Tone, String) {
    let hosts = |n: usize| count(n, "host", "hosts");
    let change = format!("dry run, nothing was changed: {} would change", hosts(would_change));
    if problems == 0 {
        (Tone::Good, change)
    } else {
        (
            Tone::Bad,
            format!("{change}; {problems} of {} could not be looked at or would be refused", hosts(all)),
        )
    }
}

fn attention(still: usize, unknown: usize, others: usize) -> String {
    let hosts = |n: usize| count(n, "host", "hosts");
    let mut parts = Vec::new();
    if still > 0 {
        parts.push(format!("{} may still go down", hosts(still)));
    }
    if unknown > 0 {
        parts.push(format!("not known what happened on {}", hosts(unknown)));
    }
    if others > 0 {
        parts.push(format!("{} not where asked for", count(others, "other host is", "other hosts are")));
    }
    if parts.is_empty() {
        parts.push("see above".into());
    }
    format!("needs attention: {}", parts.join("; "))
}

fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use pipedown_model::{EventKind, Failure, FailureClass, Gate, LocalWhen, Outcome, StepId};

    use super::*;
    use crate::fixture::{Story, at, followed, host, step, style};

    fn armed() -> Story {
        let mut story = Story::begin(Mode::Apply, &["login01", "login02"]);
        story.arm("login01").arm("login02").end();
        story
    }

    #[test]
    fn all_armed() {
        let story = armed();
        insta::assert_snapshot!(summary(story.state(), story.now(), &style()));
    }

    #[test]
    fn read_after_its_time_it_does_not_claim_that_hosts_went_down() {
        insta::assert_snapshot!(summary(armed().state(), at("2026-11-22T19:00:00Z"), &style()));
    }

    #[test]
    fn cancelled_everywhere() {
        let mut story = armed();
        let by = pipedown_model::Operator::new("admin", "ctl");
        story.push(EventKind::CancelRequested { by, reason: String::new(), hosts: Vec::new() });
        for name in ["login01", "login02"] {
            story.push(EventKind::UndoStarted {
                host: host(name),
                by: pipedown_model::RolledBackBy::Operator,
            });
            story.push(EventKind::UndoFinished { host: host(name), restored: Vec::new() });
        }
        story.end();
        insta::assert_snapshot!(summary(story.state(), story.now(), &style()));
    }

    #[test]
    fn one_called_off_while_the_others_go_down_as_planned() {
        let mut story = armed();
        let by = pipedown_model::Operator::new("admin", "ctl");
        let hosts = vec![host("login02")];
        story.push(EventKind::CancelRequested { by, reason: String::new(), hosts });
        let by = pipedown_model::RolledBackBy::Operator;
        story.push(EventKind::UndoStarted { host: host("login02"), by });
        story.push(EventKind::UndoFinished { host: host("login02"), restored: Vec::new() });
        story.push(EventKind::ShutdownObserved { host: host("login01"), evidence: "it said so".into() });
        story.push(EventKind::Silent { host: host("login01"), since: at("2026-11-22T17:00:04Z") });
        story.end();
        let text = summary(story.state(), story.now(), &style());
        let verdict = text.trim_end().lines().last().unwrap();
        assert_eq!(
            verdict,
            "cancelled: taken back on 1 host and read back; 1 host went down as planned; nothing is armed"
        );
    }

    #[test]
    fn stopped_by_the_controllers_own_command() {
        let mut story = Story::begin(Mode::Apply, &["login01", "login02"]);
        let error =
            Failure::new(FailureClass::Controller, "run scontrol: exit status 1").with_hint("see `sinfo`");
        let outcome = Outcome::Failed { error, effect: pipedown_model::Effect::Unknown };
        story.push(EventKind::LocalStarted { step: step("drain-queue"), when: LocalWhen::Before });
        story.push(EventKind::LocalFinished { step: step("drain-queue"), outcome });
        story.push(EventKind::Gated { gate: Gate::Local, reason: "drain-queue failed".into() });
        story.end();
        insta::assert_snapshot!(summary(story.state(), story.now(), &style()));
    }

    #[test]
    fn a_process_that_died_leaves_what_is_not_known() {
        let mut story = Story::begin(Mode::Apply, &["login01", "login02", "login03"]);
        story.arm("login01").connect("login02");
        story.push(EventKind::StepStarted { host: host("login02"), step: StepId::arm(), attempt: 1 });
        insta::assert_snapshot!(summary(story.state(), story.now(), &style()));
    }

    #[test]
    fn done_with_a_step_that_may_fail() {
        let mut story = Story::begin(Mode::Apply, &["login01"]);
        story.connect("login01");
        let id = step("flush");
        let error = Failure::new(FailureClass::Step, "run flush: exit status 3");
        let outcome = Outcome::Failed { error, effect: pipedown_model::Effect::Unknown };
        story.push(EventKind::StepStarted { host: host("login01"), step: id.clone(), attempt: 1 });
        story.push(EventKind::StepFinished { host: host("login01"), step: id, outcome });
        let motd = || step("motd");
        story.push(EventKind::StepStarted { host: host("login01"), step: motd(), attempt: 1 });
        let outcome = Outcome::Changed { diff: vec!["/etc/motd".into()] };
        story.push(EventKind::StepFinished { host: host("login01"), step: motd(), outcome });
        story.push(EventKind::HostDone { host: host("login01") });
        story.end();
        insta::assert_snapshot!(summary(story.state(), story.now(), &style()));
    }

    #[test]
    fn every_host_is_counted_once() {
        use crate::fixture::{cancelled, dry, mixed, trials};
        for story in [mixed(), dry(), cancelled(), followed(), trials()] {
            let text = summary(story.state(), story.now(), &style());
            let counted = text.lines().skip(1).take_while(|l| !l.is_empty());
            let numbers = counted.map(|l| l.trim().split(' ').next().unwrap().parse::<usize>().unwrap());
            assert_eq!(numbers.sum::<usize>(), story.state().hosts.len(), "{text}");
        }
    }
}
