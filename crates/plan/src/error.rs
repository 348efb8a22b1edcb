//! Errors of this crate.

use std::io;
use std::path::PathBuf;

use crate::InputError;

/// What keeps a plan from being made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Something in a text that a person wrote.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file that cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No inventory anywhere.
    #[error("find an inventory: looked for {}", looked.join(", "))]
    NoInventory {
        /// The places.
        looked: Vec<String>,
    },
    /// A plan that cannot be written as JSON.
    #[error("write the plan as JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

impl PlanError {
    /// Renders the error for a terminal: the place in the text if there is one.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Input(error) => error.render(color),
            other => format!("error: failed to {other}"),
        }
    }
}
