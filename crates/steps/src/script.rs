//! Which program runs a script that is sent as a text.

use crate::error::StepError;

/// What precedes an interpreter's name and hands over to it.
const STARTERS: [&str; 3] = ["env", "busybox", "toybox"];

/// Named like a shell, without a shell's `-c`.
const NO_SHELLS: [&str; 4] = ["tclsh", "wish", "jimsh", "nix-shell"];

/// The words that run a script: by the interpreter that its first line names (`#!`), else by sh.
///
/// # Errors
/// When that interpreter is not known to take a script as an argument (awk, sed, make), or when the script begins with a
/// byte order mark, behind which no `#!` is seen.
pub fn script_words(script: &str, name: &str, args: &[String]) -> Result<Vec<String>, StepError> {
    if script.starts_with('\u{feff}') {
        return Err(StepError::Script { text: "it begins with a byte order mark".to_owned() });
    }
    let first = script.lines().next().unwrap_or_default();
    let mut words: Vec<String> = match first.strip_prefix("#!") {
        Some(named) => named.split_whitespace().filter(|word| *word != "-S").map(str::to_owned).collect(),
        None => Vec::new(),
    };
    // `#!/bin/sh -` ends the options, and ours come behind.
    while words.last().is_some_and(|word| matches!(word.as_str(), "-" | "--")) {
        words.pop();
    }
    if words.is_empty() {
        words.push("sh".to_owned());
    }
    let interpreter = interpreter(&words).to_owned();
    let taking = Taking::of(&interpreter)
        .ok_or_else(|| StepError::Script { text: format!("{interpreter} takes no script as an argument") })?;
    words.push(if taking == Taking::ByE { "-e" } else { "-c" }.to_owned());
    words.push(script.to_owned());
    match taking {
        Taking::ByE => words.push("--".to_owned()),
        Taking::Shell => words.push(name.to_owned()),
        Taking::ByC => {}
    }
    words.extend_from_slice(args);
    Ok(words)
}

/// The interpreter's name: behind `env`, its options and its variables.
fn interpreter(words: &[String]) -> &str {
    let names = words.iter().filter(|word| !word.starts_with('-') && !word.contains('='));
    let mut names = names.filter_map(|word| word.rsplit('/').next());
    names.find(|name| !STARTERS.contains(name)).unwrap_or("env")
}

/// How an interpreter takes a script as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// `-c TEXT NAME ARGS`
    Shell,
    /// `-c TEXT ARGS`
    ByC,
    /// `-e TEXT -- ARGS`
    ByE,
}

impl Taking {
    fn of(interpreter: &str) -> Option<Self> {
        let begins = |known: &[&str]| known.iter().any(|known| interpreter.starts_with(known));
        if begins(&["perl", "ruby", "node"]) {
            Some(Self::ByE)
        } else if interpreter.contains("python") || begins(&["pypy", "expect"]) {
            Some(Self::ByC)
        } else if NO_SHELLS.iter().any(|name| interpreter.starts_with(name)) {
            None
        } else {
            // ksh93, zsh-5.9
            let end = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | '-');
            interpreter.trim_end_matches(end).ends_with("sh").then_some(Self::Shell)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(first: &str) -> String {
        let script = format!("{first}\nbody");
        match script_words(&script, "fix", &["-a".to_owned()]) {
            Ok(words) => {
                words.iter().map(|word| word.replace(&script, "SCRIPT")).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("failed to {error}"),
        }
    }

    #[test]
    fn scripts_are_run_by_what_they_name() {
        let firsts = [
            "echo",
            "#!/bin/sh -e",
            "#!/bin/bash -",
            "#!/bin/busybox sh",
            "#!/bin/ksh93",
            "#!/usr/bin/env bash",
            "#!/usr/bin/env -S python3 -u",
            "#!/usr/bin/env -S A=b python3",
            "#!/usr/bin/perl",
        ];
        insta::assert_snapshot!(firsts.map(words).join("\n"));
    }

    #[test]
    fn what_would_not_run_them_is_not_started() {
        let firsts = [
            "#!/usr/bin/awk -f",
            "#!/usr/bin/env -S sed -nf",
            "#!/usr/bin/tclsh8.6",
            "#!/usr/bin/env",
            "\u{feff}#!/bin/sh",
        ];
        insta::assert_snapshot!(firsts.map(words).join("\n"));
    }
}
