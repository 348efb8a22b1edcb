//! The files of a window, as they are sent to a host.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use pipedown_model::{HostPlan, Operator, Plan, Presence, RunId, RunStep, StepId, StepSpec, TextId};

use super::{Action, Entry};
use crate::fragment;

/// What a window without a shutdown is given beyond its last moment, in seconds.
const GRACE: i64 = 300;

/// Where the scripts of a window find the library.
const PREAMBLE: &str = "window=${PIPEDOWN_ROOT-}/var/lib/pipedown/window\n. \"$window/lib\" || exit 1\n";

/// Who owns a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The run.
    pub run: RunId,
    /// Who armed it.
    pub operator: Operator,
    /// The controller's name.
    pub controller: String,
    /// Why.
    pub reason: String,
}

impl Owner {
    fn file(&self) -> String {
        format!(
            "run {}\noperator {}\ncontroller {}\nreason {}\n",
            self.run,
            one_line(self.operator.as_str()),
            one_line(&self.controller),
            one_line(&self.reason)
        )
    }
}

/// Makes a text one line: what the host shows, logs and splits at line ends.
pub(crate) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Makes a text fit for terminals and files: no control characters but tab and newline, and a newline at its end.
pub(crate) fn clean_text(text: &str) -> String {
    let mut clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    if !clean.ends_with('\n') {
        clean.push('\n');
    }
    clean
}

/// The files of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgendaFiles {
    run: RunId,
    entries: Vec<Entry>,
    files: BTreeMap<String, String>,
    agenda: TextId,
    sums: TextId,
}

impl AgendaFiles {
    /// The run that owns them.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// What happens, in order of time.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Name and content of each file, without the list of hashes.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Hash of the file `agenda`.
    pub fn agenda_hash(&self) -> TextId {
        self.agenda
    }

    /// Hash of the list of all files' hashes: it stands for the whole window.
    pub fn sums_hash(&self) -> TextId {
        self.sums
    }

    /// When the last entry fires; for a shutdown, T.
    pub fn fires(&self) -> Option<DateTime<Utc>> {
        let ending = self.entries.iter().find(|entry| entry.action.rank() > 0);
        ending.or(self.entries.last()).map(Entry::instant)
    }

    /// After this moment nothing fires any more.
    pub fn not_after(&self) -> Option<DateTime<Utc>> {
        self.entries.iter().map(|entry| entry.not_after).max().map(super::entry::instant)
    }

    /// The text that an entry shows.
    pub fn text(&self, id: &TextId) -> Option<&str> {
        self.files.get(&format!("text.{id}")).map(String::as_str)
    }

    /// All files as one stream: `file NAME LINES`, the lines, …, `end`.
    pub(crate) fn archive(&self) -> Vec<u8> {
        let sums = sums(&self.files);
        let mut archive = String::new();
        for (name, text) in self.files.iter().chain([(&"sums".to_owned(), &sums)]) {
            // Every file ends with a newline, so that it is whole lines.
            let _ = writeln!(archive, "file {name} {}", text.matches('\n').count());
            archive.push_str(text);
        }
        archive.push_str("end\n");
        archive.into_bytes()
    }
}

/// The list of hashes in the form of sha256sum(1).
fn sums(files: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, content) in files {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {name}", TextId::of(content.as_bytes()));
    }
    text
}

/// Renders what a host's plan arms. `None` if it arms nothing.
pub fn render(plan: &Plan, host: &HostPlan, owner: &Owner) -> Option<AgendaFiles> {
    let mut draft = Draft { plan, ending: Ending::of(host), entries: Vec::new(), files: BTreeMap::new() };
    for step in &host.steps {
        draft.add(&step.id, &step.spec);
    }
    draft.close();
    let Draft { mut entries, mut files, .. } = draft;
    if entries.is_empty() {
        return None;
    }
    entries.sort_by_key(|entry| (entry.at, entry.action.rank()));
    let agenda: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let hash = TextId::of(agenda.as_bytes());
    files.insert("agenda".to_owned(), agenda);
    files.insert("owner".to_owned(), owner.file());
    files.insert("lib".to_owned(), fragment::library().to_owned());
    files.insert("agenda.sh".to_owned(), format!("{PREAMBLE}{}", fragment::agenda()));
    files.insert("cancel".to_owned(), format!("{PREAMBLE}{}", fragment::cancel()));
    let sums = TextId::of(sums(&files).as_bytes());
    Some(AgendaFiles { run: owner.run.clone(), entries, files, agenda: hash, sums })
}

/// How long a window lasts.
#[derive(Debug, Clone, Copy)]
struct Ending {
    /// T.
    at: Option<i64>,
    not_after: Option<i64>,
    shutdown: bool,
}

impl Ending {
    fn of(host: &HostPlan) -> Self {
        let shutdown = host.steps.iter().find_map(|step| match &step.spec {
            StepSpec::Shutdown { at, not_after, .. } => Some((at.timestamp(), not_after.timestamp())),
            _ => None,
        });
        match shutdown {
            Some((at, not_after)) => Self { at: Some(at), not_after: Some(not_after), shutdown: true },
            None => Self { at: host.window.map(|at| at.timestamp()), not_after: None, shutdown: false },
        }
    }

