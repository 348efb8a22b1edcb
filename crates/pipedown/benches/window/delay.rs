//! A link that is far away: every byte arrives half a round trip later. Its bandwidth is not limited.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::Failure;

/// Proxies on loopback, until this is dropped.
pub struct Delay {
    runtime: Runtime,
    one_way: Duration,
    carried: Arc<Carried>,
}

/// How many bytes went over a link.
#[derive(Debug, Default)]
struct Carried {
    out: AtomicUsize,
    back: AtomicUsize,
}

impl Delay {
    /// Makes a link with this round-trip time.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn new(round_trip: Duration) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { runtime, one_way: round_trip / 2, carried: Arc::default() })
    }

    /// Puts the link before a port of 127.0.0.1 and tells the port of its near end.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn before(&self, port: u16) -> Result<u16, Failure> {
        let listener = self.runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let near = listener.local_addr()?.port();
        let (one_way, carried) = (self.one_way, Arc::clone(&self.carried));
        self.runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                tokio::spawn(carry(client, server, one_way, Arc::clone(&carried)));
            }
        });
        Ok(near)
    }

    /// How many bytes went to the far end and back since this was asked last.
    pub fn carried(&self) -> (usize, usize) {
        let Carried { out, back } = &*self.carried;
        (out.swap(0, Ordering::Relaxed), back.swap(0, Ordering::Relaxed))
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    one_way: Duration,
    carried: Arc<Carried>,
) -> Option<()> {
    // The near end was connected at once, a round trip of TCP's too early. On a far link the server would learn
    // half a round trip after the client that they are connected.
    sleep_until(Instant::now() + one_way).await;
    let server = TcpStream::connect(server).await.ok()?;
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        one_direction(from_client, to_server, one_way, &carried.out),
        one_direction(from_server, to_client, one_way, &carried.back)
    );
    Some(())
}

async fn one_direction(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    one_way: Duration,
    carried: &AtomicUsize,
) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            carried.fetch_add(count, Ordering::Relaxed);
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + one_way, bytes)).is_err() {
                return;
            }
        }
        // An end of the stream takes its time as well.
        let _ = sender.send((Instant::now() + one_way, Vec::new()));
    };
    let write = async move {
        while let Some((arrives, bytes)) = under_way.recv().await {
            sleep_until(arrives).await;
            if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
