//! A command on an SSH channel.
//!
//! Two small tasks: the pump always takes what the channel brings (a channel that nobody reads stalls every other
//! one on its connection), and the steerer sends what must not wait behind it, end of file and close. They are
//! apart because both directions of russh are bounded queues: a pump that waits for room to send would not read.

use std::sync::Arc;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::exec::{Chunk, Exec, ExecStdin, Queue, Sink, WriteFuture};

/// Standard error's number in extended data (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// Runs the two tasks of a channel on which a command has been requested.
pub(crate) fn start(reader: ChannelReadHalf, writer: ChannelWriteHalf<Msg>, unread_limit: usize) -> Exec {
    let writer = Arc::new(writer);
    let (queue, output) = Queue::new(unread_limit);
    let (eof, eof_wanted) = oneshot::channel();
    let close = CancellationToken::new();
    let over = CancellationToken::new();
    tokio::spawn(steer(Arc::clone(&writer), eof_wanted, close.clone(), over.clone()));
    tokio::spawn(pump(reader, queue, close, over.clone()));
    Exec { stdin: ExecStdin::new(Box::new(ChannelSink(writer)), eof, over), output }
}

struct ChannelSink(Arc<ChannelWriteHalf<Msg>>);

impl Sink for ChannelSink {
    fn write_all<'a>(&'a mut self, bytes: &'a [u8]) -> WriteFuture<'a> {
        Box::pin(async move { self.0.data(bytes).await.map_err(|_| ()) })
    }
}

/// Sends end of file and close when they are wanted. Failures mean that the link is gone.
async fn steer(
    writer: Arc<ChannelWriteHalf<Msg>>,
    eof_wanted: oneshot::Receiver<()>,
    close: CancellationToken,
    over: CancellationToken,
) {
    tokio::select! {
        // The answer does not matter: the sender is dropped to ask for it.
        _ = eof_wanted => { let _ = writer.eof().await; }
        () = close.cancelled() => {}
        () = over.cancelled() => return,
    }
    tokio::select! {
        () = close.cancelled() => { let _ = writer.close().await; }
        () = over.cancelled() => {}
    }
}

/// Takes everything the channel brings, until it is closed.
async fn pump(
    mut reader: ChannelReadHalf,
    mut queue: Queue,
    close: CancellationToken,
    over: CancellationToken,
) {
    // Whatever ends the pump ends a waiting writer as well.
    let _over = over.drop_guard();
    loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = queue.abandoned(), if !close.is_cancelled() => {
                close.cancel();
                continue;
            }
        };
        let Some(message) = message else {
            queue.push(Chunk::Lost);
            return;
        };
        let chunk = match message {
            ChannelMsg::Close => return,
            ChannelMsg::Data { data } => Chunk::Stdout(data.into()),
            ChannelMsg::ExtendedData { data, ext: STDERR } => Chunk::Stderr(data.into()),
            ChannelMsg::ExitStatus { exit_status } => Chunk::Exit(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => Chunk::Signal(signal(&signal_name)),
            ChannelMsg::Failure => {
                close.cancel();
                Chunk::Refused
            }
            _ => continue,
        };
        if !queue.push(chunk) {
            close.cancel();
        }
    }
}

/// A signal's name as it travels (RFC 4254, section 6.10): without `SIG`.
fn signal(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
