//! Reads ClusterShell's groups: `name: nodes` lines (`groups.d/*.cfg`), and `groups.yaml` with several sources.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::format::Format;
use super::settings::Settings;
use super::yaml::{self, Content, Node, Pair};
use super::{Inventory, Notice, SectionKind};
use crate::diagnostic::{InputError, Source};
use crate::hostset::{self, Pattern, Wildcards};

/// A group as it is written.
struct Group {
    /// Of `groups.yaml`; all groups of a `.cfg` file are of one.
    source: String,
    name: String,
    /// Texts in which its nodes are named, and where they stand.
    nodes: Vec<(String, Range<usize>)>,
    members: Progress,
}

enum Progress {
    Waiting,
    /// Being worked out: who asks for it now asks in a circle.
    Begun,
    Known(Vec<usize>),
}

struct Reader<'a> {
    source: &'a Source,
    inventory: Inventory,
    groups: Vec<Group>,
    index: HashMap<(String, String), usize>,
}

/// Reads groups; hosts are those that some group names.
pub(super) fn parse(source: &Source) -> Result<Inventory, InputError> {
    let inventory = Inventory::new(source.clone(), Format::ClusterShell);
    let mut reader = Reader { source, inventory, groups: Vec::new(), index: HashMap::new() };
    if source.name().ends_with(".yaml") || source.name().ends_with(".yml") {
        reader.yaml()?;
    } else {
        reader.lines()?;
    }
    for number in 0..reader.groups.len() {
        reader.members(number)?;
    }
    Ok(reader.finish())
}

