//! Prints many hosts shortly: `login[01-40]`.

use std::collections::{BTreeMap, BTreeSet};

use pipedown_model::HostName;

/// A name cut at its numbers: texts around, and between them the digits that could become a range.
struct Cut<'a> {
    name: &'a str,
    numbers: Vec<(usize, usize)>,
}

/// Prints hosts as a host set that parses back to the same hosts.
///
/// Names that differ in one number only become a range; of several numbers in a name, the one that
/// makes the result shortest.
pub fn fold(hosts: &[HostName]) -> String {
    let mut shapes: BTreeMap<String, Vec<Cut<'_>>> = BTreeMap::new();
    for name in hosts.iter().map(HostName::as_str).collect::<BTreeSet<_>>() {
        let cut = Cut { name, numbers: runs_of_digits(name) };
        shapes.entry(shape(&cut)).or_default().push(cut);
    }
    let mut folded: Vec<String> = shapes.values().flat_map(|cuts| fold_shape(cuts)).collect();
    folded.sort();
    folded.join(",")
}

fn runs_of_digits(name: &str) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut start = None;
    for (at, byte) in name.bytes().chain([b'.']).enumerate() {
        match (byte.is_ascii_digit(), start) {
            (true, None) => start = Some(at),
            (false, Some(begun)) => {
                // Longer ones do not fit a number; they are left as text.
                if at - begun <= 18 {
                    runs.push((begun, at));
                }
                start = None;
            }
            _ => {}
        }
    }
    runs
}

/// The name with its numbers taken out: only names of one shape can share a range.
fn shape(cut: &Cut<'_>) -> String {
    let mut shape = String::new();
    let mut at = 0;
    for (start, end) in &cut.numbers {
        shape.push_str(cut.name.get(at..*start).unwrap_or_default());
        shape.push('[');
        at = *end;
    }
    shape.push_str(cut.name.get(at..).unwrap_or_default());
    shape
}

/// Folds along the number that leaves the fewest groups.
fn fold_shape(cuts: &[Cut<'_>]) -> Vec<String> {
    let numbers = cuts.first().map_or(0, |cut| cut.numbers.len());
    let groups = (0..numbers).map(|which| group(cuts, which)).min_by_key(BTreeMap::len);
    match groups {
        None => cuts.iter().map(|cut| cut.name.to_owned()).collect(),
        Some(groups) => {
            groups.into_iter().map(|((head, tail), numbers)| print(head, tail, numbers)).collect()
        }
    }
}

type Groups<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

fn group<'a>(cuts: &[Cut<'a>], which: usize) -> Groups<'a> {
    let mut groups = Groups::new();
    for cut in cuts {
        if let Some((start, end)) = cut.numbers.get(which) {
            let part = |range: std::ops::Range<usize>| cut.name.get(range).unwrap_or_default();
            let around = (part(0..*start), part(*end..cut.name.len()));
            groups.entry(around).or_default().push(part(*start..*end));
        }
    }
    groups
}

fn print(head: &str, tail: &str, mut numbers: Vec<&str>) -> String {
    let value = |text: &str| text.parse::<u64>().unwrap_or_default();
    numbers.sort_by_key(|text| (value(text), text.len()));
    let mut runs: Vec<(&str, &str)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, last)) if value(last) + 1 == value(number) && same_width(first, number) => {
                *last = number;
            }
            _ => runs.push((number, number)),
        }
    }
    let one = |(first, last): &(&str, &str)| match first == last {
        true => (*first).to_owned(),
        false => format!("{first}-{last}"),
    };
    match runs.as_slice() {
        [(first, last)] if first == last => format!("{head}{first}{tail}"),
        runs => format!("{head}[{}]{tail}", runs.iter().map(one).collect::<Vec<_>>().join(",")),
    }
}

/// Whether a range from `first` to `next` would print both as they are.
fn same_width(first: &str, next: &str) -> bool {
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    first.len() == next.len() || (!padded(first) && !padded(next))
}
