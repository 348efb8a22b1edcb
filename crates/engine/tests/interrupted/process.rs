//! A process that works on a run, and may die.

use std::sync::Arc;
use std::time::Duration;

use pipedown_engine::{Command, Ended, Options, Setup, Work, conduct};
use pipedown_model::{Event, Mode, Operator, Plan};
use tokio::sync::mpsc;

use crate::host::{Local, now, run_id};
use crate::record::{Disk, Fault, Grip, Record};

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub const LONG: Duration = Duration::from_secs(120);

/// What a process is given.
#[derive(Clone)]
pub struct Process {
    pub plan: Arc<Plan>,
    pub options: Options,
    pub opener: Arc<Local>,
    pub disk: Disk,
}

/// A process at work.
pub struct Running {
    /// Orders of the operator.
    pub orders: mpsc::Sender<Command>,
    /// What it shows.
    pub shown: mpsc::UnboundedReceiver<Arc<Event>>,
    ended: tokio::task::JoinHandle<Ended>,
    grip: Grip,
}

impl Process {
    pub fn start(&self, work: Work, fault: Fault) -> Running {
        let (journal, grip) = Record::new(&self.disk, fault);
        let (consumer, shown) = mpsc::unbounded_channel();
        let (orders, commands) = mpsc::channel(8);
        let setup = Setup {
            run: run_id(),
            plan: Arc::clone(&self.plan),
            options: self.options.clone(),
            by: Operator::new("alice", "admin"),
            journal: Box::new(journal),
            recorded: self.disk.state(),
            opener: Arc::clone(&self.opener) as _,
            clock: Arc::new(now),
            controller: None,
            consumer,
            output: None,
            input: None,
        };
        let ended = tokio::spawn(async { conduct(setup, work, commands).await.unwrap() });
        Running { orders, shown, ended, grip }
    }

    pub async fn begin(&self, fault: Fault) -> Option<Ended> {
        self.start(Work::Begin { mode: Mode::Apply, supersedes: None }, fault).end().await
    }

    pub async fn resume(&self) -> Ended {
        self.start(Work::Resume, Fault::None).end().await.unwrap()
    }
}

impl Running {
    /// Waits for its end; `None` if it died.
    pub async fn end(mut self) -> Option<Ended> {
        let end = async {
            tokio::select! {
                ended = &mut self.ended => Some(ended.unwrap()),
                Some(()) = self.grip.dies.recv() => {
                    // Nothing of it is left, as after a SIGKILL.
                    self.ended.abort();
                    let _ = (&mut self.ended).await;
                    None
                }
            }
        };
        let ended = tokio::time::timeout(LONG, end).await.unwrap();
        if let Some(ended) = &ended {
            assert_eq!(ended.defect, None);
        }
        ended
    }
}
