//! Keeps what commands print, then shows it: what is on the screen is in the run's folder.

use std::sync::Arc;

use pipedown_model::OutputStream;
use tokio::sync::{mpsc, oneshot};

use crate::{EngineError, OutputLog};

/// How many pieces may wait for the disk, and again for the screen. Who prints faster waits: the hosts feel it.
const BACKLOG: usize = 64;

/// Something that a host has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// The host's place in the plan.
    pub host: u32,
    /// Where.
    pub stream: OutputStream,
    /// What.
    pub bytes: Arc<[u8]>,
}

/// Where output goes.
#[derive(Debug)]
pub struct OutputSink {
    log: OutputLog,
    screen: mpsc::Sender<OutputChunk>,
}

impl OutputSink {
    /// Makes a sink that keeps output in a file of the run, and then hands it to whoever shows it.
    pub fn new(log: OutputLog) -> (Self, mpsc::Receiver<OutputChunk>) {
        let (screen, shown) = mpsc::channel(BACKLOG);
        (Self { log, screen }, shown)
    }
}

#[derive(Debug)]
enum Order {
    /// Another attempt begins.
    BeginAgain(u32),
    Keep(OutputChunk),
    /// Answered once everything before it is kept, and with why it is not.
    Settle(oneshot::Sender<Option<String>>),
}

/// An executor's way to the recorder.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(mpsc::Sender<Order>);

impl Recorder {
    /// Forgets what an earlier attempt has printed.
    pub(crate) async fn begin_again(&self, host: u32) {
        // A recorder that is gone has said so; what is not kept shows when the host settles.
        let _ = self.0.send(Order::BeginAgain(host)).await;
    }

    /// Keeps and shows; waits for room.
    pub(crate) async fn keep(&self, chunk: OutputChunk) {
        let _ = self.0.send(Order::Keep(chunk)).await;
    }

    /// Waits until everything that was handed over is kept and on its way to the screen.
    ///
    /// # Errors
    /// Why it is not kept: a full disk.
    pub(crate) async fn settle(&self) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(Order::Settle(answer)).await;
        match answered.await {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(_) => Err("keep what was printed: the recorder has ended".to_owned()),
        }
    }
}

/// Starts the recorder, a thread of its own: writing a file may block. It ends when nobody can hand it anything.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn recorder(sink: OutputSink) -> Result<Recorder, EngineError> {
    let (recorder, mut orders) = mpsc::channel(BACKLOG);
    let OutputSink { mut log, screen } = sink;
    let work = move || {
        let mut trouble: Option<String> = None;
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::BeginAgain(host) => {
                    if let Err(error) = log.begin_again(host) {
                        trouble.get_or_insert(error.to_string());
                    }
                }
                Order::Keep(chunk) => {
                    if trouble.is_none()
                        && let Err(error) = log.append(chunk.host, chunk.stream, &chunk.bytes)
                    {
                        trouble = Some(error.to_string());
                    }
                    // Nobody need look.
                    let _ = screen.blocking_send(chunk);
                }
                Order::Settle(answer) => drop(answer.send(trouble.clone())),
            }
        }
    };
    let failed = |source| EngineError::File { act: "start the thread of", path: "output".into(), source };
    std::thread::Builder::new().name("output".to_owned()).spawn(work).map_err(failed)?;
    Ok(Recorder(recorder))
}
