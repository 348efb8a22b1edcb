//! Connecting: every phase with a deadline, every failure with a class, nothing left behind.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::client::{Config, Handle, connect_stream};
use russh::{AlgorithmKind, Error};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::algorithms::{NoneKnown, preferred};
use crate::auth::{Login, log_in};
use crate::client::{Client, ClientError};
use crate::connection::{Connection, LinkEnd};
use crate::dial::{dial, timed_out};
use crate::error::{ConnectError, Phase};
use crate::host_key::HostKey;
use crate::identity::Secrets;
use crate::key_ring::{Identities, KeyRing, agent_socket};
use crate::known_hosts::{KnownHost, KnownHosts};
use crate::stream::{KillSwitch, KillableStream};
use crate::target::{Settings, Target, Warning};
use crate::timeline::Timeline;
use crate::trace::Tapped;

/// Messages that russh queues per channel. Each may be up to 256 KiB, so this bounds memory.
const CHANNEL_BUFFER: usize = 8;

/// How OpenSSH says goodbye after MaxAuthTries.
const TOO_MANY: &str = "Too many authentication failures";

type KnownHostsCell = Arc<OnceCell<Arc<KnownHosts>>>;

/// Connects to hosts. Cheap to clone; the clones share keys, agent listing and parsed known_hosts files.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    settings: Settings,
    keys: KeyRing,
    known_hosts: Mutex<HashMap<Vec<PathBuf>, KnownHostsCell>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// A session whose host key was accepted.
pub(crate) struct Session {
    handle: Handle<Client>,
    kill: KillSwitch,
    ended: watch::Receiver<Option<LinkEnd>>,
    pub(crate) accepted: Arc<OnceLock<HostKey>>,
    banner: Arc<Mutex<String>>,
    exchanges: Arc<AtomicU64>,
}