impl Reader<'_> {
    fn lines(&mut self) -> Result<(), InputError> {
        let mut start = 0;
        for raw in self.source.text().split_inclusive('\n') {
            let at = start;
            start += raw.len();
            let line = raw.trim_end();
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let name_of =
                |line: &str| line.split_once(':').map(|(name, nodes)| (name.trim().to_owned(), nodes.len()));
            let Some((name, length)) = name_of(line).filter(|(name, _)| is_name(name)) else {
                return Err(self
                    .source
                    .error(at..at + line.len(), "this is no group: write `name: nodes`")
                    .suggest("names of groups have letters, digits, `.`, `-`, `_` and `:`"));
            };
            let span = at + line.len() - length..at + line.len();
            self.add(String::new(), name, span);
        }
        Ok(())
    }

    fn yaml(&mut self) -> Result<(), InputError> {
        let Some(document) = yaml::parse(self.source)?.filter(|node| !node.is_null()) else { return Ok(()) };
        for (key, groups) in self.map(&document, "the file")? {
            let source = yaml::key_text(key).unwrap_or_default();
            for (key, nodes) in self.map(groups, &format!("source `{source}`"))? {
                let name = yaml::key_text(key).unwrap_or_default();
                let parts = match &nodes.content {
                    Content::List(parts) => parts.as_slice(),
                    _ => std::slice::from_ref(nodes),
                };
                for part in parts {
                    let text = match &part.content {
                        Content::Text(text) | Content::Plain(text) => text.clone(),
                        _ => {
                            let text = format!("group `{name}` must be nodes, and this is {}", part.kind());
                            return Err(self.source.error(part.span.clone(), text));
                        }
                    };
                    self.put(source.clone(), name.clone(), (text, part.span.clone()));
                }
            }
        }
        Ok(())
    }

    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Pair], InputError> {
        match &node.content {
            Content::Map(entries) => Ok(entries),
            _ if node.is_null() => Ok(&[]),
            _ => Err(self
                .source
                .error(node.span.clone(), format!("{what} must be a mapping, and this is {}", node.kind()))),
        }
    }

    fn add(&mut self, source: String, name: String, span: Range<usize>) {
        let text = self.source.text().get(span.clone()).unwrap_or_default().to_owned();
        self.put(source, name, (text, span));
    }

    fn put(&mut self, source: String, name: String, nodes: (String, Range<usize>)) {
        let next = self.groups.len();
        let number = *self.index.entry((source.clone(), name.clone())).or_insert(next);
        if number == next {
            self.groups.push(Group { source, name, nodes: Vec::new(), members: Progress::Waiting });
        }
        if let Some(group) = self.groups.get_mut(number) {
            group.nodes.push(nodes);
        }
    }

    /// The hosts of a group, in the order in which they are named.
    fn members(&mut self, number: usize) -> Result<Vec<usize>, InputError> {
        let Some(group) = self.groups.get_mut(number) else { return Ok(Vec::new()) };
        match std::mem::replace(&mut group.members, Progress::Begun) {
            Progress::Known(members) => {
                group.members = Progress::Known(members.clone());
                return Ok(members);
            }
            Progress::Begun => {
                let span = group.nodes.first().map_or(0..0, |(_, span)| span.clone());
                let text = format!("group `{}` is made of itself, by way of others", group.name);
                return Err(self.source.error(span, text));
            }
            Progress::Waiting => {}
        }
        let (source, nodes) = (group.source.clone(), group.nodes.clone());
        let mut members = Vec::new();
        for (text, span) in nodes {
            members.extend(self.set(&source, &text, &span)?);
        }
        let mut seen = HashSet::new();
        members.retain(|member| seen.insert(*member));
        if let Some(group) = self.groups.get_mut(number) {
            group.members = Progress::Known(members.clone());
        }
        Ok(members)
    }

    /// A node set: operators count from left to right.
    fn set(&mut self, from: &str, text: &str, span: &Range<usize>) -> Result<Vec<usize>, InputError> {
        let mut chosen: Vec<usize> = Vec::new();
        for (sign, start, word) in terms(text) {
            // Where it stands, if the text of the file is the text that is meant.
            let place = match self.source.text().get(span.clone()).and_then(|raw| raw.find(text)) {
                Some(offset) => span.start + offset + start..span.start + offset + start + word.len(),
                None => span.clone(),
            };
            let right = self.term(from, word, place)?;
            let set: HashSet<usize> = right.iter().copied().collect();
            match sign {
                '!' => chosen.retain(|host| !set.contains(host)),
                '&' => chosen.retain(|host| set.contains(host)),
                '^' => {
                    let left: HashSet<usize> = chosen.iter().copied().collect();
                    chosen.retain(|host| !set.contains(host));
                    chosen.extend(right.into_iter().filter(|host| !left.contains(host)));
                }
                _ => {
                    let left: HashSet<usize> = chosen.iter().copied().collect();
                    chosen.extend(right.into_iter().filter(|host| !left.contains(host)));
                }
            }
        }
        Ok(chosen)
    }

    fn term(&mut self, from: &str, word: &str, place: Range<usize>) -> Result<Vec<usize>, InputError> {
        let Some(name) = word.strip_prefix('@') else {
            let names = hostset::names(self.source, &pattern(self.source, place, word)?)?;
            return Ok(names.into_iter().map(|name| self.inventory.declare(name)).collect());
        };
        let (source, name) = name.split_once(':').unwrap_or((from, name));
        if name == "*" {
            let numbers: Vec<usize> = (0..self.groups.len())
                .filter(|number| self.groups.get(*number).is_some_and(|group| group.source == source))
                .collect();
            return self.several(&numbers);
        }
        let mut numbers = Vec::new();
        for name in pattern(self.source, place.clone(), name)?.names() {
            let Some(number) = self.index.get(&(source.to_owned(), name.clone())) else {
                let known = self.groups.iter().filter(|group| group.source == source);
                return Err(self
                    .source
                    .error(place, format!("there is no group `{name}`"))
                    .label("unknown group")
                    .suggest_among(&name, known.map(|group| group.name.as_str())));
            };
            numbers.push(*number);
        }
        self.several(&numbers)
    }

    fn several(&mut self, numbers: &[usize]) -> Result<Vec<usize>, InputError> {
        let mut members = Vec::new();
        for number in numbers {
            members.extend(self.members(*number)?);
        }
        Ok(members)
    }

    /// A name that several sources have gets its source in front.
    fn finish(self) -> Inventory {
        let mut inventory = self.inventory;
        let mut count: HashMap<String, usize> = HashMap::new();
        for group in &self.groups {
            *count.entry(group.name.clone()).or_default() += 1;
        }
        for group in self.groups {
            let Progress::Known(mut members) = group.members else { continue };
            // All nodes are `@all` here too, without a group.
            if group.name == "all" {
                continue;
            }
            members.sort_unstable();
            let several = count.get(&group.name).is_some_and(|count| *count > 1);
            let name = if several { format!("{}-{}", group.source, group.name) } else { group.name.clone() };
            if several {
                let text = format!("several sources have a group `{}`: here it is `@{name}`", group.name);
                inventory.notices.push(Notice(text));
            }
            inventory.add(SectionKind::Group(name), Settings::default(), members);
        }
        inventory.attach();
        inventory
    }
}

/// A pattern that stands at a place of a longer text, perhaps with something around it.
fn pattern(source: &Source, place: Range<usize>, word: &str) -> Result<Pattern, InputError> {
    let text = source.text().get(place.clone()).unwrap_or_default();
    match text.find(word) {
        Some(offset) => Pattern::parse(
            source,
            place.start + offset..place.start + offset + word.len(),
            Wildcards::Refused,
        ),
        None => {
            let own = Source::new(source.name(), word);
            Pattern::parse(&own, 0..word.len(), Wildcards::Refused)
                .map_err(|error| source.error(place, error.message()))
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || ".-_:".contains(c))
}

/// The words of a node set, each with the operator before it and where it begins. White space unites as `,` does.
fn terms(text: &str) -> Vec<(char, usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    let (mut start, mut sign) = (0, ',');
    let mut push = |start: usize, end: usize, sign: char| {
        let word = text.get(start..end).unwrap_or_default();
        if !word.is_empty() {
            found.push((sign, start, word));
        }
        !word.is_empty()
    };
    for (at, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside && (c.is_whitespace() || matches!(c, ',' | '!' | '&' | '^')) => {
                let some = push(start, at, sign);
                start = at + c.len_utf8();
                // White space around another operator says nothing.
                sign = match c {
                    '!' | '&' | '^' => c,
                    c if some || c == ',' => ',',
                    _ => sign,
                };
            }
            _ => {}
        }
    }
    push(start, text.len(), sign);
    found
}
