//! Ending, from a second shell, what a shell that does not answer has left on the host.

use std::time::Duration;

use crate::{Call, HostShell, StepError, fragment, privilege};

const CALL: &str = "reap";
const DEADLINE: Duration = Duration::from_secs(15);

/// Ends every other shell of this controller on the host, with what it has started. Returns how many processes those were.
///
/// # Errors
/// What a call can fail with: then they are still there.
pub async fn reap(shell: &mut HostShell) -> Result<u32, StepError> {
    let call = Call {
        name: CALL,
        source: fragment::reap(),
        args: Vec::new(),
        input: format!("{}\n", privilege::token()).into_bytes(),
        deadline: DEADLINE,
        ledger: None,
    };
    let reply = shell.call(call).await?;
    let said = String::from_utf8_lossy(&reply.stdout);
    said.trim().parse().map_err(|_| StepError::Garbled { call: CALL, line: said.trim().to_owned() })
}
