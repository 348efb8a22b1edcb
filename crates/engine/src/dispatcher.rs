//! The dispatcher: one task that alone owns run state, sequence numbers and the order of events.
//!
//! Journal before wire, wire before screen: an executor's intent is answered only once the journal has
//! it, and consumers are given only what is durable.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use pipedown_model::{Event, EventKind, HostName, HostState, RunId, RunState, Verdict};
use tokio::sync::{mpsc, oneshot};

use crate::writer::{self, Written};
use crate::{EngineError, Journal};

/// A clock: pure code is given one, tests pin it.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How many proposals may wait: executors feel the journal's speed.
const BACKLOG: usize = 1024;

/// Looks at the state, with all that was told before.
type Look = Box<dyn FnOnce(Option<&RunState>) + Send>;

enum What {
    Event(EventKind),
    /// The verdict follows from the state, which the dispatcher alone has.
    Conclude,
    /// One more consumer, of what comes from now on.
    Attach(mpsc::UnboundedSender<Arc<Event>>),
    /// All further consumers leave, once they have seen what was told so far.
    Detach,
    /// Reads from the state what somebody wants to know.
    Read(Look),
    /// Answered once everything told so far is durable.
    Settle,
}

struct Proposal {
    what: What,
    durable: Option<oneshot::Sender<Result<(), EngineError>>>,
}

/// An executor's way to the dispatcher.
#[derive(Debug, Clone)]
pub struct Proposer(mpsc::Sender<Proposal>);

impl Proposer {
    /// Tells what happened; does not wait for the journal.
    pub async fn tell(&self, kind: EventKind) {
        // The dispatcher outlives every executor; if it is gone the process is ending.
        let _ = self.0.send(Proposal { what: What::Event(kind), durable: None }).await;
    }

    /// Ends the run with the verdict that follows from all that was told.
    pub async fn conclude(&self) {
        let _ = self.0.send(Proposal { what: What::Conclude, durable: None }).await;
    }

    /// Shows events to one more consumer from now on.
    pub(crate) async fn attach(&self, consumer: mpsc::UnboundedSender<Arc<Event>>) {
        let _ = self.0.send(Proposal { what: What::Attach(consumer), durable: None }).await;
    }

    /// Lets the further consumers go, once they have seen what was told so far.
    pub(crate) async fn detach(&self) {
        let _ = self.0.send(Proposal { what: What::Detach, durable: None }).await;
    }

    /// Reads from the run's state, with all that was told before; what is wanted is taken out there, so that the state of
    /// ten thousand hosts is not copied for one of them.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        wanted: impl FnOnce(&RunState) -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, answer) = oneshot::channel();
        let look = Box::new(move |state: Option<&RunState>| drop(tell.send(state.map(wanted))));
        let _ = self.0.send(Proposal { what: What::Read(look), durable: None }).await;
        answer.await.ok().flatten()
    }

    /// The whole of the run's state, with all that was told before.
    pub(crate) async fn state(&self) -> Option<RunState> {
        self.read(RunState::clone).await
    }

    /// One host of the run, with all that was told before.
    pub(crate) async fn host(&self, host: &HostName) -> Option<HostState> {
        let host = host.clone();
        self.read(move |state| state.hosts.get(&host).cloned()).await.flatten()
    }

    /// The hosts that somebody has asked to call off.
    pub(crate) async fn called_off(&self) -> HashSet<HostName> {
        let called_off = |state: &RunState| {
            let hosts = state.hosts.iter().filter(|(_, host)| host.cancel_requested);
            hosts.map(|(name, _)| name.clone()).collect()
        };
        self.read(called_off).await.unwrap_or_default()
    }

    /// Waits until everything told before is durable.
    ///
    /// # Errors
    /// When the journal does not take it.
    pub(crate) async fn settle(&self) -> Result<(), EngineError> {
        self.ask(What::Settle).await
    }

    /// Tells what is about to happen and waits until that is durable.
    ///
    /// # Errors
    /// [`EngineError::NotDurable`]: the act must not be done. An undo is never refused.
    pub async fn intend(&self, kind: EventKind) -> Result<(), EngineError> {
        self.ask(What::Event(kind)).await
    }

    async fn ask(&self, what: What) -> Result<(), EngineError> {
        let (durable, answer) = oneshot::channel();
        self.0.send(Proposal { what, durable: Some(durable) }).await.map_err(|_| EngineError::Ended)?;
        answer.await.map_err(|_| EngineError::Ended)?
    }
}

/// An intent that waits for the journal.
struct Waiting {
    seq: u64,
    /// An undo goes ahead even when the journal cannot be written.
    undo: bool,
    durable: oneshot::Sender<Result<(), EngineError>>,
}

/// The dispatcher, before it is started.
pub struct Dispatcher {
    run: RunId,
    clock: Clock,
    state: Option<RunState>,
    proposals: mpsc::Receiver<Proposal>,
    events: Option<mpsc::UnboundedSender<Arc<Event>>>,
    written: mpsc::UnboundedReceiver<Written>,
    consumers: Vec<mpsc::UnboundedSender<Arc<Event>>>,
    detach_after: Option<u64>,
    waiting: VecDeque<Waiting>,
    unwritten: VecDeque<Arc<Event>>,
    shown: u64,
    sent: u64,
    defect: Option<String>,
    /// Whether the journal's thread lives.
    writing: bool,
}

/// What a dispatcher leaves behind.
#[derive(Debug)]
pub struct Ended {
    /// The run's state.
    pub state: Option<RunState>,
    /// Whether everything is in the journal.
    pub recorded: bool,
    /// An event that could not follow: a defect of an executor, never of a host.
    pub defect: Option<String>,
}

