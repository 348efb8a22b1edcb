//! One examination: a real connect, then questions to the session.

use std::path::PathBuf;
use std::time::Duration;

use super::authentication::authentication;
use super::checkup::{Checkup, Layer, LayerKind, Section, Verdict};
use super::exchange::{Vouched, host_key, key_exchange};
use super::keys;
use super::server_log::{LogVia, explain};
use super::session::Examination;
use super::way::{Sight, name, tcp, version};
use super::words::shown;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::error::ConnectError;
use crate::host_key::{HostKey, HostKeyProblem};
use crate::options::Route;
use crate::target::{Target, Warning};
use crate::timeline::{Observed, Timeline};

/// What an examination is given.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// What was asked for and where it came from, to be shown as the first layer.
    pub configuration: Vec<String>,
    /// Another login that may read the server's log.
    pub log: Option<LogVia>,
    /// Limit for each of the questions to the session.
    pub session_limit: Duration,
}

impl Default for DoctorOptions {
    fn default() -> Self {
        Self { configuration: Vec::new(), log: None, session_limit: Duration::from_secs(15) }
    }
}

/// Examines a host, and before it every hop on the way.
///
/// The connect is the connector's own, with its deadlines; what it finds is what every other command would find.
pub async fn examine(connector: &Connector, target: &Target, options: &DoctorOptions) -> Checkup {
    let mut sections = Vec::new();
    let mut blocked = false;
    for hop in hops(target) {
        let section = if blocked {
            unreached(&hop)
        } else {
            Examiner { connector, target: &hop, options, is_host: false }.section().await
        };
        blocked = blocked || section.first_bad().is_some();
        sections.push(section);
    }
    sections.push(if blocked {
        unreached(target)
    } else {
        Examiner { connector, target, options, is_host: true }.section().await
    });
    Checkup { host: target.name.clone(), sections }
}

/// The machines on the way, each with the way to itself.
fn hops(target: &Target) -> Vec<Target> {
    let Route::Jump(hops) = &target.link.route else { return Vec::new() };
    let mut way: Vec<Target> = Vec::new();
    let mut found = Vec::new();
    for hop in hops {
        let mut reached = hop.clone();
        if !way.is_empty() {
            reached.link.route = Route::Jump(way.clone());
        }
        found.push(reached);
        way.push(hop.clone());
    }
    found
}

fn section(target: &Target, layers: Vec<Layer>) -> Section {
    let destination = format!("{}@{} port {}", shown(&target.user), shown(&target.address), target.port);
    Section { host: shown(&target.name), destination, layers }
}

fn unreached(target: &Target) -> Section {
    section(target, LayerKind::ALL.into_iter().map(Layer::not_reached).collect())
}

/// The layer that ended the connect took what was left of its time.
fn time_failure(layers: &mut [Layer], observed: &Observed) {
    let marks = [
        observed.resolved.as_ref().map(|(at, _)| *at),
        observed.connected.as_ref().map(|(at, ..)| *at),
        observed.greeted.as_ref().map(|(at, _)| *at),
        observed.keyed,
        observed.logged_in,
    ];
    let last = marks.into_iter().flatten().max().unwrap_or_default();
    let failed = layers.iter_mut().find(|layer| layer.verdict == Verdict::Bad && layer.took.is_none());
    if let Some(layer) = failed {
        layer.took = Some(observed.elapsed.saturating_sub(last));
    }
}

struct Examiner<'a> {
    connector: &'a Connector,
    target: &'a Target,
    options: &'a DoctorOptions,
    /// The host itself, not a hop.
    is_host: bool,
}

