//! The host's own record of what a run began and finished there.

use std::time::Duration;

use pipedown_model::RunId;

use crate::error::StepError;
use crate::shell::{Call, HostShell, Reply};

const SOURCE: &str = include_str!("../fragments/ledger.sh");

/// One thing that was begun on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The entry's name: `arm`, or a step's id.
    pub name: String,
    /// When it was begun: seconds since 1970 by the host's clock.
    pub started: i64,
    /// Its exit status; none when it did not finish, or when its end could not be written.
    pub status: Option<i32>,
}

impl HostShell {
    /// Reads what a run began on the host, in order. Empty when there is no ledger.
    ///
    /// # Errors
    /// As [`call`](Self::call), and when the file cannot be read.
    pub async fn ledger(&mut self, run: &RunId) -> Result<Vec<LedgerEntry>, StepError> {
        let reply = self.ledger_call("read", run).await?;
        Ok(parse(&String::from_utf8_lossy(&reply.stdout)))
    }

    /// Removes a run's ledger, and the folders that it leaves empty. Idempotent.
    ///
    /// # Errors
    /// As [`call`](Self::call), and when the file cannot be removed.
    pub async fn forget(&mut self, run: &RunId) -> Result<(), StepError> {
        self.ledger_call("forget", run).await.map(drop)
    }

    async fn ledger_call(&mut self, act: &str, run: &RunId) -> Result<Reply, StepError> {
        let call = Call {
            name: "ledger",
            source: SOURCE,
            args: vec![act.to_owned(), run.to_string()],
            input: Vec::new(),
            deadline: Duration::from_secs(10),
            ledger: None,
        };
        let reply = self.call(call).await?;
        if reply.status == 0 { Ok(reply) } else { Err(StepError::Ledger { call: "ledger" }) }
    }
}

/// Reads the ledger's lines.
///
/// A line of another form is what a full disk cut off: a beginning that was cut off was never acted upon, and an end
/// that was cut off is unknown. The same holds for a last line without newline.
fn parse(text: &str) -> Vec<LedgerEntry> {
    let mut entries: Vec<LedgerEntry> = Vec::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["started", name, at] => {
                if let Ok(started) = at.parse() {
                    entries.push(LedgerEntry { name: (*name).to_owned(), started, status: None });
                }
            }
            // The last word shows that the line is whole; it used to be the time.
            ["done", name, status, _] => {
                let open = entries.iter_mut().rev().find(|entry| entry.name == *name);
                if let (Some(entry), Ok(status)) = (open, status.parse()) {
                    entry.status = Some(status);
                }
            }
            _ => {}
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_and_not_finished_stays_open() {
        let text = "\nstarted arm 100\n\ndone arm 0 .\n\nstarted wall 102\n";
        let entry = |name: &str, started, status| LedgerEntry { name: name.into(), started, status };
        assert_eq!(parse(text), [entry("arm", 100, Some(0)), entry("wall", 102, None)]);
    }

    #[test]
    fn a_second_attempt_is_an_entry_of_its_own() {
        let entries = parse("\nstarted x 1\n\nstarted x 2\n\ndone x 7 3\n");
        assert_eq!(entries.iter().map(|entry| entry.status).collect::<Vec<_>>(), [None, Some(7)]);
    }

    #[test]
    fn lines_cut_off_by_a_full_disk_count_as_not_written() {
        assert_eq!(parse("\nstart\nstarted x 1"), []);
        let entries = parse("\nstarted x 1\n\ndone x\n\nstarted y 2\n\ndone y 0 2");
        assert!(entries.iter().all(|entry| entry.status.is_none()));
        assert_eq!(entries.len(), 2);
    }
}
