//! One line of an agenda: `EPOCH NOT_AFTER ACTION ARGS`.

use std::fmt;

use chrono::{DateTime, Utc};
use pipedown_model::{AtDeadline, OnFailure, ShutdownHow, StepId, TextId};

use crate::StepError;

/// What is done at a time. Texts are named by the hash of the bytes that lie on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A message to every terminal.
    Broadcast(TextId),
    /// nologin is put there, or taken away.
    Nologin(Option<TextId>),
    /// The motd is put there, or taken away.
    Motd(Option<TextId>),
    /// From here on it is watched who is left.
    Drain {
        /// Whether the host goes down as soon as nobody is.
        early: bool,
        /// What is done with those who are left at T.
        at_deadline: AtDeadline,
    },
    /// A script runs.
    Run {
        /// Its step.
        step: StepId,
        /// Seconds until its process group is killed.
        timeout_s: u32,
        /// Whether its failure calls the window off.
        on_failure: OnFailure,
        /// The script.
        script: TextId,
        /// The script whose success means that there is nothing to do.
        unless: Option<TextId>,
        /// The path whose existence means that there is nothing to do, as an argument's hash.
        creates: Option<TextId>,
        /// Hashes of its arguments.
        args: Vec<TextId>,
    },
    /// The host goes down.
    Shutdown {
        /// How.
        how: ShutdownHow,
        /// Whether logind's slot is filled too.
        logind: bool,
        /// What users are told when the window is called off.
        cancelled: TextId,
    },
    /// The window ends; nologin and motd become what they were.
    End,
}

impl Action {
    /// The word that stands for it in the agenda and on screens.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Broadcast(_) => "broadcast",
            Self::Nologin(_) => "nologin",
            Self::Motd(_) => "motd",
            Self::Drain { .. } => "drain",
            Self::Run { .. } => "run",
            Self::Shutdown { .. } => "shutdown",
            Self::End => "end",
        }
    }

    /// The text it shows, if it shows one.
    pub fn text(&self) -> Option<&TextId> {
        match self {
            Self::Broadcast(text) => Some(text),
            Self::Nologin(text) | Self::Motd(text) => text.as_ref(),
            Self::Drain { .. } | Self::Run { .. } | Self::Shutdown { .. } | Self::End => None,
        }
    }

    /// Entries of the same second are done in this order: what ends the window comes last.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Shutdown { .. } | Self::End => 1,
            _ => 0,
        }
    }
}

/// One entry of an agenda. Times are whole seconds since 1970: the host's `date +%s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: i64,
    /// Later than this it is left out.
    pub not_after: i64,
    /// What.
    pub action: Action,
}

impl Entry {
    /// When, as an instant.
    pub fn instant(&self) -> DateTime<Utc> {
        instant(self.at)
    }
}

/// An instant from whole seconds; times beyond chrono's range are cut to its ends.
pub(crate) fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or(if seconds < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}

fn or_dash(id: Option<&TextId>) -> String {
    id.map_or_else(|| "-".to_owned(), TextId::hex)
}

fn deadline_word(at_deadline: AtDeadline) -> &'static str {
    match at_deadline {
        AtDeadline::Shutdown => "shutdown",
        AtDeadline::Abort => "abort",
    }
}

fn failure_word(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Abort => "abort",
        OnFailure::Continue => "continue",
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.not_after, self.action.word())?;
        match &self.action {
            Action::Broadcast(text) => write!(f, " {text}"),
            Action::Nologin(text) | Action::Motd(text) => write!(f, " {}", or_dash(text.as_ref())),
            Action::Drain { early, at_deadline } => {
                let early = if *early { "yes" } else { "no" };
                write!(f, " {early} {}", deadline_word(*at_deadline))
            }
            Action::Run { step, timeout_s, on_failure, script, unless, creates, args } => {
                let on_failure = failure_word(*on_failure);
                write!(f, " {step} {timeout_s} {on_failure} {script}")?;
                write!(f, " {} {}", or_dash(unless.as_ref()), or_dash(creates.as_ref()))?;
                args.iter().try_for_each(|arg| write!(f, " {arg}"))
            }
            Action::Shutdown { how, logind, cancelled } => {
                write!(f, " {} {} {cancelled}", how.word(), if *logind { "logind" } else { "-" })
            }
            Action::End => Ok(()),
        }
    }
}

