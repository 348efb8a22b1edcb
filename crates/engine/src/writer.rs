//! The journal's writer thread: commits whatever has queued up and says so.

use std::sync::Arc;

use pipedown_model::Event;
use tokio::sync::mpsc;

use crate::Journal;

/// At most this many events go into one transaction.
const GROUP: usize = 256;

/// What the writer tells the dispatcher.
#[derive(Debug)]
pub(crate) enum Written {
    /// All up to this number are durable.
    Durable {
        /// The last event's number.
        up_to: u64,
    },
    /// The journal cannot be written. The events up to this number are kept and tried again with the next ones.
    NotDurable {
        /// The last event's number.
        up_to: u64,
        /// Why.
        error: String,
    },
}

/// Starts the thread. It ends when the sender is dropped and everything is written or has failed once more.
pub(crate) fn start(
    mut journal: Box<dyn Journal>,
) -> std::io::Result<(mpsc::UnboundedSender<Arc<Event>>, mpsc::UnboundedReceiver<Written>)> {
    let (events, mut queue) = mpsc::unbounded_channel::<Arc<Event>>();
    let (told, written) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("journal".into()).spawn(move || {
        let mut lines: Vec<(u64, String)> = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            while let Some(event) = next.take() {
                // An event always has a JSON form: it holds strings and numbers only.
                if let Ok(line) = serde_json::to_string(&*event) {
                    lines.push((event.seq, line));
                }
                if lines.len() < GROUP {
                    next = queue.try_recv().ok();
                }
            }
            let up_to = lines.last().map_or(0, |(seq, _)| *seq);
            let outcome = match journal.append(&lines) {
                Ok(()) => {
                    lines.clear();
                    Written::Durable { up_to }
                }
                Err(error) => Written::NotDurable { up_to, error: error.to_string() },
            };
            if told.send(outcome).is_err() {
                return;
            }
        }
    })?;
    Ok((events, written))
}
