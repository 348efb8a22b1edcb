//! Connecting: every phase with a deadline, every failure with a class, nothing left behind.

mod carried;
mod learn;
mod trust;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use russh::client::{Config, Handle, connect_stream};
use russh::{AlgorithmKind, Error};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use trust::TrustFiles;

use crate::algorithms::{NoneKnown, preferred};
use crate::auth::{Applicant, Clock, Denial, Login};
use crate::client::{Announced, Client, ClientError};
use crate::connection::{Connection, LinkEnd};
use crate::dial::{dial, timed_out};
use crate::error::{ConnectError, Phase};
use crate::identity::ProvenIdentity;
use crate::key_ring::{Identities, KeyRing};
use crate::options::Route;
use crate::route::{Bastions, Doors, Refusals, Turn, Via, hop_of, pause, start_command};
use crate::secrets::Secrets;
use crate::stream::{KillSwitch, KillableStream, Wire};
use crate::target::{Deadlines, Settings, Target, Warning};
use crate::timeline::Timeline;
use crate::trace::Tapped;
use crate::trust::{Accepted, Trust};

/// Messages that russh queues per channel. Each may be up to 256 KiB, so this bounds memory.
const CHANNEL_BUFFER: usize = 8;

/// How OpenSSH says goodbye after MaxAuthTries.
const TOO_MANY: &str = "Too many authentication failures";

/// How often a server is tried that drops us before it has said a word.
const DROPS: u32 = 5;

/// The window of a channel on a connection whose channels are tunnels. russh gives a connection up on which more than
/// two windows arrive while it waits for the other side to begin a re-key; many tunnels share these two.
const TUNNEL_WINDOW: u32 = 16 * 1024 * 1024;

/// Connects to hosts. Cheap to clone; the clones share keys, agent listing and parsed known_hosts files.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    settings: Settings,
    keys: KeyRing,
    trust: TrustFiles,
    bastions: Arc<Bastions>,
    /// Connections to bastions end with the connector, as soon as nobody uses them.
    _closing: DropGuard,
    doors: Doors,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For commands on the host itself.
    Commands,
    /// For tunnels to others.
    Tunnels,
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
    pub(crate) accepted: Arc<OnceLock<Accepted>>,
    banner: Arc<Mutex<String>>,
    exchanges: Arc<AtomicU64>,
    announced: Announced,
    refusals: Refusals,
}

