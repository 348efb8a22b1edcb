//! What would change, and what the gates say.

use std::collections::HashMap;

use pipedown_model::{HostName, HostState, Mode, Outcome, RunState, Severity, StepRecord};

use crate::Style;
use crate::describe::{failed, gate, skipped};
use crate::printable::printable;
use crate::standing::Standing;
use crate::style::Tone;
use crate::table::pad;

/// Writes one block per host, hosts with the same block folded together.
pub(crate) fn dry_run(state: &RunState, style: &Style) -> String {
    let mut blocks: Vec<(String, Vec<&HostName>)> = Vec::new();
    let mut places = HashMap::new();
    for (name, host) in &state.hosts {
        let text = block(host, style);
        let place = *places.entry(text.clone()).or_insert(blocks.len());
        match blocks.get_mut(place) {
            Some((_, hosts)) => hosts.push(name),
            None => blocks.push((text, vec![name])),
        }
    }
    let shown = blocks.iter().filter(|(text, _)| !text.is_empty());
    shown.map(|(text, hosts)| format!("\n{}\n{text}", style.fold(hosts.iter().copied()))).collect()
}

fn block(host: &HostState, style: &Style) -> String {
    let mut text = String::new();
    if matches!(Standing::of(host, Mode::DryRun), Standing::Unreachable | Standing::Untouched) {
        // The gates were never asked.
        return text;
    }
    let width = host.findings.iter().map(|f| gate(f.code).len()).max().unwrap_or(0);
    for finding in &host.findings {
        let (word, tone) = match finding.severity {
            Severity::Info => ("ok", Tone::Good),
            Severity::Warn => ("warn", Tone::Caution),
            Severity::Refuse => ("refuse", Tone::Bad),
        };
        let word = style.paint(tone, &pad(word, 6));
        text.push_str(&format!(
            "  {word}  {}  {}\n",
            pad(gate(finding.code), width),
            printable(&finding.text)
        ));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("  {}hint: {}\n", " ".repeat(width + 10), printable(hint)));
        }
    }
    if host.findings.is_empty() {
        text.push_str("  no gate found anything\n");
    }
    for (step, record) in &host.steps {
        if let StepRecord::Finished { outcome } = record {
            text.push_str(&of_step(step.as_str(), outcome, style));
        }
    }
    text
}

fn of_step(step: &str, outcome: &Outcome, style: &Style) -> String {
    let (word, lines): (String, &[String]) = match outcome {
        Outcome::WouldChange { diff } => (style.paint(Tone::Caution, "would change"), diff),
        Outcome::Unchanged => ("as wanted".into(), &[]),
        Outcome::Changed { diff } => (style.paint(Tone::Bad, "CHANGED"), diff),
        Outcome::Skipped { reason } => (format!("skipped: {}", skipped(reason)), &[]),
        Outcome::Failed { error, .. } => (style.paint(Tone::Bad, &printable(&failed(error))), &[]),
    };
    let lines = lines.iter().map(|l| format!("    {}\n", printable(l)));
    format!("  {step}: {word}\n{}", lines.collect::<String>())
}
