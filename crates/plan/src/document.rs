//! TOML with positions: typed access to keys, so that every wrong key or type is shown where it stands.
//!
//! Not serde: its errors name one expected type at a time and lose the key of a nested table, and the
//! order of tables, which decides which group wins.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{InputError, Source};

/// A string of a file, with the place it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its value.
    pub text: String,
    /// Where the value stands, quotes included.
    pub span: Range<usize>,
    /// Its key for people: `steps[2].text`.
    pub key: String,
}

impl Field {
    /// Finds the bytes of the file for a range of the value, when no escape is in the way.
    pub fn within(&self, source: &Source, range: Range<usize>) -> Range<usize> {
        let raw = source.text().get(self.span.clone()).unwrap_or_default();
        // A key without quotes, most often: nothing need be sought.
        let offset = if raw == self.text { Some(0) } else { raw.find(&self.text) };
        match offset {
            Some(offset) if !self.text.is_empty() => {
                let start = self.span.start + offset;
                start + range.start..start + range.end
            }
            _ => self.span.clone(),
        }
    }

    /// Finds a word of the value in the file; the whole value if it is not there as it is.
    pub fn word(&self, source: &Source, word: &str) -> Range<usize> {
        let raw = source.text().get(self.span.clone()).unwrap_or_default();
        match raw.find(word) {
            Some(offset) => self.span.start + offset..self.span.start + offset + word.len(),
            None => self.span.clone(),
        }
    }
}

/// Parses a file's text.
pub(crate) fn parse(source: &Source) -> Result<Spanned<DeTable<'_>>, InputError> {
    DeTable::parse(source.text()).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        source.error(span, format!("the file is not TOML: {}", error.message().trim().replace('\n', "; ")))
    })
}

/// The way to a value. Put into words for errors only: a file may have a hundred thousand keys.
#[derive(Clone, Default)]
struct KeyPath<'a>(Option<Rc<(KeyPath<'a>, Part<'a>)>>);

#[derive(Clone, Copy)]
enum Part<'a> {
    Key(&'a str),
    /// Counted from 1.
    Nth(usize),
}

impl<'a> KeyPath<'a> {
    fn to(&self, part: Part<'a>) -> Self {
        Self(Some(Rc::new((self.clone(), part))))
    }
}

impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((above, part)) = self.0.as_deref() else { return Ok(()) };
        above.fmt(f)?;
        match part {
            Part::Key(name) if above.0.is_none() => f.write_str(name),
            Part::Key(name) => write!(f, ".{name}"),
            Part::Nth(nth) => write!(f, "[{nth}]"),
        }
    }
}

/// A table of the file.
#[derive(Clone)]
pub(crate) struct Table<'a> {
    source: &'a Source,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    path: KeyPath<'a>,
}

/// A value of the file and the key that leads to it.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    source: &'a Source,
    value: &'a DeValue<'a>,
    /// Where the value stands.
    pub span: Range<usize>,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The last part of the key.
    pub name: &'a str,
    above: KeyPath<'a>,
    part: Part<'a>,
}

impl<'a> Table<'a> {
    /// The file itself as a table.
    pub fn root(source: &'a Source, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { source, table: table.get_ref(), span: 0..0, path: KeyPath::default() }
    }

    /// Its key for people.
    pub fn path(&self) -> String {
        self.path.to_string()
    }

    /// Where it begins.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Makes an error about it.
    pub fn error(&self, message: impl Into<String>) -> InputError {
        self.source.error(self.span.clone(), message)
    }

    /// The entries in the order of the file.
    pub fn items(&self) -> Vec<Item<'a>> {
        let mut items: Vec<Item<'a>> = self.table.iter().map(|(key, value)| self.item(key, value)).collect();
        items.sort_by_key(|item| item.key_span.start);
        items
    }

    fn item(&self, key: &'a Spanned<Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Item<'a> {
        let name: &str = key.get_ref();
        Item {
            source: self.source,
            value: value.get_ref(),
            span: value.span(),
            key_span: key.span(),
            name,
            above: self.path.clone(),
            part: Part::Key(name),
        }
    }

    /// One entry.
    pub fn get(&self, name: &str) -> Option<Item<'a>> {
        self.table.get_key_value(name).map(|(key, value)| self.item(key, value))
    }

    /// One entry that must be there.
    pub fn need(&self, name: &str) -> Result<Item<'a>, InputError> {
        self.get(name).ok_or_else(|| {
            let what = if self.path.0.is_none() { "the file".to_owned() } else { format!("`{}`", self.path) };
            self.source.error(self.span.clone(), format!("{what} lacks the key `{name}`"))
        })
    }

    /// Refuses keys that are not among the known ones.
    pub fn deny_unknown(&self, known: &[&str], what: impl fmt::Display) -> Result<(), InputError> {
        // Asked of every table of a file; what is needed for an error is made for an error.
        if self.table.keys().all(|key| known.contains(&key.get_ref().as_ref())) {
            return Ok(());
        }
        match self.items().iter().find(|item| !known.contains(&item.name)) {
            None => Ok(()),
            Some(item) => Err(self
                .source
                .error(item.key_span.clone(), format!("unknown key `{}` in {what}", item.name))
                .label("not a known key")
                .suggest_among(item.name, known.iter().copied())),
        }
    }
}

