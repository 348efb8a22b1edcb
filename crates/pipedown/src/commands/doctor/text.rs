//! The checklist as text.

use std::time::Duration;

use console::{Style, measure_text_width};
use pipedown_ssh::doctor::{Checkup, Layer, Section, Verdict};

/// Evidence and hints begin here.
const INDENT: usize = 40;
/// Wider lines are hard to read.
const WIDTH: usize = 120;

/// One host's checklist; a blank line parts it from the one before.
pub fn render(checkup: &Checkup, first: bool, colours: bool) -> String {
    let mut text = if first { String::new() } else { "\n".to_owned() };
    let count = checkup.sections.len();
    for (number, section) in checkup.sections.iter().enumerate() {
        let role = if number + 1 < count { ", a hop on the way" } else { "" };
        text.push_str(&format!("{} ({}{role})\n", section.host, section.destination));
        text.extend(section.layers.iter().map(|layer| lines(layer, colours)));
    }
    text.push_str(&conclusion(checkup));
    text
}

fn lines(layer: &Layer, colours: bool) -> String {
    let took = layer.took.map(time).unwrap_or_default();
    let word = format!("{:<11}", layer.verdict.word());
    let word = if colours { style(layer.verdict).apply_to(word).to_string() } else { word };
    let head = format!("  {:<14}  {word}  {took:>7}  ", layer.kind);
    let mut rows: Vec<String> = layer.evidence.iter().flat_map(|text| wrapped(text)).collect();
    if let Some(hint) = &layer.hint {
        rows.extend(wrapped(&format!("hint: {hint}")));
    }
    let mut text = String::new();
    let mut rows = rows.into_iter();
    text.push_str(&format!("{head}{}", rows.next().unwrap_or_default()));
    let mut text = format!("{}\n", text.trim_end());
    for row in rows {
        text.push_str(&format!("{}{row}\n", " ".repeat(INDENT)));
    }
    text
}

fn style(verdict: Verdict) -> Style {
    let style = Style::new().force_styling(true);
    match verdict {
        Verdict::Good => style.green(),
        Verdict::Warn => style.yellow(),
        Verdict::Bad => style.red().bold(),
        Verdict::NotReached => style.dim(),
    }
}

/// `0.4 ms`, `12 ms`, `3.2 s`.
fn time(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1e3;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1e3)
    }
}

/// Breaks a text at blanks; what is continued is indented by two.
fn wrapped(text: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in text.split(' ') {
        let width = measure_text_width(&row) + 1 + measure_text_width(word);
        if !row.trim().is_empty() && INDENT + width > WIDTH {
            rows.push(row);
            row = "  ".to_owned();
        } else if !row.is_empty() && row != "  " {
            row.push(' ');
        }
        row.push_str(word);
    }
    rows.push(row);
    rows
}

fn conclusion(checkup: &Checkup) -> String {
    let host = &checkup.host;
    match checkup.first_bad() {
        Some((section, layer)) if section.host != *host => {
            format!("{host}: {} of {} fails\n", layer.kind.name(), section.host)
        }
        Some((_, layer)) => format!("{host}: {} fails\n", layer.kind.name()),
        None => match warned(&checkup.sections) {
            0 => format!("{host}: all good\n"),
            1 => format!("{host}: works, with one warning\n"),
            n => format!("{host}: works, with {n} warnings\n"),
        },
    }
}

fn warned(sections: &[Section]) -> usize {
    let layers = sections.iter().flat_map(|section| &section.layers);
    layers.filter(|layer| layer.verdict == Verdict::Warn).count()
}
