//! All identities of a controller: every file is read, and every passphrase asked for, once.

mod gathering;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use russh::keys::Certificate;
use russh::keys::agent::client::AgentClient;
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::identity::key_file::{KeyFile, decrypt, read_key_file};
use crate::identity::{Identity, ProvenIdentity, certificate};
use crate::key_ring::gathering::Gathering;
use crate::options::Agent;
use crate::secrets::{SecretText, Secrets, ServerQuestions};
use crate::target::{Settings, Target, Warning};

pub(crate) use gathering::names as offered_as;

/// How long the agent may take to list its keys.
const AGENT_LIMIT: Duration = Duration::from_secs(10);

type Cells<T> = Mutex<HashMap<PathBuf, Arc<OnceCell<Arc<T>>>>>;
/// A decrypted key, or why there is none; may still be typed.
type Question = Shared<BoxFuture<'static, Result<Identity, String>>>;
/// What is in a certificate's file, if there is one.
type Certified = Option<Result<Certificate, String>>;
/// Passwords that were typed, by user and host.
type Passwords = Arc<Mutex<HashMap<(String, String), SecretText>>>;

/// What can be offered to a host, and what cannot.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    pub(crate) usable: Vec<Identity>,
    /// Identities that were named but cannot be offered, with the reason.
    pub(crate) unusable: Vec<String>,
}

pub(crate) struct KeyRing {
    secrets: Option<Arc<dyn Secrets>>,
    files: Cells<KeyFile>,
    certificates: Cells<Certified>,
    agents: Cells<Vec<Identity>>,
    unlocked: Mutex<HashMap<PathBuf, Question>>,
    passwords: Passwords,
    /// The identity that let each user in last: the likely one on the next host.
    welcome: Mutex<HashMap<String, Identity>>,
    /// One question at a time.
    asking: Arc<tokio::sync::Mutex<()>>,
    warnings: Mutex<BTreeSet<Warning>>,
}

impl KeyRing {
    pub(crate) fn new(secrets: Option<Arc<dyn Secrets>>) -> Self {
        Self {
            secrets,
            files: Mutex::default(),
            certificates: Mutex::default(),
            agents: Mutex::default(),
            unlocked: Mutex::default(),
            passwords: Arc::default(),
            welcome: Mutex::default(),
            asking: Arc::default(),
            warnings: Mutex::default(),
        }
    }

