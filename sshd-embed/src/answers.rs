//! Commands that are answered without being run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

/// What a command would have printed, and how it would have ended.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Answer {
    /// Its exit status.
    pub status: u32,
    /// What it prints on standard output.
    pub stdout: Vec<u8>,
    /// What it prints on standard error.
    pub stderr: Vec<u8>,
    /// How long it takes.
    pub after: Duration,
    /// Whom it waits for before it ends.
    pub(crate) together: Option<Arc<Barrier>>,
}

impl Answer {
    /// Ends with a status at once, silently.
    #[must_use]
    pub fn status(status: u32) -> Self {
        Self { status, ..Self::default() }
    }

    /// Prints this on standard output first.
    #[must_use]
    pub fn stdout(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdout = text.into();
        self
    }

    /// Takes this long.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Ends when so many clients wait for it, all at once: so many connections are held then.
    #[must_use]
    pub fn together(mut self, clients: usize) -> Self {
        self.together = Some(Arc::new(Barrier::new(clients)));
        self
    }
}

/// Answers by the text of the command as it arrives, or by its last word between single quotes: many clients wrap what
/// they run. `true` succeeds and `false` fails; what is not known is not found (status 127). Nothing is ever run.
#[derive(Debug, Clone)]
pub struct Answers {
    known: HashMap<Vec<u8>, Answer>,
}

impl Default for Answers {
    fn default() -> Self {
        let known =
            HashMap::from([(b"true".to_vec(), Answer::status(0)), (b"false".to_vec(), Answer::status(1))]);
        Self { known }
    }
}

impl Answers {
    /// Answers this command, too.
    #[must_use]
    pub fn with(mut self, command: impl Into<Vec<u8>>, answer: Answer) -> Self {
        self.known.insert(command.into(), answer);
        self
    }

    /// The answer to a command.
    pub(crate) fn to(&self, command: &[u8]) -> Answer {
        let known = self.known.get(command).or_else(|| self.known.get(last_quoted(command)?));
        known.cloned().unwrap_or_else(|| Answer {
            stderr: b"sshd-embed: no answer to this command\n".to_vec(),
            ..Answer::status(127)
        })
    }
}

/// The text between the last two quotes of a command that ends with one.
fn last_quoted(command: &[u8]) -> Option<&[u8]> {
    let open = command.strip_suffix(b"'")?;
    open.rsplit(|byte| *byte == b'\'').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_found() {
        let answers = Answers::default().with("uptime", Answer::status(0).stdout("up\n"));
        assert_eq!(answers.to(b"uptime").stdout, b"up\n");
        assert_eq!(answers.to(b"false").status, 1);
        assert_eq!(answers.to(b"exec sh -c 'shift; exec \"$@\"' x 'sh' '-c' 'uptime'").stdout, b"up\n");
        assert_eq!(answers.to(b"echo 'x'y").status, 127);
        assert_eq!(answers.to(b"rm -rf /").status, 127);
    }
}
