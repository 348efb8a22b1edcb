//! What went wrong, said once for all hosts that it happened to.

use pipedown_model::{
    Effect, Failure, FailureClass, Finding, HostName, HostPhase, HostState, Mode, Outcome, RunState,
    Severity, StepRecord,
};

use crate::Style;
use crate::describe::{failed, gate};
use crate::printable::{printable, printable_lines};
use crate::standing::Standing;

/// Stands for the host's own name in a text that several hosts share.
const OWN_NAME: &str = "<host>";

/// One thing to say about one host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    section: Section,
    text: String,
    hint: Option<String>,
}

/// Where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Standing(Standing),
    HostKeys,
    WentOn,
    Noted,
}

/// Hosts that share a text but for their own name.
struct Group<'a> {
    hosts: Vec<&'a HostName>,
    shared: Problem,
    own: Problem,
}

/// Writes the sections, gravest first, host keys together, then what was noted and gone past.
pub(crate) fn problems(state: &RunState, style: &Style) -> String {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (name, host) in &state.hosts {
        for own in of_host(host, state) {
            let shared = Problem {
                section: own.section,
                text: without_own_name(&own.text, name),
                hint: own.hint.as_ref().map(|h| without_own_name(h, name)),
            };
            let key = (order(shared.section), shared.text.clone(), shared.hint.clone());
            let place = *places.entry(key).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.hosts.push(name),
                None => groups.push(Group { hosts: vec![name], shared, own }),
            }
        }
    }
    groups.sort_by_key(|g| order(g.shared.section));
    write(&groups, style)
}

