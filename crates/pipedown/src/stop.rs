//! Why a command ends before or instead of its work, and with which exit code.

use pipedown_engine::EngineError;
use pipedown_model::ExitCode;
use pipedown_plan::{InputError, PlanError};
use pipedown_ssh::ConfigError;

const NO_INVENTORY: &str =
    "-i FILE names one; `exec`, and `hosts SET` with --expand, --fold or --count, take plain names without";

/// A message for the user and an exit code.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub code: ExitCode,
    text: Text,
    hint: Option<String>,
}

#[derive(Debug)]
enum Text {
    /// A fragment that fits "failed to …".
    Failed(String),
    /// A whole sentence.
    Said(String),
    /// Rendered when it is known whether colours are wanted.
    Input(Box<InputError>),
    Plan(Box<PlanError>),
}

impl Stop {
    /// The command line cannot be meant so.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: ExitCode::Usage, text: Text::Said(text.into()), hint: None }
    }

    /// pipedown cannot do its work here.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { code: ExitCode::Internal, text: Text::Failed(text.into()), hint: None }
    }

    /// A gate or the user said no.
    pub fn refused(text: impl Into<String>) -> Self {
        Self { code: ExitCode::Stopped, text: Text::Said(text.into()), hint: None }
    }

    /// A file or a value in it is wrong.
    pub fn bad_input(text: impl Into<String>) -> Self {
        Self { code: ExitCode::BadInput, text: Text::Said(text.into()), hint: None }
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message as it is shown.
    pub fn render(&self, color: bool) -> String {
        let error = if color { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
        let mut text = match &self.text {
            Text::Failed(text) => format!("{error}: failed to {text}"),
            Text::Said(text) => format!("{error}: {text}"),
            Text::Input(input) => input.render(color).trim_end().to_owned(),
            Text::Plan(plan) => plan.render(color).trim_end().to_owned(),
        };
        if let Some(hint) = &self.hint {
            text.push_str("\n  hint: ");
            text.push_str(hint);
        }
        text
    }
}

impl From<InputError> for Stop {
    fn from(error: InputError) -> Self {
        // What was typed is a matter of usage, what is in a file is data.
        let code = if error.file().starts_with('-') || matches!(error.file(), "PLAYBOOK" | "SET") {
            ExitCode::Usage
        } else {
            ExitCode::BadInput
        };
        Self { code, text: Text::Input(Box::new(error)), hint: None }
    }
}

impl From<PlanError> for Stop {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Input(input) => input.into(),
            other => {
                let hint = matches!(other, PlanError::NoInventory { .. }).then(|| NO_INVENTORY.to_owned());
                Self { code: ExitCode::BadInput, text: Text::Plan(Box::new(other)), hint }
            }
        }
    }
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        let text = Text::Failed(pipedown_report::printable(&error.to_string()));
        Self { code: ExitCode::BadInput, text, hint: Some(error.hint().to_owned()) }
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            EngineError::NoSuchRun(..) => ExitCode::Usage,
            EngineError::Taken { .. } => ExitCode::Stopped,
            _ => ExitCode::Internal,
        };
        let hint = match &error {
            EngineError::NoSuchRun(..) => {
                Some("`pipedown runs` lists the runs recorded on this machine".to_owned())
            }
            EngineError::Taken { .. } => Some("wait for it, or end it with Ctrl-C there".to_owned()),
            _ => None,
        };
        Self { code, text: Text::Failed(error.to_string()), hint }
    }
}
