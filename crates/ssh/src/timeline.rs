//! What a connect saw on its way: for those who judge the way, not only its end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::proposal::{Opening, Proposal};

/// How much of what is no version line is kept.
const SHOWN: usize = 512;

/// Watches one connect; off unless made with [`Timeline::new`]. The clones watch the same connect.
#[derive(Debug, Clone, Default)]
pub struct Timeline(Option<Arc<Mutex<Record>>>);

#[derive(Debug)]
struct Record {
    begun: Instant,
    observed: Observed,
    server: Opening,
    client: Opening,
}

/// How far a connect came, and what it saw. Times count from the connect's beginning.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The addresses that the name has, and when they were known.
    pub resolved: Option<(Duration, Vec<SocketAddr>)>,
    /// When the connection stood; our end and the host's, where it is a TCP connection of ours.
    pub connected: Option<(Duration, Option<SocketAddr>, Option<SocketAddr>)>,
    /// The server's version line and its arrival.
    pub greeted: Option<(Duration, String)>,
    /// What the server sent that is no version line: the lines before it, or the whole answer if there is none.
    pub other_bytes: Vec<u8>,
    /// What we offered.
    pub client: Option<Proposal>,
    /// What the server offered.
    pub server: Option<Proposal>,
    /// When the key exchange was over and the host key accepted.
    pub keyed: Option<Duration>,
    /// When we were logged in.
    pub logged_in: Option<Duration>,
    /// How long it has been.
    pub elapsed: Duration,
}

impl Timeline {
    /// Begins to watch.
    pub fn new() -> Self {
        Self(Some(Arc::new(Mutex::new(Record {
            begun: Instant::now(),
            observed: Observed::default(),
            server: Opening::default(),
            client: Opening::default(),
        }))))
    }

    /// What was seen so far.
    pub fn observed(&self) -> Observed {
        let Some(record) = self.record() else { return Observed::default() };
        let mut other_bytes = record.server.other_bytes();
        other_bytes.truncate(SHOWN);
        Observed {
            other_bytes,
            client: record.client.proposal.clone(),
            server: record.server.proposal.clone(),
            elapsed: record.begun.elapsed(),
            ..record.observed.clone()
        }
    }

    fn record(&self) -> Option<MutexGuard<'_, Record>> {
        self.0.as_ref().map(|record| record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, note: impl FnOnce(&mut Observed, Duration)) {
        if let Some(mut record) = self.record() {
            let now = record.begun.elapsed();
            note(&mut record.observed, now);
        }
    }

    /// Forgets what a server sent that dropped us, and what it was sent: there will be another attempt.
    pub(crate) fn again(&self) {
        if let Some(mut record) = self.record() {
            (record.server, record.client) = (Opening::default(), Opening::default());
        }
    }

    pub(crate) fn resolved(&self, addresses: &[SocketAddr]) {
        self.note(|observed, now| observed.resolved = Some((now, addresses.to_vec())));
    }

    pub(crate) fn connected(&self, local: Option<SocketAddr>, peer: Option<SocketAddr>) {
        self.note(|observed, now| observed.connected = Some((now, local, peer)));
    }

    pub(crate) fn keyed(&self) {
        self.note(|observed, now| observed.keyed = Some(now));
    }

    pub(crate) fn logged_in(&self) {
        self.note(|observed, now| observed.logged_in = Some(now));
    }

    /// The bytes that the server sent.
    pub(crate) fn read(&self, bytes: &[u8]) {
        if let Some(mut record) = self.record()
            && record.server.watch(bytes)
        {
            let version = record.server.version.clone().unwrap_or_default();
            record.observed.greeted = Some((record.begun.elapsed(), version));
        }
    }

    /// The bytes that we sent.
    pub(crate) fn wrote(&self, bytes: &[u8]) {
        if let Some(mut record) = self.record() {
            record.client.watch(bytes);
        }
    }
}
