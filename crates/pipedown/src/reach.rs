//! How hosts are reached: SSH, and one privileged shell on each.

mod line;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pipedown_engine::{Dialed, Link, Login, Opened, Opener};
use pipedown_model::{Become, Failure, FailureClass, HostKeySeen, HostName, HostPlan, RunId};
use pipedown_ssh::{
    Anchors, Carrier, Chunk, ConnectError, Connection, Connector, Exec, FailureClass as SshClass,
    LoginOptions, Phase, ProvenIdentity, Request, Route, Settings, SshfpLookup, Target,
};
use pipedown_steps::{HostShell, Secret, ShellOptions, run_instead};

use self::line::SshLine;
use crate::bastions::Bastions;
use crate::cli::ReachArgs;
use crate::secrets::{self, Prompt};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets::{self, Targets};
use crate::transfer::Transfer;

/// How long a name server has for each answer.
const DNS_LIMIT: Duration = Duration::from_secs(5);

/// For how many hosts the way is found out at a time before the work begins.
const TOGETHER: usize = 256;

/// How long a command that does nothing may take.
const RUN_LIMIT: Duration = Duration::from_secs(20);
/// How much is read of what a login says before a command runs.
const MOST_SAID: usize = 64 * 1024;

/// Opens hosts over SSH.
pub struct SshOpener {
    connector: Connector,
    targets: Arc<Targets>,
    opened_by: Arc<OpenedBy>,
    bastions: OnceLock<Bastions>,
    password: Option<Secret>,
    transfer: Arc<Transfer>,
}

impl SshOpener {
    /// Makes an opener with the user's files, agent and limits; asks for the passwords that are to be used.
    ///
    /// # Errors
    /// When a password was asked for and cannot be had, or an ssh_config cannot be used.
    pub fn new(around: &Surroundings, reach: &ReachArgs) -> Result<Self, Stop> {
        let connector = connector(around, reach.connect_timeout, Prompt::new(reach)?);
        let targets = around.targets()?;
        let password = secrets::become_password(reach)?;
        let opened_by = Arc::default();
        let transfer = Arc::clone(&around.transfer);
        Ok(Self { connector, targets, opened_by, bastions: OnceLock::new(), password, transfer })
    }

    /// Reads the keys of all hosts and asks for their passphrases: nobody is asked once the work has begun.
    pub async fn unlock(&self, hosts: &[HostPlan]) {
        let mut seen: Vec<(LoginOptions, Route)> = Vec::new();
        let mut bastions = Bastions::default();
        for part in hosts.chunks(TOGETHER) {
            let requests: Vec<Request> = part.iter().map(targets::request_of_plan).collect();
            let targets = Arc::clone(&self.targets);
            let find = move || requests.iter().map(|request| targets.of(request).ok()).collect();
            let found: Vec<Option<Target>> = tokio::task::spawn_blocking(find).await.unwrap_or_default();
            for (host, target) in part.iter().zip(found) {
                // Who cannot be reached for another reason says so when it is opened.
                let Some(target) = target else { continue };
                bastions.note(&host.host, &target);
                let way = (target.login.clone(), target.link.route.clone());
                if !seen.contains(&way) {
                    self.connector.unlock(&target).await;
                    seen.push(way);
                }
            }
        }
        bastions.settle();
        // A process works on one run.
        let _ = self.bastions.set(bastions);
    }

    /// What was left out while keys and known hosts were read; each to be said once.
    pub fn warnings(&self) -> Vec<String> {
        self.connector.warnings().iter().map(ToString::to_string).collect()
    }

    async fn target(&self, host: &HostPlan) -> Result<Target, Failure> {
        target(&self.targets, host).await
    }
}

/// How a host of a plan is reached. Commands of `Match exec` may run: not on a thread that others wait for.
async fn target(targets: &Arc<Targets>, host: &HostPlan) -> Result<Target, Failure> {
    let request = targets::request_of_plan(host);
    let targets = Arc::clone(targets);
    let found = tokio::task::spawn_blocking(move || targets.of(&request)).await;
    let found = found
        .map_err(|e| Failure::new(FailureClass::Controller, format!("find the way to {}: {e}", host.host)))?;
    found.map_err(|e| Failure::new(FailureClass::Controller, e.to_string()).with_hint(e.hint()))
}

/// How an account of the host is logged in to by a connection that nothing runs on: nobody but the server asks whether the
/// other side is there.
async fn idle_target(targets: &Arc<Targets>, host: &HostPlan, account: &str) -> Result<Target, Failure> {
    let mut host = host.clone();
    account.clone_into(&mut host.target.user);
    let mut target = target(targets, &host).await?;
    target.link.keepalive = Some(Duration::ZERO);
    Ok(target)
}