impl Session {
    fn banner(&self) -> String {
        self.banner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Connector {
    /// Takes the settings that all connections share. Without `secrets`, encrypted identities are left out.
    pub fn new(settings: Settings, secrets: Option<Arc<dyn Secrets>>) -> Self {
        let bastions = Arc::new(Bastions::default());
        Self(Arc::new(Inner {
            settings,
            keys: KeyRing::new(secrets),
            trust: TrustFiles::default(),
            _closing: bastions.closing.clone().drop_guard(),
            bastions,
            doors: Doors::default(),
        }))
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    #[cfg(test)]
    pub(crate) fn key_ring(&self) -> &KeyRing {
        &self.0.keys
    }

    /// What was ignored so far: bad lines, unreadable files, private keys that others may read.
    pub fn warnings(&self) -> Vec<Warning> {
        self.0.keys.warnings()
    }

    /// Reads the identities of a target and of the bastions before it, and asks for their passphrases, ahead of
    /// [`connect`](Self::connect).
    pub async fn unlock(&self, target: &Target) {
        if let Route::Jump(hops) = &target.link.route {
            for hop in hops {
                Box::pin(self.unlock(hop)).await;
            }
        }
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
        self.connect_for(target, seen, Purpose::Commands).await
    }

    /// Connects to a bastion. Boxed, because the way to a bastion may lead through another one.
    pub(crate) fn connect_for_tunnels<'a>(
        &'a self,
        hop: &'a Target,
    ) -> BoxFuture<'a, Result<Connection, ConnectError>> {
        async move { self.connect_for(hop, &Timeline::default(), Purpose::Tunnels).await }.boxed()
    }

    async fn connect_for(
        &self,
        target: &Target,
        seen: &Timeline,
        purpose: Purpose,
    ) -> Result<Connection, ConnectError> {
        let had_password = self.0.keys.has_password(target);
        match self.attempt(target, seen, purpose).await {
            // Somebody typed for longer than the server waits (LoginGraceTime): now the answer is there.
            Err(ConnectError::Dropped { phase: Phase::Auth, .. })
                if !had_password && self.0.keys.has_password(target) =>
            {
                self.attempt(target, seen, purpose).await
            }
            result => result,
        }
    }

    async fn attempt(
        &self,
        target: &Target,
        seen: &Timeline,
        purpose: Purpose,
    ) -> Result<Connection, ConnectError> {
        let identities = self.0.keys.identities(target, &self.0.settings).await;
        let (session, via, turn) = match self.greet(target, seen, purpose).await {
            Ok(greeted) => greeted,
            Err(error) => return Err(self.look_again(target, error).await),
        };
        let connection = self.log_in(target, session, via, identities, seen).await?;
        drop(turn);
        if purpose == Purpose::Commands {
            self.learn(target, &connection).await;
        }
        Ok(connection)
    }

    /// What follows the key exchange.
    async fn log_in(
        &self,
        target: &Target,
        mut session: Session,
        via: Via,
        identities: Identities,
        seen: &Timeline,
    ) -> Result<Connection, ConnectError> {
        let host_key = self.accept(target, session.accepted.get()).await?;
        seen.keyed();
        let (identity, proven) = self.authenticate(target, &mut session, identities).await?;
        seen.logged_in();
        session.kill.trust();
        let settings = &self.0.settings;
        let (banner, server_version) = (session.banner(), session.kill.software());
        Ok(Connection {
            host: target.name.clone(),
            user: target.user.clone(),
            session: Arc::new(session.handle),
            kill: session.kill,
            ended: session.ended,
            exchanges: session.exchanges,
            announced: session.announced,
            host_key,
            identity,
            proven,
            server_version,
            banner,
            via,
            refusals: session.refusals,
            open_limit: settings.deadlines.open,
            close_limit: settings.deadlines.close,
            unread_limit: settings.unread_limit,
        })
    }

    /// Gets as far as an accepted host key. A server that drops us because too many are at its door is tried again.
    pub(crate) async fn greet(
        &self,
        target: &Target,
        seen: &Timeline,
        purpose: Purpose,
    ) -> Result<(Session, Via, Turn), ConnectError> {
        let trust = self.trust(target).await;
        let mut drops = 0;
        loop {
            let turn = self.0.doors.turn(target).await;
            let (wire, via) = self.reach(target, seen).await?;
            if let Via::Tcp { local, peer } = via {
                seen.connected(Some(local), Some(peer));
            } else {
                seen.connected(None, None);
            }
            let error = match self.shake_hands(target, wire, trust.clone(), seen, purpose).await {
                Ok(session) => return Ok((session, via, turn)),
                Err(error) => error,
            };
            let crowded = error.is_full_house()
                || error.is_drop_at_the_door() && (purpose == Purpose::Tunnels || turn.is_shared());
            drops += 1;
            if !crowded || drops == DROPS {
                return Err(error);
            }
            drop(turn);
            seen.again();
            pause(drops - 1).await;
        }
    }

    /// Opens the stream to a target.
    async fn reach(&self, target: &Target, seen: &Timeline) -> Result<(Box<dyn Wire>, Via), ConnectError> {
        let Inner { settings, bastions, .. } = &*self.0;
        let deadlines = &settings.deadlines;
        match &target.link.route {
            Route::Direct => {}
            Route::Command(command) => {
                let failed = |source| ConnectError::Command {
                    host: target.name.clone(),
                    shell: settings.shell.display().to_string(),
                    source,
                };
                let wire = start_command(&settings.shell, command).map_err(failed)?;
                return Ok((Box::new(wire), Via::Command));
            }
            Route::Jump(hops) => {
                if let Some(hop) = hop_of(hops) {
                    let limit = target.link.connect_timeout.unwrap_or(deadlines.connect);
                    let (tunnel, via) = bastions.tunnel(self, target, &hop, limit).await?;
                    return Ok((Box::new(tunnel), via));
                }
            }
        }
        let tcp = dial(target, deadlines, seen).await?;
        let addresses = tcp.local_addr().and_then(|local| Ok(Via::Tcp { local, peer: tcp.peer_addr()? }));
        let via = addresses.map_err(|_| dropped(target, Phase::Connect, LinkEnd::Reset))?;
        Ok((Box::new(tcp), via))
    }

    /// Version lines, key exchange, host key.
    async fn shake_hands(
        &self,
        target: &Target,
        wire: Box<dyn Wire>,
        trust: Trust,
        seen: &Timeline,
        purpose: Purpose,
    ) -> Result<Session, ConnectError> {
        let deadlines = &self.0.settings.deadlines;
        let banner_limit = banner_limit(target, deadlines);
        let config = self.config(target, &trust, purpose).map_err(|none| none.error(target))?;
        let (stream, kill) = KillableStream::new(wire, seen.clone());
        let (sender, ended) = watch::channel(None);
        let accepted = Arc::new(OnceLock::new());
        let banner = Arc::new(Mutex::new(String::new()));
        let exchanges = Arc::new(AtomicU64::new(0));
        let announced = Announced::default();
        let refusals = Refusals::default();
        let client = Client {
            trust,
            rsa_bits: target.algorithms.least_rsa_bits(),
            accepted: Arc::clone(&accepted),
            banner: Arc::clone(&banner),
            refusals: refusals.clone(),
            ended: sender,
            exchanges: Arc::clone(&exchanges),
            keepalives: Arc::clone(kill.keepalives()),
            announced: Arc::clone(&announced),
        };
        let tap = self.0.settings.watcher.as_ref().map(|watcher| watcher.opened(&target.name));
        let connecting = connect_stream(Arc::new(config), Tapped::new(stream, tap), client);
        tokio::pin!(connecting);
        let result = tokio::select! {
            result = &mut connecting => Some(result),
            greeted = timeout(banner_limit, kill.greeted()) => match greeted {
                Ok(()) => None,
                Err(_) => return Err(no_banner(target, &kill).unwrap_or_else(|| timed_out(target, Phase::Banner, banner_limit))),
            },
        };
        let result = match result {
            Some(result) => result,
            None => timeout(deadlines.key_exchange, connecting)
                .await
                .map_err(|_| timed_out(target, Phase::KeyExchange, deadlines.key_exchange))?,
        };
        match result {
            Ok(handle) => {
                Ok(Session { handle, kill, ended, accepted, banner, exchanges, announced, refusals })
            }
            Err(error) => Err(handshake_error(target, &kill, error)),
        }
    }

    async fn authenticate(
        &self,
        target: &Target,
        session: &mut Session,
        identities: Identities,
    ) -> Result<(String, Option<ProvenIdentity>), ConnectError> {
        let limit = self.0.settings.deadlines.auth;
        let Identities { usable, mut unusable } = identities;
        let clock = Clock::new(limit);
        let (handle, wire) = (&mut session.handle, &session.kill);
        let applicant = Applicant::new(handle, target, &self.0.keys, &clock, wire, usable);
        if applicant.has_nothing() {
            return Err(denied(target, Denial { unusable, ..Denial::default() }, String::new()));
        }
        let login = clock.limit(applicant.apply()).await;
        let mut denial = match login.ok_or_else(|| timed_out(target, Phase::Auth, limit))? {
            Login::In(identity, proven) => return Ok((identity, proven)),
            Login::Denied(mut denial) => {
                unusable.append(&mut denial.unusable);
                return Err(denied(target, Denial { unusable, ..denial }, session.banner()));
            }
            Login::Gone(denial) => denial,
        };
        unusable.append(&mut denial.unusable);
        // The task tells how it ended just before it drops its end of this.
        let end = session.ended.wait_for(Option::is_some).await.map(|end| end.clone());
        match end.unwrap_or_default().unwrap_or(LinkEnd::Closed) {
            LinkEnd::Disconnected { message, .. } if message.contains(TOO_MANY) => {
                Err(denied(target, Denial { unusable, ..denial }, session.banner()))
            }
            LinkEnd::NoMethodLeft => Err(denied(target, Denial { unusable, ..denial }, session.banner())),
            end => {
                let (host, banner) = (target.name.clone(), session.banner());
                Err(ConnectError::Dropped { host, phase: Phase::Auth, end, banner })
            }
        }
    }

    fn config(&self, target: &Target, trust: &Trust, purpose: Purpose) -> Result<Config, NoneKnown> {
        let settings = &self.0.settings;
        let preferred = preferred(&target.algorithms, &trust.types(), trust.known.has_authority())?;
        let keepalive = target.link.keepalive.unwrap_or(settings.keepalive);
        let keepalive_max = target.link.keepalive_max.unwrap_or(settings.keepalive_max);
        let (keepalive_interval, inactivity_timeout) =
            patience(keepalive, keepalive_max, settings.inactivity);
        let defaults = Config::default();
        let window_size = match purpose {
            Purpose::Commands => defaults.window_size,
            Purpose::Tunnels => TUNNEL_WINDOW,
        };
        Ok(Config {
            window_size,
            preferred,
            channel_buffer_size: CHANNEL_BUFFER,
            inactivity_timeout,
            keepalive_interval,
            keepalive_max,
            nodelay: true,
            ..defaults
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

/// How long the version line may take. A command connects before it brings one.
fn banner_limit(target: &Target, deadlines: &Deadlines) -> Duration {
    match target.link.route {
        Route::Command(_) => target.link.connect_timeout.unwrap_or(deadlines.connect) + deadlines.banner,
        Route::Direct | Route::Jump(_) => deadlines.banner,
    }
}

fn denied(target: &Target, denial: Denial, banner: String) -> ConnectError {
    let Denial { methods, accepted, tried, unusable, expired } = denial;
    let (host, user) = (target.name.clone(), target.user.clone());
    ConnectError::AuthDenied { host, user, methods, accepted, tried, unusable, expired, banner }
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
