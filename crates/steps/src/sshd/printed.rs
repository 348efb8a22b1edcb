//! Values as `sshd -T` prints them.

use pipedown_model::{SshdKeyword, SshdValue, sshd_seconds, sshd_words};

use super::patterns::glob;

/// Whether printed lines say what a value of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// They do.
    Same,
    /// They say something else.
    Other,
    /// They cannot be compared.
    Unknown,
}

impl From<bool> for Printed {
    fn from(same: bool) -> Self {
        if same { Self::Same } else { Self::Other }
    }
}

/// Compares a value, as it stands in a file, with the lines sshd prints for its keyword.
pub(super) fn printed(keyword: &SshdKeyword, value: &str, lines: &[String]) -> Printed {
    let Some(words) = sshd_words(value) else { return Printed::Unknown };
    let joined = words.join(" ");
    if lines.is_empty() {
        // What is not set is not printed for some keywords.
        return if joined.eq_ignore_ascii_case("none") { Printed::Same } else { Printed::Unknown };
    }
    let one = |same: &dyn Fn(&str) -> bool| lines.iter().any(|line| same(line));
    match keyword.value {
        SshdValue::Flag | SshdValue::Words(_) | SshdValue::ExactWords(_) => {
            one(&|line| word(line) == word(&joined)).into()
        }
        SshdValue::Options(_) | SshdValue::Networks => one(&|line| line.eq_ignore_ascii_case(&joined)).into(),
        SshdValue::Number | SshdValue::NumberOrNone | SshdValue::Port => {
            one(&|line| number(line) == number(&joined)).into()
        }
        SshdValue::Time { .. } => one(&|line| seconds(line) == seconds(&joined)).into(),
        SshdValue::Users | SshdValue::Groups | SshdValue::EnvNames | SshdValue::EnvValues => {
            words.iter().all(|word| lines.contains(word)).into()
        }
        SshdValue::Paths if keyword.is("Include") => Printed::Unknown,
        SshdValue::Path => one(&|line| line == joined || relative(line, &joined)).into(),
        SshdValue::Text | SshdValue::Program => one(&|line| line == value.trim() || line == joined).into(),
        SshdValue::Paths | SshdValue::Word | SshdValue::Methods | SshdValue::Subsystem => {
            one(&|line| sshd_words(line).is_some_and(|have| have == words)).into()
        }
        SshdValue::Algorithms { .. } => one(&|line| algorithms(&joined, line)).into(),
        SshdValue::Listen => listen(&joined, lines),
        SshdValue::Startups => {
            let full = if joined.contains(':') { joined.clone() } else { format!("{joined}:30:{joined}") };
            one(&|line| line == full).into()
        }
        SshdValue::NetBlock => one(&|line| line == joined || line.starts_with(&format!("{joined}:"))).into(),
        SshdValue::Rekey => {
            one(&|line| rekey(&words) == sshd_words(line).and_then(|line| rekey(&line))).into()
        }
        SshdValue::Mask => {
            one(&|line| u32::from_str_radix(line, 8).ok() == u32::from_str_radix(&joined, 8).ok()).into()
        }
        SshdValue::Qos => qos(&words, lines),
        SshdValue::Forwards { .. } => {
            let want = words
                .iter()
                .map(|word| if number(word).is_some() { format!("*:{word}") } else { word.clone() });
            let have: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            want.into_iter().all(|want| have.contains(&want.as_str())).into()
        }
        SshdValue::ChannelTimeouts => all_in(&words, lines, '='),
        SshdValue::Penalties if joined.eq_ignore_ascii_case("yes") => one(&|line| line != "no").into(),
        SshdValue::Penalties => all_in(&words, lines, ':'),
    }
}

/// A word of an enumeration; of several that mean the same, the one sshd prints.
fn word(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "prohibit-password" => "without-password",
        "all" | "delayed" => "yes",
        "debug1" => "debug",
        "quiet" => "silent",
        other => other,
    }
    .to_owned()
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn seconds(text: &str) -> Option<u64> {
    if text == "none" { Some(0) } else { sshd_seconds(text) }
}

