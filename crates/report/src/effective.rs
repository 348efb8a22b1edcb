//! How a host is reached, value by value, with where each value comes from.

use serde::Serialize;

use crate::printable::printable;
use crate::table::pad;

/// One value of one host; `hosts HOST --effective --json` writes one object per value and line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveRow {
    /// The host.
    pub host: String,
    /// The keyword of ssh_config(5).
    pub keyword: String,
    /// What it comes to; null if nothing.
    pub value: Option<String>,
    /// `FILE:LINE`, or `default`.
    pub from: String,
    /// Why it has no effect, if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where the value ends and the origin begins, unless the value is longer.
const VALUE: usize = 36;

/// Writes the values, host by host. Where values come from stands in a column of its own; after a long value, on the
/// next line.
pub fn effective(rows: &[EffectiveRow]) -> String {
    let widest = |pick: fn(&EffectiveRow) -> &str| rows.iter().map(|row| pick(row).len()).max().unwrap_or(0);
    let keyword = widest(|row| &row.keyword);
    let mut text = String::new();
    for hosts in rows.chunk_by(|a, b| a.host == b.host) {
        let Some(first) = hosts.first() else { continue };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}\n", printable(&first.host)));
        for row in hosts {
            let value = printable(row.value.as_deref().filter(|value| !value.is_empty()).unwrap_or("-"));
            let name = pad(&row.keyword, keyword);
            let note = row.note.as_ref().map(|note| format!("  (no effect: {note})")).unwrap_or_default();
            let from = format!("{}{}", printable(&row.from), printable(&note));
            if value.chars().count() > VALUE {
                text.push_str(&format!("  {name}  {value}\n  {}  {from}\n", pad("", keyword + 2 + VALUE)));
            } else {
                text.push_str(&format!("  {name}  {}  {from}\n", pad(&value, VALUE)));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_where_they_come_from() {
        let row =
            |host: &str, keyword: &str, value: Option<&str>, from: &str, note: Option<&str>| EffectiveRow {
                host: host.into(),
                keyword: keyword.into(),
                value: value.map(Into::into),
                from: from.into(),
                note: note.map(Into::into),
            };
        let config = "/home/ops/.ssh/config:12";
        let rows = [
            row("web1", "HostName", Some("192.0.2.1"), "inventory.toml:7", None),
            row("web1", "ServerAliveInterval", Some("15 s"), "default", None),
            row("web1", "BindAddress", None, "default", None),
            row("web1", "Ciphers", Some("aes256-gcm@openssh.com,aes128-gcm@openssh.com"), config, None),
            row("web1", "ForwardAgent", Some("yes"), config, Some("the agent is never forwarded")),
            row("web2", "HostName", Some("evil\u{1b}[2J"), config, None),
        ];
        insta::assert_snapshot!(effective(&rows));
        insta::assert_snapshot!(serde_json::to_string(&rows[4]).unwrap());
    }
}
