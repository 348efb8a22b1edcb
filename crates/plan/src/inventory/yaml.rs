//! YAML with places, and with the types of YAML 1.1, which is what Ansible and ClusterShell (PyYAML) read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar;
use crate::diagnostic::{InputError, Source};

/// Deeper than this nothing is that a person wrote.
const DEEPEST: usize = 64;

/// More values than this that aliases bring are an attack or a slip.
const MOST: usize = 1_000_000;

/// How many values a document may have: each that is written out takes a byte at least, the others are aliases.
pub(super) fn budget(source: &Source) -> usize {
    source.text().len() + MOST
}

/// A part of a document and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub content: Content,
    pub span: Range<usize>,
}

/// What a part of a document is.
#[derive(Debug)]
pub(super) enum Content {
    /// A text that is one whatever it looks like.
    Text(String),
    /// A plain word: perhaps a number, a boolean or nothing.
    Plain(String),
    /// Encrypted with ansible-vault.
    Vault,
    List(Vec<Rc<Node>>),
    /// Each key once; of several, the last counts.
    Map(Vec<Pair>),
}

/// A key and its value.
pub(super) type Pair = (Rc<Node>, Rc<Node>);

/// A list or mapping of which the end has not come yet.
struct Open {
    anchor: usize,
    start: usize,
    is_map: bool,
    parts: Vec<Rc<Node>>,
}

struct Reader<'a> {
    source: &'a Source,
    /// The byte of each character; nothing for text that is all ASCII.
    bytes: Option<Vec<usize>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    done: Option<Rc<Node>>,
}

/// Reads a document; nothing when it is empty.
pub(super) fn parse(source: &Source) -> Result<Option<Rc<Node>>, InputError> {
    let text = source.text();
    let mut bytes: Vec<usize> = Vec::new();
    if !text.is_ascii() {
        bytes.extend(text.char_indices().map(|(at, _)| at));
        bytes.push(text.len());
    }
    let mut reader = Reader {
        source,
        bytes: (!bytes.is_empty()).then_some(bytes),
        open: Vec::new(),
        anchors: HashMap::new(),
        done: None,
    };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => reader.event(event, span)?,
            Err(error) => {
                let at = reader.byte(error.marker().index());
                return Err(source.error(at..at + 1, format!("the file is not YAML: {}", error.info())));
            }
        }
    }
    Ok(reader.done)
}

