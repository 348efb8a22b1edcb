//! The confining step between an embedded host's server and its commands.
//!
//! A program cannot be confined between fork and exec without unsafe code, so a small mode of this (or of
//! another) executable confines itself and then becomes the command.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The executable that confines the commands of a host, and what comes before its arguments.
///
/// It is run as `PROGRAM ARGS… DIR -- COMMAND…` and must hand `DIR -- COMMAND…` to [`confine_main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confine {
    /// The executable.
    pub program: PathBuf,
    /// What is to come before the directory, such as `--confine`.
    pub args: Vec<OsString>,
}

impl Confine {
    /// Uses the running executable, which must know the option `--confine`.
    ///
    /// # Errors
    /// When the system does not tell where the executable is.
    pub fn current_exe() -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, args: vec!["--confine".into()] })
    }
}

/// Takes `DIR -- COMMAND…`, gives up writing outside `DIR`, and becomes the command.
///
/// It sets the umask to 022, leads a session of its own, and lets itself write below `DIR`, to terminals
/// and to `/dev/null` only, where the kernel has Landlock with `refer` (Linux 5.19); elsewhere it runs
/// unconfined. Returns only when it failed: with 125 for wrong arguments or a confinement that failed, 126 or 127
/// when the command could not be run, as env(1) does.
pub fn confine_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let (Some(dir), Some(dashes), Some(program)) = (args.next(), args.next(), args.next()) else {
        return fail(125, "usage: --confine DIR -- COMMAND [ARGUMENT]...");
    };
    if dashes != "--" {
        return fail(125, "usage: --confine DIR -- COMMAND [ARGUMENT]...");
    }
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    // On a terminal the session exists already.
    let _ = rustix::process::setsid();
    if let Err(error) = restrict(Path::new(&dir)) {
        return fail(125, &format!("failed to confine the command: {error}"));
    }
    let error = Command::new(&program).args(args).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    fail(code, &format!("failed to run {}: {error}", program.display()))
}

fn fail(code: u8, text: &str) -> ExitCode {
    // Where standard error is closed, the status has to do.
    let _ = writeln!(io::stderr(), "sshd-embed: {text}");
    ExitCode::from(code)
}

#[cfg(target_os = "linux")]
fn restrict(dir: &Path) -> Result<(), landlock::RulesetError> {
    use landlock::{
        ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules,
    };
    // Without `refer`, Landlock forbids every rename between directories, and with it most scripts.
    let refer =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::Refer);
    if refer.is_err() {
        return Ok(());
    }
    let writes = AccessFs::from_write(ABI::V3);
    let devices = ["/dev/null", "/dev/tty", "/dev/ptmx", "/dev/pts"];
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes)?
        .create()?
        .add_rules(path_beneath_rules([dir], writes))?
        .add_rules(path_beneath_rules(devices, AccessFs::WriteFile | AccessFs::Truncate))?
        .restrict_self()?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn restrict(_dir: &Path) -> io::Result<()> {
    Ok(())
}