impl Dispatcher {
    /// Makes a dispatcher over a journal; `state` continues a recorded run. Durable events go to `consumer`.
    ///
    /// # Errors
    /// When the journal's thread cannot be started.
    pub fn new(
        run: RunId,
        clock: Clock,
        journal: Box<dyn Journal>,
        state: Option<RunState>,
        consumer: mpsc::UnboundedSender<Arc<Event>>,
    ) -> Result<(Self, Proposer), EngineError> {
        let (events, written) = writer::start(journal).map_err(|source| EngineError::File {
            act: "start the thread of",
            path: "journal".into(),
            source,
        })?;
        let (proposer, proposals) = mpsc::channel(BACKLOG);
        let sent = state.as_ref().map_or(0, |s| s.seq);
        let dispatcher = Self {
            run,
            clock,
            state,
            proposals,
            events: Some(events),
            written,
            consumers: vec![consumer],
            detach_after: None,
            waiting: VecDeque::new(),
            unwritten: VecDeque::new(),
            shown: sent,
            sent,
            defect: None,
            writing: true,
        };
        Ok((dispatcher, Proposer(proposer)))
    }

    /// Works until every [`Proposer`] is gone and the journal has answered for every event.
    pub async fn work(mut self) -> Ended {
        loop {
            tokio::select! {
                biased;
                written = self.written.recv(), if self.writing => match written {
                    Some(written) => self.on_written(&written),
                    None => self.on_dead_writer(),
                },
                proposal = self.proposals.recv() => match proposal {
                    Some(proposal) => self.on_proposal(proposal),
                    None => break,
                },
            }
        }
        self.events = None;
        while let Some(written) = self.written.recv().await {
            self.on_written(&written);
        }
        Ended { recorded: self.unwritten.is_empty(), state: self.state, defect: self.defect }
    }

    fn on_proposal(&mut self, proposal: Proposal) {
        let kind = match proposal.what {
            What::Event(kind) => kind,
            What::Conclude => {
                let verdict = self.state.as_ref().map_or(Verdict::Clean, RunState::conclude);
                EventKind::RunFinished { verdict }
            }
            What::Attach(consumer) => return self.consumers.push(consumer),
            What::Detach => {
                self.detach_after = Some(self.sent);
                return self.detach();
            }
            What::Read(look) => return look(self.state.as_ref()),
            What::Settle => return self.settle(proposal.durable),
        };
        let event = Event { v: 1, run: self.run.clone(), seq: self.sent + 1, at: (self.clock)(), kind };
        let folded = match self.state.as_mut() {
            Some(state) => state.apply(&event),
            None => RunState::begin(&event).map(|begun| self.state = Some(begun)),
        };
        if let Err(source) = folded {
            // An event that cannot be folded would make the journal unreadable: it is not written.
            self.defect.get_or_insert(source.to_string());
            if let Some(durable) = proposal.durable {
                let _ = durable.send(Err(EngineError::Corrupt { run: self.run.clone(), source }));
            }
            return;
        }
        self.sent = event.seq;
        if let Some(durable) = proposal.durable {
            let undo = matches!(event.kind, EventKind::UndoStarted { .. });
            self.waiting.push_back(Waiting { seq: event.seq, undo, durable });
        }
        let event = Arc::new(event);
        self.unwritten.push_back(Arc::clone(&event));
        if let Some(events) = &self.events {
            let _ = events.send(event);
        }
        if !self.writing {
            self.on_dead_writer();
        }
    }

    /// Nobody may wait for an answer that cannot come.
    fn on_dead_writer(&mut self) {
        self.writing = false;
        let error = "the journal's thread has ended".to_owned();
        self.on_written(&Written::NotDurable { up_to: self.sent, error });
    }

    fn settle(&mut self, asked: Option<oneshot::Sender<Result<(), EngineError>>>) {
        let Some(durable) = asked else { return };
        if self.shown < self.sent {
            self.waiting.push_back(Waiting { seq: self.sent, undo: false, durable });
        } else if self.unwritten.is_empty() {
            let _ = durable.send(Ok(()));
        } else {
            let _ = durable.send(Err(EngineError::NotDurable("earlier events are not written".to_owned())));
        }
    }

    /// Answers intents and shows events. With a journal that cannot be written, what already happened is still
    /// shown (it is true, though not recorded), undo goes ahead, and every other intent is refused.
    fn on_written(&mut self, written: &Written) {
        let (up_to, error) = match written {
            Written::Durable { up_to } => (*up_to, None),
            Written::NotDurable { up_to, error } => (*up_to, Some(error)),
        };
        for event in self.unwritten.iter().filter(|e| e.seq > self.shown && e.seq <= up_to) {
            for consumer in &self.consumers {
                let _ = consumer.send(Arc::clone(event));
            }
        }
        self.shown = up_to.max(self.shown);
        self.detach();
        if error.is_none() {
            while self.unwritten.front().is_some_and(|e| e.seq <= up_to) {
                self.unwritten.pop_front();
            }
        }
        while self.waiting.front().is_some_and(|w| w.seq <= up_to) {
            let Some(waiting) = self.waiting.pop_front() else { return };
            let result = match error {
                Some(error) if !waiting.undo => Err(EngineError::NotDurable(error.clone())),
                _ => Ok(()),
            };
            let _ = waiting.durable.send(result);
        }
    }

    fn detach(&mut self) {
        if self.detach_after.is_some_and(|seq| self.shown >= seq) {
            self.consumers.truncate(1);
            self.detach_after = None;
        }
    }
}

#[cfg(test)]
mod tests;
