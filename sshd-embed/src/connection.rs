//! One connection, from its first byte to its last.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, RunningSession, Session,
    VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet, Sig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Faults;
use crate::launch::{Login, Terminal};
use crate::service::Service;
use crate::session::{Prepared, Started, until_heard};
use crate::switch::Switched;
use crate::wire::Tapped;

/// How long the sessions of a connection may take to say goodbye, and the client to hang up.
const GOODBYE: Duration = Duration::from_millis(700);
/// How long a cut session of russh may take to notice.
const NOTICE: Duration = Duration::from_secs(5);

/// Serves one client until it leaves, is late with its login, or the server ends.
pub(crate) async fn serve(
    service: &Arc<Service>,
    mut stream: TcpStream,
    peer: SocketAddr,
    startup: OwnedSemaphorePermit,
    faults: Faults,
) {
    let cut = service.dead.child_token();
    let grace = Instant::now() + service.limits.login_grace;
    if faults.stall_banner || faults.stall_kex {
        if faults.stall_kex {
            // The client may have gone; it is to be kept waiting, not to be served.
            let _ = stream.write_all(b"SSH-2.0-sshd-embed_stalled\r\n").await;
        }
        let mut nowhere = tokio::io::sink();
        let hang_up = tokio::io::copy(&mut stream, &mut nowhere);
        tokio::select! {
            () = cut.cancelled() => {}
            _ = hang_up => {}
        }
        return;
    }
    // Latency is worth more than a packet; a socket that cannot do it works all the same.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().unwrap_or(peer);
    let authenticated = CancellationToken::new();
    let sessions = TaskTracker::new();
    let handler = Connection {
        service: Arc::clone(service),
        peer,
        local,
        cut: cut.clone(),
        authenticated: authenticated.clone(),
        sessions: sessions.clone(),
        channels: HashMap::new(),
        user: String::new(),
        faults,
    };
    let tap = service.wire.as_ref().map(|wire| wire.accepted(peer));
    let stream = Switched::new(Tapped::new(stream, tap), cut.clone());
    let started = timeout_at(grace, run_stream(Arc::clone(&service.config), stream, handler)).await;
    if let Ok(Ok(session)) = started {
        attend(service, session, &authenticated, &sessions, &cut, grace, startup).await;
    }
    cut.cancel();
    // They enter and leave the host's list of logins: none may still write when the next boot clears it.
    sessions.close();
    sessions.wait().await;
}

