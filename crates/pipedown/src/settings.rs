//! `--set`, `--unset`, `--match` and `--file`: settings of sshd as they were typed, in their order.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use pipedown_plan::{Given, Source, first_match};

use crate::stop::Stop;

/// Heading of these options.
const HEADING: &str = "Settings of sshd, for playbooks that take them";

/// One of the options.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Set(String),
    Unset(String),
    Match(String),
    File(PathBuf),
}

/// The options, in the order in which they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingArgs(Vec<Said>);

/// What they make up; nothing where no such option was given.
#[derive(Debug, Default)]
pub struct Composed {
    /// Lines of sshd_config(5).
    pub settings: Option<Given>,
    /// Keywords to take away.
    pub unset: Option<Given>,
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut said: Vec<(usize, Said)> = Vec::new();
        for id in ["set", "unset", "match"] {
            let make = |text: &String| match id {
                "set" => Said::Set(text.clone()),
                "unset" => Said::Unset(text.clone()),
                _ => Said::Match(text.clone()),
            };
            let values = matches.get_many::<String>(id).into_iter().flatten().map(make);
            said.extend(matches.indices_of(id).into_iter().flatten().zip(values));
        }
        let files = matches.get_many::<PathBuf>("file").into_iter().flatten().cloned().map(Said::File);
        said.extend(matches.indices_of("file").into_iter().flatten().zip(files));
        said.sort_by_key(|(index, _)| *index);
        Ok(Self(said.into_iter().map(|(_, said)| said).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        let option = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .help(help)
                .help_heading(HEADING)
                .action(ArgAction::Append)
        };
        command.args([
            option(
                "set",
                "KEYWORD=VALUE",
                "Set a keyword of sshd_config(5); may be repeated, like the next three",
            ),
            option("unset", "KEYWORD", "Take away what an earlier run has set"),
            option("match", "CRITERIA", "The --set and --unset that follow hold for these only: 'User sftp'"),
            option("file", "FILE", "Set what a file in the syntax of sshd_config(5) says")
                .value_parser(value_parser!(PathBuf)),
        ])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl SettingArgs {
    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first option that adds lines, for errors.
    pub fn adds(&self) -> Option<&'static str> {
        self.0.iter().find_map(|said| match said {
            Said::Set(_) => Some("--set"),
            Said::File(_) => Some("--file"),
            Said::Unset(_) | Said::Match(_) => None,
        })
    }

    /// Whether something is to be taken away.
    pub fn takes_away(&self) -> bool {
        self.0.iter().any(|said| matches!(said, Said::Unset(_)))
    }

    /// Puts the options together: what holds for everyone first, whatever the order, since a block ends at the next
    /// one only.
    ///
    /// # Errors
    /// When an option cannot be meant so, or a file cannot be read.
    pub fn compose(&self) -> Result<Composed, Stop> {
        let mut making = Making::default();
        for said in &self.0 {
            match said {
                Said::Set(text) => making.set(text)?,
                Said::Unset(text) => making.unset(text)?,
                Said::Match(text) => making.open(text)?,
                Said::File(path) => making.file(path)?,
            }
        }
        making.close()?;
        Ok(Composed { settings: making.set.joined(), unset: making.unset.joined() })
    }
}

/// A text in two parts.
#[derive(Debug)]
struct Parts {
    everyone: Given,
    some: Given,
}

impl Default for Parts {
    fn default() -> Self {
        Self { everyone: Given::composed(), some: Given::composed() }
    }
}

impl Parts {
    fn joined(self) -> Option<Given> {
        let mut whole = self.everyone;
        whole.append(self.some);
        (!whole.text().is_empty()).then_some(whole)
    }
}

/// The criteria that hold for what follows.
#[derive(Debug)]
struct Block {
    criteria: Source,
    /// Whether the text has its `Match` line already: settings, and what is taken away.
    set: bool,
    unset: bool,
}

#[derive(Debug, Default)]
struct Making {
    set: Parts,
    unset: Parts,
    block: Option<Block>,
}

impl Making {
    fn set(&mut self, text: &str) -> Result<(), Stop> {
        let said = text.trim_start();
        if said.is_empty() || said.starts_with('#') || text.contains(['\n', '\r']) {
            return Err(Stop::usage(format!("--set {text:?}: write --set KEYWORD=VALUE"))
                .hint("--file FILE sets several lines at once"));
        }
        if first_match(text) < text.len() {
            return Err(Stop::usage(format!("--set {text:?}: `Match` begins a block, it is no setting"))
                .hint("--match 'User sftp' before the --set that hold for it"));
        }
        let source = Source::new("--set", text);
        line(
            &mut self.set,
            self.block.as_mut().map(|block| (&block.criteria, &mut block.set)),
            text,
            &source,
        );
        Ok(())
    }

    fn unset(&mut self, text: &str) -> Result<(), Stop> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '=' || c == '#';
        if text.is_empty() || text.contains(odd) || text.eq_ignore_ascii_case("match") {
            return Err(Stop::usage(format!("--unset {text:?}: write --unset KEYWORD")));
        }
        let source = Source::new("--unset", text);
        line(
            &mut self.unset,
            self.block.as_mut().map(|block| (&block.criteria, &mut block.unset)),
            text,
            &source,
        );
        Ok(())
    }

    fn open(&mut self, text: &str) -> Result<(), Stop> {
        self.close()?;
        if text.trim().is_empty() || text.contains(['\n', '\r']) {
            return Err(Stop::usage(format!("--match {text:?}: write --match 'User sftp'")));
        }
        self.block = Some(Block { criteria: Source::new("--match", text), set: false, unset: false });
        Ok(())
    }

    /// A file stands for itself: what follows it holds for everyone again.
    fn file(&mut self, path: &Path) -> Result<(), Stop> {
        self.close()?;
        let source = pipedown_plan::files::read(path)?;
        let text = source.text();
        let (everyone, some) = text.split_at_checked(first_match(text)).unwrap_or((text, ""));
        for (into, part, start) in
            [(&mut self.set.everyone, everyone, 0), (&mut self.set.some, some, everyone.len())]
        {
            if !part.is_empty() {
                into.push(part, &source, start);
                into.glue("\n");
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        match self.block.take() {
            Some(block) if !block.set && !block.unset => {
                let text = format!("--match {:?} has no --set or --unset behind it", block.criteria.text());
                Err(Stop::usage(text).hint("a --file ends what --match began"))
            }
            _ => Ok(()),
        }
    }
}

/// Adds a line, and before it the criteria that it stands under if the text does not have them yet.
fn line(parts: &mut Parts, block: Option<(&Source, &mut bool)>, text: &str, source: &Source) {
    let into = match block {
        None => &mut parts.everyone,
        Some((criteria, opened)) => {
            if !*opened {
                parts.some.glue("Match ");
                parts.some.push(criteria.text(), criteria, 0);
                parts.some.glue("\n");
                *opened = true;
            }
            &mut parts.some
        }
    };
    into.push(text, source, 0);
    into.glue("\n");
}

#[cfg(test)]
mod tests;
