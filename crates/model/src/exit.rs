//! Exit codes, by class and by gravity.

use serde::{Deserialize, Serialize};

/// How the process ends. When several apply, the one later in this list wins (`Ord`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// 0: everything asked for was done and read back (a dry run too).
    Done,
    /// 2: `--detailed-exitcode` only: a dry run found something that would change.
    WouldChange,
    /// 6: cancelled.
    Cancelled,
    /// 4: some host could not be reached.
    Unreachable,
    /// 3: some host failed.
    Failed,
    /// 5: stopped by a budget, or refused by a gate.
    Stopped,
    /// 64: the command line is wrong (`EX_USAGE`, sysexits.h).
    Usage,
    /// 65: the inventory or the playbook is wrong (`EX_DATAERR`, sysexits.h).
    BadInput,
    /// 70: pipedown itself failed (`EX_SOFTWARE`, sysexits.h).
    Internal,
}

impl ExitCode {
    /// The number that the process returns.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::WouldChange => 2,
            Self::Failed => 3,
            Self::Unreachable => 4,
            Self::Stopped => 5,
            Self::Cancelled => 6,
            Self::Usage => 64,
            Self::BadInput => 65,
            Self::Internal => 70,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_wins() {
        let order = [0, 2, 6, 4, 3, 5, 64, 65, 70];
        let mut all = [
            ExitCode::Internal,
            ExitCode::BadInput,
            ExitCode::Usage,
            ExitCode::Stopped,
            ExitCode::Failed,
            ExitCode::Unreachable,
            ExitCode::Cancelled,
            ExitCode::WouldChange,
            ExitCode::Done,
        ];
        all.sort();
        assert_eq!(all.map(ExitCode::code), order);
    }
}
