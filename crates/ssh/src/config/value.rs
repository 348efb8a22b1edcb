//! What a keyword may be given, and where it was.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::jump::{Hop, parse_jump};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// How the arguments of a keyword are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One of these words, whatever their case; the second of a pair is what it means.
    Choice(&'static [(&'static str, &'static str)]),
    /// One word.
    Word,
    /// Words.
    Words,
    /// File names, or `none` alone.
    Files,
    /// A whole number.
    Number,
    /// A TCP port.
    Port,
    /// A span of time (sshd_config(5), TIME FORMATS), or `none`.
    Time,
    /// Algorithms, with `+`, `-` or `^` before the first.
    Names,
    /// The rest of the line: a command.
    Rest,
    /// Hosts on the way, or `none`.
    Jump,
    /// Not looked at.
    Anything,
}

/// What was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Choice(&'static str),
    Word(String),
    Words(Vec<String>),
    Number(u32),
    /// Seconds; nothing for `none`.
    Time(Option<u32>),
    /// A command.
    Command(String),
    /// Hosts on the way; none for `none`.
    Jump(Vec<Hop>),
}

/// Reads the arguments of a keyword.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read(shape: Shape, words: &[String], rest: &str) -> Result<Value, String> {
    match shape {
        Shape::Rest => return Ok(Value::Command(rest.trim_start_matches([' ', '\t', '=']).to_owned())),
        Shape::Jump => return parse_jump(rest.trim_start_matches([' ', '\t', '='])).map(Value::Jump),
        Shape::Anything => return Ok(Value::Words(words.to_vec())),
        Shape::Words | Shape::Files => return several(shape, words),
        _ => {}
    }
    let Some((word, more)) = words.split_first().filter(|(word, _)| !word.is_empty()) else {
        return Err("an argument is missing".to_owned());
    };
    if let Some(more) = more.first() {
        return Err(format!("{more:?} is one argument too many; quote an argument that holds blanks"));
    }
    match shape {
        Shape::Choice(choices) => choice(choices, word),
        Shape::Number => number(word).map(Value::Number),
        Shape::Port => port(word).map(|port| Value::Number(port.into())),
        Shape::Time if word == "none" => Ok(Value::Time(None)),
        Shape::Time => time(word).map(|seconds| Value::Time(Some(seconds))),
        Shape::Names => names(word),
        _ => Ok(Value::Word(word.clone())),
    }
}

fn several(shape: Shape, words: &[String]) -> Result<Value, String> {
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err("an argument is empty or missing".to_owned());
    }
    let none = words.iter().any(|word| word.eq_ignore_ascii_case("none"));
    if none && matches!(shape, Shape::Files) {
        return if words.len() == 1 {
            Ok(Value::Words(Vec::new()))
        } else {
            Err("`none` must stand alone".to_owned())
        };
    }
    Ok(Value::Words(words.to_vec()))
}

fn choice(choices: &[(&'static str, &'static str)], word: &str) -> Result<Value, String> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, meaning)| Value::Choice(meaning)).ok_or_else(|| {
        let known: Vec<&str> =
            choices.iter().filter(|(name, meaning)| name == meaning).map(|(name, _)| *name).collect();
        format!("{word:?} is none of {}", known.join(", "))
    })
}

fn number(word: &str) -> Result<u32, String> {
    let value = word.parse::<u32>().ok().filter(|value| *value <= i32::MAX.unsigned_abs());
    value.ok_or_else(|| format!("{word:?} is not a whole number"))
}

/// Reads a port; `ssh` is its name.
pub(super) fn port(word: &str) -> Result<u16, String> {
    if word == "ssh" {
        return Ok(22);
    }
    let port = word.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{word:?} is not a port from 1 to 65535"))
}

/// Reads `90`, `1h30m`, `2D`.
fn time(word: &str) -> Result<u32, String> {
    let wrong = || format!("{word:?} is not a time such as 90, 5m or 1h30m");
    let mut total: u32 = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let unit = match after.chars().next().map(|c| c.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return Err(wrong()),
        };
        let amount = digits.parse::<u32>().ok().and_then(|amount| amount.checked_mul(unit));
        total = amount.and_then(|amount| total.checked_add(amount)).ok_or_else(wrong)?;
        rest = after.get(1..).unwrap_or_default();
    }
    if total > i32::MAX.unsigned_abs() { Err(wrong()) } else { Ok(total) }
}

fn names(word: &str) -> Result<Value, String> {
    let list = word.strip_prefix(['+', '-', '^']).unwrap_or(word);
    if list.split(',').all(str::is_empty) {
        return Err(format!("{word:?} is not a list of names, with commas between them"));
    }
    let odd = list.split(',').find(|name| name.starts_with(['!', '+', '-', '^']));
    match odd {
        Some(odd) => {
            Err(format!("{odd:?} is not a name: +, - and ^ stand before the first, for the whole list"))
        }
        None => Ok(Value::Word(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_ssh_takes_them_for() {
        for (text, seconds) in [("90", 90), ("1h5", 3605), ("2D", 172_800), ("1w1d1h1m1s", 694_861), ("0", 0)]
        {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
        for text in ["m", "1x", "-1", "99999999999", "99999w", "1.5h", "1 h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_said() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let yes_no = Shape::Choice(&[("yes", "yes"), ("no", "no"), ("true", "yes")]);
        let shown: Vec<String> = [
            (yes_no, "maybe"),
            (yes_no, "yes no"),
            (yes_no, ""),
            (Shape::Port, "0"),
            (Shape::Port, "65536"),
            (Shape::Port, "22x"),
            (Shape::Number, "-1"),
            (Shape::Number, "4294967295"),
            (Shape::Time, "soon"),
            (Shape::Files, "none a"),
            (Shape::Names, ","),
            (Shape::Names, "a,-b"),
        ]
        .into_iter()
        .map(|(shape, text)| format!("{text:?}: {}", read(shape, &words(text), text).unwrap_err()))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