impl Session {
    fn banner(&self) -> String {
        self.banner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Connector {
    /// Takes the settings that all connections share. Without `secrets`, encrypted identities are left out.
    pub fn new(settings: Settings, secrets: Option<Arc<dyn Secrets>>) -> Self {
        Self(Arc::new(Inner { settings, keys: KeyRing::new(secrets), known_hosts: Mutex::default() }))
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What was ignored so far: bad lines, unreadable files, private keys that others may read.
    pub fn warnings(&self) -> Vec<Warning> {
        self.0.keys.warnings()
    }

    /// Reads a target's identities, and asks for their passphrases, ahead of [`connect`](Self::connect).
    pub async fn unlock(&self, target: &Target) {
        // They are kept for later; what is wrong with them is among the warnings.
        let _ = self.0.keys.identities(target, &self.0.settings).await;
    }

    /// Connects and logs in.
    ///
    /// Passphrases are asked for before the first packet, so that no deadline runs while somebody types. The
    /// future may be dropped at any time; neither its task nor its socket stays behind.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; [`class`](ConnectError::class) and [`hint`](ConnectError::hint) tell more.
    pub async fn connect(&self, target: &Target) -> Result<Connection, ConnectError> {
        self.connect_observed(target, &Timeline::default()).await
    }

    /// As [`connect`](Self::connect); `seen` tells afterwards how far it came and what was seen on the way.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_observed(
        &self,
        target: &Target,
        seen: &Timeline,
    ) -> Result<Connection, ConnectError> {
        let known = self.known(target).await;
        let identities = self.0.keys.identities(target, &self.0.settings).await;
        let tcp = dial(target, &self.0.settings.deadlines, seen).await?;
        let addresses = tcp.local_addr().and_then(|local| Ok((local, tcp.peer_addr()?)));
        let (local, peer) = addresses.map_err(|_| dropped(target, Phase::Connect, LinkEnd::Reset))?;
        seen.connected(Some(local), Some(peer));
        let mut session = self.shake_hands(target, tcp, known, seen).await?;
        seen.keyed();
        let identity = self.authenticate(target, &mut session, identities).await?;
        seen.logged_in();
        let Some(host_key) = session.accepted.get().cloned() else {
            return Err(dropped(target, Phase::KeyExchange, LinkEnd::Closed));
        };
        session.kill.trust();
        let settings = &self.0.settings;
        let banner = session.banner();
        Ok(Connection {
            host: target.name.clone(),
            user: target.user.clone(),
            session: Arc::new(session.handle),
            kill: session.kill,
            ended: session.ended,
            exchanges: session.exchanges,
            host_key,
            identity,
            banner,
            local,
            peer,
            open_limit: settings.deadlines.open,
            close_limit: settings.deadlines.close,
            unread_limit: settings.unread_limit,
        })
    }

    /// What is known about a host.
    pub(crate) async fn known(&self, target: &Target) -> KnownHost {
        let known_hosts = self.known_hosts(target).await;
        let names = names(target);
        let port = target.port;
        let find = move |known_hosts: &KnownHosts| {
            known_hosts.find(&names.iter().map(String::as_str).collect::<Vec<_>>(), port)
        };
        if !known_hosts.is_slow() {
            return find(&known_hosts);
        }
        let nothing = KnownHosts::default().find(&[target.name.as_str()], port);
        // A search that was stopped knows nothing: the host is refused.
        spawn_blocking(move || find(&known_hosts)).await.unwrap_or(nothing)
    }

    async fn known_hosts(&self, target: &Target) -> Arc<KnownHosts> {
        let settings = &self.0.settings;
        let user = target.trust.user_files.as_ref().unwrap_or(&settings.default_known_hosts);
        let global = target.trust.global_files.as_ref().unwrap_or(&settings.default_global_known_hosts);
        let files: Vec<PathBuf> = user.iter().chain(global).cloned().collect();
        let cell = {
            let mut cells = self.0.known_hosts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(files.clone()).or_default())
        };
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

    /// Version lines, key exchange, host key.
    pub(crate) async fn shake_hands(
        &self,
        target: &Target,
        tcp: TcpStream,
        known: KnownHost,
        seen: &Timeline,
    ) -> Result<Session, ConnectError> {
        let deadlines = &self.0.settings.deadlines;
        let config = self.config(target, &known.types()).map_err(|none| none.error(target))?;
        let (stream, kill) = KillableStream::new(tcp, seen.clone());
        let (sender, ended) = watch::channel(None);
        let accepted = Arc::new(OnceLock::new());
        let banner = Arc::new(Mutex::new(String::new()));
        let exchanges = Arc::new(AtomicU64::new(0));
        let client = Client {
            known,
            rsa_bits: target.algorithms.least_rsa_bits(),
            accepted: Arc::clone(&accepted),
            banner: Arc::clone(&banner),
            ended: sender,
            exchanges: Arc::clone(&exchanges),
        };
        let tap = self.0.settings.watcher.as_ref().map(|watcher| watcher.opened(&target.name));
        let connecting = connect_stream(Arc::new(config), Tapped::new(stream, tap), client);
        tokio::pin!(connecting);
        let result = tokio::select! {
            result = &mut connecting => Some(result),
            greeted = timeout(deadlines.banner, kill.greeted()) => match greeted {
                Ok(()) => None,
                Err(_) => return Err(no_banner(target, &kill).unwrap_or_else(|| timed_out(target, Phase::Banner, deadlines.banner))),
            },
        };
        let result = match result {
            Some(result) => result,
            None => timeout(deadlines.key_exchange, connecting)
                .await
                .map_err(|_| timed_out(target, Phase::KeyExchange, deadlines.key_exchange))?,
        };
        match result {
            Ok(handle) => Ok(Session { handle, kill, ended, accepted, banner, exchanges }),
            Err(error) => Err(handshake_error(target, &kill, error)),
        }
    }

    async fn authenticate(
        &self,
        target: &Target,
        session: &mut Session,
        identities: Identities,
    ) -> Result<String, ConnectError> {
        let settings = &self.0.settings;
        let Identities { usable, unusable } = identities;
        let denied = |methods, tried, banner| ConnectError::AuthDenied {
            host: target.name.clone(),
            user: target.user.clone(),
            methods,
            tried,
            unusable,
            banner,
        };
        if usable.is_empty() {
            return Err(denied(Vec::new(), Vec::new(), String::new()));
        }
        let login = log_in(&mut session.handle, &target.user, &usable, agent_socket(target, settings));
        let login = timeout(settings.deadlines.auth, login)
            .await
            .map_err(|_| timed_out(target, Phase::Auth, settings.deadlines.auth))?;
        let tried = match login {
            Login::In(identity) => return Ok(identity),
            Login::Denied { methods, tried } => return Err(denied(methods, tried, session.banner())),
            Login::Gone { tried } => tried,
        };
        // The task tells how it ended just before it drops its end of this.
        let end = session.ended.wait_for(Option::is_some).await.map(|end| end.clone());
        match end.unwrap_or_default().unwrap_or(LinkEnd::Closed) {
            LinkEnd::Disconnected { message, .. } if message.contains(TOO_MANY) => {
                Err(denied(Vec::new(), tried, session.banner()))
            }
            end => {
                let (host, banner) = (target.name.clone(), session.banner());
                Err(ConnectError::Dropped { host, phase: Phase::Auth, end, banner })
            }
        }
    }

    fn config(&self, target: &Target, known_types: &[&str]) -> Result<Config, NoneKnown> {
        let settings = &self.0.settings;
        let preferred = preferred(&target.algorithms, known_types, false)?;
        let keepalive = target.link.keepalive.unwrap_or(settings.keepalive);
        let keepalive_max = target.link.keepalive_max.unwrap_or(settings.keepalive_max);
        let (keepalive_interval, inactivity_timeout) =
            patience(keepalive, keepalive_max, settings.inactivity);
        Ok(Config {
            preferred,
            channel_buffer_size: CHANNEL_BUFFER,
            inactivity_timeout,
            keepalive_interval,
            keepalive_max,
            nodelay: true,
            ..Config::default()
        })
    }
}

/// When a keepalive is sent, and when a link on which nothing moves is given up. Who wants no keepalives (zero)
/// wants links that outlive any silence; who wants rare ones must not lose a link between two of them.
fn patience(keepalive: Duration, max: usize, inactivity: Duration) -> (Option<Duration>, Option<Duration>) {
    if keepalive.is_zero() {
        return (None, None);
    }
    let times = u32::try_from(max).unwrap_or(u32::MAX).saturating_add(2);
    (Some(keepalive), Some(inactivity.max(keepalive.saturating_mul(times))))
}

/// The names under which known_hosts may hold this host.
fn names(target: &Target) -> Vec<String> {
    let mut names = vec![target.name.clone()];
    if target.address != target.name {
        names.push(target.address.clone());
    }
    names
}

fn dropped(target: &Target, phase: Phase, end: LinkEnd) -> ConnectError {
    ConnectError::Dropped { host: target.name.clone(), phase, end, banner: String::new() }
}

/// What to say when there was no version line, if the server said something else.
fn no_banner(target: &Target, kill: &KillSwitch) -> Option<ConnectError> {
    let first = kill.first_bytes();
    if kill.has_greeted() || first.is_empty() {
        return None;
    }
    Some(ConnectError::NotSsh { host: target.name.clone(), first })
}

fn handshake_error(target: &Target, kill: &KillSwitch, error: ClientError) -> ConnectError {
    if let Some(error) = no_banner(target, kill) {
        return error;
    }
    let host = target.name.clone();
    let phase = if kill.has_greeted() { Phase::KeyExchange } else { Phase::Banner };
    match error {
        ClientError::HostKey(refusal) => ConnectError::HostKey { host, refusal },
        ClientError::ShortHostKey { bits, least } => ConnectError::ShortHostKey { host, bits, least },
        ClientError::Russh(Error::NoCommonAlgo { kind, ours, theirs }) => {
            ConnectError::NoCommonAlgorithm { host, kind: kind_name(&kind), ours, theirs }
        }
        ClientError::Russh(error) => match LinkEnd::from_russh(&error) {
            LinkEnd::Failed(_) => ConnectError::KeyExchange { host, source: Box::new(error) },
            end => dropped(target, phase, end),
        },
    }
}

fn kind_name(kind: &AlgorithmKind) -> &'static str {
    match kind {
        AlgorithmKind::Kex => "key exchange",
        AlgorithmKind::Key => "host key",
        AlgorithmKind::Cipher => "cipher",
        AlgorithmKind::Compression => "compression",
        AlgorithmKind::Mac => "MAC",
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn patience_follows_the_keepalive() {
        let seconds = Duration::from_secs;
        assert_eq!(patience(seconds(15), 3, seconds(120)), (Some(seconds(15)), Some(seconds(120))));
        assert_eq!(patience(seconds(300), 3, seconds(120)), (Some(seconds(300)), Some(seconds(1500))));
        assert_eq!(patience(Duration::ZERO, 3, seconds(120)), (None, None));
    }
}
