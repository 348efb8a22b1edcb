//! What a target says about trust, made ready for one connect; and what follows from the verdict.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::{Connector, Purpose, dropped};
use crate::connection::LinkEnd;
use crate::dns::{DnsFinding, DnsVerdict};
use crate::error::{ConnectError, Phase, SshError};
use crate::host_key::{HostKey, HostKeyProblem, HostKeyRefusal, OtherKey, Place, RevokedKeys};
use crate::known_hosts::{KnownHost, KnownHosts, KnownHostsCommand, Recording, lookup_name, record};
use crate::options::{DnsTrust, UnknownHost};
use crate::target::{Settings, Target, Warning};
use crate::timeline::Timeline;
use crate::trust::{Accepted, Trust};

/// The port that known_hosts does not write down.
const DEFAULT_PORT: u16 = 22;

type Cells<T> = Mutex<HashMap<Vec<PathBuf>, Arc<OnceCell<Arc<T>>>>>;

/// Files of keys, read once; and the keys of hosts that were unknown before this process met them.
#[derive(Debug, Default)]
pub(super) struct TrustFiles {
    known_hosts: Cells<KnownHosts>,
    revoked: Cells<RevokedKeys>,
    met: Mutex<HashMap<(Option<PathBuf>, String), HostKey>>,
    dns: Mutex<HashMap<String, Arc<OnceCell<DnsFinding>>>>,
}

