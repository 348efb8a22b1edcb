//! What a plan would change on a host, as a dry run shows it.

use pipedown_model::{HostPlan, Plan, Presence, StepSpec, TextId};

use crate::agenda::{Action, AgendaFiles, Entry, clean_text};
use crate::{NologinFiles, Seen};

const STATE: &str = "/var/lib/pipedown";
const UNIT: &str = "/etc/systemd/system/pipedown-window.service";

/// Names every path that would change, and everything that would happen, with its time. Empty if all is so already.
///
/// `files` is what would be armed, if anything.
pub fn diff(seen: &Seen, plan: &Plan, host: &HostPlan, files: Option<&AgendaFiles>) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &host.steps {
        lines.extend(now_lines(seen, plan, &step.spec));
    }
    if let Some(files) = files.filter(|files| !stands(seen, files)) {
        lines.extend(window_lines(seen, files));
    }
    lines
}

/// Whether exactly these files are armed, and executed.
fn stands(seen: &Seen, files: &AgendaFiles) -> bool {
    seen.window_sums == Some(files.sums_hash()) && seen.facts.window.as_ref().is_some_and(|w| w.alive)
}

/// Which nologin files a plan needs on this host.
pub fn nologin_files(seen: &Seen) -> NologinFiles {
    if seen.uses_pam == Some(false) { NologinFiles::RunAndEtc } else { NologinFiles::Run }
}

fn first_line(text: &str) -> String {
    clean_text(text).lines().next().unwrap_or_default().to_owned()
}

/// What is done at once over the link.
fn now_lines(seen: &Seen, plan: &Plan, spec: &StepSpec) -> Vec<String> {
    let state = |path: &str, presence: Presence, text: &TextId, hash: Option<TextId>| {
        let wanted = clean_text(plan.text(text));
        match presence {
            Presence::Present if hash == Some(TextId::of(wanted.as_bytes())) => None,
            Presence::Present => Some(format!("now: write {path}: {:?}", first_line(&wanted))),
            Presence::Absent => hash.map(|_| format!("now: take {path} back")),
        }
    };
    let line = match spec {
        StepSpec::Broadcast { messages } => {
            let now = messages.iter().filter(|message| message.at.is_none());
            return now
                .map(|message| {
                    let terminals =
                        seen.facts.sessions.iter().filter(|session| session.tty.is_some()).count();
                    format!(
                        "now: message to {terminals} terminals: {:?}",
                        first_line(plan.text(&message.text))
                    )
                })
                .collect();
        }
        StepSpec::Nologin { at: None, presence, text } => {
            state("/run/nologin", *presence, text, seen.facts.nologin.as_ref().map(|file| file.sha256))
        }
        StepSpec::Motd { at: None, presence, text } => {
            state("/etc/motd", *presence, text, seen.facts.motd.as_ref().map(|file| file.sha256))
        }
        StepSpec::Run(run) if run.at.is_none() => {
            let guard = if run.is_guarded() { " unless its guard holds" } else { "" };
            Some(format!("now: run a script of {} lines{guard}", plan.text(&run.script).lines().count()))
        }
        StepSpec::Reboot(reboot) => {
            let boot = seen.facts.boot_id.as_deref().unwrap_or("that cannot be read");
            let (stable, timeout) = (reboot.stable_for_s, reboot.timeout_s);
            Some(format!("now: reboot, ends boot {boot}; back within {timeout} s, and stable for {stable} s"))
        }
        _ => None,
    };
    line.into_iter().collect()
}

/// What is armed.
fn window_lines(seen: &Seen, files: &AgendaFiles) -> Vec<String> {
    let mut lines = Vec::new();
    let old = seen.facts.window.as_ref();
    match old.filter(|window| &window.run != files.run()) {
        Some(old) => lines.push(format!("replace {STATE}/window of run {}", old.run)),
        None => lines.push(format!("write {STATE}/window")),
    }
    if seen.facts.init == pipedown_model::Init::Systemd {
        if old.is_none() {
            lines.push(format!("write {UNIT}, and start it"));
        }
    } else {
        lines.push(format!("start sh {STATE}/window/agenda.sh"));
    }
    let past = files.entries().iter().filter(|entry| entry.instant() < seen.facts.now);
    let skipped = past.filter(|entry| entry.not_after < seen.facts.now.timestamp()).count();
    if skipped > 0 {
        lines.push(format!("leave out what is too late: entries: {skipped}"));
    }
    let alive = files.entries().iter().filter(|entry| entry.not_after >= seen.facts.now.timestamp());
    lines.extend(alive.map(|entry| entry_line(seen, files, entry)));
    lines
}

fn entry_line(seen: &Seen, files: &AgendaFiles, entry: &Entry) -> String {
    let at = if entry.instant() <= seen.facts.now {
        "at once".to_owned()
    } else {
        entry.instant().format("%Y-%m-%d %H:%M:%S UTC").to_string()
    };
    let text = |id: &TextId| first_line(files.text(id).unwrap_or_default());
    let what = match &entry.action {
        Action::Broadcast(id) => format!("message to every terminal: {:?}", text(id)),
        Action::Nologin(Some(id)) => format!("write /run/nologin: {:?}", text(id)),
        Action::Nologin(None) => "take /run/nologin back".to_owned(),
        Action::Motd(Some(id)) => format!("write /etc/motd: {:?}", text(id)),
        Action::Motd(None) => "take /etc/motd back".to_owned(),
        Action::Drain { early: true, .. } => "watch who is left, and go down early".to_owned(),
        Action::Drain { early: false, .. } => "watch who is left".to_owned(),
        Action::Run { step, .. } => format!("run the script of {step}"),
        Action::Shutdown { how, .. } => how.word().to_owned(),
        Action::End => "end the window: nologin and motd as before".to_owned(),
    };
    format!("{at}: {what}")
}

#[cfg(test)]
mod tests;
