//! What is not left running on a host when its turn ends early.

use std::sync::Arc;

use futures::future::BoxFuture;
use pipedown_steps::Running;

use crate::Line;
use crate::context::Context;

/// A connection with perhaps a command on it. Whatever ends the turn, the host is asked to kill the command, and the
/// connection is closed in the background: the next host need not wait for it.
pub(crate) struct Held {
    context: Arc<Context>,
    line: Option<Box<dyn Line>>,
    running: Option<Running>,
}

impl Held {
    pub(crate) fn new(context: &Arc<Context>, line: Box<dyn Line>) -> Self {
        Self { context: Arc::clone(context), line: Some(line), running: None }
    }

    pub(crate) fn line(&self) -> Option<&dyn Line> {
        self.line.as_deref()
    }

    /// Notes what runs there.
    pub(crate) fn runs(&mut self, running: Running) -> &mut Running {
        self.running.insert(running)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (Some(line), running) = (self.line.take(), self.running.take()) else { return };
        self.context.tasks.spawn(goodbye(line, running));
    }
}

fn goodbye(line: Box<dyn Line>, running: Option<Running>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Some(running) = running {
            running.kill().await;
        }
        line.close().await;
    })
}
