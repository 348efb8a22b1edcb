//! Logging in: one method after the other, as the server asks for them (RFC 4252, RFC 4256).

mod clock;
mod signer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use russh::MethodSet;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::HashAlg;
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::PublicKey;
use tokio::time::sleep;

use crate::algorithms::AlgorithmList;
use crate::auth::signer::{AgentSigner, KeySigner, Unsigned};
use crate::client::Client;
use crate::identity::{Hand, Identity, Offer, ProvenIdentity};
use crate::key_ring::{KeyRing, offered_as};
use crate::secrets::{SecretText, ServerPrompt, ServerQuestions};
use crate::stream::KillSwitch;
use crate::target::Target;
use crate::trace::note_login;

pub(crate) use clock::Clock;

/// How often a server may ask within one keyboard-interactive login.
const MAX_ROUNDS: usize = 20;

/// How long after a server's first words about a password its verdict may still be on its way.
const VERDICT: Duration = Duration::from_secs(5);

/// How an attempt to log in ended.
pub(crate) enum Login {
    /// Logged in, with these; the identity if it was enough.
    In(String, Option<ProvenIdentity>),
    /// Refused.
    Denied(Denial),
    /// The link is gone; the watcher of the link knows how.
    Gone(Denial),
}

/// What came of a login that was refused.
#[derive(Debug, Default)]
pub(crate) struct Denial {
    /// The methods that the server would still accept.
    pub(crate) methods: Vec<String>,
    /// What it has accepted already, before it asked for more.
    pub(crate) accepted: Vec<String>,
    /// What it has refused.
    pub(crate) tried: Vec<String>,
    /// What could not be tried, with the reason.
    pub(crate) unusable: Vec<String>,
    /// Whether it was over because the password has to be changed.
    pub(crate) expired: bool,
}

/// A method that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    PublicKey,
    KeyboardInteractive,
    Password,
}

impl Method {
    const USUAL: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    fn name(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Password => "password",
        }
    }
}

/// What follows an attempt.
enum Next {
    In,
    Another,
    Stop,
    Gone,
}

/// A login under way.
pub(crate) struct Applicant<'a> {
    session: &'a mut Handle<Client>,
    target: &'a Target,
    keys: &'a KeyRing,
    clock: &'a Clock,
    wire: &'a KillSwitch,
    order: Vec<Method>,
    identities: VecDeque<Identity>,
    /// What the server takes; unknown until it has refused something.
    offered: Option<Vec<String>>,
    interactive_tries: u32,
    password_tries: u32,
    sofar: Denial,
    /// The identity that was accepted last.
    proven: Option<ProvenIdentity>,
}

impl<'a> Applicant<'a> {
    pub(crate) fn new(
        session: &'a mut Handle<Client>,
        target: &'a Target,
        keys: &'a KeyRing,
        clock: &'a Clock,
        wire: &'a KillSwitch,
        identities: Vec<Identity>,
    ) -> Self {
        Self {
            session,
            target,
            keys,
            clock,
            wire,
            order: order(target, keys.may_ask()),
            identities: identities.into(),
            offered: None,
            interactive_tries: 0,
            password_tries: 0,
            sofar: Denial::default(),
            proven: None,
        }
    }

    /// Whether there is nothing at all that could be tried.
    pub(crate) fn has_nothing(&self) -> bool {
        self.next_method().is_none()
    }

    /// Tries what the server takes, in our order. A key is offered without a "none" request before it: that would
    /// only cost a round trip. Before somebody is asked, the server is: it may not take passwords at all.
    pub(crate) async fn apply(mut self) -> Login {
        while let Some(method) = self.next_method() {
            let next = match method {
                Method::PublicKey => self.public_key().await,
                _ if self.offered.is_none() => self.nothing().await,
                Method::KeyboardInteractive => self.keyboard_interactive().await,
                Method::Password => self.password().await,
            };
            match next {
                Next::In => {
                    let proven = self.proven.filter(|_| self.sofar.accepted.len() == 1);
                    return Login::In(self.sofar.accepted.join(" and "), proven);
                }
                Next::Another => {}
                Next::Stop => break,
                Next::Gone => return Login::Gone(self.sofar),
            }
        }
        self.sofar.methods = self.offered.unwrap_or_default();
        Login::Denied(self.sofar)
    }

    fn next_method(&self) -> Option<Method> {
        let prompts = self.target.login.password_prompts;
        self.order.iter().copied().find(|method| {
            let taken =
                self.offered.as_ref().is_none_or(|names| names.iter().any(|name| name == method.name()));
            let left = match method {
                Method::PublicKey => !self.identities.is_empty(),
                Method::KeyboardInteractive => self.interactive_tries < prompts,
                Method::Password => self.password_tries < prompts,
            };
            taken && left
        })
    }

