//! One host's bytes on a channel of a connection that it shares with others (RFC 4254, section 7.2).
//!
//! russh opens a channel's window again as soon as data arrives, not when it is read, and it waits when a channel's
//! queue is full: one tunnel that is not read would stall its whole connection. So every tunnel has a task that
//! always reads. What that task holds is bounded by the windows of the SSH session inside, which open again only
//! when that session has read; a host that does not keep to them loses its tunnel at [`MOST_WAITING`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::connection::LinkEnd;

/// How much one host may have waiting to be read: twice what its three channels' windows allow.
pub(crate) const MOST_WAITING: usize = 12 * 1024 * 1024;

/// What a queued piece costs beyond its bytes.
const PIECE_COST: usize = 64;

/// How long the words that came with a refusal may take after the refusal.
const WORDS_LIMIT: Duration = Duration::from_secs(1);

/// How many refusals' words are kept.
const KEPT: usize = 64;

/// Why there is no tunnel to a host, although the bastion is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelProblem {
    /// The bastion could not connect to the host; its words, "Connection refused" for example.
    Unreachable(String),
    /// The bastion does not forward for us, or not to there.
    Forbidden(String),
    /// The bastion has no room for another tunnel.
    Full(String),
    /// The bastion did not answer in time.
    Silent(Duration),
    /// The link to the bastion ended meanwhile.
    Lost(LinkEnd),
}

impl fmt::Display for TunnelProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(words) => write!(f, "it cannot reach the host: {words}"),
            Self::Forbidden(words) => write!(f, "it does not forward to the host: {words}"),
            Self::Full(words) => write!(f, "it has no room for another tunnel: {words}"),
            Self::Silent(limit) => write!(f, "it did not reach the host within {} s", limit.as_secs_f64()),
            Self::Lost(end) => write!(f, "its link ended: {end}"),
        }
    }
}

/// What a server said with its refusals to open a channel. russh tells the opener the code alone, and its handler
/// the words but not which opening they belong to.
#[derive(Debug, Clone)]
pub(crate) struct Refusals(Arc<watch::Sender<Said>>);

#[derive(Debug, Default)]
struct Said {
    /// How many refusals there were.
    count: usize,
    /// The last of them with their words.
    words: Vec<(usize, String)>,
    /// How many openers have come for theirs.
    claimed: usize,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(watch::channel(Said::default()).0))
    }
}

impl Refusals {
    /// Keeps the words of a refusal.
    pub(crate) fn heard(&self, words: &str) {
        let words: String = words.chars().take(200).collect();
        self.0.send_modify(|said| {
            said.count += 1;
            said.words.push((said.count, words.escape_debug().to_string()));
            let surplus = said.words.len().saturating_sub(KEPT);
            said.words.drain(..surplus);
        });
    }

    fn count(&self) -> usize {
        self.0.borrow().count
    }

    /// The words of a refusal that was made after `before`. Refusals of the same time with other words are named as
    /// well: nobody can tell them apart.
    async fn since(&self, before: usize) -> String {
        let mut number = 0;
        self.0.send_modify(|said| {
            said.claimed += 1;
            number = said.claimed;
        });
        let mut said = self.0.subscribe();
        // The refusal is told before its words are. Without them the code has to do.
        let _ = timeout(WORDS_LIMIT, said.wait_for(|said| said.count >= number)).await;
        let mut different: Vec<String> = Vec::new();
        for (_, words) in said.borrow().words.iter().filter(|(number, _)| *number > before) {
            if !words.is_empty() && !different.contains(words) {
                different.push(words.clone());
            }
        }
        different.join(" or ")
    }
}

/// What both ends of a tunnel know.
#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    end: OnceLock<LinkEnd>,
    writer: AtomicWaker,
}

impl Shared {
    fn finish(&self, end: LinkEnd) {
        // The first reason is the reason.
        let _ = self.end.set(end);
        // russh never wakes a writer that waits for the window of a channel which was closed.
        self.writer.wake();
    }

    fn error(&self) -> Option<io::Error> {
        self.end.get().map(|end| match end {
            LinkEnd::Closed => io::ErrorKind::BrokenPipe.into(),
            end => io::Error::other(end.clone()),
        })
    }
}

/// The stream through a tunnel. Dropping it closes the channel.
pub(crate) struct Tunnel {
    inbox: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What was taken from the inbox and not read yet, and how much of it was.
    piece: (Vec<u8>, usize),
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    shared: Arc<Shared>,
}

