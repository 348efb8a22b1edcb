//! What `resume` does with a step: decided from the journal and from the host's own ledger, never guessed.

use pipedown_model::{Outcome, StepRecord};

use crate::UnknownSteps;

/// What the host's ledger says about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnHost {
    /// Nothing: it never got there.
    NotStarted,
    /// It started; whether it finished is not known.
    Started,
    /// It finished with success.
    Succeeded,
    /// It finished with a failure.
    Failed,
}

/// What to do with a step now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Do it.
    Do,
    /// It was done, and the journal knows.
    Passed,
    /// It was done, and only the host knows.
    AlreadyDone,
    /// The operator said to leave it out.
    LeaveOut,
    /// It is not known: an operator's decision.
    Unknown,
}

/// Decides. `guarded`: repeating it is harmless, because it looks before it acts.
pub(crate) fn decide(
    journal: Option<&StepRecord>,
    on_host: OnHost,
    guarded: bool,
    unknown: UnknownSteps,
) -> Decision {
    let succeeded = match journal {
        Some(StepRecord::Finished { outcome }) => !matches!(outcome, Outcome::Failed { .. }),
        Some(StepRecord::Started { .. }) | None => false,
    };
    if succeeded {
        return Decision::Passed;
    }
    match on_host {
        OnHost::Succeeded => Decision::AlreadyDone,
        OnHost::NotStarted | OnHost::Failed => Decision::Do,
        OnHost::Started if guarded => Decision::Do,
        OnHost::Started => match unknown {
            UnknownSteps::Ask => Decision::Unknown,
            UnknownSteps::Retry => Decision::Do,
            UnknownSteps::Skip => Decision::LeaveOut,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unguarded_is_repeated_without_a_word_of_the_operator() {
        let started = StepRecord::Started { attempt: 1 };
        let all = [UnknownSteps::Ask, UnknownSteps::Retry, UnknownSteps::Skip];
        let decisions = all.map(|unknown| decide(Some(&started), OnHost::Started, false, unknown));
        assert_eq!(decisions, [Decision::Unknown, Decision::Do, Decision::LeaveOut]);
        assert_eq!(decide(Some(&started), OnHost::Started, true, UnknownSteps::Ask), Decision::Do);
    }

    #[test]
    fn the_host_knows_better_than_a_cut_journal() {
        let started = StepRecord::Started { attempt: 1 };
        assert_eq!(
            decide(Some(&started), OnHost::Succeeded, false, UnknownSteps::Ask),
            Decision::AlreadyDone
        );
        assert_eq!(decide(Some(&started), OnHost::NotStarted, false, UnknownSteps::Ask), Decision::Do);
        assert_eq!(decide(None, OnHost::Succeeded, false, UnknownSteps::Ask), Decision::AlreadyDone);
        let done = StepRecord::Finished { outcome: Outcome::Unchanged };
        assert_eq!(decide(Some(&done), OnHost::Started, false, UnknownSteps::Ask), Decision::Passed);
    }
}
