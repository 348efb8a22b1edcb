//! How hosts are reached: SSH, and one privileged shell on each.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pipedown_engine::{Link, Opened, Opener};
use pipedown_model::{Become, Failure, FailureClass, HostKeySeen, HostName, HostPlan, RunId};
use pipedown_ssh::{
    Anchors, ConnectError, Connection, Connector, FailureClass as SshClass, LoginOptions, Phase, Route,
    Settings, SshfpLookup, Target,
};
use pipedown_steps::{HostShell, Secret, ShellOptions};

use crate::bastions::Bastions;
use crate::cli::ReachArgs;
use crate::secrets::{self, Prompt};
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets::{self, Targets};

/// How long a name server has for each answer.
const DNS_LIMIT: Duration = Duration::from_secs(5);

/// Opens hosts over SSH.
pub struct SshOpener {
    connector: Connector,
    targets: Arc<Targets>,
    bastions: OnceLock<Bastions>,
    password: Option<Secret>,
}

impl SshOpener {
    /// Makes an opener with the user's files, agent and limits; asks for the passwords that are to be used.
    ///
    /// # Errors
    /// When a password was asked for and cannot be had, or an ssh_config cannot be used.
    pub fn new(around: &Surroundings, reach: &ReachArgs) -> Result<Self, Stop> {
        let connector = connector(around, reach.connect_timeout, Prompt::new(reach)?);
        let targets = around.targets()?;
        Ok(Self { connector, targets, bastions: OnceLock::new(), password: secrets::become_password(reach)? })
    }

    /// Reads the keys of all hosts and asks for their passphrases: nobody is asked once the work has begun.
    pub async fn unlock(&self, hosts: &[HostPlan]) {
        let mut seen: Vec<(LoginOptions, Route)> = Vec::new();
        let mut bastions = Bastions::default();
        for host in hosts {
            // Who cannot be reached for another reason says so when it is opened.
            let Ok(target) = self.target(host).await else { continue };
            bastions.note(&host.host, &target);
            let way = (target.login.clone(), target.link.route.clone());
            if !seen.contains(&way) {
                self.connector.unlock(&target).await;
                seen.push(way);
            }
        }
        // A process works on one run.
        let _ = self.bastions.set(bastions);
    }

    /// What was left out while keys and known hosts were read; each to be said once.
    pub fn warnings(&self) -> Vec<String> {
        self.connector.warnings().iter().map(ToString::to_string).collect()
    }

    /// How a host of a plan is reached. Commands of `Match exec` may run: not on a thread that others wait for.
    async fn target(&self, host: &HostPlan) -> Result<Target, Failure> {
        let request = targets::request_of_plan(host);
        let targets = Arc::clone(&self.targets);
        let found = tokio::task::spawn_blocking(move || targets.of(&request)).await;
        let found = found.map_err(|e| {
            Failure::new(FailureClass::Controller, format!("find the way to {}: {e}", host.host))
        })?;
        found.map_err(|e| Failure::new(FailureClass::Controller, e.to_string()).with_hint(e.hint()))
    }
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
            let key = connection.host_key();
            let key = HostKeySeen { algorithm: key.algorithm().to_owned(), fingerprint: key.fingerprint() };
            let to_root = host.target.r#become;
            let password = self.password.clone().filter(|_| to_root == Become::Sudo);
            let link = SshLink { connection, to_root, password, run: run.cloned() };
            let shell = link.another_shell().await?;
            Ok(Opened { key, shell, link: Box::new(link) })
        }
        .boxed()
    }
}

struct SshLink {
    connection: Connection,
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

    fn another_shell(&self) -> BoxFuture<'_, Result<HostShell, Failure>> {
        async move {
            let command = pipedown_steps::command(self.to_root, self.password.is_some());
            let exec = self.connection.exec(&command).await.map_err(|e| {
                Failure::new(
                    FailureClass::Dropped,
                    format!("start a shell on {}: {e}", self.connection.host()),
                )
            })?;
            let options = ShellOptions { run: self.run.clone(), ..ShellOptions::default() };
            let library = pipedown_steps::library();
            HostShell::open(exec, self.to_root, self.password.clone(), library, options)
                .await
                .map_err(|e| e.failure())
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.connection.close().boxed()
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