fn write(groups: &[Group<'_>], style: &Style) -> String {
    let mut text = String::new();
    let mut section = None;
    for group in groups {
        let shown = if group.hosts.len() == 1 { &group.own } else { &group.shared };
        if section != Some(shown.section) {
            section = Some(shown.section);
            text.push_str(&format!("\n{}\n", heading(shown.section, style)));
        }
        let hosts = style.fold(group.hosts.iter().copied());
        text.push_str(&format!("  {hosts}\n"));
        for line in printable_lines(&shown.text) {
            text.push_str(&format!("    {line}\n"));
        }
        if let Some(hint) = &shown.hint {
            for (i, line) in printable_lines(hint).iter().enumerate() {
                let lead = if i == 0 { "hint: " } else { "      " };
                text.push_str(&format!("    {lead}{line}\n"));
            }
        }
    }
    text
}

fn heading(section: Section, style: &Style) -> String {
    match section {
        Section::Standing(standing) => style.paint(standing.tone(), &format!("{}:", standing.label())),
        Section::HostKeys => "host keys that were not trusted:".into(),
        Section::WentOn => "failed, and gone on as the playbook says:".into(),
        Section::Noted => "worth knowing:".into(),
    }
}

fn order(section: Section) -> (u8, Option<Standing>) {
    match section {
        Section::Standing(standing) => (0, Some(standing)),
        Section::HostKeys => (1, None),
        Section::WentOn => (2, None),
        Section::Noted => (3, None),
    }
}

fn of_host(host: &HostState, state: &RunState) -> Vec<Problem> {
    let mode = state.mode;
    let standing = Standing::of(host, mode);
    if !standing.is_problem() {
        let mut said = passed(host);
        if standing == Standing::Armed {
            said.extend(host.findings.iter().filter(|f| f.severity == Severity::Info).map(noted));
        }
        return said;
    }
    if standing == Standing::Refused && mode == Mode::DryRun && refusals(host).next().is_some() {
        // The host's own block of the dry run has the gates' verdicts and hints.
        return Vec::new();
    }
    if standing == Standing::Refused && error_is_found(host) {
        return refusals(host).map(of_finding).collect();
    }
    if standing == Standing::RolledBack {
        return host
            .error
            .as_ref()
            .map(|error| of_failure(standing, rolled_back(host, error), error))
            .into_iter()
            .collect();
    }
    match (unknown(host, state), &host.error) {
        (None, None) => Vec::new(),
        (None, Some(error)) => vec![of_failure(standing, failed(error), error)],
        (Some(unknown), None) => {
            vec![Problem { section: Section::Standing(standing), text: unknown, hint: None }]
        }
        (Some(unknown), Some(error)) => {
            vec![of_failure(standing, format!("{unknown}\n{}", failed(error)), error)]
        }
    }
}

/// Whether the gates' own findings say all that the refusal says.
fn error_is_found(host: &HostState) -> bool {
    host.error.as_ref().is_some_and(|error| refusals(host).any(|f| error.text.contains(&f.text)))
}

fn of_failure(standing: Standing, text: String, error: &Failure) -> Problem {
    let key = matches!(
        error.class,
        FailureClass::HostKeyUnknown | FailureClass::HostKeyChanged | FailureClass::HostKeyRevoked
    );
    let section =
        if key && standing == Standing::Failed { Section::HostKeys } else { Section::Standing(standing) };
    Problem { section, text, hint: error.hint.clone() }
}

/// The reason, then what the host serves now.
fn rolled_back(host: &HostState, error: &Failure) -> String {
    let serves = host.rolled_back.as_deref().unwrap_or_default();
    let serves = if serves.is_empty() {
        "not known: what it serves now".to_owned()
    } else {
        format!("serves now: {}", serves.join("\n            "))
    };
    format!("{}\n{serves}", failed(error))
}

fn unknown(host: &HostState, state: &RunState) -> Option<String> {
    let what = match &host.phase {
        HostPhase::Working { step } => format!("whether {step} took effect"),
        HostPhase::Failed { effect: Effect::Unknown } => "what was changed".into(),
        HostPhase::Undoing => "whether it was taken back".into(),
        _ => return None,
    };
    if host.on_trial {
        return Some(format!("not known: {what}; the host reverts by itself unless it was confirmed"));
    }
    let fires = if state.may_go_down(host) { "; the host may still go down" } else { "" };
    Some(format!("not known: {what}{fires}"))
}

fn refusals(host: &HostState) -> impl Iterator<Item = &Finding> {
    host.findings.iter().filter(|f| f.severity == Severity::Refuse)
}

fn of_finding(finding: &Finding) -> Problem {
    Problem {
        section: Section::Standing(Standing::Refused),
        text: format!("{}: {}", gate(finding.code), finding.text),
        hint: finding.hint.clone(),
    }
}

fn noted(finding: &Finding) -> Problem {
    Problem { section: Section::Noted, text: finding.text.clone(), hint: finding.hint.clone() }
}

fn passed(host: &HostState) -> Vec<Problem> {
    let failures = host.steps.iter().filter_map(|(step, record)| match record {
        StepRecord::Finished { outcome: Outcome::Failed { error, effect } } => {
            let unknown = if *effect == Effect::Unknown { " (not known: what it changed)" } else { "" };
            Some(Problem {
                section: Section::WentOn,
                text: format!("{step}{unknown}: {}", failed(error)),
                hint: error.hint.clone(),
            })
        }
        StepRecord::Started { .. } | StepRecord::Finished { .. } => None,
    });
    failures.collect()
}

/// On how many hosts, otherwise where they should be, a step failed.
pub(crate) fn went_on(state: &RunState) -> usize {
    let fine = state.hosts.values().filter(|h| !Standing::of(h, state.mode).is_problem());
    fine.filter(|h| !passed(h).is_empty()).count()
}

/// Replaces the host's name where it stands as a word of its own.
pub(crate) fn without_own_name(text: &str, host: &HostName) -> String {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(host.as_str()) {
        let starts = !before.chars().next_back().is_some_and(part_of_name);
        let ends = !after.chars().next().is_some_and(part_of_name);
        result.push_str(before);
        result.push_str(if starts && ends { OWN_NAME } else { host.as_str() });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Writes what went wrong with commands on the controller.
pub(crate) fn on_controller(state: &RunState) -> String {
    let mut text = String::new();
    for (step, record) in &state.local {
        let line = match record {
            StepRecord::Started { .. } => format!("not known: whether {step} took effect"),
            StepRecord::Finished { outcome: Outcome::Failed { error, .. } } => {
                format!(
                    "{step}: {}{}",
                    failed(error),
                    error.hint.as_ref().map(|h| format!(" (hint: {h})")).unwrap_or_default()
                )
            }
            StepRecord::Finished { .. } => continue,
        };
        if text.is_empty() {
            text.push_str("\non the controller:\n");
        }
        text.push_str(&format!("  {}\n", printable(&line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_is_the_hosts_own() {
        let host = HostName::new("a1").unwrap();
        assert_eq!(
            without_own_name("connect to a1.example.org, not a10, a1", &host),
            "connect to <host>.example.org, not a10, <host>"
        );
    }
}