impl Reader<'_> {
    fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            None => character,
            Some(bytes) => bytes.get(character).copied().unwrap_or(self.source.text().len()),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), InputError> {
        let place = self.byte(span.start.index())..self.byte(span.end.index());
        match event {
            Event::DocumentStart(_) if self.done.is_some() => {
                Err(self.source.error(place, "this is a second document").suggest("one file, one document"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let content = self.scalar(text, style, tag.as_deref(), &place)?;
                self.add(anchor, Node { content, span: place })
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, place, false),
            Event::MappingStart(anchor, _) => self.begin(anchor, place, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(place.end),
            Event::Alias(anchor) => match self.anchors.get(&anchor).map(Rc::clone) {
                Some(node) => self.put(node),
                None => Err(self.source.error(place, "this alias stands for something that holds itself")),
            },
            _ => Ok(()),
        }
    }

    fn scalar(
        &self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: &Range<usize>,
    ) -> Result<Content, InputError> {
        let text = text.into_owned();
        let Some(tag) = tag else {
            let plain = matches!(style, ScalarStyle::Plain);
            return Ok(if plain { Content::Plain(text) } else { Content::Text(text) });
        };
        match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("!", "vault" | "vault-encrypted") => Ok(Content::Vault),
            ("!", "unsafe") if matches!(style, ScalarStyle::Plain) => Ok(Content::Plain(text)),
            ("!" | "", "unsafe" | "!" | "") | ("tag:yaml.org,2002:", "str") => Ok(Content::Text(text)),
            ("tag:yaml.org,2002:", "int" | "bool" | "float" | "null") => Ok(Content::Plain(text)),
            _ => Err(self
                .source
                .error(place.clone(), format!("the tag `{tag}` is not known"))
                .suggest_among(&tag.to_string(), ["!vault", "!unsafe"])),
        }
    }

    fn begin(&mut self, anchor: usize, place: Range<usize>, is_map: bool) -> Result<(), InputError> {
        if self.open.len() >= DEEPEST {
            return Err(self.source.error(place, format!("this is nested more than {DEEPEST} times")));
        }
        self.open.push(Open { anchor, start: place.start, is_map, parts: Vec::new() });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), InputError> {
        let Some(Open { anchor, start, is_map, parts }) = self.open.pop() else { return Ok(()) };
        let content = if is_map { self.map(parts)? } else { Content::List(parts) };
        self.add(anchor, Node { content, span: start..end.max(start) })
    }

    fn add(&mut self, anchor: usize, node: Node) -> Result<(), InputError> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node)
    }

    fn put(&mut self, node: Rc<Node>) -> Result<(), InputError> {
        match self.open.last_mut() {
            Some(open) => open.parts.push(node),
            None => self.done = Some(node),
        }
        Ok(())
    }

    /// Keys and values in turn; `<<` brings what is not there already.
    fn map(&self, parts: Vec<Rc<Node>>) -> Result<Content, InputError> {
        let mut entries: Vec<Pair> = Vec::with_capacity(parts.len() / 2);
        let mut index: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        let mut parts = parts.into_iter();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            let name = self.key(&key)?;
            if matches!(&key.content, Content::Plain(text) if text == "<<") {
                merged.push(value);
                continue;
            }
            match index.get(&name).and_then(|at| entries.get_mut(*at)) {
                Some(entry) => *entry = (key, value),
                None => {
                    index.insert(name, entries.len());
                    entries.push((key, value));
                }
            }
        }
        for value in merged {
            let maps: &[Rc<Node>] = match &value.content {
                Content::List(maps) => maps,
                _ => std::slice::from_ref(&value),
            };
            for map in maps {
                let Content::Map(more) = &map.content else {
                    return Err(self.source.error(map.span.clone(), "`<<` takes mappings only"));
                };
                if entries.len() + more.len() > MOST {
                    return Err(self.source.error(map.span.clone(), "this merges too much"));
                }
                for (key, value) in more {
                    let name = self.key(key)?;
                    if let std::collections::hash_map::Entry::Vacant(place) = index.entry(name) {
                        place.insert(entries.len());
                        entries.push((Rc::clone(key), Rc::clone(value)));
                    }
                }
            }
        }
        Ok(Content::Map(entries))
    }

    fn key(&self, key: &Node) -> Result<String, InputError> {
        key_text(key).ok_or_else(|| self.source.error(key.span.clone(), "a key must be a word"))
    }
}

/// A key as JSON would have it.
pub(super) fn key_text(key: &Node) -> Option<String> {
    match &key.content {
        Content::Text(text) => Some(text.clone()),
        Content::Plain(text) => Some(match scalar::resolve(text) {
            Value::String(text) => text,
            other => other.to_string(),
        }),
        _ => None,
    }
}

impl Node {
    /// A text, if it is one: not a number, a boolean or nothing.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Text(text) => Some(text.clone()),
            Content::Plain(text) => match scalar::resolve(text) {
                Value::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Plain(text) if scalar::resolve(text).is_null())
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Text(_) => "a text",
            Content::Plain(text) => match scalar::resolve(text) {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                _ => "a text",
            },
            Content::Vault => "an encrypted value",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// The value; nothing when a part of it is encrypted. `budget` is how many values may still come.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn value(&self, source: &Source, budget: &mut usize) -> Result<Option<Value>, InputError> {
        *budget = budget.checked_sub(1).ok_or_else(|| {
            source.error(self.span.clone(), "the aliases of this file stand for more than a million values")
        })?;
        Ok(match &self.content {
            Content::Text(text) => Some(Value::String(text.clone())),
            Content::Plain(text) => Some(scalar::resolve(text)),
            Content::Vault => None,
            Content::List(parts) => {
                let mut list = Vec::with_capacity(parts.len());
                for part in parts {
                    let Some(value) = part.value(source, budget)? else { return Ok(None) };
                    list.push(value);
                }
                Some(Value::Array(list))
            }
            Content::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let Some(value) = value.value(source, budget)? else { return Ok(None) };
                    map.insert(key_text(key).unwrap_or_default(), value);
                }
                Some(Value::Object(map))
            }
        })
    }
}
