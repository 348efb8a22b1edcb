//! A name with bracketed ranges, and the names it stands for.

use std::collections::BTreeSet;
use std::ops::Range;

use super::wildcard::fits;
use crate::diagnostic::{InputError, Source};

/// More names than this in one pattern are a slip of the finger.
const MOST: u64 = 1_000_000;

/// Whether `*` and `?` may stand in a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Allowed,
    Refused,
}

/// Text and brackets in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    /// Where it stands in the host set.
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Numbers(Vec<Run>),
}

/// `first-last/step`, printed with at least `width` digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    last: u64,
    step: u64,
    width: usize,
}

impl Run {
    fn count(self) -> u64 {
        (self.last - self.first) / self.step + 1
    }

    fn numbers(self) -> impl Iterator<Item = String> {
        let width = self.width;
        (0..self.count()).map(move |k| format!("{:0width$}", self.first + k * self.step))
    }

    /// Whether these digits, all of them, are one of its numbers as it is printed.
    fn has(self, digits: &str) -> bool {
        digits.parse::<u64>().is_ok_and(|number| {
            let length = number.checked_ilog10().map_or(1, |log| log as usize + 1);
            (self.first..=self.last).contains(&number)
                && (number - self.first).is_multiple_of(self.step)
                && digits.len() == length.max(self.width)
        })
    }

    /// The same in parts whose numbers have one length each, unless it is without a step.
    fn by_length(self) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        if self.step == 1 || !self.changes_length() {
            return vec![self];
        }
        let length = |number: u64| number.checked_ilog10().unwrap_or(0);
        let mut first = self.first;
        while first <= self.last {
            // The largest of the same length that the step hits.
            let most = 10_u64.saturating_pow(length(first) + 1).saturating_sub(1).min(self.last);
            let last = first + (most - first) / self.step * self.step;
            parts.push(Self { first, last, ..self });
            first = last.saturating_add(self.step);
        }
        parts
    }

    /// Whether numbers of different lengths occur.
    fn changes_length(self) -> bool {
        self.width <= 1 && self.first.to_string().len() != self.last.to_string().len()
    }
}

impl Pattern {
    /// Reads a pattern that fills `span` of the source's text.
    pub fn parse(source: &Source, span: Range<usize>, wildcards: Wildcards) -> Result<Self, InputError> {
        let text = source.text().get(span.clone()).unwrap_or_default();
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(open) = rest.find('[') else {
                parts.push(plain(source, span.start + at, rest, wildcards)?);
                break;
            };
            let before = rest.get(..open).unwrap_or_default();
            let inner = rest.get(open + 1..).unwrap_or_default();
            let start = span.start + at + open + 1;
            let Some(close) = inner.find(']') else {
                return Err(source.error(start - 1..start, "this bracket is never closed"));
            };
            let inner = inner.get(..close).unwrap_or_default();
            let runs = numbers(source, start, inner)?;
            let bracket = start - 1..start + close + 1;
            check_zeros(source, bracket.clone(), before, &runs)?;
            // Digits between two brackets belong to neither.
            let (head, runs) = match leading(before, &runs).filter(|(head, _)| at == 0 || !head.is_empty()) {
                Some((head, digits)) => (head, prefixed(source, bracket, digits, &runs)?),
                None => (before, runs),
            };
            if !head.is_empty() {
                parts.push(plain(source, span.start + at, head, wildcards)?);
            }
            parts.push(Part::Numbers(runs));
            at += open + close + 2;
            check_behind(source, span.start + at, text.get(at..).unwrap_or_default())?;
        }
        let pattern = Self { parts, span };
        match pattern.count() {
            Some(count) if count <= MOST => Ok(pattern),
            _ => Err(source.error(pattern.span, format!("this names more than {MOST} hosts"))),
        }
    }

    /// How many names it stands for; none when beyond counting.
    fn count(&self) -> Option<u64> {
        self.parts.iter().try_fold(1_u64, |product, part| match part {
            Part::Text(_) => Some(product),
            Part::Numbers(runs) => {
                let sum = runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(run.count()))?;
                product.checked_mul(sum)
            }
        })
    }

    /// The only name, when there is no bracket.
    pub fn single(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether `*` or `?` stands in it.
    pub fn is_wild(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(['*', '?'])))
    }

    /// Whether a dot stands in its names.
    pub fn has_dot(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('.')))
    }

    /// Whether one of its names fits a text; the names, of which there may be a million, are not made for it.
    pub fn fits(&self, text: &str) -> bool {
        if let Some(pattern) = self.single() {
            return fits(pattern, text);
        }
        // Offsets of the text up to which everything so far fits.
        let mut reached = BTreeSet::from([0]);
        for part in &self.parts {
            match part {
                Part::Text(part) => part.chars().for_each(|c| reached = behind_character(c, &reached, text)),
                Part::Numbers(runs) => reached = behind_numbers(runs, &reached, text),
            }
        }
        reached.contains(&text.len())
    }

    /// The names, the last bracket turning fastest.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        for part in &self.parts {
            match part {
                Part::Text(text) => names.iter_mut().for_each(|name| name.push_str(text)),
                Part::Numbers(runs) => {
                    let numbers: Vec<String> = runs.iter().flat_map(|run| run.numbers()).collect();
                    names = names
                        .iter()
                        .flat_map(|name| numbers.iter().map(move |number| format!("{name}{number}")))
                        .collect();
                }
            }
        }
        names
    }
}