/// Whether a printed path is one that was written without its folder.
fn relative(line: &str, written: &str) -> bool {
    !written.starts_with('/') && line.starts_with('/') && line.ends_with(&format!("/{written}"))
}

/// A list with a sign in front changes the default list: whether the printed one shows that.
fn algorithms(written: &str, line: &str) -> bool {
    let names = written.strip_prefix(['+', '-', '^']).unwrap_or(written).split(',');
    let have: Vec<&str> = line.split(',').collect();
    let covered = |name: &str| have.iter().any(|have| glob(name, have));
    match written.chars().next() {
        Some('-') => !names.into_iter().any(covered),
        Some('^') => {
            let mut first = have.first().into_iter();
            names.take(1).all(|name| first.any(|have| glob(name, have)))
        }
        Some('+') => names.into_iter().all(covered),
        _ if written.contains(['*', '?', '!']) => {
            have.iter().all(|have| super::patterns::list(written, |pattern| glob(pattern, have)))
        }
        _ => {
            let mut want: Vec<&str> = Vec::new();
            for name in names {
                if !want.contains(&name) {
                    want.push(name);
                }
            }
            want == have
        }
    }
}

/// Names are printed as the addresses they stand for: only addresses can be compared.
fn listen(written: &str, lines: &[String]) -> Printed {
    let host = written.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(host, _)| host);
    let host = host.unwrap_or_else(|| match written.matches(':').count() {
        1 => written.split(':').next().unwrap_or(written),
        _ => written,
    });
    let Ok(address) = host.parse::<std::net::IpAddr>() else { return Printed::Unknown };
    let shown = if address.is_ipv6() { format!("[{address}]:") } else { format!("{address}:") };
    let port = written.rsplit_once(':').filter(|(before, _)| before.ends_with([']']) || address.is_ipv4());
    let shown = format!("{shown}{}", port.map_or("", |(_, port)| port));
    lines.iter().any(|line| if port.is_some() { *line == shown } else { line.starts_with(&shown) }).into()
}

/// Bytes and seconds; 0 stands for the default.
fn rekey(words: &[String]) -> Option<(u64, u64)> {
    let data = words.first()?.to_ascii_lowercase();
    let factor = match data.chars().last()? {
        'k' => 1 << 10,
        'm' => 1 << 20,
        'g' => 1 << 30,
        _ => 1,
    };
    let digits = data.trim_end_matches(['k', 'm', 'g']);
    let bytes: u64 = if data == "default" { 0 } else { digits.parse::<u64>().ok()?.checked_mul(factor)? };
    Some((bytes, words.get(1).map_or(Some(0), |time| seconds(time))?))
}

/// Names are compared; numbers are printed as names of classes that differ between releases.
fn qos(words: &[String], lines: &[String]) -> Printed {
    if words.iter().any(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        return Printed::Unknown;
    }
    let twice = [words.first(), words.get(1).or(words.first())];
    let want: Vec<String> = twice.into_iter().flatten().map(|word| word.to_ascii_lowercase()).collect();
    lines.iter().any(|line| *line == want.join(" ")).into()
}

/// Whether every `name=time` stands in the lines, however the time is written.
fn all_in(words: &[String], lines: &[String], sign: char) -> Printed {
    let pair = |word: &str| -> (String, Option<u64>, String) {
        let (name, value) = word.rsplit_once(sign).unwrap_or((word, ""));
        let time = sshd_seconds(value);
        (name.to_owned(), time, if time.is_some() { String::new() } else { value.to_owned() })
    };
    let have: Vec<_> = lines.iter().flat_map(|line| line.split_whitespace()).map(pair).collect();
    words.iter().all(|word| have.contains(&pair(word))).into()
}

#[cfg(test)]
mod tests;
