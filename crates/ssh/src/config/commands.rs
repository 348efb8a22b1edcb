//! Commands of `Match exec`: run by the user's shell, each once.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What commands answered so far: thousands of hosts ask the same.
#[derive(Debug, Default)]
pub(super) struct Commands(Mutex<HashMap<String, bool>>);

impl Commands {
    /// Whether a command succeeds. Blocks.
    ///
    /// # Errors
    /// When it cannot be run, or a signal ends it; in words.
    pub(super) fn succeeds(&self, shell: &Path, command: &str) -> Result<bool, String> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(command) {
            return Ok(*known);
        }
        let mut run = Command::new(shell);
        run.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null());
        let status = run.status().map_err(|e| format!("{} cannot be run: {e}", shell.display()))?;
        if status.code().is_none() {
            return Err(format!("{command:?} was ended ({status})"));
        }
        let succeeded = status.success();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(command.to_owned(), succeeded);
        Ok(succeeded)
    }
}
