//! How figures are shown.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// One figure of a table.
pub struct Cell(String);

impl<T: Display> From<T> for Cell {
    fn from(value: T) -> Self {
        Self(value.to_string())
    }
}

/// A table in Markdown, as it stands in docs/PERFORMANCE.md.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a table.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|&column| column.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into_iter().map(|Cell(text)| text).collect());
    }

    /// Prints it.
    pub fn print(&self, title: &str) {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.chain(self.columns.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:<width$} |"));
            format!("|{}", padded.collect::<String>())
        };
        let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        data(&format!("\n## {title}\n\n{}\n{}", line(&self.columns), line(&rule)));
        for row in &self.rows {
            data(&line(row));
        }
    }
}

/// Writes a line of figures. Nobody measures into a closed pipe.
pub fn data(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says what goes on.
pub fn talk(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says on what is measured.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    data(&format!("{cores} cores, {}, Linux {kernel}", model.trim_start_matches([' ', '\t', ':'])));
}

/// A duration in milliseconds.
pub fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// How many times `reference` something is.
pub fn ratio(value: f64, reference: f64) -> String {
    if reference > 0.0 { format!("{:.2}", value / reference) } else { "-".to_owned() }
}

/// Whether a goal is met.
pub fn goal(value: f64, most: f64) -> &'static str {
    if value <= most { "met" } else { "MISSED" }
}

/// The middle one.
pub fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort();
    values.get(values.len() / 2).copied()
}
