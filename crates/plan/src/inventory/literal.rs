//! Values of Ansible's INI: Python literals, and texts where they are none (`ast.literal_eval`).

use serde_json::{Map, Number, Value};

/// Deeper than this nothing is that a person wrote.
const DEEPEST: usize = 32;

/// What Ansible makes of a value of its INI format.
pub(super) fn value(text: &str) -> Value {
    let mut python = Python { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    match python.whole() {
        Some(value) => value,
        None => Value::String(text.to_owned()),
    }
}

struct Python<'a> {
    rest: &'a str,
    depth: usize,
}

impl Python<'_> {
    /// An expression, up to the end or a comment. With commas outside brackets it is a tuple.
    fn whole(&mut self) -> Option<Value> {
        let first = self.expression()?;
        self.blank();
        let value = if self.rest.starts_with(',') {
            let mut list = vec![first];
            while self.take(",") {
                self.blank();
                if self.rest.is_empty() || self.rest.starts_with('#') {
                    break;
                }
                list.push(self.expression()?);
                self.blank();
            }
            Value::Array(list)
        } else {
            first
        };
        (self.rest.is_empty() || self.rest.starts_with('#')).then_some(value)
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\u{c}']);
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expression(&mut self) -> Option<Value> {
        self.blank();
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let value = match self.rest.chars().next()? {
            '[' => self.several("[", "]").map(|(list, _)| Value::Array(list)),
            '(' => self.several("(", ")").map(|(mut list, is_tuple)| match list.len() {
                1 if !is_tuple => list.remove(0),
                _ => Value::Array(list),
            }),
            '{' => self.braces(),
            c if c.is_ascii_digit() || matches!(c, '.' | '+' | '-') => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    /// What stands between brackets, and whether it is certainly several: `(1)` is one, `(1,)` is a tuple.
    fn several(&mut self, open: &str, close: &str) -> Option<(Vec<Value>, bool)> {
        self.take(open);
        let mut list = Vec::new();
        loop {
            self.blank();
            if self.take(close) {
                return Some((list, true));
            }
            list.push(self.expression()?);
            self.blank();
            if !self.take(",") {
                return self.take(close).then_some((list, false));
            }
        }
    }

    /// A dictionary, or a set, which becomes a list.
    fn braces(&mut self) -> Option<Value> {
        self.take("{");
        self.blank();
        if self.take("}") {
            return Some(Value::Object(Map::new()));
        }
        let mut map = Map::new();
        let mut set = Vec::new();
        loop {
            let key = self.expression()?;
            self.blank();
            if self.take(":") {
                let value = self.expression()?;
                map.insert(key_of(key)?, value);
            } else {
                set.push(key);
            }
            self.blank();
            let comma = self.take(",");
            self.blank();
            if self.take("}") {
                break;
            }
            if !comma {
                return None;
            }
        }
        match (map.is_empty(), set.is_empty()) {
            (false, true) => Some(Value::Object(map)),
            (true, false) => Some(Value::Array(set)),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        if self.rest.starts_with("...") {
            self.rest = self.rest.get(3..)?;
            return Some(Value::String("...".to_owned()));
        }
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        self.blank();
        let end = self.number_end();
        let (token, rest) = self.rest.split_at(end);
        let value = integer(token, negative).or_else(|| float(token, negative))?;
        self.rest = rest;
        Some(value)
    }

    /// Where the characters end that could belong to a number.
    fn number_end(&self) -> usize {
        let mut before = ' ';
        let hex = self.rest.starts_with("0x") || self.rest.starts_with("0X");
        for (at, c) in self.rest.char_indices() {
            let exponent = !hex && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
            if !(c.is_alphanumeric() || matches!(c, '_' | '.') || exponent) {
                return at;
            }
            before = c;
        }
        self.rest.len()
    }

    fn word(&mut self) -> Option<Value> {
        for (word, value) in
            [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)]
        {
            if let Some(rest) = self.rest.strip_prefix(word)
                && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                // What follows a name makes it something else, except for a comma, a bracket or the end.
                self.rest = rest;
                return Some(value);
            }
        }
        if let Some(rest) = self.rest.strip_prefix("set()") {
            self.rest = rest;
            return Some(Value::Array(Vec::new()));
        }
        let mut text = self.string()?;
        loop {
            self.blank();
            match self.string() {
                Some(more) => text.push_str(&more),
                None => return Some(Value::String(text)),
            }
        }
    }

    /// A string in quotes, perhaps with a prefix.
    fn string(&mut self) -> Option<String> {
        let prefix = self.rest.find(['\'', '"']).filter(|at| *at <= 2)?;
        let (prefix, rest) = self.rest.split_at(prefix);
        let raw = match prefix.to_ascii_lowercase().as_str() {
            "" | "u" | "b" => false,
            "r" | "br" | "rb" => true,
            _ => return None,
        };
        let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| rest.starts_with(quote))?;
        let mut rest = rest.get(quote.len()..)?;
        let mut text = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(quote) {
                self.rest = after;
                return Some(text);
            }
            let c = rest.chars().next()?;
            rest = rest.get(c.len_utf8()..)?;
            if c != '\\' {
                text.push(c);
            } else if raw {
                let next = rest.chars().next()?;
                text.extend([c, next]);
                rest = rest.get(next.len_utf8()..)?;
            } else {
                rest = escape(rest, &mut text)?;
            }
        }
    }
}

