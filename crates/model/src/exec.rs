//! Commands that are run as they are typed: what they are, and how they end.

use serde::{Deserialize, Serialize};

use crate::{Failure, FailureClass, TextId};

/// A command that is run once, over a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExecStep {
    /// What is run.
    pub command: ExecCommand,
    /// Whether it is run as root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
    /// Whether it has standard input, which the process that runs it has at hand; it is not recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub input: bool,
    /// Seconds until the host ends its process group; none for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Bytes that it may print on each of its streams before it is ended.
    pub output_limit: u64,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecCommand {
    /// A line for sh.
    Line(TextId),
    /// A program with exactly these arguments; no shell.
    Argv(Vec<String>),
    /// A script, run by what its first line names, or by sh.
    Script {
        /// Its text.
        script: TextId,
        /// Its file's name, `$0`.
        name: String,
        /// `$1`, `$2`, …
        args: Vec<String>,
    },
}

/// How a command ended of which everything is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum CommandEnd {
    /// By itself.
    Exit {
        /// Its status; 0 is success.
        status: u32,
    },
    /// By a signal.
    Signal {
        /// Its name, without `SIG`.
        name: String,
    },
    /// By its deadline.
    Deadline {
        /// Seconds that it had.
        after_s: u32,
    },
    /// Because it printed more than it may.
    Flood {
        /// Bytes that it might have printed on each stream.
        limit: u64,
    },
}

impl CommandEnd {
    /// Whether the command succeeded.
    pub fn is_success(&self) -> bool {
        *self == Self::Exit { status: 0 }
    }

    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<Failure> {
        let failure = match self {
            Self::Exit { status: 0 } => return None,
            Self::Exit { status } => {
                let failure = Failure::new(FailureClass::Step, format!("run the command: status {status}"));
                match status {
                    126 => failure.with_hint("the host found it, and could not run it: is it executable?"),
                    127 => failure.with_hint("the host has no such command, or not on its PATH"),
                    _ => failure,
                }
            }
            Self::Signal { name } => {
                Failure::new(FailureClass::Step, format!("run the command: ended by signal {name}"))
            }
            Self::Deadline { after_s } => {
                let text = format!("finish the command within {after_s} s: the host was to end it then");
                Failure::new(FailureClass::Deadline, text).with_hint("--timeout gives it longer")
            }
            Self::Flood { limit } => {
                let text = format!("run the command: ended, for it printed more than {limit} bytes");
                Failure::new(FailureClass::Step, text).with_hint("--output-limit allows more")
            }
        };
        Some(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_status_0_is_no_failure() {
        let ends = [
            CommandEnd::Exit { status: 0 },
            CommandEnd::Exit { status: 1 },
            CommandEnd::Exit { status: 127 },
            CommandEnd::Signal { name: "KILL".to_owned() },
            CommandEnd::Deadline { after_s: 30 },
            CommandEnd::Flood { limit: 16 << 20 },
        ];
        let said: Vec<String> = ends
            .iter()
            .map(|end| {
                let failure = end.failure();
                assert_eq!(failure.is_none(), end.is_success());
                failure.map_or_else(|| "success".to_owned(), |f| format!("{:?}: {}", f.class, f.text))
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
