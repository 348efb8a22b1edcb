//! The command line before it is read: the variables of the playbook that it names are options of `run` and `plan`.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command, CommandFactory};
use pipedown_plan::{Playbook, Variable};
use serde_json::Value;

use crate::cli::Cli;
use crate::stop::Stop;

/// The commands whose first argument is a playbook.
pub const COMMANDS: [&str; 2] = ["run", "plan"];
/// What the ids of variables begin with, among those of other options.
const PREFIX: &str = "var.";

/// The command line, ready to be read.
pub struct Prepared {
    /// The options that there are, the playbook's variables among them.
    pub command: Command,
    /// What was typed.
    pub args: Vec<OsString>,
    /// Why the playbook is not known; then its variables are not, either.
    pub problem: Option<Stop>,
}

/// Finds out which playbook is meant, and makes its variables options.
pub fn prepare(args: Vec<OsString>, find: impl Fn(&str) -> Result<Option<Playbook>, Stop>) -> Prepared {
    let plain = |args| Prepared { command: Cli::command(), args, problem: None };
    let mut shape = Cli::command();
    shape.build();
    let Some((name, playbook)) = named(&shape, &args) else { return plain(args) };
    match find(&playbook) {
        Ok(None) => plain(args),
        Err(problem) => Prepared { problem: Some(problem), ..plain(args) },
        Ok(Some(playbook)) => {
            let taken = shape.find_subcommand(&name);
            let free = |var: &&Variable| taken.is_none_or(|known| long(known, &flag(&var.name)).is_none());
            let vars: Vec<&Variable> = playbook.vars().iter().filter(free).collect();
            let heading = lasting(format!("Variables of {}", playbook.name()));
            let options = vars.iter().map(|var| option(var).help_heading(heading));
            let command = Cli::command().mut_subcommand(&name, |sub| sub.args(options));
            Prepared { command, args: with_values(args, &vars), problem: None }
        }
    }
}

/// Makes the variables of all these playbooks options, each once: for completions, which are written before a playbook
/// is named.
pub fn with_variables(command: Command, playbooks: &[Playbook]) -> Command {
    playbooks.iter().flat_map(Playbook::vars).fold(command, |command, var| {
        if long(&command, &flag(&var.name)).is_some() { command } else { command.arg(option(var)) }
    })
}

/// The value that an option gave a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flagged {
    /// The variable.
    pub name: String,
    /// The option, with its dashes.
    pub flag: String,
    /// The value.
    pub value: String,
}

/// The variables among what was read.
pub fn flagged(matches: &clap::ArgMatches) -> Vec<Flagged> {
    let value = |id: &clap::Id| {
        let name = id.as_str().strip_prefix(PREFIX)?;
        let value = matches.get_one::<String>(id.as_str())?;
        Some(Flagged { name: name.to_owned(), flag: format!("--{}", flag(name)), value: value.clone() })
    };
    matches.ids().filter_map(value).collect()
}

/// Options have dashes where names have underscores.
fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// Names of options live as long as the process, which reads one command line.
fn lasting(name: String) -> &'static str {
    name.leak()
}

/// A variable as an option.
fn option(var: &Variable) -> Arg {
    let (value_name, default) = match &var.default {
        Some(Value::Bool(value)) => ("yes|no", if *value { "yes" } else { "no" }.to_owned()),
        Some(Value::Number(value)) => ("N", value.to_string()),
        Some(Value::String(value)) => ("VALUE", value.clone()),
        _ => ("VALUE", String::new()),
    };
    let note = match (&var.default, default.as_str()) {
        (None, _) => " [required]".to_owned(),
        (Some(_), "") => String::new(),
        (Some(_), default) => format!(" [default: {default}]"),
    };
    let mut option = Arg::new(lasting(format!("{PREFIX}{}", var.name)))
        .long(lasting(flag(&var.name)))
        .value_name(value_name)
        .help(format!("{}{note}", var.help).trim().to_owned())
        .action(ArgAction::Set)
        .allow_negative_numbers(true);
    if var.name.contains('_') {
        option = option.alias(lasting(var.name.clone()));
    }
    option
}

/// The subcommand and the playbook that it names.
fn named(shape: &Command, args: &[OsString]) -> Option<(String, String)> {
    let mut words = args.iter().skip(1);
    let name = loop {
        let word = words.next()?.to_str()?;
        if !word.starts_with('-') {
            break word;
        }
        if read_option(shape, word) == Takes::Next {
            words.next();
        }
    };
    let known = COMMANDS.contains(&name).then(|| shape.find_subcommand(name)).flatten()?;
    let playbook = first_word(known, words.map(OsString::as_os_str))?;
    Some((name.to_owned(), playbook.to_str()?.to_owned()))
}

/// The first argument that is neither an option nor a known option's value; one behind an unknown option only when
/// there is no other.
fn first_word<'a>(known: &Command, words: impl Iterator<Item = &'a OsStr>) -> Option<&'a OsStr> {
    let mut words = words.peekable();
    let mut perhaps = None;
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            return words.next().or(perhaps);
        }
        if !text.starts_with('-') || text == "-" {
            return Some(word);
        }
        match read_option(known, text) {
            Takes::Nothing => {}
            Takes::Next => {
                words.next();
            }
            Takes::Unknown => {
                let value = words.next_if(|next| !next.to_str().is_some_and(|next| next.starts_with('-')));
                perhaps = perhaps.or(value);
            }
        }
    }
    perhaps
}

/// What follows an option.
#[derive(PartialEq, Eq)]
enum Takes {
    Nothing,
    Next,
    Unknown,
}

fn read_option(known: &Command, word: &str) -> Takes {
    let next = |arg: &Arg| if arg.get_action().takes_values() { Takes::Next } else { Takes::Nothing };
    if let Some(name) = word.strip_prefix("--") {
        return match name.split_once('=') {
            Some(_) => Takes::Nothing,
            None => long(known, name).map_or(Takes::Unknown, next),
        };
    }
    let mut letters = word.chars().skip(1);
    while let Some(letter) = letters.next() {
        match known.get_arguments().find(|arg| arg.get_short() == Some(letter)) {
            None => return Takes::Nothing,
            // The rest of the word is its value.
            Some(arg) if arg.get_action().takes_values() => {
                return if letters.next().is_some() { Takes::Nothing } else { Takes::Next };
            }
            Some(_) => {}
        }
    }
    Takes::Nothing
}

fn long<'a>(known: &'a Command, name: &str) -> Option<&'a Arg> {
    known.get_arguments().find(|arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    })
}

/// Gives options that stand for yes or no their value, where only the option was typed.
fn with_values(args: Vec<OsString>, vars: &[&Variable]) -> Vec<OsString> {
    const TRUTHS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "1", "0"];
    let is_switch = |word: &str| {
        let name = word.strip_prefix("--").unwrap_or_default();
        let mut switches = vars.iter().filter(|var| matches!(var.default, Some(Value::Bool(_))));
        switches.any(|var| var.name == name || flag(&var.name) == name)
    };
    let mut given = Vec::with_capacity(args.len());
    let mut words = args.into_iter().peekable();
    let mut options = true;
    while let Some(word) = words.next() {
        options &= word != "--";
        let switch = options && word.to_str().is_some_and(is_switch);
        let valued = words
            .peek()
            .and_then(|next| next.to_str())
            .is_some_and(|next| TRUTHS.iter().any(|truth| truth.eq_ignore_ascii_case(next)));
        let mut word = word;
        if switch && !valued {
            word.push("=yes");
        }
        given.push(word);
    }
    given
}

#[cfg(test)]
mod tests;
