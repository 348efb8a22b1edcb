//! The accept loop: one per address, outliving a shortage of descriptors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::connection::serve;
use crate::service::Service;

/// How long to wait for a descriptor when no connection of ours gives one back.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Accepts until it is told to stop; the listener closes with it.
pub(crate) async fn accept_loop(listener: TcpListener, service: Arc<Service>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&service, stream, peer),
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                log::warn!("accept: {error}");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = service.freed.notified() => {}
                    () = tokio::time::sleep(SHORTAGE) => {}
                }
            }
        }
    }
}

/// Tells errors of the connection that was to be accepted from those of this process.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        || error.kind() == io::ErrorKind::Interrupted
}

/// Serves a connection, or closes it when there are too many.
fn admit(service: &Arc<Service>, stream: TcpStream, peer: SocketAddr) {
    let faults = service.faults_at(stream.local_addr());
    if faults.refuse || service.connections.len() >= service.limits.connections {
        return;
    }
    let Ok(startup) = Arc::clone(&service.startups).try_acquire_owned() else {
        log::warn!("too many unauthenticated connections: {peer} is turned away");
        return;
    };
    let shared = Arc::clone(service);
    service.connections.spawn(async move {
        serve(&shared, stream, peer, startup, faults).await;
        shared.freed.notify_one();
    });
}
