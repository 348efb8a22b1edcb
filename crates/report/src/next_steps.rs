//! The commands that an operator may want next.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use pipedown_model::{HostPhase, HostState, Mode, RunState};

use crate::standing::{Standing, has_run};
use crate::table::pad;
use crate::{Style, clock};

/// Lists the commands that make sense now, with what they do.
pub(crate) fn next_steps(state: &RunState, now: DateTime<Utc>, style: &Style) -> String {
    let commands = match state.mode {
        Mode::DryRun => Vec::new(),
        Mode::Apply => commands(state, now, style),
    };
    let Some(width) = commands.iter().map(|(command, _)| command.len()).max() else {
        return String::new();
    };
    let lines = commands.iter().map(|(command, what)| format!("  {}  {what}\n", pad(command, width)));
    let by_hand = script(state).filter(|_| state.is_active(now));
    let by_hand = by_hand.map(|path| format!("  on a host, as root: sh {path}\n")).unwrap_or_default();
    format!("\nnext:\n{}{by_hand}", lines.collect::<String>())
}

fn commands(state: &RunState, now: DateTime<Utc>, style: &Style) -> Vec<(String, String)> {
    let run = &state.run;
    let standings: BTreeSet<Standing> = state.hosts.values().map(|h| Standing::of(h, state.mode)).collect();
    let still = standings.contains(&Standing::StillGoingDown) || standings.contains(&Standing::StillArmed);
    let ahead = state.window.is_none_or(|t| t > now);
    let mut commands = Vec::new();
    if state.is_active(now) {
        commands.push((format!("pipedown status {run}"), "what the hosts themselves say".into()));
        commands.push((format!("pipedown cancel {run}"), cancel_until(state, now, style, still)));
    }
    // A command that had its turn is not run again by itself.
    let has_turn = |h: &&HostState| !(has_run(h) && Standing::of(h, state.mode) == Standing::Failed);
    let left = state.hosts.values().filter(has_turn);
    let resumable = left.into_iter().any(|h| Standing::of(h, state.mode).may_resume());
    if resumable && ahead && !state.cancel_requested {
        commands
            .push((format!("pipedown resume {run}"), "the hosts that are not where they should be".into()));
        if standings.contains(&Standing::Unknown) {
            let flags = format!("pipedown resume {run} --retry-unknown");
            commands.push((flags, "or --skip-unknown: you decide what cannot be known".into()));
        }
    }
    if standings.iter().any(|s| s.is_problem()) {
        commands.push((format!("pipedown show {run}"), "what happened, event by event".into()));
    }
    commands
}

fn cancel_until(state: &RunState, now: DateTime<Utc>, style: &Style, again: bool) -> String {
    let again = if again { "again, " } else { "" };
    let armed = state.hosts.values().filter_map(|h| match h.phase {
        HostPhase::Armed { fires, .. } => Some(fires),
        _ => None,
    });
    let moments: BTreeSet<DateTime<Utc>> = armed.chain(state.window).filter(|t| *t > now).collect();
    match (moments.first(), moments.last()) {
        (Some(first), Some(last)) if first != last => {
            let last = clock(*last, now, style.zone);
            format!("{again}until {} for the first host, {last} for the last", style.when(*first, now))
        }
        (Some(only), _) => format!("{again}until {}", style.when(*only, now)),
        (None, _) => format!("{again}as long as it has not fired"),
    }
}

/// Where root cancels on the host itself. Hosts below a folder of their own differ in the path: the first stands for all.
fn script(state: &RunState) -> Option<String> {
    let armed = state.hosts.values().filter(|h| state.may_go_down(h));
    let scripts: BTreeSet<&str> = armed.filter_map(|h| h.cancel_script.as_deref()).collect();
    let first = scripts.first()?;
    let others = scripts.len() - 1;
    Some(if others == 0 { (*first).to_owned() } else { format!("{first} … (and {others} like it)") })
}
