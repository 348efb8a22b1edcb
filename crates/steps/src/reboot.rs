//! Telling a host to reboot.

use std::time::Duration;

use pipedown_model::StepId;

use crate::agenda::one_line;
use crate::answer::outcome;
use crate::{Call, Changer, StepError, fragment};

const CALL: &str = "reboot";
/// The order itself is given after the reply.
const DEADLINE: Duration = Duration::from_secs(30);

/// What became of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebootOrder {
    /// The host goes down in a second.
    Given,
    /// The boot that was to end has ended already: nothing was done.
    OtherBoot,
}

/// Tells a host to end the boot of this id, in a second. The host notes in its ledger that the step begins.
///
/// # Errors
/// What a call can fail with. When the link is lost meanwhile, nobody knows whether the host goes down.
pub async fn reboot(
    changer: &mut Changer<'_>,
    step: &StepId,
    boot_id: &str,
) -> Result<RebootOrder, StepError> {
    let name = &changer.name;
    let args = vec![
        name.run.to_string(),
        one_line(name.operator.as_str()),
        one_line(&name.reason),
        boot_id.to_owned(),
    ];
    let call = Call {
        name: CALL,
        source: fragment::reboot(),
        args,
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: Some(step.to_string()),
    };
    let reply = changer.call(call).await?;
    let given = outcome(CALL, &reply)?.iter().any(|line| line == "result changed");
    Ok(if given { RebootOrder::Given } else { RebootOrder::OtherBoot })
}
