//! What `--json` prints of a trace.

use serde_json::Value;

use super::Said;

/// The rows.
pub fn rows(said: &Said) -> Vec<Value> {
    let row = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    said.out.lines().map(row).collect()
}

/// The messages of a direction: number and name, what follows itself told once. Windows are left out: how often they
/// pass depends on the machine.
pub fn passed(rows: &[Value], direction: &str) -> Vec<String> {
    let messages = rows.iter().filter(|row| row["kind"] == "message" && row["direction"] == direction);
    let messages = messages.filter(|row| row["number"] != 93);
    let mut names: Vec<String> =
        messages.map(|row| format!("{} {}", row["number"], row["name"].as_str().unwrap())).collect();
    names.dedup();
    names
}
