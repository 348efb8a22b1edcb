//! What a plain word of YAML 1.1 means: PyYAML's resolver, which Ansible and ClusterShell use.

use serde_json::{Number, Value};

/// Resolves a plain word. Dates stay texts.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    if !text.starts_with(numeric) {
        return Value::String(text.to_owned());
    }
    let number = integer(text).map(Value::from).or_else(|| float(text));
    number.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn only(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '_' || allowed(c))
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = signed(text);
    let plain = digits.replace('_', "");
    let parse = |digits: &str, radix: u32| i64::from_str_radix(digits, radix).ok();
    let value = if let Some(bits) = digits.strip_prefix("0b") {
        only(bits, |c| matches!(c, '0' | '1')).then(|| parse(plain.get(2..)?, 2))?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        only(hex, |c| c.is_ascii_hexdigit()).then(|| parse(plain.get(2..)?, 16))?
    } else if digits.contains(':') {
        sexagesimal(&plain)
    } else if digits.starts_with('0') && digits.len() > 1 {
        only(digits, |c| ('0'..='7').contains(&c)).then(|| parse(&plain, 8))?
    } else {
        (only(digits, |c| c.is_ascii_digit()) && !digits.starts_with('_')).then(|| parse(&plain, 10))?
    }?;
    Some(if negative { -value } else { value })
}

/// `1:30` is 90; the parts behind the first are below 60.
fn sexagesimal(digits: &str) -> Option<i64> {
    let mut parts = digits.split(':');
    let first = parts.next()?;
    if first.starts_with('0') || !only(first, |c| c.is_ascii_digit()) {
        return None;
    }
    parts.try_fold(first.parse::<i64>().ok()?, |sum, part| {
        let short = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let part = part.parse::<i64>().ok().filter(|part| short && *part < 60)?;
        sum.checked_mul(60)?.checked_add(part)
    })
}

fn float(text: &str) -> Option<Value> {
    let (negative, rest) = signed(text);
    let (whole, behind) = rest.split_once('.')?;
    let (fraction, exponent) = match behind.find(['e', 'E']) {
        None => (behind, None),
        Some(at) => (behind.get(..at)?, behind.get(at + 1..)),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let signed_exponent = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|e| !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()))
    });
    // Without digits before the point there must be some behind it, and then there is no sign.
    let fits = if whole.is_empty() { begins(fraction) && rest.len() == text.len() } else { begins(whole) };
    if !fits || !digits(whole) || !digits(fraction) || !signed_exponent {
        return None;
    }
    let value: f64 = format!("0{rest}").replace('_', "").parse().ok()?;
    Number::from_f64(if negative { -value } else { value }).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_words_are_what_pyyaml_makes_of_them() {
        let cases = [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!("y")),
            ("~", json!(null)),
            ("12", json!(12)),
            ("-1_000", json!(-1000)),
            ("0644", json!(420)),
            ("0888", json!("0888")),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("0o17", json!("0o17")),
            ("22:22", json!(1342)),
            ("1:99", json!("1:99")),
            ("1.5", json!(1.5)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("1e5", json!("1e5")),
            ("1.0e+2", json!(100.0)),
            ("1.2.3.4", json!("1.2.3.4")),
            ("2024-10-11", json!("2024-10-11")),
            ("-", json!("-")),
            ("web1", json!("web1")),
        ];
        for (text, value) in cases {
            assert_eq!(resolve(text), value, "{text}");
        }
    }
}
