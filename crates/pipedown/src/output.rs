//! What commands print on hosts, on its way to the screen and into files.

mod files;
mod json;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use pipedown_engine::{OutputChunk, OutputLog, SqliteJournal};
use pipedown_model::{HostName, HostState, Outcome, OutputStream, Plan, RunId, StepRecord};
use pipedown_report::{Colour, HostOutput, Prefixer, Style, diff_outputs, fold_outputs, group_outputs};

use self::json::Lines;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Longer host names push their lines out of the columns.
const WIDEST_HOST: usize = 40;

/// How output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Lines as they come, each with its host.
    Lines,
    /// Lines as they come.
    Bare,
    /// At the end, each output once.
    Fold,
    /// At the end, how hosts differ from the majority.
    Diff,
}

/// What becomes of output.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it is shown.
    pub look: Look,
    /// Where a file per host and stream is written.
    pub folder: Option<PathBuf>,
}

impl Output {
    /// What shows output while it comes.
    pub fn printer(&self, around: &Surroundings, run: &RunId, plan: &Plan) -> Printer {
        let width = plan.hosts.iter().map(|host| host.host.as_str().len()).max().unwrap_or(0);
        let width = width.min(WIDEST_HOST);
        let how = match self.look {
            _ if around.global.json => How::Json(Lines::new(run)),
            Look::Lines => {
                let out = Prefixer::new(style(around, &io::stdout()), width, io::stdout().is_terminal());
                let err = Prefixer::new(style(around, &io::stderr()), width, io::stderr().is_terminal());
                How::Lines(out, err)
            }
            Look::Bare => How::Bare,
            Look::Fold | Look::Diff => How::Later,
        };
        Printer { hosts: plan.hosts.iter().map(|host| host.host.clone()).collect(), how }
    }

    /// Makes the folder for files, so that what hosts print can be written there when all is there.
    ///
    /// # Errors
    /// When it cannot be made, or nothing can be written there.
    pub fn prepare(&self) -> Result<(), Stop> {
        self.folder.as_deref().map_or(Ok(()), files::prepare)
    }

    /// What is shown and written when all is there.
    ///
    /// # Errors
    /// When it cannot be read, or a file cannot be written.
    pub fn afterwards(&self, around: &Surroundings, run: &RunId, plan: &Plan) -> Result<(), Stop> {
        let Some(log) = OutputLog::read_only(&around.state.output(run))? else { return Ok(()) };
        let read = Kept { log: &log, plan };
        if !around.global.json {
            match self.look {
                Look::Fold => folded(around, &read, &ran(around, run)?, false)?,
                Look::Diff => folded(around, &read, &ran(around, run)?, true)?,
                Look::Lines | Look::Bare => {}
            }
        }
        match &self.folder {
            Some(folder) => files::write(&read, run, folder),
            None => Ok(()),
        }
    }
}

/// How much of what is kept is shown at a time.
const PART: usize = 64 * 1024;

impl Output {
    /// Shows what a run has kept.
    ///
    /// # Errors
    /// As [`afterwards`](Self::afterwards).
    pub fn again(&self, around: &Surroundings, run: &RunId, plan: &Plan) -> Result<(), Stop> {
        let Some(log) = OutputLog::read_only(&around.state.output(run))? else { return Ok(()) };
        let mut printer = self.printer(around, run, plan);
        let mut bytes = vec![0; PART];
        let hosts = (0_u32..).zip(&plan.hosts).filter(|_| !printer.is_silent());
        for (host, _) in hosts.collect::<Vec<_>>() {
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                let mut reader = log.reader(host, stream);
                loop {
                    let read = reader.read(&mut bytes);
                    let read = read.map_err(|e| Stop::failed(format!("read what was printed: {e}")))?;
                    let Some(part) = bytes.get(..read).filter(|part| !part.is_empty()) else { break };
                    printer.show(&OutputChunk { host, stream, bytes: part.into() });
                }
            }
        }
        printer.finish();
        self.afterwards(around, run, plan)
    }
}

fn style(around: &Surroundings, stream: &impl IsTerminal) -> Style {
    let mut style = around.style();
    style.colour = if around.colours(stream) { Colour::On } else { Colour::Off };
    style
}

/// Shows output while it comes.
pub struct Printer {
    hosts: Arc<[HostName]>,
    how: How,
}

enum How {
    Json(Lines),
    Lines(Prefixer, Prefixer),
    Bare,
    /// When all is there.
    Later,
}

impl Printer {
    /// For a run whose commands print nothing.
    pub fn none() -> Self {
        Self { hosts: Arc::new([]), how: How::Later }
    }

