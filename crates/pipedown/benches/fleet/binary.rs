//! Start-up, and the size of what is shipped.

use std::process::Command;

use crate::contest::Goals;
use crate::{Failure, PIPEDOWN, rows, startup};

/// Measures both.
///
/// # Errors
/// When the binary cannot be run.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn measure() -> Result<(), Failure> {
    startup::measure()?;
    let dir = tempfile::tempdir()?;
    let stripped = dir.path().join("pipedown");
    let done = Command::new("strip").arg("-o").arg(&stripped).arg(PIPEDOWN).status();
    if !done.is_ok_and(|status| status.success()) {
        rows::talk("strip: not installed, or it fails: the binary is not measured");
        return Ok(());
    }
    let mut goals = Goals::new();
    let size = std::fs::metadata(&stripped)?.len() as f64 / f64::from(1 << 20);
    goals.most("MiB of the stripped release build", 25.0, Some(size));
    goals.print();
    Ok(())
}
