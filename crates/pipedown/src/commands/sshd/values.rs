//! The values in force, and where each comes from.

use std::collections::{BTreeMap, BTreeSet};

use pipedown_report::SshdValue;
use pipedown_steps::sshd::{SshdConfig, SshdEffective, SshdLine, SshdSeen};

/// The values that a file or the command line sets, or all of them. What is the same for every identity is told once.
pub fn values(seen: &SshdSeen, defaults: bool) -> Vec<SshdValue> {
    let config = SshdConfig::of(seen);
    let mut keywords: Vec<String> = Vec::new();
    let named = config.lines.iter().map(name).chain(seen.extra.iter().filter_map(|word| given(word)));
    let printed = seen.effective.iter().flat_map(|of| of.values.iter().map(|(keyword, _)| keyword.clone()));
    for keyword in named.chain(printed.filter(|_| defaults)) {
        if !keywords.iter().any(|known| known.eq_ignore_ascii_case(&keyword)) {
            keywords.push(keyword);
        }
    }
    keywords.iter().flat_map(|keyword| of_keyword(seen, &config, keyword)).collect()
}

fn name(line: &SshdLine) -> String {
    line.known.map_or_else(|| line.keyword.clone(), |known| known.name.to_owned())
}

/// The keyword of a `-o Keyword=value` of the command line.
fn given(word: &str) -> Option<String> {
    let (keyword, _) = word.split_once(['=', ' '])?;
    (!keyword.starts_with('-')).then(|| keyword.to_owned())
}

fn of_keyword(seen: &SshdSeen, config: &SshdConfig, keyword: &str) -> Vec<SshdValue> {
    let mut by_value: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for effective in &seen.effective {
        by_value.entry(value_of(effective, keyword)).or_default().push(&effective.identity.user);
    }
    let alone = by_value.len() == 1;
    let rows = by_value.into_iter().filter(|(value, _)| !value.is_empty());
    rows.map(|(value, users)| {
        let (from, ours) = origin(seen, config, keyword, &value);
        let identity = (!alone).then(|| users.join(", "));
        SshdValue { keyword: keyword.to_owned(), value, identity, from, ours }
    })
    .collect()
}

fn value_of(effective: &SshdEffective, keyword: &str) -> String {
    let mut seen = BTreeSet::new();
    let values = effective.values.iter().filter(|(name, _)| name.eq_ignore_ascii_case(keyword));
    let values: Vec<&str> =
        values.map(|(_, value)| value.as_str()).filter(|value| seen.insert(*value)).collect();
    values.join(", ")
}

/// The place that gives a value. Where sshd prints it in other words than the file has, and more than one line may be
/// meant, all of them are named.
fn origin(seen: &SshdSeen, config: &SshdConfig, keyword: &str, value: &str) -> (String, bool) {
    if seen.extra.iter().filter_map(|word| given(word)).any(|given| given.eq_ignore_ascii_case(keyword)) {
        return ("command line".to_owned(), false);
    }
    let cumulative = config.global(keyword).any(|line| line.known.is_some_and(|known| known.cumulative));
    let global: Vec<&SshdLine> =
        config.global(keyword).take(if cumulative { usize::MAX } else { 1 }).collect();
    let mut lines: Vec<&SshdLine> = config.matched(keyword).map(|(_, line)| line).collect();
    let same = |line: &&&SshdLine| line.value.trim_matches('"').eq_ignore_ascii_case(value);
    if let Some(line) = lines.iter().find(same).or_else(|| global.iter().find(same)) {
        return (line.place.to_string(), line.ours);
    }
    lines.extend(global);
    if lines.is_empty() {
        return ("default".to_owned(), false);
    }
    let places: Vec<String> = lines.iter().map(|line| line.place.to_string()).collect();
    (places.join(if cumulative { ", " } else { " or " }), lines.iter().all(|line| line.ours))
}