impl Entry {
    /// Reads one line of an agenda.
    ///
    /// # Errors
    /// [`StepError::Unread`] with the line, when it has another form.
    pub fn parse(line: &str) -> Result<Self, StepError> {
        let unread =
            || StepError::Unread { call: "look", line: line.to_owned(), wanted: "an agenda's entry" };
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
        let (Some(at), Some(not_after)) = (number(), number()) else { return Err(unread()) };
        let words: Vec<&str> = words.collect();
        let action = parse_action(&words).ok_or_else(unread)?;
        Ok(Self { at, not_after, action })
    }
}

fn text(word: &str) -> Option<TextId> {
    TextId::parse(word).ok()
}

/// `None` if it is not a hash; `Some(None)` for `-`.
fn dash_or_text(word: &str) -> Option<Option<TextId>> {
    if word == "-" { Some(None) } else { text(word).map(Some) }
}

fn parse_action(words: &[&str]) -> Option<Action> {
    Some(match words {
        ["broadcast", id] => Action::Broadcast(text(id)?),
        ["nologin", id] => Action::Nologin(dash_or_text(id)?),
        ["motd", id] => Action::Motd(dash_or_text(id)?),
        ["drain", early @ ("yes" | "no"), at_deadline @ ("shutdown" | "abort")] => Action::Drain {
            early: *early == "yes",
            at_deadline: if *at_deadline == "abort" { AtDeadline::Abort } else { AtDeadline::Shutdown },
        },
        ["run", step, timeout, on_failure @ ("abort" | "continue"), script, unless, creates, args @ ..] => {
            Action::Run {
                step: StepId::new(step).ok()?,
                timeout_s: timeout.parse().ok()?,
                on_failure: if *on_failure == "abort" { OnFailure::Abort } else { OnFailure::Continue },
                script: text(script)?,
                unless: dash_or_text(unless)?,
                creates: dash_or_text(creates)?,
                args: args.iter().map(|arg| text(arg)).collect::<Option<_>>()?,
            }
        }
        ["shutdown", how, logind @ ("logind" | "-"), cancelled] => Action::Shutdown {
            how: match *how {
                "poweroff" => ShutdownHow::Poweroff,
                "reboot" => ShutdownHow::Reboot,
                "halt" => ShutdownHow::Halt,
                _ => return None,
            },
            logind: *logind == "logind",
            cancelled: text(cancelled)?,
        },
        ["end"] => Action::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> impl Strategy<Value = TextId> {
        any::<[u8; 8]>().prop_map(|bytes| TextId::of(&bytes))
    }

    fn action() -> impl Strategy<Value = Action> {
        let drain = (any::<bool>(), any::<bool>()).prop_map(|(early, abort)| Action::Drain {
            early,
            at_deadline: if abort { AtDeadline::Abort } else { AtDeadline::Shutdown },
        });
        let parts = (any::<u32>(), any::<bool>(), id(), prop::option::of(id()), prop::option::of(id()));
        let run = (parts, prop::collection::vec(id(), 0..4)).prop_map(
            |((timeout_s, abort, script, unless, creates), args)| Action::Run {
                step: StepId::new("fsck-all").unwrap(),
                timeout_s,
                on_failure: if abort { OnFailure::Abort } else { OnFailure::Continue },
                script,
                unless,
                creates,
                args,
            },
        );
        let how =
            prop_oneof![Just(ShutdownHow::Poweroff), Just(ShutdownHow::Reboot), Just(ShutdownHow::Halt)];
        let shutdown = (how, any::<bool>(), id()).prop_map(|(how, logind, cancelled)| Action::Shutdown {
            how,
            logind,
            cancelled,
        });
        prop_oneof![
            id().prop_map(Action::Broadcast),
            prop::option::of(id()).prop_map(Action::Nologin),
            prop::option::of(id()).prop_map(Action::Motd),
            drain,
            run,
            shutdown,
            Just(Action::End),
        ]
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back_as_it_was(at: i64, not_after: i64, action in action()) {
            let entry = Entry { at, not_after, action };
            prop_assert_eq!(Entry::parse(&entry.to_string()).unwrap(), entry);
        }

        #[test]
        fn no_line_makes_the_reader_fall(line in "\\PC*") {
            let _ = Entry::parse(&line);
        }
    }

    #[test]
    fn what_is_not_an_entry_is_shown() {
        let error = Entry::parse("1 2 explode").unwrap_err();
        assert!(error.to_string().contains("1 2 explode"), "{error}");
    }
}
