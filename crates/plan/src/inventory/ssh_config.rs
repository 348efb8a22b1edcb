//! The hosts of ssh_config(5): names of `Host` lines that are no patterns.

use pipedown_model::HostName;

use super::format::Format;
use super::{Inventory, Notice, words};
use crate::diagnostic::{InputError, Source};

/// Reads the hosts; how they are reached is up to ssh_config itself.
pub(super) fn parse(source: &Source) -> Result<Inventory, InputError> {
    let mut inventory = Inventory::new(source.clone(), Format::SshConfig);
    let mut start = 0;
    for raw in source.text().split_inclusive('\n') {
        let line = raw.trim();
        let at = start + (raw.len() - raw.trim_start().len());
        start += raw.len();
        let Some((keyword, rest)) = statement(line) else { continue };
        let span = at..at + line.len();
        if keyword.eq_ignore_ascii_case("include") {
            let (place, _) = (source.text().get(..at).unwrap_or_default().matches('\n').count() + 1, ());
            let text =
                format!("{}:{place}: the hosts of included files are not taken: {rest}", source.name());
            inventory.notices.push(Notice(text));
        }
        if !keyword.eq_ignore_ascii_case("host") {
            continue;
        }
        for name in words::split(rest, true).map_err(|why| source.error(span.clone(), why))? {
            if name.contains(['*', '?', '!']) {
                continue;
            }
            let name = HostName::new(&name)
                .map_err(|error| source.error(span.clone(), format!("cannot {error}")))?;
            inventory.declare(name);
        }
    }
    inventory.attach();
    Ok(inventory)
}

/// Keyword and arguments, with white space or one `=` between them.
fn statement(line: &str) -> Option<(&str, &str)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    Some((keyword, rest.strip_prefix('=').unwrap_or(rest).trim_start()))
}
