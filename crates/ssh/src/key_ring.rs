//! All identities of a controller: every file is read, and every passphrase asked for, once.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use russh::keys::agent::client::AgentClient;
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::identity::{Identity, KeyFile, Secrets, decrypt, read_key_file};
use crate::options::Agent;
use crate::target::{Settings, Target, Warning};

/// How long the agent may take to list its keys.
const AGENT_LIMIT: Duration = Duration::from_secs(10);

type FileCell = Arc<OnceCell<Arc<KeyFile>>>;
/// A decrypted key, or why there is none; may still be typed.
type Question = Shared<BoxFuture<'static, Result<Identity, String>>>;

/// Why a file is looked at, and so how much is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The target names it: it should exist, and its passphrase is asked for.
    Named,
    /// It is one of the defaults: taken if it is there and open.
    Default,
    /// The same, when there is nothing else: its passphrase is asked for.
    LastResort,
}

/// What can be offered to a host, and what cannot.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    pub(crate) usable: Vec<Identity>,
    /// Identities that were named but cannot be offered, with the reason.
    pub(crate) unusable: Vec<String>,
}

pub(crate) struct KeyRing {
    secrets: Option<Arc<dyn Secrets>>,
    files: Mutex<HashMap<PathBuf, FileCell>>,
    unlocked: Mutex<HashMap<PathBuf, Question>>,
    agent: OnceCell<Vec<Identity>>,
    /// One question at a time.
    asking: Arc<tokio::sync::Mutex<()>>,
    warnings: Mutex<BTreeSet<Warning>>,
}

impl KeyRing {
    pub(crate) fn new(secrets: Option<Arc<dyn Secrets>>) -> Self {
        Self {
            secrets,
            files: Mutex::default(),
            unlocked: Mutex::default(),
            agent: OnceCell::new(),
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

    /// What to offer to a target, in this order: the identities it names, the agent's, then the default files. A
    /// default file that needs a passphrase is asked for only when there is nothing else to offer.
    pub(crate) async fn identities(&self, target: &Target, settings: &Settings) -> Identities {
        let agent: &[Identity] = match agent_socket(target, settings) {
            Some(socket) => self.agent.get_or_init(|| self.list_agent(socket)).await,
            None => &[],
        };
        let mut found = Identities::default();
        for file in &target.login.identities {
            self.add_file(file, Wish::Named, agent, &mut found).await;
        }
        for identity in agent {
            add(identity.clone(), &mut found.usable);
        }
        if target.login.identities.is_empty() && target.login.default_identities {
            for file in &settings.default_identities {
                self.add_file(file, Wish::Default, agent, &mut found).await;
            }
            if found.usable.is_empty() {
                found.unusable.clear();
                for file in &settings.default_identities {
                    self.add_file(file, Wish::LastResort, agent, &mut found).await;
                }
            }
        }
        found
    }

    async fn add_file(&self, file: &Path, wish: Wish, agent: &[Identity], found: &mut Identities) {
        let named = |why: &str| format!("{} ({why})", file.display());
        match &*self.read(file).await {
            KeyFile::Plain(key) => {
                add(Identity::File { file: file.to_owned(), key: Arc::clone(key) }, &mut found.usable);
            }
            KeyFile::Encrypted { text, public } => {
                let held = public.as_ref().and_then(|public| {
                    agent.iter().find(|held| held.public_key().key_data() == public.key_data())
                });
                if let Some(held) = held {
                    add(held.clone(), &mut found.usable);
                } else if wish == Wish::Default {
                    found.unusable.push(named("needs its passphrase"));
                } else {
                    match self.unlock(file, text).await {
                        Ok(identity) => add(identity, &mut found.usable),
                        Err(why) => found.unusable.push(named(&why)),
                    }
                }
            }
            KeyFile::Missing if wish == Wish::Named => found.unusable.push(named("does not exist")),
            KeyFile::Missing => {}
            KeyFile::Unusable(why) => {
                self.warn(Warning { file: file.to_owned(), line: None, text: why.clone() });
                found.unusable.push(named(why));
            }
        }
    }

    async fn read(&self, file: &Path) -> Arc<KeyFile> {
        let cell = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(files.entry(file.to_owned()).or_default())
        };
        let path = file.to_owned();
        let read = || async move {
            let read = spawn_blocking(move || read_key_file(&path)).await;
            Arc::new(read.unwrap_or_else(|_| KeyFile::Unusable("the reader was stopped".to_owned())))
        };
        Arc::clone(cell.get_or_init(read).await)
    }

    /// Asks for a passphrase, once. The question runs in a task of its own: a connect that is given up while
    /// somebody types must not make the next one ask again.
    async fn unlock(&self, file: &Path, text: &Zeroizing<String>) -> Result<Identity, String> {
        let Some(secrets) = self.secrets.clone() else {
            return Err("needs its passphrase, and nobody can be asked".to_owned());
        };
        let question = {
            let mut unlocked = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
            let ask = || {
                let asking = Arc::clone(&self.asking);
                tokio::spawn(ask(asking, secrets, file.to_owned(), text.clone()))
                    .map(|answer| answer.unwrap_or_else(|_| Err("the question was stopped".to_owned())))
                    .boxed()
                    .shared()
            };
            unlocked.entry(file.to_owned()).or_insert_with(ask).clone()
        };
        question.await
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

async fn ask(
    asking: Arc<tokio::sync::Mutex<()>>,
    secrets: Arc<dyn Secrets>,
    file: PathBuf,
    text: Zeroizing<String>,
) -> Result<Identity, String> {
    let _one_at_a_time = asking.lock().await;
    let asked = spawn_blocking(move || {
        let passphrase = secrets.passphrase(&file).ok_or("no passphrase was given")?;
        decrypt(&text, &passphrase).map(|key| Identity::File { file, key })
    });
    asked.await.unwrap_or_else(|_| Err("the question was stopped".to_owned()))
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
    Ok(identities.into_iter().map(|identity| Identity::Agent(Box::new(identity))).collect())
}

/// Adds an identity unless its key is there already; a certificate is another identity than its key.
fn add(identity: Identity, usable: &mut Vec<Identity>) {
    let same = |other: &Identity| {
        is_certificate(other) == is_certificate(&identity)
            && other.public_key().key_data() == identity.public_key().key_data()
    };
    if !usable.iter().any(same) {
        usable.push(identity);
    }
}

fn is_certificate(identity: &Identity) -> bool {
    use russh::keys::agent::AgentIdentity::Certificate;
    matches!(identity, Identity::Agent(held) if matches!(**held, Certificate { .. }))
}
