//! Connections to bastions, shared by the hosts behind them.
//!
//! A bastion is a hop's whole [`Target`]: its user, its keys and the way to it are its own. Seats on its connections
//! are given out in order, so that 500 hosts make eight connections, whatever the order in which they come. Every
//! connection has a keeper: a task that makes it, watches it, and ends it when nobody has used it for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::client::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::connection::{Connection, LinkEnd};
use crate::connector::Connector;
use crate::error::ConnectError;
use crate::options::Route;
use crate::route::tunnel::{self, Refusals, Tunnel, TunnelProblem, lost_hop};
use crate::route::{Via, pause};
use crate::target::Target;

/// How many hosts share one connection.
const SEATS: usize = 64;

/// How long a connection that nobody uses is kept for the next one.
const LINGER: Duration = Duration::from_secs(2);

/// How long a bastion that could not be reached is not asked again: hosts behind it that have their turn meanwhile
/// fail with the same error.
const REMEMBERED: Duration = Duration::from_secs(5);

/// How often a bastion without room is asked for a tunnel.
const ASKED: u32 = 4;

/// All connections to bastions.
#[derive(Default)]
pub(crate) struct Bastions {
    links: Mutex<Vec<Arc<Link>>>,
    /// Cancelled with the connector.
    pub(crate) closing: CancellationToken,
}

/// One connection to a bastion.
struct Link {
    hop: Target,
    state: watch::Sender<State>,
    /// How many seats are taken.
    users: watch::Sender<usize>,
}

enum State {
    Connecting,
    Up(Up),
    Failed(Arc<ConnectError>),
    Gone(LinkEnd),
}

#[derive(Clone)]
struct Up {
    session: Arc<Handle<Client>>,
    refusals: Refusals,
    ended: watch::Receiver<Option<LinkEnd>>,
}

/// A seat on a connection.
struct Seat(Arc<Link>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.users.send_modify(|users| *users = users.saturating_sub(1));
    }
}

/// The last hop of a way, with the way to it. The first hop's own route is kept: a bastion may be behind another one.
pub(crate) fn hop_of(hops: &[Target]) -> Option<Target> {
    let (last, before) = hops.split_last()?;
    let mut hop = last.clone();
    if !before.is_empty() {
        hop.link.route = Route::Jump(before.to_vec());
    }
    Some(hop)
}

impl Bastions {
    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a tunnel to a target through a hop.
    pub(crate) async fn tunnel(
        self: &Arc<Self>,
        connector: &Connector,
        target: &Target,
        hop: &Target,
        limit: Duration,
    ) -> Result<(Tunnel, Via), ConnectError> {
        let mut asked = 1;
        loop {
            match self.try_tunnel(connector, target, hop, limit).await {
                Err(ConnectError::Tunnel { problem: TunnelProblem::Full(_), .. }) if asked < ASKED => {}
                other => return other.map(|tunnel| (tunnel, Via::Bastion(hop.name.clone()))),
            }
            pause(asked).await;
            asked += 1;
        }
    }

    async fn try_tunnel(
        self: &Arc<Self>,
        connector: &Connector,
        target: &Target,
        hop: &Target,
        limit: Duration,
    ) -> Result<Tunnel, ConnectError> {
        let seat = self.seat(connector, hop);
        let refused =
            |problem| ConnectError::Tunnel { host: target.name.clone(), hop: hop.name.clone(), problem };
        let up = up(&seat.0).await.map_err(|down| match down {
            Ok(source) => ConnectError::Bastion { host: target.name.clone(), hop: hop.name.clone(), source },
            Err(end) => refused(TunnelProblem::Lost(end)),
        })?;
        let ended = up.ended.clone();
        let lost = lost_hop(hop.name.clone(), end_of(ended.clone()));
        let (tell, opened) = oneshot::channel();
        let (address, port) = (target.address.clone(), target.port);
        // Cancelling russh's open leaves the channel behind, so the open runs to its end in a task of its own.
        tokio::spawn(async move {
            let result = tunnel::open(&up.session, &up.refusals, &address, port).await;
            // A tunnel that nobody waits for any more is dropped, and with it closed.
            drop(tell.send(result.map(|channel| Tunnel::start(channel, lost, seat))));
        });
        match timeout(limit, opened).await {
            Ok(Ok(Ok(tunnel))) => Ok(tunnel),
            Ok(Ok(Err(Some(problem)))) => Err(refused(problem)),
            Ok(Ok(Err(None)) | Err(_)) => Err(refused(TunnelProblem::Lost(end_of(ended).await))),
            Err(_) => Err(refused(TunnelProblem::Silent(limit))),
        }
    }