/// Makes a connector with the user's files and agent. `limit` is for the name, for TCP's connect and for the version
/// line.
pub fn connector(around: &Surroundings, limit: Duration, secrets: Prompt) -> Connector {
    let mut settings = match around.home() {
        Some(home) => Settings::for_home(home),
        None => Settings::default(),
    };
    settings.agent_socket = std::env::var_os("SSH_AUTH_SOCK").filter(|s| !s.is_empty()).map(Into::into);
    if let Some(shell) = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()) {
        settings.shell = shell.into();
    }
    settings.deadlines.resolve = limit;
    settings.deadlines.connect = limit;
    settings.deadlines.banner = limit;
    settings.sshfp = system_dns();
    Connector::new(settings, Some(Arc::new(secrets)))
}

/// The name servers of this machine; without any nobody can be asked, which is said where it matters (`hostkeys verify`).
fn system_dns() -> Option<SshfpLookup> {
    let servers = SshfpLookup::servers_of(&std::fs::read_to_string("/etc/resolv.conf").ok()?).ok()?;
    SshfpLookup::new(servers, &Anchors::root(), DNS_LIMIT).ok()
}

impl Opener for SshOpener {
    fn log_in<'a>(
        &'a self,
        host: &'a HostPlan,
        account: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Login>, Failure>> {
        async move {
            let mut target = idle_target(&self.targets, host, account).await?;
            target.login.only_identity = self.opened_by.get(&host.host, account);
            let connection = self.connector.connect(&target).await.map_err(|e| failure(&e))?;
            Ok(Box::new(SshLogin { connection, asked: 0 }) as Box<dyn Login>)
        }
        .boxed()
    }

    fn dial<'a>(&'a self, host: &'a HostPlan) -> BoxFuture<'a, Result<Dialed, Failure>> {
        async move {
            let target = self.target(host).await?;
            let connection = self.connector.connect(&target).await.map_err(|e| failure(&e))?;
            let key = key_seen(&connection);
            Ok(Dialed {
                key,
                line: Box::new(SshLine::new(connection, self.password.clone(), Arc::clone(&self.transfer))),
            })
        }
        .boxed()
    }

    fn spare(&self, parallel: u16) -> usize {
        crate::descriptors::spare(parallel)
    }

    fn has_password(&self) -> bool {
        self.password.is_some()
    }

    fn reached_through(&self, host: &HostPlan) -> Vec<HostName> {
        self.bastions.get().map(|bastions| bastions.behind(&host.host)).unwrap_or_default()
    }

    fn open<'a>(
        &'a self,
        run: Option<&'a RunId>,
        host: &'a HostPlan,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        async move {
            let connection =
                self.connector.connect(&self.target(host).await?).await.map_err(|e| failure(&e))?;
            let key = key_seen(&connection);
            let to_root = host.target.r#become;
            let password = self.password.clone().filter(|_| to_root == Become::Sudo);
            let link = SshLink {
                connection,
                connector: self.connector.clone(),
                targets: Arc::clone(&self.targets),
                opened_by: Arc::clone(&self.opened_by),
                to_root,
                password,
                run: run.cloned(),
            };
            let shell = link.another_shell().await?;
            Ok(Opened { key, shell, link: Box::new(link) })
        }
        .boxed()
    }
}

fn key_seen(connection: &Connection) -> HostKeySeen {
    let key = connection.host_key();
    HostKeySeen { algorithm: key.algorithm().to_owned(), fingerprint: key.fingerprint() }
}

/// Which key a canary has shown to open an account of a host.
#[derive(Default)]
struct OpenedBy(Mutex<HashMap<(HostName, String), ProvenIdentity>>);

impl OpenedBy {
    fn get(&self, host: &HostName, account: &str) -> Option<ProvenIdentity> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(host.clone(), account.to_owned())).cloned()
    }

    fn note(&self, host: &HostName, account: &str, identity: ProvenIdentity) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((host.clone(), account.to_owned()), identity);
    }
}

/// A login on which nothing runs.
struct SshLogin {
    connection: Connection,
    /// Keepalives that were waited for.
    asked: u64,
}

impl Login for SshLogin {
    fn runs(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        runs(&self.connection).boxed()
    }

    fn keepalive(&mut self) -> BoxFuture<'_, bool> {
        self.asked = self.asked.saturating_add(1);
        let asked = self.connection.keepalive(self.asked);
        async move { asked.await.is_ok() }.boxed()
    }

    fn stall(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.connection.stall().await;
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.connection.close().boxed()
    }
}

