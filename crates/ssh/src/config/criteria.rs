//! The conditions of a `Match` line.

use super::words::delimited;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) test: Test,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    All,
    /// `final`, and `canonical`: the second pass.
    Final {
        asks: bool,
    },
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    Tagged(String),
    Exec(String),
    /// What cannot be told here; the word.
    Unknown(&'static str),
}

impl Criterion {
    /// The word of a condition that cannot be told here.
    pub(super) fn unknown_here(&self) -> Option<&'static str> {
        match self.test {
            Test::Unknown(word) => Some(word),
            _ => None,
        }
    }
}

/// Reads the conditions of a line.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn parse_criteria(text: &str) -> Result<Vec<Criterion>, String> {
    let mut criteria = Vec::new();
    let mut rest = text;
    while let Some(word) = delimited(&mut rest).filter(|word| !word.is_empty() && !word.starts_with('#')) {
        let (negated, name) = word.strip_prefix('!').map_or((false, word.as_str()), |name| (true, name));
        let name = name.to_ascii_lowercase();
        if name == "all" {
            let more = delimited(&mut rest).filter(|more| !more.is_empty() && !more.starts_with('#'));
            if criteria.len() > 1 || more.is_some() {
                return Err("`all` cannot be combined with other conditions".to_owned());
            }
            criteria.push(Criterion { negated, test: Test::All });
            return Ok(criteria);
        }
        let test = match name.as_str() {
            "final" => Test::Final { asks: true },
            "canonical" => Test::Final { asks: false },
            _ => with_argument(&name, delimited(&mut rest))?,
        };
        criteria.push(Criterion { negated, test });
    }
    if criteria.is_empty() {
        return Err("a condition is missing".to_owned());
    }
    Ok(criteria)
}

fn with_argument(name: &str, argument: Option<String>) -> Result<Test, String> {
    let makes: fn(String) -> Test = match name {
        "host" => Test::Host,
        "originalhost" => Test::OriginalHost,
        "user" => Test::User,
        "localuser" => Test::LocalUser,
        "tagged" => Test::Tagged,
        "exec" => Test::Exec,
        "localnetwork" => |_| Test::Unknown("localnetwork"),
        "sessiontype" => |_| Test::Unknown("sessiontype"),
        "command" => |_| Test::Unknown("command"),
        "version" => |_| Test::Unknown("version"),
        other => {
            return Err(format!(
                "{other:?} is none of all, canonical, exec, final, host, localuser, originalhost, tagged, user"
            ));
        }
    };
    let argument = argument.filter(|argument| !argument.is_empty() && !argument.starts_with('#'));
    argument.map(makes).ok_or_else(|| format!("`{name}` lacks its argument, or a quote has no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_or_refused() {
        let shown: Vec<String> = [
            "all",
            "!all",
            "final all",
            "host a all",
            "host a user b all",
            "all host a",
            "host=a,b !user \"c d\" # e",
            "HOST a",
            "host",
            "host #a",
            "# all",
            "exec \"test -f x\"",
            "exec \"test",
            "hosts a",
            "localnetwork 10.0.0.0/8",
            "final !canonical tagged x",
        ]
        .iter()
        .map(|text| format!("{text} => {:?}", parse_criteria(text)))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
