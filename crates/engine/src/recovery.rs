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

/// Decides. `guarded`: repeating it is harmless, because it looks before it acts. `noted`: its failure was to be noted
/// and nothing more, so that one that failed is past too.
pub(crate) fn decide(
    journal: Option<&StepRecord>,
    on_host: OnHost,
    guarded: bool,
    noted: bool,
    unknown: UnknownSteps,
) -> Decision {
    let past = match journal {
        Some(StepRecord::Finished { outcome: Outcome::Failed { .. } }) => noted && on_host == OnHost::Failed,
        Some(StepRecord::Finished { .. }) => true,
        Some(StepRecord::Started { .. }) | None => false,
    };
    if past {
        return Decision::Passed;
    }
    match on_host {
        OnHost::Succeeded => Decision::AlreadyDone,
        OnHost::Failed if noted => Decision::AlreadyDone,
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
    use pipedown_model::{Effect, Failure, FailureClass};

    const ASK: UnknownSteps = UnknownSteps::Ask;

    fn failed() -> StepRecord {
        let error = Failure::new(FailureClass::Step, "run it");
        StepRecord::Finished { outcome: Outcome::Failed { error, effect: Effect::Unknown } }
    }

    #[test]
    fn nothing_unguarded_is_repeated_without_a_word_of_the_operator() {
        let started = StepRecord::Started { attempt: 1 };
        for record in [None, Some(&started), Some(&failed())] {
            let all = [ASK, UnknownSteps::Retry, UnknownSteps::Skip];
            let decisions = all.map(|unknown| decide(record, OnHost::Started, false, false, unknown));
            assert_eq!(decisions, [Decision::Unknown, Decision::Do, Decision::LeaveOut]);
        }
        assert_eq!(decide(Some(&started), OnHost::Started, true, false, ASK), Decision::Do);
    }

    #[test]
    fn the_host_knows_better_than_a_cut_journal() {
        let started = StepRecord::Started { attempt: 1 };
        assert_eq!(decide(Some(&started), OnHost::Succeeded, false, false, ASK), Decision::AlreadyDone);
        assert_eq!(decide(Some(&started), OnHost::NotStarted, false, false, ASK), Decision::Do);
        assert_eq!(decide(None, OnHost::Succeeded, false, false, ASK), Decision::AlreadyDone);
        let done = StepRecord::Finished { outcome: Outcome::Unchanged };
        assert_eq!(decide(Some(&done), OnHost::Started, false, false, ASK), Decision::Passed);
    }

    #[test]
    fn a_failure_that_was_only_noted_is_past() {
        assert_eq!(decide(Some(&failed()), OnHost::Failed, false, true, ASK), Decision::Passed);
        assert_eq!(decide(None, OnHost::Failed, false, true, ASK), Decision::AlreadyDone);
        assert_eq!(decide(Some(&failed()), OnHost::Failed, false, false, ASK), Decision::Do);
    }
}