impl<'a> Item<'a> {
    /// The key for people.
    pub fn path(&self) -> String {
        self.whole_path().to_string()
    }

    fn whole_path(&self) -> KeyPath<'a> {
        self.above.to(self.part)
    }

    /// Makes an error about the value.
    pub fn error(&self, message: impl Into<String>) -> InputError {
        self.source.error(self.span.clone(), message)
    }

    /// Makes an error about the key.
    pub fn key_error(&self, message: impl Into<String>) -> InputError {
        self.source.error(self.key_span.clone(), message)
    }

    fn wrong(&self, wanted: &str) -> InputError {
        let got = self.value.type_str();
        let article = if got.starts_with(['a', 'i']) { "an" } else { "a" };
        self.error(format!("`{}` must be {wanted}, not {article} {got}", self.path()))
            .label(format!("expected {wanted}"))
    }

    /// The text of a string.
    pub fn text(&self) -> Result<&'a str, InputError> {
        self.value.as_str().ok_or_else(|| self.wrong("a string"))
    }

    /// A string.
    pub fn string(&self) -> Result<Field, InputError> {
        Ok(Field { text: self.text()?.to_owned(), span: self.span.clone(), key: self.path() })
    }

    /// A string, or a whole number or boolean in its place.
    pub fn string_or_scalar(&self) -> Result<Field, InputError> {
        match self.scalar()? {
            Value::String(_) => self.string(),
            other => Ok(Field { text: other.to_string(), span: self.span.clone(), key: self.path() }),
        }
    }

    /// A TCP port.
    pub fn port(&self) -> Result<u16, InputError> {
        let number = self.value.as_integer().ok_or_else(|| self.wrong("a whole number"))?;
        match u16::from_str_radix(number.as_str(), number.radix()) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(self.error(format!("`{}` must be a port from 1 to 65535", self.path()))),
        }
    }

    /// A string, whole number or boolean: the value of a variable.
    pub fn scalar(&self) -> Result<Value, InputError> {
        match self.value {
            DeValue::String(text) => Ok(Value::String(text.to_string())),
            DeValue::Boolean(value) => Ok(Value::Bool(*value)),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::from)
                .map_err(|_| self.error(format!("`{}` is too large a number", self.path()))),
            _ => Err(self.wrong("a string, a whole number or a boolean")),
        }
    }

    /// What JSON has too, but for nothing: strings, numbers, booleans, lists and tables of them.
    pub fn value(&self) -> Result<Value, InputError> {
        match self.value {
            DeValue::Float(number) => {
                let finite =
                    number.as_str().replace('_', "").parse().ok().and_then(serde_json::Number::from_f64);
                finite
                    .map(Value::Number)
                    .ok_or_else(|| self.error(format!("`{}` must be finite", self.path())))
            }
            DeValue::Array(list) => {
                let list: Result<Vec<Value>, _> =
                    self.elements(list.iter()).map(|item| item.value()).collect();
                list.map(Value::Array)
            }
            DeValue::Table(_) => {
                let entries = self.table()?.items();
                let entries = entries.iter().map(|item| Ok((item.name.to_owned(), item.value()?)));
                entries.collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
            }
            DeValue::Datetime(_) => Err(self.wrong("a string, a number, a boolean, a list or a table")),
            _ => self.scalar(),
        }
    }

    /// A string or a list of strings.
    pub fn strings(&self) -> Result<Vec<Field>, InputError> {
        let Some(array) = self.value.as_array() else {
            return self
                .string()
                .map(|field| vec![field])
                .map_err(|_| self.wrong("a string or a list of strings"));
        };
        self.elements(array.iter()).map(|item| item.string()).collect()
    }

    /// A string, whole number or boolean, or a list of them.
    pub fn scalars(&self) -> Result<Vec<Field>, InputError> {
        match self.value.as_array() {
            Some(array) => self.elements(array.iter()).map(|item| item.string_or_scalar()).collect(),
            None => self.string_or_scalar().map(|field| vec![field]),
        }
    }

    /// The value, if it is a boolean.
    pub fn boolean(&self) -> Option<bool> {
        self.value.as_bool()
    }

    /// A list of tables, as `[[steps]]` makes it.
    pub fn tables(&self) -> Result<Vec<Table<'a>>, InputError> {
        let array = self.value.as_array().ok_or_else(|| self.wrong("a list of tables"))?;
        self.elements(array.iter()).map(|item| item.table()).collect()
    }

    /// A table.
    pub fn table(&self) -> Result<Table<'a>, InputError> {
        let table = self.value.as_table().ok_or_else(|| self.wrong("a table"))?;
        Ok(Table { source: self.source, table, span: self.span.clone(), path: self.whole_path() })
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Whether it is a list.
    pub fn is_array(&self) -> bool {
        self.value.is_array()
    }

    fn elements(
        &self,
        values: impl Iterator<Item = &'a Spanned<DeValue<'a>>>,
    ) -> impl Iterator<Item = Item<'a>> {
        let above = self.whole_path();
        (1_usize..).zip(values).map(move |(nth, value)| Item {
            source: self.source,
            value: value.get_ref(),
            span: value.span(),
            key_span: value.span(),
            name: self.name,
            above: above.clone(),
            part: Part::Nth(nth),
        })
    }
}
