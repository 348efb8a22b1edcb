//! What would change, and what the gates say.

use std::collections::HashMap;

use pipedown_model::{
    Finding, FindingCode, HostName, HostState, Mode, Outcome, RunState, Severity, StepRecord,
};

use crate::Style;
use crate::describe::{failed, gate, skipped};
use crate::printable::printable;
use crate::standing::Standing;
use crate::style::Tone;
use crate::table::pad;

/// Hosts that differ in nothing but what open gates have measured.
struct Alike<'a> {
    hosts: Vec<(&'a HostName, &'a HostState)>,
    steps: String,
}

/// Writes one block per host, hosts that are alike folded together.
pub(crate) fn dry_run(state: &RunState, style: &Style) -> String {
    let mut blocks: Vec<Alike<'_>> = Vec::new();
    let mut places = HashMap::new();
    for (name, host) in &state.hosts {
        if matches!(Standing::of(host, Mode::DryRun), Standing::Unreachable | Standing::Untouched) {
            // The gates were never asked.
            continue;
        }
        let steps = steps(host, style);
        let place = *places.entry((verdicts(host), steps.clone())).or_insert(blocks.len());
        match blocks.get_mut(place) {
            Some(block) => block.hosts.push((name, host)),
            None => blocks.push(Alike { hosts: vec![(name, host)], steps }),
        }
    }
    blocks.iter().map(|block| block.write(style)).collect()
}

/// What hosts must have in common to be shown as one: every verdict, and the words of those that are not good.
fn verdicts(host: &HostState) -> Vec<(FindingCode, Severity, Option<&str>)> {
    let words = |f: &'_ Finding| f.severity != Severity::Good;
    host.findings.iter().map(|f| (f.code, f.severity, Some(f.text.as_str()).filter(|_| words(f)))).collect()
}

impl Alike<'_> {
    fn write(&self, style: &Style) -> String {
        let mut text = format!("\n{}\n", style.fold(self.hosts.iter().map(|(name, _)| *name)));
        let Some((first, host)) = self.hosts.first() else { return text };
        let width = host.findings.iter().map(|f| gate(f.code).len()).max().unwrap_or(0);
        for (place, finding) in host.findings.iter().enumerate() {
            let (word, tone) = match finding.severity {
                Severity::Good => ("ok", Tone::Good),
                Severity::Info => ("note", Tone::Plain),
                Severity::Warn => ("warn", Tone::Caution),
                Severity::Refuse => ("refuse", Tone::Bad),
            };
            let word = style.paint(tone, &pad(word, 6));
            let said = |host: &HostState| host.findings.get(place).is_some_and(|f| f.text == finding.text);
            let mut line = printable(&finding.text);
            if !self.hosts.iter().all(|(_, host)| said(host)) {
                line.push_str(&format!(" (on {first}; good on the others, too)"));
            }
            text.push_str(&format!("  {word}  {}  {line}\n", pad(gate(finding.code), width)));
            if let Some(hint) = &finding.hint {
                text.push_str(&format!("  {}hint: {}\n", " ".repeat(width + 10), printable(hint)));
            }
        }
        text.push_str(&self.steps);
        text
    }
}

fn steps(host: &HostState, style: &Style) -> String {
    let finished = host.steps.iter().filter_map(|(step, record)| match record {
        StepRecord::Finished { outcome } => Some(of_step(step.as_str(), outcome, style)),
        StepRecord::Started { .. } => None,
    });
    finished.collect()
}

fn of_step(step: &str, outcome: &Outcome, style: &Style) -> String {
    let (word, lines): (String, &[String]) = match outcome {
        Outcome::WouldChange { diff } => (style.paint(Tone::Caution, "would change"), diff),
        Outcome::Unchanged => ("as wanted".into(), &[]),
        Outcome::Changed { diff } => (style.paint(Tone::Bad, "CHANGED"), diff),
        Outcome::Ran { .. } => (style.paint(Tone::Bad, "RAN"), &[]),
        Outcome::Skipped { reason } => (format!("skipped: {}", skipped(reason)), &[]),
        Outcome::Failed { error, .. } => (style.paint(Tone::Bad, &printable(&failed(error))), &[]),
    };
    let lines = lines.iter().map(|l| format!("    {}\n", printable(l)));
    format!("  {step}: {word}\n{}", lines.collect::<String>())
}
