//! Runs the engine and shows what it does: events to a reporter, signals and the control socket to the engine.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressDrawTarget;
use pipedown_engine::{Command, ControlSocket, Ended, OutputChunk, Setup, Work, conduct};
use pipedown_model::{Event, ExitCode, RunId, RunState};
use pipedown_report::{Json, Live, Plain, Reporter};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::descriptors;
use crate::output::Printer;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// How often what moves on a terminal moves.
const TICK: Duration = Duration::from_millis(100);

/// The reporter that the options and the terminal ask for.
pub fn reporter(around: &Surroundings) -> Box<dyn Reporter + Send> {
    use std::io::IsTerminal;
    let style = around.style();
    if around.global.json {
        Box::new(Json::new(Box::new(terminal::Data)))
    } else if std::io::stderr().is_terminal() && !around.global.quiet {
        let transfer = Arc::clone(&around.transfer);
        Box::new(Live::new(ProgressDrawTarget::stderr(), style).aside(move || transfer.progress()))
    } else {
        Box::new(Plain::new(Box::new(std::io::stderr()), style))
    }
}

/// A consumer of events that folds them for a reporter.
pub struct Screen {
    reporter: Box<dyn Reporter + Send>,
    state: Option<RunState>,
}

impl Screen {
    /// Makes a screen; `state` is the fold of what came before.
    pub fn new(reporter: Box<dyn Reporter + Send>, state: Option<RunState>) -> Self {
        Self { reporter, state }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match self.state.as_mut() {
            // What cannot be folded was refused by the dispatcher and never gets here.
            Some(state) => drop(state.apply(event)),
            None => self.state = RunState::begin(event).ok(),
        }
        if let Some(state) = &self.state {
            self.reporter.event(event, state);
        }
    }

    /// Shows how the run stands when another process may still go on with it.
    pub fn conclude(&mut self) {
        if let Some(state) = &mut self.state {
            state.verdict.get_or_insert(state.conclude());
        }
        self.finish();
    }

    /// Shows the end.
    pub fn finish(&mut self) {
        if let Some(state) = &self.state {
            self.reporter.finish(state);
        }
    }

    /// Says something on standard error without tearing what moves there.
    fn notice(&mut self, text: &str) {
        if !self.reporter.notice(text) {
            terminal::print(text);
        }
    }
}

/// Does the work; events go to the screen as they become durable. `listen`: other processes may ask meanwhile.
///
/// # Errors
/// When the engine cannot begin.
pub async fn drive(
    around: &Surroundings,
    make: impl FnOnce(mpsc::UnboundedSender<Arc<Event>>) -> Setup,
    work: Work,
    listen: bool,
) -> Result<Ended, Stop> {
    with_reporter(around, make, work, listen, Shown::nothing(), reporter(around)).await
}

/// What shows the output of commands.
pub struct Shown {
    /// Where it comes from.
    pub chunks: mpsc::Receiver<OutputChunk>,
    /// Where it goes.
    pub screen: Printer,
}

impl Shown {
    /// For a run whose commands print nothing.
    pub fn nothing() -> Self {
        Self { chunks: mpsc::channel(1).1, screen: Printer::none() }
    }
}

/// As [`drive`], for a run whose commands print something.
///
/// # Errors
/// As [`drive`].
pub async fn with_output(
    around: &Surroundings,
    make: impl FnOnce(mpsc::UnboundedSender<Arc<Event>>) -> Setup,
    work: Work,
    shown: Shown,
) -> Result<Ended, Stop> {
    let moves = shown.screen.is_silent() || around.global.json;
    let reporter: Box<dyn Reporter + Send> = match moves {
        true => reporter(around),
        // What hosts print must not be torn by anything that moves.
        false => Box::new(Plain::new(Box::new(std::io::stderr()), around.style())),
    };
    with_reporter(around, make, work, true, shown, reporter).await
}

async fn with_reporter(
    around: &Surroundings,
    make: impl FnOnce(mpsc::UnboundedSender<Arc<Event>>) -> Setup,
    work: Work,
    listen: bool,
    shown: Shown,
    reporter: Box<dyn Reporter + Send>,
) -> Result<Ended, Stop> {
    around.forget_inventory();
    let Shown { mut chunks, screen: mut printer } = shown;
    let (consumer, mut events) = mpsc::unbounded_channel();
    let (commands, orders) = mpsc::channel(8);
    let (notices, mut noticed) = mpsc::unbounded_channel();
    let mut setup = make(consumer);
    let hosts = setup.plan.hosts.len();
    let held = if setup.options.follow { hosts } else { 0 };
    setup.options.parallel = descriptors::at_once(around, setup.options.parallel, hosts, held);
    let mut screen = Screen::new(reporter, setup.recorded.clone());
    let socket = listen.then(|| open_socket(around, &setup.run, commands.clone())).flatten();
    let signals = tokio::spawn(interrupts(commands));
    let diverted = terminal::divert(notices);
    // A task of its own: a terminal or a pipe that takes nothing must not keep it from its work.
    let mut conducting = tokio::spawn(conduct(setup, work, orders));
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let ended = loop {
        tokio::select! {
            biased;
            // What a host has printed is shown before its end.
            Some(chunk) = chunks.recv() => printer.show(&chunk),
            Some(event) = events.recv() => screen.show(&event),
            Some(text) = noticed.recv() => screen.notice(&text),
            _ = ticks.tick() => screen.reporter.tick(Surroundings::now()),
            ended = &mut conducting => break ended,
        }
    };
    while let Some(chunk) = chunks.recv().await {
        printer.show(&chunk);
    }
    printer.finish();
    while let Some(event) = events.recv().await {
        screen.show(&event);
    }
    drop(diverted);
    while let Some(text) = noticed.recv().await {
        screen.notice(&text);
    }
    screen.finish();
    signals.abort();
    drop(socket);
    let ended = ended.map_err(|e| Stop::failed(format!("see the run through: {e}")))??;
    if let Some(defect) = &ended.defect {
        terminal::say(&format!("error: pipedown contradicted itself (please report this): {defect}"));
    }
    if !ended.recorded {
        terminal::say("warning: the journal could not be written: what is shown above is not recorded");
    }
    Ok(ended)
}

/// Lets other processes ask. Without its socket a run works: only `cancel` on this machine has to connect by itself.
fn open_socket(around: &Surroundings, run: &RunId, commands: mpsc::Sender<Command>) -> Option<ControlSocket> {
    let (asked, mut asks) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(ask) = asks.recv().await {
            if commands.send(Command::Asked(ask)).await.is_err() {
                return;
            }
        }
    });
    match ControlSocket::bind(&around.state.socket(run), asked) {
        Ok(socket) => Some(socket),
        Err(e) => {
            around.note(&format!("note: failed to {e}"));
            None
        }
    }
}

/// Ctrl-C and SIGTERM: once to finish what is begun, twice to stop now.
async fn interrupts(commands: mpsc::Sender<Command>) -> Option<()> {
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    for (command, text) in [
        (
            Command::Interrupt,
            "interrupted: no new host is begun, those at work finish their step; once more to stop now",
        ),
        (Command::Abort, "stopping now: what was in flight is not known"),
    ] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        terminal::say(text);
        commands.send(command).await.ok()?;
    }
    Some(())
}

/// The exit code of what the engine did.
pub fn exit_code(ended: &Ended, detailed: bool) -> ExitCode {
    if ended.defect.is_some() {
        return ExitCode::Internal;
    }
    ended.state.as_ref().map_or(ExitCode::Internal, |state| state.exit_code(detailed))
}
