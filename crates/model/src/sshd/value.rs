//! What values of sshd_config(5) look like.

use super::network::{SshdNetwork, SshdNetworkError};
use super::words::sshd_words;

/// The longest time sshd takes, in seconds.
const LONGEST: u64 = i32::MAX as u64;

/// The kind of value a keyword takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshdValue {
    /// `yes` or `no`, in any case.
    Flag,
    /// One of some words, in any case.
    Words(&'static [&'static str]),
    /// One of some words, as written.
    ExactWords(&'static [&'static str]),
    /// One or more of some words, in any case.
    Options(&'static [&'static str]),
    /// A whole number from 0 to 2147483647.
    Number,
    /// The same, or `none`.
    NumberOrNone,
    /// A time (TIME FORMATS), up to 2147483647 seconds.
    Time {
        /// Whether `none` is one, too.
        none: bool,
    },
    /// A port.
    Port,
    /// One word of any kind.
    Word,
    /// The path of a file or folder, or `none`.
    Path,
    /// One or more paths or patterns of paths.
    Paths,
    /// An absolute path with arguments, or `none`.
    Program,
    /// The rest of the line.
    Text,
    /// Algorithms, separated by commas, behind an optional `+`, `-` or `^`.
    Algorithms {
        /// Whether wildcards are allowed also where nothing is taken away.
        patterns: bool,
    },
    /// Patterns for users, each with an optional `@` and host or network.
    Users,
    /// Patterns for groups.
    Groups,
    /// Patterns for names of environment variables.
    EnvNames,
    /// `NAME=VALUE`, one or more.
    EnvValues,
    /// Lists of authentication methods.
    Methods,
    /// An address with an optional port.
    Listen,
    /// `start:rate:full`, or one number.
    Startups,
    /// Bits of IPv4 and, behind a colon, of IPv6 addresses.
    NetBlock,
    /// An amount of data and a time.
    Rekey,
    /// An octal mode.
    Mask,
    /// One or two service classes.
    Qos,
    /// A name and a command.
    Subsystem,
    /// `host:port`, one or more, or `any`, or `none`.
    Forwards {
        /// Whether a port is enough.
        port_alone: bool,
    },
    /// `type=time`, one or more, or `none`.
    ChannelTimeouts,
    /// `yes`, `no`, or `penalty:time`, one or more.
    Penalties,
    /// Addresses and networks, separated by commas, or `none`.
    Networks,
}

