//! A command on an SSH channel.
//!
//! Two small tasks: the pump always takes what the channel brings (a channel that nobody reads stalls every other
//! one on its connection), and the steerer sends what must not wait behind it, end of file and close. They are
//! apart because both directions of russh are bounded queues: a pump that waits for room to send would not read.

use std::sync::Arc;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::exec::{Chunk, Exec, ExecOutput, ExecSignals, ExecStdin, Queue, Sink, WriteFuture};
use crate::keepalive::InUse;

/// Standard error's number in extended data (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// Runs the two tasks of a channel on which a command has been requested.
pub(crate) fn start(
    reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    in_use: InUse,
    (queue, output): (Queue, ExecOutput),
) -> Exec {
    let writer = Arc::new(writer);
    let (eof, eof_wanted) = oneshot::channel();
    let (close, close_wanted) = oneshot::channel();
    let over = CancellationToken::new();
    let (signals, signals_wanted) = ExecSignals::new();
    tokio::spawn(steer(Arc::clone(&writer), eof_wanted, signals_wanted, close_wanted));
    let pumping = pump(reader, queue, close, over.clone());
    tokio::spawn(async move {
        pumping.await;
        drop(in_use);
    });
    Exec { stdin: ExecStdin::new(Box::new(ChannelSink(writer)), eof, over), signals, output }
}

struct ChannelSink(Arc<ChannelWriteHalf<Msg>>);

impl Sink for ChannelSink {
    fn write_all<'a>(&'a mut self, bytes: &'a [u8]) -> WriteFuture<'a> {
        // In packets as large as the server takes: a reader would be cut into pieces of 8 KiB.
        Box::pin(async move { self.0.data_bytes(bytes.to_vec()).await.map_err(|_| ()) })
    }
}

/// Sends end of file, signals and close when they are wanted; ends with the pump. Failures mean that the link is
/// gone.
async fn steer(
    writer: Arc<ChannelWriteHalf<Msg>>,
    mut eof_wanted: oneshot::Receiver<()>,
    mut signals_wanted: mpsc::UnboundedReceiver<String>,
    mut close_wanted: oneshot::Receiver<()>,
) {
    let mut open = true;
    let finish = loop {
        tokio::select! {
            finish = &mut close_wanted => break finish,
            // Whether it was fired or dropped does not matter.
            _ = &mut eof_wanted, if open => {
                open = false;
                let _ = writer.eof().await;
            }
            // Senders that are all gone disable this branch.
            Some(name) = signals_wanted.recv() => {
                let _ = writer.signal(named(&name)).await;
            }
        }
    };
    // A pump that ends without a word has seen the channel closed by the other side.
    if finish.is_ok() {
        let _ = writer.close().await;
    }
}

/// Takes everything the channel brings until it is closed, or until we want it closed.
///
/// Once we close a channel russh forgets it and tells us nothing more about it, not even its end. So there is
/// nothing left to wait for: with our half of the queue gone, late data is thrown away without stalling anyone.
async fn pump(
    mut reader: ChannelReadHalf,
    queue: Queue,
    close: oneshot::Sender<()>,
    over: CancellationToken,
) {
    // Whatever ends the pump ends a waiting writer as well.
    let _over = over.drop_guard();
    loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = queue.abandoned() => break,
        };
        let Some(message) = message else {
            queue.send(Chunk::Lost);
            return;
        };
        let go_on = match message {
            ChannelMsg::Close => return,
            ChannelMsg::Data { data } => queue.push(Chunk::Stdout(data.into())).await,
            ChannelMsg::ExtendedData { data, ext: STDERR } => queue.push(Chunk::Stderr(data.into())).await,
            other => match news(other) {
                Some(chunk) => {
                    let refused = chunk == Chunk::Refused;
                    queue.send(chunk);
                    !refused
                }
                None => true,
            },
        };
        if !go_on {
            break;
        }
    }
    // The steerer lives as long as we do.
    let _ = close.send(());
}

/// What a message tells about the command's end, if anything.
fn news(message: ChannelMsg) -> Option<Chunk> {
    match message {
        ChannelMsg::ExitStatus { exit_status } => Some(Chunk::Exit(exit_status)),
        ChannelMsg::ExitSignal { signal_name, .. } => Some(Chunk::Signal(signal(&signal_name))),
        ChannelMsg::Failure => Some(Chunk::Refused),
        _ => None,
    }
}

/// A signal's name as it travels (RFC 4254, section 6.10): without `SIG`.
fn signal(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

/// A signal by the name under which it travels.
fn named(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}