    /// Whether nothing is shown before the end, so that the terminal is free for something that moves.
    pub fn is_silent(&self) -> bool {
        matches!(self.how, How::Later)
    }

    /// Shows a piece.
    pub fn show(&mut self, chunk: &OutputChunk) {
        let host = usize::try_from(chunk.host).ok().and_then(|place| self.hosts.get(place));
        let Some(host) = host else { return };
        let text = match &mut self.how {
            How::Json(lines) => return put(OutputStream::Stdout, &lines.take(host, chunk)),
            How::Lines(out, err) => match chunk.stream {
                OutputStream::Stdout => out.take(host, chunk.stream, &chunk.bytes),
                OutputStream::Stderr => err.take(host, chunk.stream, &chunk.bytes),
            },
            How::Bare => return put(chunk.stream, &chunk.bytes),
            How::Later => return,
        };
        put(chunk.stream, &text);
    }

    /// Shows what was begun and not ended.
    pub fn finish(&mut self) {
        match &mut self.how {
            How::Json(lines) => put(OutputStream::Stdout, &lines.end()),
            How::Lines(out, err) => {
                put(OutputStream::Stdout, &out.end_all(OutputStream::Stdout));
                put(OutputStream::Stderr, &err.end_all(OutputStream::Stderr));
            }
            How::Bare | How::Later => {}
        }
    }
}

/// Writes to one of our own streams. Who does not take it does not stop the run; what standard output has missed is told at the end.
fn put(stream: OutputStream, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let _ = match stream {
        OutputStream::Stdout => terminal::Data.write_all(bytes),
        OutputStream::Stderr => io::stderr().lock().write_all(bytes),
    };
}

/// What a run has kept.
pub struct Kept<'a> {
    log: &'a OutputLog,
    plan: &'a Plan,
}

impl<'a> Kept<'a> {
    /// The hosts that have printed something, with their places; and those of `silent`.
    fn hosts(
        &self,
        stream: OutputStream,
        silent: &'a BTreeSet<HostName>,
    ) -> impl Iterator<Item = (u32, &'a HostName)> {
        let hosts = (0_u32..).zip(&self.plan.hosts).map(|(place, host)| (place, &host.host));
        let log = self.log;
        hosts.filter(move |(place, host)| log.length(*place, stream) > 0 || silent.contains(*host))
    }

    fn bytes(&self, place: u32, stream: OutputStream) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.log.reader(place, stream).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The hosts on which the command has run to its end.
fn ran(around: &Surroundings, run: &RunId) -> Result<BTreeSet<HostName>, Stop> {
    let recorded = SqliteJournal::read(&around.state, run)?;
    let hosts = recorded.state.map(|state| state.hosts).unwrap_or_default();
    let has_run = |host: &HostState| {
        let mut steps = host.steps.values();
        steps.any(|record| matches!(record, StepRecord::Finished { outcome: Outcome::Ran { .. } }))
    };
    Ok(hosts.into_iter().filter(|(_, host)| has_run(host)).map(|(name, _)| name).collect())
}

/// Shows each output once; standard output on standard output, standard error on standard error. Of the hosts in `ran` it is also
/// said that they printed nothing, but not on standard error, which says something where something is wrong.
fn folded(
    around: &Surroundings,
    kept: &Kept<'_>,
    ran: &BTreeSet<HostName>,
    differences: bool,
) -> Result<(), Stop> {
    let nobody = BTreeSet::new();
    let failed = |e: io::Error| Stop::failed(format!("show what was printed: {e}"));
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        let outputs = kept
            .hosts(stream, if stream == OutputStream::Stdout { ran } else { &nobody })
            .map(|(place, host)| Ok(HostOutput { host: host.clone(), bytes: kept.bytes(place, stream)? }));
        let groups = group_outputs(outputs).map_err(failed)?;
        let place = |name: &HostName| (0_u32..).zip(&kept.plan.hosts).find(|(_, host)| host.host == *name);
        let read = |name: &HostName| match place(name) {
            Some((place, _)) => kept.bytes(place, stream),
            None => Ok(Vec::new()),
        };
        let write = if differences { diff_outputs } else { fold_outputs };
        let shown = match stream {
            OutputStream::Stdout => {
                let mut out = io::BufWriter::new(io::stdout().lock());
                write(&groups, &style(around, &io::stdout()), read, &mut out)
            }
            OutputStream::Stderr => write(&groups, &style(around, &io::stderr()), read, &mut io::stderr()),
        };
        match shown {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            shown => shown.map_err(failed)?,
        }
    }
    Ok(())
}