fn behind_character(wanted: char, reached: &BTreeSet<usize>, text: &str) -> BTreeSet<usize> {
    if wanted == '*' {
        let first = reached.first().copied().unwrap_or(usize::MAX);
        return (first..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
    }
    let next = |at: &usize| {
        let c = text.get(*at..)?.chars().next().filter(|c| wanted == '?' || wanted == *c)?;
        Some(at + c.len_utf8())
    };
    reached.iter().filter_map(next).collect()
}

fn behind_numbers(runs: &[Run], reached: &BTreeSet<usize>, text: &str) -> BTreeSet<usize> {
    let mut behind = BTreeSet::new();
    for at in reached {
        let rest = text.get(*at..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number =
            |length: &usize| rest.get(..*length).is_some_and(|text| runs.iter().any(|r| r.has(text)));
        behind.extend((1..=digits).filter(number).map(|length| at + length));
    }
    behind
}

/// Text outside brackets: the characters of host names and addresses.
fn plain(source: &Source, start: usize, text: &str, wildcards: Wildcards) -> Result<Part, InputError> {
    for (offset, c) in text.char_indices() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%') || c.is_alphanumeric() {
            continue;
        }
        if matches!(c, '*' | '?') && wildcards == Wildcards::Allowed {
            continue;
        }
        let here = start + offset..start + offset + c.len_utf8();
        let error = source.error(here, format!("{c:?} cannot be part of a host name"));
        return Err(match c {
            '*' | '?' => error.suggest("wildcards choose among the hosts of an inventory"),
            '@' => error.suggest(
                "`@` stands before the name of a group: `@login,web01`; who logs in is `user` in the inventory, `User` in \
                 ssh_config",
            ),
            c if c.is_whitespace() => error.suggest("separate hosts with `,`"),
            _ => error,
        });
    }
    Ok(Part::Text(text.to_owned()))
}

fn numbers(source: &Source, start: usize, inner: &str) -> Result<Vec<Run>, InputError> {
    if inner.is_empty() {
        return Err(source
            .error(start - 1..start + 1, "an empty bracket names no host")
            .suggest("write a range such as `[01-40]`"));
    }
    let mut runs = Vec::new();
    let mut at = start;
    for item in inner.split(',') {
        runs.push(run(source, at, item)?);
        at += item.len() + 1;
    }
    Ok(runs)
}

fn run(source: &Source, start: usize, item: &str) -> Result<Run, InputError> {
    let whole = start..start + item.len().max(1);
    if item.is_empty() {
        return Err(source.error(whole, "a number is missing here"));
    }
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some((start + range.len() + 1, step))),
        None => (item, None),
    };
    let Some((first_text, last_text)) = range.split_once('-') else {
        if step.is_some() {
            return Err(source.error(whole, "a step needs a range").suggest("write `[0-8/2]`"));
        }
        let first = digits(source, start, range)?;
        return Ok(Run { first, last: first, step: 1, width: range.len() });
    };
    let first = digits(source, start, first_text)?;
    let last = digits(source, start + first_text.len() + 1, last_text)?;
    if first > last {
        return Err(source
            .error(whole, "the range runs backwards")
            .suggest(format!("write `{last_text}-{first_text}`")));
    }
    let padded = [first_text, last_text].iter().any(|n| n.len() > 1 && n.starts_with('0'));
    if padded && first_text.len() != last_text.len() {
        let width = first_text.len().max(last_text.len());
        return Err(source
            .error(whole, "the two ends of the range are padded to different widths")
            .suggest(format!("write `{first:0width$}-{last:0width$}`")));
    }
    let step = match step {
        None => 1,
        Some((at, text)) => match digits(source, at, text)? {
            0 => return Err(source.error(at..at + text.len(), "a step of 0 never ends")),
            step => step,
        },
    };
    Ok(Run { first, last, step, width: if padded { first_text.len() } else { 1 } })
}

