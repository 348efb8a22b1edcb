//! The end report of a run.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use pipedown_model::{HostName, HostPhase, Mode, RunState, Verdict};

use crate::dry_run::dry_run;
use crate::next_steps::next_steps;
use crate::problems::{on_controller, problems};
use crate::standing::Standing;
use crate::style::{Tone, count, ending};
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
    text.push_str(&verdict(state, &tally, style));
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
    if !matches!(standing, Standing::Armed | Standing::StillArmed | Standing::StillGoingDown) {
        return String::new();
    }
    let hosts = || hosts.iter().filter_map(|h| state.hosts.get(*h));
    // A window that this run never read back is not known to end in a certain way.
    let unread = if standing == Standing::StillGoingDown { "shutdown" } else { ending(None) };
    let endings: BTreeSet<&str> =
        hosts().map(|h| h.ends_with.map_or(unread, |how| ending(Some(how)))).collect();
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
        (Some(only), _) if *only <= now && standing != Standing::Armed => {
            format!("{ending} {}: its time has passed, not known whether it fired", style.when(*only, now))
        }
        (Some(only), _) => format!("{ending} {}", style.when(*only, now)),
        (None, _) => ending.to_owned(),
    }
}

fn verdict(state: &RunState, tally: &Tally<'_>, style: &Style) -> String {
    let number =
        |wanted: &[Standing]| -> usize { wanted.iter().filter_map(|s| tally.get(s)).map(Vec::len).sum() };
    let hosts = |n: usize| count(n, "host", "hosts");
    let all = state.hosts.len();
    let problems: usize = tally.iter().filter(|(s, _)| s.is_problem()).map(|(_, h)| h.len()).sum();
    let (tone, text) = match state.verdict {
        None => (Tone::Bad, "unfinished: the process that worked on this run did not end it".to_owned()),
        Some(_) if state.mode == Mode::DryRun => dry_verdict(number(&[Standing::WouldChange]), problems, all),
        Some(Verdict::Clean) => (Tone::Good, "done: read back on every host; nothing is armed".into()),
        Some(Verdict::Armed) => (
            Tone::Good,
            format!(
                "armed: {} will go on alone; this controller may leave",
                hosts(number(&[Standing::Armed]))
            ),
        ),
        Some(Verdict::Cancelled) => {
            let n = number(&[Standing::Cancelled, Standing::TakenBack]);
            (Tone::Good, format!("cancelled: taken back on {} and read back; nothing is armed", hosts(n)))
        }
        Some(Verdict::HostsFailed) => (
            Tone::Bad,
            format!("not all: {problems} of {} {} not where asked for", hosts(all), are(problems)),
        ),
        Some(Verdict::NeedsAttention) => {
            let still = number(&[Standing::StillGoingDown, Standing::StillArmed]);
            let unknown = number(&[Standing::Unknown]);
            (Tone::Bad, attention(still, unknown))
        }
        Some(Verdict::Stopped) => {
            let why = state.gate.as_deref().unwrap_or("a gate closed");
            (Tone::Bad, format!("stopped: {}", printable(why)))
        }
    };
    format!("\n{}\n", style.paint(tone, &text))
}

fn dry_verdict(would_change: usize, problems: usize, all: usize) -> (Tone, String) {
    let hosts = |n: usize| count(n, "host", "hosts");
    let change = format!("dry run, nothing was changed: {} would change", hosts(would_change));
    if problems == 0 {
        (Tone::Good, change)
    } else {
        (Tone::Bad, format!("{change}; {problems} of {} would not be reached or be refused", hosts(all)))
    }
}

fn attention(still: usize, unknown: usize) -> String {
    let hosts = |n: usize| count(n, "host", "hosts");
    let mut parts = Vec::new();
    if still > 0 {
        parts.push(format!("{} may still go down", hosts(still)));
    }
    if unknown > 0 {
        parts.push(format!("not known what happened on {}", hosts(unknown)));
    }
    if parts.is_empty() {
        parts.push("see above".into());
    }
    format!("needs attention: {}", parts.join("; "))
}

fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}
