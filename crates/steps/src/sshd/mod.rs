//! sshd's configuration on a host: what is seen of it, and how a change is tried, confirmed and put back.
//!
//! The host's part is in `fragments/sshd-*.sh`; `docs/SSHD.md` tells the whole procedure.
//!
//! | call | may | does |
//! |---|---|---|
//! | `sshd_look(&mut Looker, logins: &[String]) -> SshdSeen` | look | everything below, in one round trip |
//! | `sshd_check(&mut Looker, &SshdSeen, &[SshdChange], &[SshdIdentity]) -> SshdChecked` | look | `sshd -t` and `sshd -T -C` of what would stand; nothing is written |
//! | `sshd_stage(&mut Changer, &SshdSeen, &[SshdChange]) -> SshdStaged` | change | the candidate below `/var/lib/pipedown/sshd`, for `sshd -i -f` |
//! | `sshd_unstage(&mut Changer, &SshdSeen)` | change | takes it away again |
//! | `sshd_trial(&mut Changer, &SshdSeen, &SshdTrial) -> TrialReport` | change | lock, copies, dead-man, files, `sshd -t`, reload, listener |
//! | `sshd_confirm(&mut Changer, &SshdSeen) -> ConfirmReport` | change | claims the trial: won or lost |
//! | `sshd_rollback(&mut Changer, &SshdSeen, RollbackScope) -> RollbackReport` | change | puts back what stood |
//! | `sshd_candidate(&SshdSeen, &SshdStep) -> SshdCandidate` | | the step merged into what is ours, placed where it counts; pure |
//! | `sshd_compare(&SshdSeen, &SshdCandidate, before, after) -> Vec<SshdComparison>` | | what was asked and holds, what else changes; pure |
//! | `sshd_shut_out(&[RecentLogin], before, after) -> Vec<SshdShutOut>` | | who could log in and cannot any more; pure |
//! | `sshd_log(&mut Looker, &SshdSeen, from, to) -> SshdLogged` | look | sshd's own lines between two instants |
//! | `sshd_bans(&mut Looker, addr) -> Vec<String>` | look | who has banned an address, in words |

mod candidate;
mod candidate_text;
mod check;
mod config;
mod confirm;
mod effective;
#[cfg(test)]
mod fixture;
mod log;
mod look;
mod narrow;
mod own;
mod patterns;
mod printed;
mod report;
mod seen;
mod source;
mod trial;
mod unified;

pub use candidate::{SshdAsked, SshdCandidate, SshdPlacement, SshdProblem, sshd_candidate};
pub use check::{sshd_check, sshd_stage, sshd_unstage};
pub use config::{SshdBlock, SshdConfig, SshdLine, SshdPlace};
pub use confirm::{sshd_confirm, sshd_rollback};
pub use effective::{SshdComparison, SshdDelta, SshdHolds, SshdOutcome, sshd_compare};
pub use log::{SshdLogged, sshd_bans, sshd_log};
pub use look::sshd_look;
pub use narrow::{SshdShutOut, sshd_shut_out};
pub use report::{
    ConfirmReport, RollbackReport, RollbackScope, SshdChecked, SshdStaged, SshdTrial, TrialRefusal,
    TrialReport,
};
pub use seen::{
    OtherSshd, RecentLogin, SshdChange, SshdConfirmed, SshdConnection, SshdEffective, SshdFile, SshdIdentity,
    SshdInclude, SshdListener, SshdOwner, SshdRolledBack, SshdSeen, SshdService, SshdState, SshdTrialPhase,
    SshdTrialSeen, SshdVerdict,
};
pub use source::{SshdSource, sshd_source};
pub use trial::sshd_trial;