impl SshdValue {
    /// Checks a value as it stands in the file.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("must be one line without control characters".to_owned());
        }
        let words = sshd_words(value).ok_or("has a quote that is not closed")?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() || value.trim_start().starts_with('#') {
            return Err("must have a value".to_owned());
        }
        let good = match (self, words.as_slice()) {
            (Self::Text, _) => true,
            (Self::Program, [program, ..]) => program.starts_with('/') || words == ["none"],
            (Self::Rekey, [data]) => rekey_data(data),
            (Self::Rekey, [data, time]) => {
                rekey_data(data) && (*time == "none" || sshd_seconds(time).is_some())
            }
            (Self::Qos, [one]) => service_class(one),
            (Self::Qos, [one, two]) => service_class(one) && service_class(two),
            (Self::Subsystem, [_, _, ..]) => true,
            (Self::Methods, lists) => methods(lists),
            (Self::ChannelTimeouts | Self::Forwards { .. }, ["none"]) => true,
            (Self::Forwards { .. }, ["any"]) => true,
            (Self::Penalties, [one]) if is_in(one, &["yes", "no"]) => true,
            (Self::Listen, [address]) => listen(address),
            (Self::Listen, [address, rdomain, _]) => listen(address) && *rdomain == "rdomain",
            (_, [one]) if !self.is_list() => self.takes(one),
            (_, many) => self.is_list() && many.iter().all(|word| self.takes(word)),
        };
        if good { Ok(()) } else { Err(format!("must be {}", self.allowed())) }
    }

    /// Whether several words are taken, each on its own.
    fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Options(_)
                | Self::Paths
                | Self::Users
                | Self::Groups
                | Self::EnvNames
                | Self::EnvValues
                | Self::Forwards { .. }
                | Self::ChannelTimeouts
                | Self::Penalties
        )
    }

    /// Whether one word is taken.
    fn takes(&self, word: &str) -> bool {
        match self {
            Self::Flag => is_in(word, &["yes", "no"]),
            Self::Words(known) | Self::Options(known) => is_in(word, known),
            Self::ExactWords(known) => known.contains(&word),
            Self::Number => number(word, LONGEST).is_some(),
            Self::NumberOrNone => word == "none" || number(word, LONGEST).is_some(),
            Self::Time { none } => (*none && word == "none") || sshd_seconds(word).is_some(),
            Self::Port => number(word, 65535).is_some_and(|port| port > 0),
            Self::Path => !word.is_empty(),
            Self::Algorithms { patterns } => algorithms(word, *patterns),
            Self::Users => user(word),
            Self::EnvNames => !word.is_empty() && !word.contains('='),
            Self::EnvValues => word.split_once('=').is_some_and(|(name, _)| !name.is_empty()),
            Self::Startups => startups(word),
            Self::NetBlock => net_block(word),
            Self::Mask => {
                u32::from_str_radix(word, 8).is_ok_and(|mode| mode <= 0o777) && !word.starts_with('+')
            }
            Self::Forwards { port_alone } => forward(word, *port_alone),
            Self::ChannelTimeouts => word
                .split_once('=')
                .is_some_and(|(kind, time)| !kind.is_empty() && sshd_seconds(time).is_some()),
            Self::Penalties => penalty(word),
            Self::Networks => {
                word == "none"
                    || word.split(',').all(|one| SshdNetwork::parse(one) != Err(SshdNetworkError::Mask))
            }
            Self::Word | Self::Paths | Self::Groups => !word.is_empty(),
            Self::Program
            | Self::Text
            | Self::Methods
            | Self::Listen
            | Self::Rekey
            | Self::Qos
            | Self::Subsystem => false,
        }
    }

    /// What is allowed, in words that go on after "must be".
    pub fn allowed(&self) -> String {
        let text = match self {
            Self::Flag => "yes or no",
            Self::Words(words) | Self::ExactWords(words) => return alternatives(words),
            Self::Options(words) => return format!("one or more of {}", alternatives(words)),
            Self::Number => "a whole number from 0 to 2147483647",
            Self::NumberOrNone => "a whole number from 0 to 2147483647, or none",
            Self::Time { none: false } => "a time like 60, 1m30s, 2h or 1d (at most 2147483647 seconds)",
            Self::Time { none: true } => {
                "a time like 60, 1m30s, 2h or 1d (at most 2147483647 seconds), or none"
            }
            Self::Port => "a port from 1 to 65535",
            Self::Word => "one word",
            Self::Path => "one path, or none",
            Self::Paths => "one or more paths",
            Self::Program => "a program with its absolute path and its arguments, or none",
            Self::Text => "a text",
            Self::Algorithms { patterns: true } => {
                "names or patterns of algorithms, separated by commas, behind an optional +, - or ^"
            }
            Self::Algorithms { patterns: false } => {
                "names of algorithms, separated by commas, behind an optional +, - or ^ (wildcards only behind -)"
            }
            Self::Users => "patterns like deploy, adm*, !guest or root@192.0.2.0/24, separated by spaces",
            Self::Groups => "patterns like staff or adm*, separated by spaces",
            Self::EnvNames => "names of variables like LANG or LC_*, separated by spaces",
            Self::EnvValues => "NAME=VALUE, one or more",
            Self::Methods => {
                "any, or lists like publickey,password of publickey, password, keyboard-interactive, hostbased, \
                 gssapi-with-mic and none"
            }
            Self::Listen => "an address or name like 192.0.2.1, 192.0.2.1:22 or [2001:db8::1]:22",
            Self::Startups => {
                "a number, or start:rate:full like 10:30:100 (start ≤ full, rate from 1 to 100)"
            }
            Self::NetBlock => "bits of IPv4 and IPv6 addresses like 24:64 (at most 32:128)",
            Self::Rekey => {
                "an amount of data like 1G (at least 16 bytes) or default, and optionally a time or none"
            }
            Self::Mask => "an octal mode from 0 to 0777",
            Self::Qos => "one or two of af11 … af43, cs0 … cs7, ef, le, none, a number from 0 to 255",
            Self::Subsystem => "a name and a command like sftp internal-sftp",
            Self::Forwards { port_alone: false } => "host:port, one or more, or any, or none",
            Self::Forwards { port_alone: true } => "port or host:port, one or more, or any, or none",
            Self::ChannelTimeouts => "type=time like session:*=5m, one or more, or none",
            Self::Penalties => "yes, no, or penalties like authfail:5s max:10m, one or more",
            Self::Networks => "addresses and networks like 192.0.2.0/24, separated by commas, or none",
        };
        text.to_owned()
    }
}

/// `yes, no or all`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [head @ .., last] if !head.is_empty() => format!("{} or {last}", head.join(", ")),
        _ => words.concat(),
    }
}

fn is_in(word: &str, known: &[&str]) -> bool {
    known.iter().any(|k| k.eq_ignore_ascii_case(word))
}

fn number(word: &str, most: u64) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten().filter(|n| *n <= most)
}