/// Runs a command that does nothing but say so.
async fn runs(connection: &Connection) -> Result<(), Failure> {
    const WORD: &str = "pipedown-runs";
    let failed = |why: String| {
        let text = format!("run a command on {} as {}: {why}", connection.host(), connection.user());
        Failure::new(FailureClass::Step, text)
    };
    let mut exec = connection.exec(&format!("echo {WORD}")).await.map_err(|e| failed(e.to_string()))?;
    exec.stdin.eof();
    let mut said = Vec::new();
    let mut end = None;
    let drained = async {
        while let Some(chunk) = exec.output.next().await {
            match chunk {
                Chunk::Stdout(bytes) => said.extend(bytes.into_iter().take(MOST_SAID)),
                Chunk::Stderr(_) => {}
                Chunk::Exit(status) => end = Some(format!("status {status}")),
                Chunk::Signal(name) => end = Some(format!("signal {name}")),
                Chunk::Refused => end = Some("the server refused".to_owned()),
                Chunk::Overflow => end = Some("it said too much".to_owned()),
                Chunk::Lost => end = Some("the link went away".to_owned()),
            }
        }
    };
    tokio::time::timeout(RUN_LIMIT, drained).await.map_err(|_| failed("no end of it".to_owned()))?;
    if String::from_utf8_lossy(&said).contains(WORD) {
        return Ok(());
    }
    Err(failed(format!("it did not run: {}", end.unwrap_or_else(|| "no status".to_owned()))))
}

struct SshLink {
    connection: Connection,
    connector: Connector,
    targets: Arc<Targets>,
    opened_by: Arc<OpenedBy>,
    to_root: Become,
    password: Option<Secret>,
    run: Option<RunId>,
}

impl Link for SshLink {
    fn gone(&self) -> BoxFuture<'static, ()> {
        self.connection.closed().map(|_| ()).boxed()
    }

    fn is_gone(&self) -> bool {
        self.connection.is_closed()
    }

    fn server(&self) -> Option<String> {
        Some(self.connection.server_version().to_owned())
    }

    fn another_shell(&self) -> BoxFuture<'_, Result<HostShell, Failure>> {
        async move {
            let exec = self.root_exec().await?;
            let options = ShellOptions { run: self.run.clone(), ..ShellOptions::default() };
            let library = pipedown_steps::library();
            HostShell::open(exec, self.to_root, self.password.clone(), library, options)
                .await
                .map_err(|e| e.failure())
        }
        .boxed()
    }

    fn canary<'a>(
        &'a self,
        host: &'a HostPlan,
        account: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<String, Failure>> {
        async move {
            let target = idle_target(&self.targets, host, account).await?;
            let exec = self.root_exec().await?;
            let options = ShellOptions::default();
            let exec = run_instead(exec, self.to_root, self.password.clone(), command, &options)
                .await
                .map_err(|e| e.failure())?;
            let host_key = self.connection.host_key().clone();
            let carrier = Carrier { exec, begins_after: String::new(), host_key };
            let inner = self.connector.connect_on(&target, carrier).await.map_err(|e| failure(&e))?;
            if let Some(identity) = inner.proven_identity() {
                self.opened_by.note(&host.host, account, identity.clone());
            }
            let key = inner.identity().to_owned();
            // Others may have logins without a shell, for file transfer; ours is worth nothing without.
            let ran = if account == host.target.user { runs(&inner).await } else { Ok(()) };
            inner.close().await;
            ran.map(|()| key)
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.connection.close().boxed()
    }
}

impl SshLink {
    /// The exec in which sudo, or doas, starts a shell.
    async fn root_exec(&self) -> Result<Exec, Failure> {
        let command = pipedown_steps::command(self.to_root, self.password.is_some());
        self.connection.exec(&command).await.map_err(|e| {
            let text = format!("start a shell on {}: {e}", self.connection.host());
            Failure::new(FailureClass::Dropped, text)
        })
    }
}

/// The SSH client's error in the journal's words.
pub fn failure(error: &ConnectError) -> Failure {
    let class = match (error.class(), error.phase()) {
        (SshClass::Unresolved, _) | (SshClass::TimedOut, Phase::Resolve) => FailureClass::Resolve,
        (SshClass::Unreachable, _) | (SshClass::TimedOut | SshClass::Dropped, Phase::Connect) => {
            FailureClass::Connect
        }
        (SshClass::NotSsh, _) | (SshClass::TimedOut | SshClass::Dropped, Phase::Banner) => {
            FailureClass::Banner
        }
        (SshClass::KeyExchange, _) | (SshClass::TimedOut, Phase::KeyExchange) => FailureClass::KeyExchange,
        (SshClass::HostKeyUnknown, _) => FailureClass::HostKeyUnknown,
        (SshClass::HostKeyChanged, _) => FailureClass::HostKeyChanged,
        (SshClass::HostKeyRevoked, _) => FailureClass::HostKeyRevoked,
        // A server that ends the login says no in its own way: nologin, MaxAuthTries.
        (SshClass::AuthDenied, _) | (SshClass::TimedOut | SshClass::Dropped, Phase::Auth) => {
            FailureClass::Auth
        }
        (SshClass::Bastion, _) => FailureClass::Bastion,
        (SshClass::Dropped, _) => FailureClass::Dropped,
    };
    Failure::new(class, error.to_string()).with_hint(error.hint())
}
