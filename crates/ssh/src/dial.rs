//! From a name to a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{ConnectError, Phase};
use crate::target::{Deadlines, Target};
use crate::timeline::Timeline;

/// Resolves the target's address and tries everything it resolves to, in order.
pub(crate) async fn dial(
    target: &Target,
    deadlines: &Deadlines,
    seen: &Timeline,
) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(target, deadlines).await?;
    seen.resolved(&addresses);
    let until = Instant::now() + deadlines.connect;
    let mut attempts = Vec::new();
    let mut silent = false;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        // One silent address must not use up the time of the others.
        let share = until.saturating_duration_since(Instant::now()) / left.max(1);
        left = left.saturating_sub(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return prepared(tcp).map_err(|error| tcp_error(target, vec![(address, error)])),
            Ok(Err(error)) => attempts.push((address, error)),
            Err(_) => {
                silent = true;
                attempts.push((address, io::Error::new(io::ErrorKind::TimedOut, "no answer")));
            }
        }
    }
    if silent && attempts.len() == 1 {
        return Err(timed_out(target, Phase::Connect, deadlines.connect));
    }
    Err(tcp_error(target, attempts))
}

async fn resolve(target: &Target, deadlines: &Deadlines) -> Result<Vec<SocketAddr>, ConnectError> {
    // The resolver occupies a thread, even for a number.
    if let Ok(ip) = target.address.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, target.port)]);
    }
    let failed =
        |source| ConnectError::Resolve { host: target.name.clone(), address: target.address.clone(), source };
    let found = timeout(deadlines.resolve, lookup_host((target.address.as_str(), target.port)))
        .await
        .map_err(|_| timed_out(target, Phase::Resolve, deadlines.resolve))?
        .map_err(failed)?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    Ok(addresses)
}

/// Small packets at once: the protocol is a conversation.
fn prepared(tcp: TcpStream) -> io::Result<TcpStream> {
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn tcp_error(target: &Target, attempts: Vec<(SocketAddr, io::Error)>) -> ConnectError {
    ConnectError::Tcp { host: target.name.clone(), attempts }
}

/// The error of a phase that ran into its deadline.
pub(crate) fn timed_out(target: &Target, phase: Phase, limit: std::time::Duration) -> ConnectError {
    ConnectError::TimedOut { host: target.name.clone(), phase, limit }
}
