//! The control socket: how `cancel` reaches the process that follows a run and holds its connections.
//!
//! One request line of JSON, answered by event lines of JSON, then the end of the stream.

use std::path::Path;
use std::sync::Arc;

use pipedown_model::{Event, HostName, Operator};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::EngineError;

/// What another process asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Call the window off.
    Cancel {
        /// Which hosts; empty for all.
        hosts: Vec<HostName>,
        /// Who.
        by: Operator,
        /// Why.
        reason: String,
    },
}

/// A request and the way to answer it.
#[derive(Debug)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// Events go here until the work is done.
    pub answer: mpsc::UnboundedSender<Arc<Event>>,
}

/// A bound socket; removed when dropped.
#[derive(Debug)]
pub struct ControlSocket {
    task: tokio::task::JoinHandle<()>,
    path: std::path::PathBuf,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ControlSocket {
    /// Binds the socket; only its owner may connect (the run's folder has mode 0700). The caller holds
    /// the run's lock, so a socket that is there already is a dead process's.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn bind(path: &Path, asked: mpsc::Sender<Asked>) -> Result<Self, EngineError> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).map_err(|source| EngineError::File {
            act: "bind the control socket",
            path: path.to_owned(),
            source,
        })?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(serve(stream, asked.clone()))),
                    // Out of descriptors, for example: that passes.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                }
            }
        });
        Ok(Self { task, path: path.to_owned() })
    }
}

async fn serve(stream: UnixStream, asked: mpsc::Sender<Asked>) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let line = BufReader::new(read).lines().next_line().await.ok()??;
    let request = serde_json::from_str(&line).ok()?;
    let (answer, mut events) = mpsc::unbounded_channel::<Arc<Event>>();
    asked.send(Asked { request, answer }).await.ok()?;
    while let Some(event) = events.recv().await {
        let mut line = serde_json::to_string(&*event).ok()?;
        line.push('\n');
        write.write_all(line.as_bytes()).await.ok()?;
    }
    Some(())
}

/// Asks the process that works on a run. `None` if nobody listens.
///
/// # Errors
/// When the answer is not what a pipedown of this version says.
pub async fn ask(
    path: &Path,
    request: &Request,
) -> Result<Option<mpsc::UnboundedReceiver<Event>>, EngineError> {
    let file = |source| EngineError::File { act: "ask", path: path.to_owned(), source };
    let Ok(mut stream) = UnixStream::connect(path).await else {
        return Ok(None);
    };
    let mut line = serde_json::to_string(request).map_err(|e| file(e.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.map_err(file)?;
    let (sender, events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(event) = serde_json::from_str(&line) else { return };
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    Ok(Some(events))
}