    async fn nothing(&mut self) -> Next {
        note_login("none", &self.target.user, "");
        let result = self.session.authenticate_none(self.target.user.as_str()).await;
        match result {
            Ok(AuthResult::Failure { remaining_methods, .. }) if !remaining_methods.is_empty() => {
                self.offered = Some(names(&remaining_methods));
                Next::Another
            }
            other => self.judge("nothing at all".to_owned(), other.map_err(|error| error.to_string())),
        }
    }

    async fn public_key(&mut self) -> Next {
        let Some(identity) = self.identities.pop_front() else { return Next::Another };
        let name = identity.to_string();
        note_login("publickey", &self.target.user, &name);
        let result = self.offer(&identity).await;
        let before = self.sofar.accepted.len();
        let remark = identity.remark.clone();
        let refused = remark.map_or_else(|| name.clone(), |remark| format!("{name} ({remark})"));
        let next = self.judge_as(name, refused, result);
        if self.sofar.accepted.len() > before {
            self.proven = Some(ProvenIdentity(identity.clone()));
            self.keys.welcomed(&self.target.user, identity);
        }
        next
    }

    async fn offer(&mut self, identity: &Identity) -> Result<AuthResult, String> {
        let user = self.target.user.as_str();
        let hash = self.hash(identity).await?;
        let result = match &identity.hand {
            Hand::Ours(key) => {
                let mut signer = KeySigner(key.clone());
                match &identity.offer {
                    Offer::Key(key) => {
                        self.session.authenticate_publickey_with(user, key.clone(), hash, &mut signer).await
                    }
                    Offer::Certificate(certificate) => {
                        let certificate = (**certificate).clone();
                        self.session.authenticate_certificate_with(user, certificate, hash, &mut signer).await
                    }
                }
            }
            Hand::Agent(socket, held) => {
                let binding = self.session.agent_session_binding().cloned();
                let (socket, held): (&PathBuf, &AgentIdentity) = (socket, held);
                let mut signer = AgentSigner { socket, held, binding, clock: self.clock };
                match &identity.offer {
                    Offer::Key(key) => {
                        let key: PublicKey = key.clone();
                        self.session.authenticate_publickey_with(user, key, hash, &mut signer).await
                    }
                    Offer::Certificate(certificate) => {
                        let certificate = (**certificate).clone();
                        self.session.authenticate_certificate_with(user, certificate, hash, &mut signer).await
                    }
                }
            }
        };
        result.map_err(|Unsigned(why)| why)
    }

    /// The hash to sign with under an RSA key. SHA-1 is used only when `ssh-rsa` is asked for by name.
    async fn hash(&self, identity: &Identity) -> Result<Option<HashAlg>, String> {
        if !identity.key_data().algorithm().is_rsa() {
            return Ok(None);
        }
        let asked = self.target.algorithms.public_key.as_deref();
        let accepted = AlgorithmList::PublicKey.chosen(asked).unwrap_or_default();
        let ours = offered_as(identity);
        let has = |at: usize| ours.get(at).is_some_and(|name| accepted.contains(&name.as_str()));
        let (sha512, sha256, sha1) = (has(0), has(1), has(2));
        let theirs = self.session.best_supported_rsa_hash().await.map_err(|error| error.to_string())?;
        match theirs {
            Some(Some(HashAlg::Sha512)) if sha512 => Ok(Some(HashAlg::Sha512)),
            Some(Some(_)) if sha256 => Ok(Some(HashAlg::Sha256)),
            // Servers that do not say (RFC 8308) are old; those that take SHA-2 all the same take SHA-512.
            Some(None) | None if sha1 => Ok(None),
            Some(None) => Err("the server takes RSA signatures with SHA-1 only".to_owned()),
            None if sha512 => Ok(Some(HashAlg::Sha512)),
            None if sha256 => Ok(Some(HashAlg::Sha256)),
            _ => Err("no RSA signature that both sides take".to_owned()),
        }
    }

    async fn password(&mut self) -> Next {
        self.password_tries += 1;
        let (user, host) = (self.target.user.as_str(), self.target.name.as_str());
        let stopped = self.clock.stop();
        let password = self.keys.password(user, host, self.password_tries).await;
        drop(stopped);
        let Some(password) = password else {
            self.password_tries = u32::MAX;
            self.sofar.unusable.push("password (nobody gave one)".to_owned());
            return Next::Another;
        };
        note_login("password", user, "");
        let wire = self.wire;
        // The library has no answer to "change it first" (RFC 4252, section 8): it says nothing, for ever.
        let result = tokio::select! {
            biased;
            result = self.session.authenticate_password(user, password.as_str()) => result,
            () = async { wire.heard().await; sleep(VERDICT).await } => {
                self.sofar.expired = true;
                self.sofar.tried.push("password (the server wants it changed first)".to_owned());
                return Next::Stop;
            }
        };
        // A refusal with a list of methods is about the password; one without is the end of the link.
        if let Ok(AuthResult::Failure { remaining_methods, partial_success: false }) = &result
            && !remaining_methods.is_empty()
        {
            self.keys.forget_password(user, host);
        }
        self.judge("password".to_owned(), result.map_err(|error| error.to_string()))
    }