    /// Takes a seat on the first connection that has one, or on a new one.
    fn seat(self: &Arc<Self>, connector: &Connector, hop: &Target) -> Seat {
        let mut links = self.links();
        let of_hop = || links.iter().filter(|link| link.hop == *hop);
        let free = of_hop().find(|link| link.is_usable() && *link.users.borrow() < SEATS);
        // A failure counts as long as there is no connection that speaks against it.
        let failed = || of_hop().find(|_| !of_hop().any(|link| link.is_usable()));
        if let Some(link) = free.or_else(failed) {
            link.users.send_modify(|users| *users += 1);
            return Seat(Arc::clone(link));
        }
        let link = Arc::new(Link {
            hop: hop.clone(),
            state: watch::channel(State::Connecting).0,
            users: watch::channel(1).0,
        });
        links.push(Arc::clone(&link));
        drop(links);
        tokio::spawn(keep(Arc::clone(self), Arc::clone(&link), connector.clone()));
        Seat(link)
    }

    /// Takes a connection off the list. `unused`: only if nobody has a seat on it.
    fn forget(&self, link: &Arc<Link>, unused: bool) -> bool {
        let mut links = self.links();
        if unused && *link.users.borrow() > 0 {
            return false;
        }
        links.retain(|other| !Arc::ptr_eq(other, link));
        true
    }
}

impl Link {
    fn is_usable(&self) -> bool {
        matches!(*self.state.borrow(), State::Connecting | State::Up(_))
    }

    /// Waits until nobody has had a seat for `linger`, or for as long as there is a connector; then takes the
    /// connection off the list.
    async fn idle(self: &Arc<Self>, bastions: &Bastions, linger: Duration) {
        let mut users = self.users.subscribe();
        loop {
            // An error would mean that the link is gone, and it is ours.
            let _ = users.wait_for(|users| *users == 0).await;
            tokio::select! {
                _ = users.wait_for(|users| *users > 0) => continue,
                () = sleep(linger) => {}
                () = bastions.closing.cancelled() => {}
            }
            if bastions.forget(self, true) {
                return;
            }
        }
    }
}

/// Waits until a connection is up; or says why it never will be.
async fn up(link: &Link) -> Result<Up, Result<Arc<ConnectError>, LinkEnd>> {
    let mut state = link.state.subscribe();
    let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
    match settled.as_deref() {
        Ok(State::Up(up)) => Ok(up.clone()),
        Ok(State::Failed(error)) => Err(Ok(Arc::clone(error))),
        Ok(State::Gone(end)) => Err(Err(end.clone())),
        Ok(State::Connecting) | Err(_) => Err(Err(LinkEnd::GivenUp)),
    }
}

/// How a connection ends, once it has.
async fn end_of(mut ended: watch::Receiver<Option<LinkEnd>>) -> LinkEnd {
    // An error means that the session's task is gone without having said why.
    let end = ended.wait_for(Option::is_some).await.map(|end| end.clone()).unwrap_or_default();
    end.unwrap_or(LinkEnd::Closed)
}

/// Makes a connection, watches it, and ends it when nobody uses it.
async fn keep(bastions: Arc<Bastions>, link: Arc<Link>, connector: Connector) {
    let connected = tokio::select! {
        connected = connector.connect_for_tunnels(&link.hop) => connected,
        // All who waited for it have gone.
        () = link.idle(&bastions, Duration::ZERO) => return,
    };
    // A connection does not keep the connector; it ends soon after it.
    drop(connector);
    match connected {
        Ok(connection) => watch_over(&bastions, &link, connection).await,
        Err(error) => {
            link.state.send_replace(State::Failed(Arc::new(error)));
            tokio::select! {
                () = sleep(REMEMBERED) => {}
                () = bastions.closing.cancelled() => {}
            }
            bastions.forget(&link, false);
        }
    }
}

async fn watch_over(bastions: &Bastions, link: &Arc<Link>, connection: Connection) {
    link.state.send_replace(State::Up(Up {
        session: Arc::clone(&connection.session),
        refusals: connection.refusals.clone(),
        ended: connection.ended.clone(),
    }));
    let end = tokio::select! {
        end = connection.closed() => end,
        () = link.idle(bastions, LINGER) => LinkEnd::GivenUp,
    };
    bastions.forget(link, false);
    link.state.send_replace(State::Gone(end));
    connection.close().await;
}