/// Waits for the end of a session, whoever brings it about.
async fn attend(
    service: &Service,
    mut session: RunningSession<Connection>,
    authenticated: &CancellationToken,
    sessions: &TaskTracker,
    cut: &CancellationToken,
    grace: Instant,
    startup: OwnedSemaphorePermit,
) {
    let handle = session.handle();
    let late = async {
        if timeout_at(grace, authenticated.cancelled()).await.is_ok() {
            drop(startup);
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = &mut session => return,
        () = cut.cancelled() => {}
        () = late => log::info!("a client did not log in in time"),
        _ = service.last_words() => {
            sessions.close();
            let told = async {
                sessions.wait().await;
                // A client that is disconnected throws away what it has not printed.
                if authenticated.is_cancelled() {
                    until_heard(&handle).await;
                }
            };
            // Those that cannot be told in time are cut.
            let _ = timeout(GOODBYE, told).await;
            let bye = handle.disconnect(Disconnect::ByApplication, "going down".into(), "en".into());
            let _ = timeout(GOODBYE, bye).await;
            if timeout(GOODBYE, &mut session).await.is_ok() {
                return;
            }
        }
    }
    cut.cancel();
    if timeout(NOTICE, &mut session).await.is_err() {
        log::error!("a connection did not end after it was cut");
    }
}

/// What russh calls; nothing here ever waits, for the whole session waits with it.
pub(crate) struct Connection {
    service: Arc<Service>,
    peer: SocketAddr,
    local: SocketAddr,
    cut: CancellationToken,
    authenticated: CancellationToken,
    sessions: TaskTracker,
    channels: HashMap<ChannelId, Stage>,
    user: String,
    faults: Faults,
}

/// How far a channel has come.
enum Stage {
    /// Opened; what is to run is not known yet.
    Open(Prepared),
    /// Its command runs, or has run.
    Started(Started),
}

impl Connection {
    fn judge(&self, user: &str, key: &PublicKey) -> Auth {
        if !self.faults.deny_auth && self.service.admits(user, key) {
            return Auth::Accept;
        }
        // Without naming the method again, russh would not let the client offer its next key.
        let mut methods = MethodSet::empty();
        methods.push(MethodKind::PublicKey);
        Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
    }

    fn prepared(&mut self, channel: ChannelId) -> Option<&mut Prepared> {
        match self.channels.get_mut(&channel) {
            Some(Stage::Open(prepared)) => Some(prepared),
            _ => None,
        }
    }

    fn started(&self, channel: ChannelId) -> Option<&Started> {
        match self.channels.get(&channel) {
            Some(Stage::Started(started)) => Some(started),
            _ => None,
        }
    }

    /// Starts a command or a shell, once per channel (RFC 4254, section 6.5).
    fn start(
        &mut self,
        channel: ChannelId,
        command: Option<&[u8]>,
        handle: Handle,
    ) -> Result<(), russh::Error> {
        match self.channels.remove(&channel) {
            Some(Stage::Open(prepared)) => {
                let login = Login { user: self.user.clone(), peer: self.peer, local: self.local };
                let (started, session) = prepared.start(
                    Arc::clone(&self.service),
                    login,
                    command.map(<[u8]>::to_vec),
                    handle,
                    (self.cut.clone(), self.faults.clone()),
                );
                self.sessions.spawn(session.run());
                self.channels.insert(channel, Stage::Started(started));
                Ok(())
            }
            Some(stage) => {
                self.channels.insert(channel, stage);
                Err(russh::Error::Inconsistent)
            }
            None => Err(russh::Error::WrongChannel),
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let verdict = self.judge(user, key.public_key);
        if verdict == Auth::Accept {
            user.clone_into(&mut self.user);
        }
        Ok(verdict)
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), russh::Error> {
        self.authenticated.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.retain(|_, stage| !matches!(stage, Stage::Started(started) if started.is_over()));
        if self.channels.len() >= self.service.limits.sessions {
            reply.reject(russh::ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // The reading half is dropped: `data` below takes what comes, without ever waiting.
        let (_, writer) = channel.split();
        self.channels.insert(id, Stage::Open(Prepared::new(writer)));
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(Stage::Started(started)) = self.channels.remove(&channel) {
            started.close();
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        match self.channels.get_mut(&channel) {
            Some(Stage::Open(prepared)) => prepared.end_input(),
            Some(Stage::Started(started)) => started.end_input(),
            None => {}
        }
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(started) = self.started(channel) {
            started.input(data);
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let terminal = Terminal::new(term, columns, rows);
        match (self.prepared(channel), terminal) {
            (Some(prepared), Some(terminal)) => {
                prepared.terminal = Some(terminal);
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(started) = self.started(channel) {
            started.resize(columns, rows);
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let accepted = self.service.launch.takes_environment()
            && self.prepared(channel).is_some_and(|prepared| prepared.set_env(name, value));
        if accepted { session.channel_success(channel) } else { session.channel_failure(channel) }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.start(channel, Some(command), session.handle()) {
            Ok(()) => session.channel_success(channel),
            Err(_) => session.channel_failure(channel),
        }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        match self.start(channel, None, session.handle()) {
            Ok(()) => session.channel_success(channel),
            Err(_) => session.channel_failure(channel),
        }
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(started) = self.started(channel) {
            started.signal(&signal);
        }
        Ok(())
    }
}