    /// Everything that was ignored so far.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Notes something that was ignored.
    pub(crate) fn warn(&self, warning: Warning) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).insert(warning);
    }

    /// What to offer to a target, the likely one first: the identity that the last host let this user in with, the
    /// identities that the target names, the agent's, the default files; a certificate before its key. A default
    /// file that needs a passphrase is asked for only when there is nothing else to offer.
    pub(crate) async fn identities(&self, target: &Target, settings: &Settings) -> Identities {
        if !target.login.public_key {
            return Identities::default();
        }
        if let Some(ProvenIdentity(only)) = &target.login.only_identity {
            return Identities { usable: vec![only.clone()], unusable: Vec::new() };
        }
        let mut found = Gathering::new(self, target, settings).finish().await;
        let welcome = self.welcome.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(likely) = welcome.get(&target.user) {
            found.usable.sort_by_key(|identity| !identity.is_same_offer(likely));
        }
        found
    }

    /// Remembers what a host has let a user in with.
    pub(crate) fn welcomed(&self, user: &str, identity: Identity) {
        self.welcome.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), identity);
    }

    /// Whether there is anybody who could be asked.
    pub(crate) fn may_ask(&self) -> bool {
        self.secrets.is_some()
    }

    async fn read(&self, file: &Path) -> Arc<KeyFile> {
        let path = file.to_owned();
        let read = || async move {
            let read = spawn_blocking(move || read_key_file(&path)).await;
            Arc::new(read.unwrap_or_else(|_| KeyFile::Unusable("the reader was stopped".to_owned())))
        };
        Arc::clone(cell(&self.files, file).get_or_init(read).await)
    }

    async fn read_certificate(&self, file: &Path) -> Arc<Certified> {
        let path = file.to_owned();
        let read = || async move {
            let read = spawn_blocking(move || certificate::read(&path)).await;
            Arc::new(read.unwrap_or_else(|_| Some(Err("the reader was stopped".to_owned()))))
        };
        Arc::clone(cell(&self.certificates, file).get_or_init(read).await)
    }

    /// Asks for a passphrase, once. The question runs in a task of its own: a connect that is given up while
    /// somebody types must not make the next one ask again.
    async fn unlock(&self, file: &Path, text: &Zeroizing<String>) -> Result<Identity, String> {
        if self.secrets.is_none() {
            return Err("needs its passphrase, and nobody can be asked".to_owned());
        }
        let question = {
            let mut unlocked = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
            let ask = || {
                let (path, text) = (file.to_owned(), text.clone());
                let asked = self.ask(move |secrets| {
                    let passphrase = secrets.passphrase(&path).ok_or("no passphrase was given")?;
                    decrypt(&text, &passphrase).map(|key| Identity::of_file(&path, key))
                });
                tokio::spawn(asked)
                    .map(|answer| {
                        answer.ok().flatten().unwrap_or_else(|| Err("the question was stopped".to_owned()))
                    })
                    .boxed()
                    .shared()
            };
            unlocked.entry(file.to_owned()).or_insert_with(ask).clone()
        };
        question.await
    }

    /// The password of a user on a host. One that was typed is taken again, until a server refuses it.
    pub(crate) async fn password(&self, user: &str, host: &str, attempt: u32) -> Option<SecretText> {
        let key = (user.to_owned(), host.to_owned());
        let known = self.passwords.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if known.is_some() {
            return known;
        }
        let passwords = Arc::clone(&self.passwords);
        // Kept even when the connect that asked has been given up meanwhile.
        let asked = self.ask(move |secrets| {
            let typed = secrets.password(&key.0, &key.1, attempt)?;
            passwords.lock().unwrap_or_else(PoisonError::into_inner).insert(key, typed.clone());
            Some(typed)
        });
        asked.await.flatten()
    }

    /// Whether the password of this target was typed.
    pub(crate) fn has_password(&self, target: &Target) -> bool {
        let key = (target.user.clone(), target.name.clone());
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }

    /// A server has refused the password.
    pub(crate) fn forget_password(&self, user: &str, host: &str) {
        let key = (user.to_owned(), host.to_owned());
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// The answers to what a server asks.
    pub(crate) async fn answers(&self, asked: ServerQuestions) -> Option<Vec<SecretText>> {
        self.ask(move |secrets| secrets.answers(&asked)).await.flatten()
    }

    /// Asks on a thread that may block, one question at a time. Whoever waits may go away: the question stays
    /// until it is answered, and the next one waits for that.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Secrets) -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send + 'static {
        let (asking, secrets) = (Arc::clone(&self.asking), self.secrets.clone());
        async move {
            let secrets = secrets?;
            let one_at_a_time = asking.lock_owned().await;
            let asked = spawn_blocking(move || {
                let answer = question(&*secrets);
                drop(one_at_a_time);
                answer
            });
            asked.await.ok()
        }
    }

    /// What the agent at this socket holds.
    async fn agent(&self, socket: &Path) -> Arc<Vec<Identity>> {
        let listing = || async { Arc::new(self.list_agent(socket).await) };
        Arc::clone(cell(&self.agents, socket).get_or_init(listing).await)
    }

    async fn list_agent(&self, socket: &Path) -> Vec<Identity> {
        match timeout(AGENT_LIMIT, list(socket)).await {
            Ok(Ok(identities)) => identities,
            Ok(Err(error)) => self.no_agent(socket, &error.to_string()),
            Err(_) => self.no_agent(socket, "no answer"),
        }
    }

    fn no_agent(&self, socket: &Path, why: &str) -> Vec<Identity> {
        let text = format!("the agent is not used: {why}");
        self.warn(Warning { file: socket.to_owned(), line: None, text });
        Vec::new()
    }
}

fn cell<T>(cells: &Cells<T>, file: &Path) -> Arc<OnceCell<Arc<T>>> {
    Arc::clone(cells.lock().unwrap_or_else(PoisonError::into_inner).entry(file.to_owned()).or_default())
}

/// The socket of the agent that a target uses.
pub(crate) fn agent_socket<'a>(target: &'a Target, settings: &'a Settings) -> Option<&'a Path> {
    match &target.login.agent {
        Agent::Default => settings.agent_socket.as_deref(),
        Agent::None => None,
        Agent::Socket(socket) => Some(socket),
    }
}

/// Connects to the agent.
pub(crate) async fn agent(socket: &Path) -> Result<AgentClient<UnixStream>, russh::keys::Error> {
    AgentClient::connect_uds(socket).await
}

async fn list(socket: &Path) -> Result<Vec<Identity>, russh::keys::Error> {
    let identities = agent(socket).await?.request_identities().await?;
    Ok(identities.into_iter().map(|held| Identity::of_agent(socket, held)).collect())
}