    /// Until when something of time `at` may still be done.
    fn limit(self, at: i64) -> i64 {
        self.not_after.unwrap_or_else(|| self.at.unwrap_or(at).max(at).saturating_add(GRACE)).max(at)
    }
}

struct Draft<'a> {
    plan: &'a Plan,
    ending: Ending,
    entries: Vec<Entry>,
    files: BTreeMap<String, String>,
}

impl Draft<'_> {
    fn push(&mut self, at: i64, not_after: i64, action: Action) {
        self.entries.push(Entry { at, not_after, action });
    }

    /// Adds a text as a file.
    fn text(&mut self, text: String) -> TextId {
        let id = TextId::of(text.as_bytes());
        self.files.insert(format!("text.{id}"), text);
        id
    }

    fn shown(&mut self, id: &TextId) -> TextId {
        self.text(clean_text(self.plan.text(id)))
    }

    fn script(&mut self, id: &TextId) -> TextId {
        let script = self.plan.text(id);
        self.text(if script.ends_with('\n') { script.to_owned() } else { format!("{script}\n") })
    }

    /// Adds an argument as a file: one newline more than it has.
    fn arg(&mut self, arg: &str) -> TextId {
        let text = format!("{arg}\n");
        let id = TextId::of(text.as_bytes());
        self.files.insert(format!("arg.{id}"), text);
        id
    }

    fn add(&mut self, step: &StepId, spec: &StepSpec) {
        match spec {
            StepSpec::Broadcast { messages } => {
                for message in messages {
                    let Some(at) = message.at.map(|at| at.timestamp()) else { continue };
                    let not_after = message.not_after.map_or(at.saturating_add(60), |at| at.timestamp());
                    let text = self.shown(&message.text);
                    self.push(at, not_after, Action::Broadcast(text));
                }
            }
            StepSpec::Motd { at: Some(at), presence, text } => {
                let text = self.state(*presence, text);
                self.push(at.timestamp(), self.ending.limit(at.timestamp()), Action::Motd(text));
            }
            StepSpec::Nologin { at: Some(at), presence, text } => {
                let text = self.state(*presence, text);
                self.push(at.timestamp(), self.ending.limit(at.timestamp()), Action::Nologin(text));
            }
            StepSpec::Drain { from, until, early, at_deadline } => {
                let limit = self.ending.limit(until.timestamp());
                let action = Action::Drain { early: *early, at_deadline: *at_deadline };
                self.push(from.timestamp(), limit, action);
            }
            StepSpec::Shutdown { at, not_after, how, announce_in_logind, cancelled } => {
                let cancelled = self.shown(cancelled);
                let action = Action::Shutdown { how: *how, logind: *announce_in_logind, cancelled };
                self.push(at.timestamp(), not_after.timestamp(), action);
            }
            StepSpec::Run(run) => self.add_run(step, run),
            StepSpec::SshdConfig(_)
            | StepSpec::Exec(_)
            | StepSpec::Reboot(_)
            | StepSpec::Copy(_)
            | StepSpec::Fetch(_)
            | StepSpec::Motd { at: None, .. }
            | StepSpec::Nologin { at: None, .. } => {}
        }
    }

    fn state(&mut self, presence: Presence, text: &TextId) -> Option<TextId> {
        match presence {
            Presence::Present => Some(self.shown(text)),
            Presence::Absent => None,
        }
    }

    fn add_run(&mut self, step: &StepId, run: &RunStep) {
        let Some(at) = run.at.map(|at| at.timestamp()) else { return };
        let action = Action::Run {
            step: step.clone(),
            timeout_s: run.timeout_s,
            on_failure: run.on_failure,
            script: self.script(&run.script),
            unless: run.unless.as_ref().map(|id| self.script(id)),
            creates: run.creates.as_deref().map(|path| self.arg(path)),
            args: run.args.iter().map(|arg| self.arg(arg)).collect(),
        };
        // A script that belongs before T is not begun after it.
        let limit = self.ending.at.filter(|end| *end > at).unwrap_or(at.saturating_add(GRACE));
        self.push(at, limit, action);
    }

    /// A window without a shutdown ends at T, unless it puts something there to stay.
    fn close(&mut self) {
        let Some(last) = self.entries.iter().map(|entry| entry.at).max() else { return };
        if self.ending.shutdown {
            return;
        }
        let end = self.ending.at.unwrap_or(last).max(last);
        let stays = self.entries.iter().any(|entry| {
            let present = matches!(entry.action, Action::Nologin(Some(_)) | Action::Motd(Some(_)));
            present && entry.at >= self.ending.at.unwrap_or(i64::MIN)
        });
        if !stays {
            self.push(end, end.saturating_add(GRACE), Action::End);
        }
    }
}

#[cfg(test)]
mod tests;