/// A request for a channel to a host and port.
pub(crate) async fn open(
    session: &russh::client::Handle<crate::client::Client>,
    refusals: &Refusals,
    address: &str,
    port: u16,
) -> Result<Channel<Msg>, Option<TunnelProblem>> {
    let before = refusals.count();
    // Where we come from is nobody's business beyond the bastion; OpenSSH says the same.
    let opened = session.channel_open_direct_tcpip(address, port.into(), "127.0.0.1", 65535).await;
    let reason = match opened {
        Ok(channel) => return Ok(channel),
        Err(russh::Error::ChannelOpenFailure(reason)) => reason,
        // The link is gone.
        Err(_) => return Err(None),
    };
    let words = refusals.since(before).await;
    let or = |otherwise: &str| if words.is_empty() { otherwise.to_owned() } else { words.clone() };
    Err(Some(match reason {
        ChannelOpenFailure::ConnectFailed => TunnelProblem::Unreachable(or("no connection")),
        ChannelOpenFailure::ResourceShortage => TunnelProblem::Full(or("a shortage of resources")),
        ChannelOpenFailure::AdministrativelyProhibited => TunnelProblem::Forbidden(or("prohibited")),
        ChannelOpenFailure::UnknownChannelType => TunnelProblem::Forbidden(or("it knows no forwarding")),
        ChannelOpenFailure::Other { code, .. } => TunnelProblem::Forbidden(or(&format!("code {code}"))),
    }))
}

/// How the link to a bastion ended, in the words of a host behind it.
pub(crate) async fn lost_hop(hop: String, closed: impl Future<Output = LinkEnd>) -> LinkEnd {
    LinkEnd::Bastion { hop, end: Box::new(closed.await) }
}

impl Tunnel {
    /// Begins to pump a channel. `lost` tells how the link to the bastion ended, once it has; `lease` is kept as long
    /// as the channel is.
    pub(crate) fn start<L: Send + 'static>(
        channel: Channel<Msg>,
        lost: impl Future<Output = LinkEnd> + Send + 'static,
        lease: L,
    ) -> Self {
        let (reader, writer) = channel.split();
        let (sender, inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let tunnel = Self {
            inbox,
            piece: (Vec::new(), 0),
            writer: Box::pin(writer.make_writer()),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(async move {
            pump(reader, writer, sender, &shared, lost).await;
            drop(lease);
        });
        tunnel
    }
}

/// Reads the channel until one end or the other has had enough.
async fn pump(
    mut reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    inbox: mpsc::UnboundedSender<Vec<u8>>,
    shared: &Shared,
    lost: impl Future<Output = LinkEnd>,
) {
    let end = loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = inbox.closed() => break LinkEnd::GivenUp,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                let cost = data.len().saturating_add(PIECE_COST);
                let waiting = shared.waiting.fetch_add(cost, Ordering::AcqRel).saturating_add(cost);
                if waiting > MOST_WAITING {
                    break LinkEnd::Overrun(waiting);
                }
                // A reader that is gone shows at the next turn.
                let _ = inbox.send(data.into());
            }
            Some(ChannelMsg::Eof) => break LinkEnd::Closed,
            Some(ChannelMsg::Close) => {
                shared.finish(LinkEnd::Closed);
                return;
            }
            Some(_) => {}
            None => {
                shared.finish(lost.await);
                return;
            }
        }
    };
    shared.finish(end);
    // Nobody reads from here on, so nothing of the channel may be queued either.
    drop((reader, inbox));
    // A failure means that the link, and with it the channel, is gone.
    let _ = writer.close().await;
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let (bytes, read) = &mut this.piece;
            let rest = bytes.get(*read..).unwrap_or_default();
            if !rest.is_empty() {
                let part = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
                buf.put_slice(part);
                *read += part.len();
                return Poll::Ready(Ok(()));
            }
            let Some(next) = ready!(this.inbox.poll_recv(cx)) else {
                return Poll::Ready(match this.shared.end.get() {
                    Some(LinkEnd::Closed) | None => Ok(()),
                    Some(end) => Err(io::Error::other(end.clone())),
                });
            };
            this.shared.waiting.fetch_sub(next.len().saturating_add(PIECE_COST), Ordering::AcqRel);
            this.piece = (next, 0);
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Register first, look second: an end in between then wakes us.
        self.shared.writer.register(cx.waker());
        if let Some(error) = self.shared.error() {
            return Poll::Ready(Err(error));
        }
        match ready!(self.writer.as_mut().poll_write(cx, buf)) {
            Ok(written) => Poll::Ready(Ok(written)),
            // The link is gone, and the pump is about to say how.
            Err(_) => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Dropping it closes the channel; end of file alone would be of no use to an SSH server.
        Poll::Ready(Ok(()))
    }
}