impl Examiner<'_> {
    async fn section(&self) -> Section {
        let seen = Timeline::new();
        let result = self.connector.connect_observed(self.target, &seen).await;
        let observed = seen.observed();
        let sight = Sight { target: self.target, observed: &observed, error: result.as_ref().err() };
        let mut layers =
            vec![self.configuration(), name(&sight), tcp(&sight), version(&sight), key_exchange(&sight)];
        let connection = result.as_ref().ok();
        let (vouched, others) = (self.vouched(connection).await, self.others(sight.error).await);
        layers.push(host_key(&sight, vouched.as_ref(), &others));
        let identity = connection.map(Connection::identity);
        let login = authentication(&sight, identity, &self.left_out());
        layers.push(self.with_log(&observed, login).await);
        match connection {
            Some(connection) => layers.extend(self.session(connection, &observed).await),
            None => layers
                .extend([LayerKind::Session, LayerKind::Sftp, LayerKind::Forwarding].map(Layer::not_reached)),
        }
        if let Ok(connection) = result {
            connection.close().await;
        }
        time_failure(&mut layers, &observed);
        section(self.target, layers)
    }

    async fn session(&self, connection: &Connection, observed: &Observed) -> [Layer; 3] {
        let limit = self.options.session_limit;
        let [session, sftp, forwarding] =
            Examination { connection, port: self.target.port, limit }.layers().await;
        let forwarding = match (self.is_host, forwarding.verdict) {
            // A hop that forwards nothing is no hop.
            (false, Verdict::Warn) => Layer { verdict: Verdict::Bad, ..forwarding },
            _ => forwarding,
        };
        // A hop needs no sessions.
        let session = match (self.is_host, session.verdict) {
            (false, Verdict::Bad) => Layer { verdict: Verdict::Warn, ..session },
            _ => session,
        };
        [self.with_log(observed, session).await, sftp, forwarding]
    }

    fn configuration(&self) -> Layer {
        let kind = LayerKind::Configuration;
        let layer = Layer::good(kind);
        let layer = if self.is_host {
            layer.seen_all(self.options.configuration.iter().map(|line| shown(line)))
        } else {
            layer.seen("a hop on the way (ProxyJump)")
        };
        if self.target.user.is_empty() { Layer::bad(kind).hint("name a user") } else { layer }
    }

    /// What was left out of the identities that this target has.
    fn left_out(&self) -> Vec<Warning> {
        let settings = self.connector.settings();
        let named = &self.target.login.identities;
        let files: &[PathBuf] = if named.is_empty() { &settings.default_identities } else { named };
        let agent = crate::key_ring::agent_socket(self.target, settings);
        let ours = |warning: &Warning| files.contains(&warning.file) || Some(warning.file.as_path()) == agent;
        self.connector.warnings().into_iter().filter(ours).collect()
    }

    async fn vouched(&self, connection: Option<&Connection>) -> Option<Vouched> {
        let key = connection?.host_key().clone();
        let by = keys::voucher(self.connector, self.target, &key).await?;
        Some(Vouched { key, by })
    }

    /// Keys of other types that are known and that the host still proves.
    async fn others(&self, error: Option<&ConnectError>) -> Vec<HostKey> {
        let Some(ConnectError::HostKey { refusal, .. }) = error else { return Vec::new() };
        let HostKeyProblem::Changed { known } = &refusal.problem else { return Vec::new() };
        let mut proven = Vec::new();
        for (_, key) in known {
            if key.algorithm() != refusal.offered.algorithm()
                && !proven.contains(key)
                && keys::proven(self.connector, self.target, key.algorithm()).await.as_ref() == Some(key)
            {
                proven.push(key.clone());
            }
        }
        proven
    }

    /// Adds what the server's log says, when there is a login that can read it.
    async fn with_log(&self, observed: &Observed, layer: Layer) -> Layer {
        let (Verdict::Bad, Some(via), true) = (layer.verdict, &self.options.log, self.is_host) else {
            return layer;
        };
        match observed.connected.as_ref().and_then(|(_, local, _)| *local) {
            Some(local) => explain(self.connector, via, local.port(), &self.target.user, layer).await,
            None => layer.seen("the server's log was not asked: our source port is the bastion's"),
        }
    }
}