    async fn keyboard_interactive(&mut self) -> Next {
        self.interactive_tries += 1;
        let user = self.target.user.clone();
        note_login("keyboard-interactive", &user, "");
        let mut reply = self.session.authenticate_keyboard_interactive_start(user, None).await;
        for _ in 0..MAX_ROUNDS {
            let (name, instructions, prompts) = match reply {
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts }) => {
                    (name, instructions, prompts)
                }
                Ok(KeyboardInteractiveAuthResponse::Success) => {
                    return self.judge("keyboard-interactive".to_owned(), Ok(AuthResult::Success));
                }
                Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                    let failure = AuthResult::Failure { remaining_methods, partial_success };
                    return self.judge("keyboard-interactive".to_owned(), Ok(failure));
                }
                Err(_) => return Next::Gone,
            };
            let prompts =
                prompts.into_iter().map(|prompt| ServerPrompt { text: prompt.prompt, echo: prompt.echo });
            let Some(answers) = self.answers(name, instructions, prompts.collect()).await else {
                // The library waits for answers and would take nothing else: this login is over.
                self.sofar.unusable.push("keyboard-interactive (nobody answered)".to_owned());
                return Next::Stop;
            };
            let answers = answers.iter().map(|answer| answer.as_str().to_owned()).collect();
            reply = self.session.authenticate_keyboard_interactive_respond(answers).await;
        }
        self.sofar.tried.push(format!("keyboard-interactive (it asked {MAX_ROUNDS} times)"));
        Next::Stop
    }

    /// One answer for each prompt. A server may ask nothing and only want to be told so.
    async fn answers(
        &self,
        name: String,
        instructions: String,
        prompts: Vec<ServerPrompt>,
    ) -> Option<Vec<SecretText>> {
        if prompts.is_empty() {
            return Some(Vec::new());
        }
        let count = prompts.len();
        let _typing = self.clock.stop();
        let asked = ServerQuestions {
            user: self.target.user.clone(),
            host: self.target.name.clone(),
            attempt: self.interactive_tries,
            name,
            instructions,
            prompts,
        };
        self.keys.answers(asked).await.filter(|answers| answers.len() == count)
    }

    fn judge(&mut self, what: String, result: Result<AuthResult, String>) -> Next {
        self.judge_as(what.clone(), what, result)
    }

    /// Takes the server's verdict in; `refused` is what a refusal is called.
    fn judge_as(&mut self, what: String, refused: String, result: Result<AuthResult, String>) -> Next {
        match result {
            Ok(AuthResult::Success) => {
                self.sofar.accepted.push(what);
                Next::In
            }
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                if partial_success {
                    self.sofar.accepted.push(what);
                    (self.interactive_tries, self.password_tries) = (0, 0);
                } else {
                    self.sofar.tried.push(refused);
                }
                // No method left: the library ends the session then, and says the same when the link is gone.
                if remaining_methods.is_empty() || self.session.is_closed() {
                    return Next::Gone;
                }
                self.offered = Some(names(&remaining_methods));
                Next::Another
            }
            Err(why) => {
                self.sofar.tried.push(format!("{what} ({why})"));
                if self.session.is_closed() { Next::Gone } else { Next::Another }
            }
        }
    }
}

/// The methods that the user wants, in this order.
fn order(target: &Target, may_ask: bool) -> Vec<Method> {
    let login = &target.login;
    let wanted = |method: &Method| match method {
        Method::PublicKey => login.public_key,
        Method::KeyboardInteractive => login.keyboard_interactive && may_ask,
        Method::Password => login.password && may_ask,
    };
    let named = |name: &String| Method::USUAL.into_iter().find(|method| method.name() == name);
    let order = match &login.methods {
        _ if login.only_identity.is_some() => vec![Method::PublicKey],
        Some(names) => names.iter().filter_map(named).collect(),
        None => Method::USUAL.to_vec(),
    };
    order.into_iter().filter(wanted).collect()
}

fn names(methods: &MethodSet) -> Vec<String> {
    methods.iter().map(|method| <&str>::from(method).to_owned()).collect()
}