/// Reads a time (sshd_config(5), TIME FORMATS): seconds, or a sequence like `1h30m`; none when it is none, or too long.
pub fn sshd_seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count = number(rest.get(..end)?, LONGEST)?;
        let mut chars = rest.get(end..)?.chars();
        let unit = match chars.next().map(|c| c.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(count.checked_mul(unit)?).filter(|total| *total <= LONGEST)?;
        rest = chars.as_str();
    }
    Some(total)
}

fn rekey_data(word: &str) -> bool {
    if word == "default" {
        return true;
    }
    let digits = word.trim_end_matches(|c: char| matches!(c.to_ascii_lowercase(), 'k' | 'm' | 'g'));
    let unit = word.len() - digits.len();
    unit <= 1 && number(digits, u64::from(u32::MAX)).is_some_and(|n| n == 0 || unit == 1 || n >= 16)
}

fn service_class(word: &str) -> bool {
    const NAMES: &[&str] = &[
        "af11",
        "af12",
        "af13",
        "af21",
        "af22",
        "af23",
        "af31",
        "af32",
        "af33",
        "af41",
        "af42",
        "af43",
        "cs0",
        "cs1",
        "cs2",
        "cs3",
        "cs4",
        "cs5",
        "cs6",
        "cs7",
        "ef",
        "le",
        "lowdelay",
        "throughput",
        "reliability",
        "none",
    ];
    is_in(word, NAMES) || number(word, 255).is_some()
}

fn methods(lists: &[&str]) -> bool {
    const NAMES: &[&str] =
        &["publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "none"];
    let known = |method: &str| {
        let (name, device) = method.split_once(':').map_or((method, None), |(n, d)| (n, Some(d)));
        NAMES.contains(&name) && (device.is_none() || name == "keyboard-interactive")
    };
    lists == ["any"] || lists.iter().all(|list| list.split(',').all(known))
}

fn algorithms(word: &str, patterns: bool) -> bool {
    let removes = word.starts_with('-');
    let names = word.strip_prefix(['+', '-', '^']).unwrap_or(word);
    let name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '@' | '_' | '+');
        let wild = |c: char| (patterns || removes) && matches!(c, '*' | '?' | '!');
        !name.is_empty() && name.chars().all(|c| plain(c) || wild(c))
    };
    names.split(',').all(name)
}

fn user(word: &str) -> bool {
    let Some((_, hosts)) = word.rsplit_once('@') else { return !word.is_empty() };
    let host = |host: &str| {
        let host = host.strip_prefix('!').unwrap_or(host);
        !host.is_empty() && SshdNetwork::parse(host) != Err(SshdNetworkError::Mask)
    };
    hosts.split(',').all(host)
}

fn startups(word: &str) -> bool {
    let parts: Option<Vec<u64>> = word.split(':').map(|part| number(part, LONGEST)).collect();
    match parts.as_deref() {
        Some([start]) => *start > 0,
        Some([start, rate, full]) => *start > 0 && start <= full && (1..=100).contains(rate),
        _ => false,
    }
}

fn net_block(word: &str) -> bool {
    let (v4, v6) = word.split_once(':').map_or((word, None), |(v4, v6)| (v4, Some(v6)));
    number(v4, 32).is_some() && v6.is_none_or(|v6| number(v6, 128).is_some())
}

fn forward(word: &str, port_alone: bool) -> bool {
    let port = |port: &str| port == "*" || number(port, 65535).is_some_and(|port| port > 0);
    match word.rsplit_once(':') {
        None => port_alone && port(word),
        Some((host, number)) => {
            let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
            port(number) && !host.is_empty() && (bracketed || !host.contains(':'))
        }
    }
}

fn listen(word: &str) -> bool {
    let port = |port: &str| number(port, 65535).is_some_and(|port| port > 0);
    if let Some(rest) = word.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(host, rest)| {
            !host.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port))
        });
    }
    match word.matches(':').count() {
        0 => !word.is_empty(),
        1 => word.split_once(':').is_some_and(|(host, number)| !host.is_empty() && port(number)),
        _ => SshdNetwork::parse(word).is_ok() && !word.contains('/'),
    }
}

fn penalty(word: &str) -> bool {
    const TIMES: &[&str] =
        &["crash", "authfail", "refuseconnection", "noauth", "grace-exceeded", "max", "min"];
    match word.split_once(':') {
        Some(("max-sources4" | "max-sources6", count)) => number(count, LONGEST).is_some(),
        Some(("overflow" | "overflow6", mode)) => matches!(mode, "deny-all" | "permissive"),
        Some((name, time)) => TIMES.contains(&name) && sshd_seconds(time).is_some(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