/// The digits right before a bracket, if they become a part of its numbers: `2[10-320]` is `[210-2320]`, as in
/// ClusterShell, for a range without a step whose numbers differ in length. Else they are text like any other.
fn leading<'a>(before: &'a str, runs: &[Run]) -> Option<(&'a str, &'a str)> {
    let text = before.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = before.get(text.len()..).filter(|digits| !digits.is_empty())?;
    runs.iter().any(|run| run.step == 1 && run.changes_length()).then_some((text, digits))
}

/// Puts digits before both ends of every range; a range with a step becomes one for each length.
fn prefixed(
    source: &Source,
    bracket: Range<usize>,
    digits: &str,
    runs: &[Run],
) -> Result<Vec<Run>, InputError> {
    let longer = |number: u64, width: usize| -> Option<u64> {
        let text = format!("{digits}{number:0width$}");
        text.parse().ok().filter(|_| text.len() <= 18)
    };
    let prefix = |run: Run| -> Option<Run> {
        let (first, last) = (longer(run.first, run.width)?, longer(run.last, run.width)?);
        Some(Run { first, last, width: 1, ..run })
    };
    let all: Option<Vec<Run>> = runs.iter().flat_map(|run| run.by_length()).map(prefix).collect();
    all.ok_or_else(|| source.error(bracket, "with the digits before it, a number has more than 18 digits"))
}

fn digits(source: &Source, start: usize, text: &str) -> Result<u64, InputError> {
    if let Some((offset, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        let here = start + offset..start + offset + c.len_utf8();
        let error = source.error(here, format!("{c:?} is not a digit"));
        return Err(if c == ':' { error.suggest("an IPv6 address has no brackets: `::1`") } else { error });
    }
    let whole = start..start + text.len().max(1);
    if text.is_empty() {
        return Err(source.error(whole, "a number is missing here"));
    }
    if text.len() > 18 {
        return Err(source.error(whole, "this number has more than 18 digits"));
    }
    text.parse().map_err(|_| source.error(whole, "this is not a number"))
}

/// `0[7-10]`: is that 07 and 010, or 07 and 10? Refused, as in ClusterShell.
fn check_zeros(source: &Source, bracket: Range<usize>, before: &str, runs: &[Run]) -> Result<(), InputError> {
    let head = before.trim_end_matches(|c: char| c.is_ascii_digit());
    let leading_zero = before.get(head.len()..).is_some_and(|digits| digits.starts_with('0'));
    if leading_zero && runs.iter().any(|run| run.changes_length()) {
        return Err(source
            .error(bracket, "behind a leading zero, all numbers of a range must have the same length")
            .suggest("put the zero into the bracket: `[07-10]`"));
    }
    Ok(())
}

fn check_behind(source: &Source, start: usize, rest: &str) -> Result<(), InputError> {
    if rest.starts_with('0') {
        return Err(source
            .error(start..start + 1, "a zero right behind a bracket could be part of the number or not")
            .suggest("put it into the bracket: `[10,20]`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Without making the names, as with them.
        #[test]
        fn a_pattern_fits_what_one_of_its_names_fits(
            pattern in "[an*?.]{0,3}(\\[([0-9]|0[0-9]-1[0-9]|8-12/2|9-110/7)\\][an*?.]{0,2}){0,3}",
            text in "[an.]{0,3}([0-9]{0,3}[an.]{0,2}){0,2}",
        ) {
            let source = Source::new("-l", &pattern);
            let Ok(parsed) = Pattern::parse(&source, 0..pattern.len(), Wildcards::Allowed) else { return Ok(()) };
            let expected = parsed.names().iter().any(|name| fits(name, &text));
            prop_assert_eq!(parsed.fits(&text), expected, "{} {}", pattern, text);
            // Seldom does a text by chance.
            for name in parsed.names().into_iter().take(20) {
                let name = name.replace('*', "n1").replace('?', "a");
                prop_assert!(parsed.fits(&name), "{} {}", pattern, name);
                let longer = format!("{name}0");
                let expected = parsed.names().iter().any(|name| fits(name, &longer));
                prop_assert_eq!(parsed.fits(&longer), expected, "{} {}", pattern, longer);
            }
        }
    }

    #[test]
    fn a_million_names_with_wildcards_are_compared_at_once() {
        let text = format!("*{}", "n[0-9]".repeat(6));
        let pattern = Pattern::parse(&Source::new("-l", &text), 0..text.len(), Wildcards::Allowed).unwrap();
        let fitting = (0..1000).filter(|n| pattern.fits(&format!("rack{n}n0n1n2n3n4n{}", n % 20))).count();
        assert_eq!(fitting, 500);
    }
}