/// What a backslash and the following characters stand for; returns what is behind them.
fn escape<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let after = rest.get(c.len_utf8()..)?;
    let coded = |length: usize| {
        let code = u32::from_str_radix(after.get(..length)?, 16).ok()?;
        Some((char::from_u32(code)?, after.get(length..)?))
    };
    let (c, after) = match c {
        'n' => ('\n', after),
        't' => ('\t', after),
        'r' => ('\r', after),
        'a' => ('\u{7}', after),
        'b' => ('\u{8}', after),
        'f' => ('\u{c}', after),
        'v' => ('\u{b}', after),
        '\\' | '\'' | '"' => (c, after),
        'x' => coded(2)?,
        'u' => coded(4)?,
        'U' => coded(8)?,
        '0'..='7' => {
            let digits = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            let code = u32::from_str_radix(rest.get(..digits)?, 8).ok()?;
            (char::from_u32(code)?, rest.get(digits..)?)
        }
        'N' => return None,
        _ => {
            text.push('\\');
            (c, after)
        }
    };
    text.push(c);
    Some(after)
}

/// A key as JSON has it.
fn key_of(key: Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// Underscores stand between digits only.
fn digits(text: &str, radix: u32) -> Option<String> {
    let fits = !text.is_empty()
        && text.split('_').all(|part| !part.is_empty() && part.chars().all(|c| c.is_digit(radix)));
    fits.then(|| text.replace('_', ""))
}

fn integer(token: &str, negative: bool) -> Option<Value> {
    let based = |prefixes: [&str; 2]| prefixes.into_iter().find_map(|prefix| token.strip_prefix(prefix));
    let behind = |rest: &str, radix: u32| digits(rest.strip_prefix('_').unwrap_or(rest), radix);
    let (digits, radix) = if let Some(rest) = based(["0x", "0X"]) {
        (behind(rest, 16)?, 16)
    } else if let Some(rest) = based(["0o", "0O"]) {
        (behind(rest, 8)?, 8)
    } else if let Some(rest) = based(["0b", "0B"]) {
        (behind(rest, 2)?, 2)
    } else {
        let digits = digits(token, 10)?;
        let zeros = digits.bytes().all(|b| b == b'0');
        // Python 3 refuses other numbers with a leading zero: `0644` is a text.
        if digits.starts_with('0') && !zeros {
            return None;
        }
        (digits, 10)
    };
    if negative {
        return i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Value::from);
    }
    u64::from_str_radix(&digits, radix).ok().map(Value::from)
}

fn float(token: &str, negative: bool) -> Option<Value> {
    let (mantissa, exponent) = match token.find(['e', 'E']) {
        None => (token, None),
        Some(at) => (token.get(..at)?, Some(token.get(at + 1..)?)),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if fraction.is_none() && exponent.is_none() {
        return None;
    }
    let part = |text: &str| if text.is_empty() { Some(String::new()) } else { digits(text, 10) };
    let (whole, fraction) = (part(whole)?, part(fraction.unwrap_or_default())?);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match exponent {
        None => String::new(),
        Some(text) => {
            let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
            let sign = if text.starts_with('-') { "-" } else { "" };
            format!("e{sign}{}", digits(bare, 10)?)
        }
    };
    let value: f64 = format!("0{whole}.{fraction}0{exponent}").parse().ok()?;
    Number::from_f64(if negative { -value } else { value }).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_are_what_python_makes_of_them() {
        let cases = [
            ("5", json!(5)),
            ("-5", json!(-5)),
            ("- 5", json!(-5)),
            ("+5", json!(5)),
            ("--5", json!("--5")),
            ("0644", json!("0644")),
            ("00", json!(0)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("1_000", json!(1000)),
            ("1__0", json!("1__0")),
            ("1.5", json!(1.5)),
            ("5.", json!(5.0)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1.2.3.4", json!("1.2.3.4")),
            ("2024-10-11", json!("2024-10-11")),
            ("True", json!(true)),
            ("true", json!("true")),
            ("None", json!(null)),
            ("Nonesuch", json!("Nonesuch")),
            ("'a' 'b'", json!("ab")),
            ("\"it's\"", json!("it's")),
            ("'a\\tb\\x41\\u00e9\\q'", json!("a\tbAé\\q")),
            ("r'a\\tb'", json!("a\\tb")),
            ("b'x'", json!("x")),
            ("[1, 'a', [True]]", json!([1, "a", [true]])),
            ("[1,]", json!([1])),
            ("[,]", json!("[,]")),
            ("[a]", json!("[a]")),
            ("(1)", json!(1)),
            ("(1,)", json!([1])),
            ("(1, 2)", json!([1, 2])),
            ("()", json!([])),
            ("1,2", json!([1, 2])),
            ("1,", json!([1])),
            ("a,b", json!("a,b")),
            ("{'a': 1, 2: [3]}", json!({"a": 1, "2": [3]})),
            ("{1, 2}", json!([1, 2])),
            ("{'a': 1, 2}", json!("{'a': 1, 2}")),
            ("{}", json!({})),
            ("5 # five", json!(5)),
            ("five # 5", json!("five # 5")),
            ("", json!("")),
            ("...", json!("...")),
            ("5 5", json!("5 5")),
            ("'a' + 'b'", json!("'a' + 'b'")),
            ("-'a'", json!("-'a'")),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