fn cell<K: Hash + Eq, T>(cells: &Mutex<HashMap<K, Arc<OnceCell<T>>>>, key: K) -> Arc<OnceCell<T>> {
    Arc::clone(cells.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
}

impl Connector {
    /// Everything that decides about a target's host key.
    pub(crate) async fn trust(&self, target: &Target) -> Trust {
        let mut known = self.known(target).await;
        let command = command(target, &self.0.settings);
        if let Some(asked) = &command {
            match asked.known(None).await {
                Ok(more) => known.extend(more),
                Err(reason) => self.0.keys.warn(Warning {
                    file: PathBuf::from("KnownHostsCommand"),
                    line: None,
                    text: format!("says nothing about {}: {reason}", target.name),
                }),
            }
        }
        Trust {
            known,
            proven: None,
            command: command.filter(KnownHostsCommand::depends_on_key),
            revoked: self.revoked(target).await,
            unknown: target.trust.unknown,
            dns: self.dns(target).await.map(|finding| (target.trust.dns, finding)),
            now: self.0.settings.now,
        }
    }

    /// What is known about a host.
    pub(super) async fn known(&self, target: &Target) -> KnownHost {
        let known_hosts = self.known_hosts(target).await;
        let (names, port) = names(target);
        let nothing = KnownHosts::default().find(&[target.name.as_str()], port);
        let find = move |known_hosts: &KnownHosts| {
            known_hosts.find(&names.iter().map(String::as_str).collect::<Vec<_>>(), port)
        };
        if !known_hosts.is_slow() {
            return find(&known_hosts);
        }
        // A search that was stopped knows nothing: the host is refused.
        spawn_blocking(move || find(&known_hosts)).await.unwrap_or(nothing)
    }

    async fn known_hosts(&self, target: &Target) -> Arc<KnownHosts> {
        let settings = &self.0.settings;
        let global = target.trust.global_files.as_ref().unwrap_or(&settings.default_global_known_hosts);
        let files: Vec<PathBuf> = user_files(target, settings).iter().chain(global).cloned().collect();
        let cell = cell(&self.0.trust.known_hosts, files.clone());
        let read = || async move {
            // A reader that was stopped knows no host: everything is refused.
            let known = spawn_blocking(move || KnownHosts::read(&files)).await.unwrap_or_default();
            for warning in known.warnings() {
                self.0.keys.warn(warning.clone());
            }
            Arc::new(known)
        };
        Arc::clone(cell.get_or_init(read).await)
    }

    async fn revoked(&self, target: &Target) -> Arc<RevokedKeys> {
        let files = target.trust.revoked.clone();
        if files.is_empty() {
            return Arc::default();
        }
        let cell = cell(&self.0.trust.revoked, files.clone());
        let read = || async move {
            let unread = RevokedKeys::unread(&files);
            Arc::new(spawn_blocking(move || RevokedKeys::read(&files)).await.unwrap_or(unread))
        };
        Arc::clone(cell.get_or_init(read).await)
    }

    /// What DNS says about a target, if it is to be asked; once for each name.
    async fn dns(&self, target: &Target) -> Option<DnsFinding> {
        let lookup = self.0.settings.sshfp.as_ref().filter(|_| target.trust.dns != DnsTrust::No)?;
        let name = if target.address.parse::<IpAddr>().is_ok() { &target.name } else { &target.address };
        let cell = cell(&self.0.trust.dns, name.clone());
        Some(cell.get_or_init(|| lookup.find(name)).await.clone())
    }

    /// Reports what DNS says about the key that a host has offered, as far as somebody should hear of it.
    pub(super) async fn report_dns(&self, target: &Target, offered: &HostKey) {
        let Some(finding) = self.dns(target).await else { return };
        let verdict = finding.judge(&offered.plain());
        let is_news = match verdict {
            DnsVerdict::Mismatch { .. } | DnsVerdict::Bogus | DnsVerdict::Failed { .. } => true,
            DnsVerdict::Match { .. } | DnsVerdict::NotListed { .. } | DnsVerdict::Absent { .. } => {
                target.trust.dns == DnsTrust::Report
            }
        };
        if is_news {
            let hint = verdict.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            let text = format!("{}: {verdict}{hint}", target.name);
            self.0.keys.warn(Warning { file: PathBuf::from("SSHFP"), line: None, text });
        }
    }

    /// The accepted key; one that is new is recorded before anything is said to the host.
    pub(super) async fn accept(
        &self,
        target: &Target,
        accepted: Option<&Accepted>,
    ) -> Result<HostKey, ConnectError> {
        let Some(Accepted { key, is_new }) = accepted.cloned() else {
            return Err(dropped(target, Phase::KeyExchange, LinkEnd::Closed));
        };
        self.report_dns(target, &key).await;
        if !is_new {
            return Ok(key);
        }
        let (names, port) = names(target);
        let name = names.first().map(|name| lookup_name(name, port)).unwrap_or_default();
        let file = user_files(target, &self.0.settings).first().cloned();
        let is_hashed = target.trust.hash;
        let (line, text) = match self.record(file.clone(), &name, &key, is_hashed).await {
            Ok(Recording::Contradicts(known)) => {
                let problem = HostKeyProblem::Changed { known };
                let (certificate, other) = (None, OtherKey::NotAsked);
                let refusal = HostKeyRefusal { name, offered: key, problem, certificate, other };
                return Err(ConnectError::HostKey { host: target.name.clone(), refusal: Box::new(refusal) });
            }
            Ok(Recording::Known(_)) => return Ok(key),
            Ok(Recording::Added(place)) => {
                (Some(place.line), format!("{name} was unknown; its key is trusted from now on: {key}"))
            }
            Err(reason) => {
                (None, format!("{name} was unknown and is trusted for this once: {key}; failed to {reason}"))
            }
        };
        self.0.keys.warn(Warning { file: file.unwrap_or_default(), line, text });
        Ok(key)
    }

    async fn record(
        &self,
        file: Option<PathBuf>,
        name: &str,
        key: &HostKey,
        is_hashed: bool,
    ) -> Result<Recording, String> {
        if let Some(earlier) = self.meet(file.clone(), name, key) {
            let place = Place { file: file.unwrap_or_default(), line: 0 };
            return Ok(Recording::Contradicts(vec![(place, earlier)]));
        }
        let file = file.ok_or("record it: there is no file for it")?;
        let (name, key) = (name.to_owned(), key.clone());
        let recorded = spawn_blocking(move || record(&file, &name, &key, is_hashed)).await;
        recorded.map_err(|e| e.to_string())?.map_err(|e: SshError| e.to_string())
    }

    /// Notes the key of a host that was unknown. Returns an earlier one if that was another.
    fn meet(&self, file: Option<PathBuf>, name: &str, key: &HostKey) -> Option<HostKey> {
        let mut met = self.0.trust.met.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = met.entry((file, name.to_owned())).or_insert_with(|| key.clone());
        (earlier != key).then(|| earlier.clone())
    }

    /// Looks, if a host's key contradicts, whether it can still prove another that is known.
    pub(super) async fn look_again(&self, target: &Target, error: ConnectError) -> ConnectError {
        match error {
            ConnectError::HostKey { host, mut refusal } => {
                self.report_dns(target, &refusal.offered).await;
                refusal.other = self.other_key_proves(target, &refusal).await;
                ConnectError::HostKey { host, refusal }
            }
            error => error,
        }
    }

    /// Asks a host whose key contradicts, on a connection of its own that ends before any login, for its known keys
    /// of other types.
    pub async fn other_key_proves(&self, target: &Target, refusal: &HostKeyRefusal) -> OtherKey {
        let HostKeyProblem::Changed { known } = &refusal.problem else { return OtherKey::NotAsked };
        let others = known.iter().map(|(_, key)| key.algorithm());
        let others = others.filter(|name| *name != refusal.offered.algorithm());
        let names: Vec<String> = others.flat_map(signatures).map(str::to_owned).collect();
        if names.is_empty() {
            return OtherKey::NotAsked;
        }
        let mut target = target.clone();
        target.algorithms.host_key = Some(names);
        target.trust.unknown = UnknownHost::Refuse;
        let greeted = self.greet(&target, &Timeline::default(), Purpose::Commands).await;
        let proven = greeted.ok().and_then(|(session, ..)| session.accepted.get().cloned());
        proven.map_or(OtherKey::NotProven, |accepted| OtherKey::Proven(accepted.key))
    }
}

/// With what a key of a type signs.
fn signatures(key_type: &str) -> Vec<&str> {
    match key_type {
        "ssh-rsa" => vec!["rsa-sha2-512", "rsa-sha2-256"],
        other => vec![other],
    }
}

pub(super) fn user_files<'a>(target: &'a Target, settings: &'a Settings) -> &'a [PathBuf] {
    target.trust.user_files.as_ref().unwrap_or(&settings.default_known_hosts)
}

/// The names under which known_hosts may hold this host, and the port. An alias stands there without one.
pub(super) fn names(target: &Target) -> (Vec<String>, u16) {
    if let Some(alias) = &target.trust.alias {
        return (vec![alias.clone()], DEFAULT_PORT);
    }
    let mut names = vec![target.name.clone()];
    if target.address != target.name {
        names.push(target.address.clone());
    }
    (names, target.port)
}

fn command(target: &Target, settings: &Settings) -> Option<KnownHostsCommand> {
    let template = target.trust.command.clone()?;
    let (names, port) = names(target);
    let name = names.first().map(|name| lookup_name(name, port)).unwrap_or_default();
    let limit = settings.deadlines.key_exchange;
    Some(KnownHostsCommand { template, name, names, port, limit })
}
