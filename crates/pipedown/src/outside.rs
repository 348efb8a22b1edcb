//! What host sets ask for: files, standard input, and how recorded runs left their hosts.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use pipedown_engine::{EngineError, SqliteJournal, StateDir};
use pipedown_model::{ExitCode, HostName, HostPhase, HostState, RunId};
use pipedown_plan::{Outcome, Outside, Source, Unavailable, files};

/// Reads for the host sets of one command line.
pub struct Reader<'a> {
    state: &'a StateDir,
    home: Option<&'a PathBuf>,
    stdin: &'a OnceLock<()>,
}

impl<'a> Reader<'a> {
    /// Reads runs from `state`, and `~/` as `home`; `stdin` is set once standard input was read.
    pub fn new(state: &'a StateDir, home: Option<&'a PathBuf>, stdin: &'a OnceLock<()>) -> Self {
        Self { state, home, stdin }
    }

    fn run(&self, text: &str) -> Result<RunId, Unavailable> {
        self.state.find(text).map_err(unavailable)
    }
}

impl Outside for Reader<'_> {
    fn file(&mut self, path: &str) -> Result<Source, Unavailable> {
        let path = match (path.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        };
        files::read(&path).map_err(|error| Unavailable {
            why: format!("failed to {error}"),
            hint: (!path.exists())
                .then(|| "`^` before a name reads a file; between two sets it is an operator".to_owned()),
        })
    }

    fn stdin(&mut self) -> Result<Source, Unavailable> {
        let failed = |why: String| Unavailable { why, hint: None };
        if self.stdin.set(()).is_err() {
            return Err(failed("standard input can be read only once".to_owned()));
        }
        let mut text = String::new();
        match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => Ok(Source::new("standard input", &text)),
            Err(error) => Err(failed(format!("failed to read standard input: {error}"))),
        }
    }

    fn recorded(&mut self, outcome: Outcome, run: &str) -> Result<Vec<HostName>, Unavailable> {
        let run = self.run(run)?;
        let recorded = SqliteJournal::read(self.state, &run).map_err(unavailable)?;
        let hosts = recorded.state.map(|state| state.hosts).unwrap_or_default();
        Ok(hosts.into_iter().filter(|(_, host)| ended(host) == Some(outcome)).map(|(name, _)| name).collect())
    }
}

/// How a run left a host; none for hosts that it never came to, is still busy with, or that were called off.
fn ended(host: &HostState) -> Option<Outcome> {
    match (&host.phase, host.exit_code()) {
        (HostPhase::Waiting | HostPhase::Ready, _) | (_, ExitCode::Cancelled) => None,
        // One that can be reached, and whose key or login was refused, has failed, as it does for budgets and exit codes.
        (HostPhase::Unreachable, ExitCode::Unreachable) => Some(Outcome::Unreachable),
        (_, ExitCode::Done | ExitCode::WouldChange) => Some(Outcome::Done),
        _ => Some(Outcome::Failed),
    }
}

fn unavailable(error: EngineError) -> Unavailable {
    let hint = matches!(error, EngineError::NoSuchRun(..));
    Unavailable {
        why: format!("failed to {error}"),
        hint: hint.then(|| "`pipedown runs` lists the runs recorded on this machine".to_owned()),
    }
}
