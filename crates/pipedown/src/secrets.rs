//! Secrets: asked once, kept in memory that is wiped, never shown.

use std::path::Path;
use std::process::{Command, Stdio};

use pipedown_ssh::Secrets;
use pipedown_steps::Secret;
use zeroize::Zeroizing;

use crate::cli::ReachArgs;
use crate::stop::Stop;
use crate::terminal;

/// Asks on the terminal for passphrases.
pub struct Prompt;

impl Secrets for Prompt {
    fn passphrase(&self, file: &Path) -> Option<Zeroizing<String>> {
        if !terminal::can_ask() {
            return None;
        }
        rpassword::prompt_password(format!("passphrase of {}: ", file.display())).ok().map(Zeroizing::new)
    }
}

/// The sudo password, if one is to be used: one prompt, or the first line of a command's output.
///
/// # Errors
/// When it was asked for and cannot be had.
pub fn become_password(reach: &ReachArgs) -> Result<Option<Secret>, Stop> {
    if reach.ask_become_password {
        let typed = rpassword::prompt_password("sudo password (for all hosts): ").map_err(|e| {
            Stop::failed(format!("ask for the sudo password: {e}")).hint("--become-password-command")
        })?;
        return Ok(Some(Secret::new(typed)));
    }
    let Some(command) = &reach.become_password_command else { return Ok(None) };
    let words = shlex::split(command).filter(|w| !w.is_empty());
    let words = words.ok_or_else(|| Stop::usage("--become-password-command: unbalanced quotes, or empty"))?;
    let (program, arguments) =
        words.split_first().ok_or_else(|| Stop::usage("--become-password-command: empty"))?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Stop::failed(format!("start {program} for the sudo password: {e}")))?;
    if !output.status.success() {
        return Err(Stop::failed(format!("get the sudo password: {program}: {}", output.status)));
    }
    let text = Zeroizing::new(
        String::from_utf8(output.stdout)
            .map_err(|_| Stop::failed(format!("read the output of {program}: not UTF-8")))?,
    );
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Some(Secret::new(line.to_owned()))),
        _ => Err(Stop::failed(format!("get the sudo password: {program} printed nothing"))),
    }
}
